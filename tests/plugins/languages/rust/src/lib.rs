use extism_pdk::*;

#[host_fn("extism:host/user")]
extern "ExtismHost" {
    fn ws_send(request: String) -> String;
}

// Its argument is the number itself and no block, which the kit's macro cannot say.
#[link(wasm_import_module = "extism:host/user")]
extern "C" {
    fn sleep_ms(ms: u64) -> u64;
}

#[plugin_fn]
pub fn greet(name: String) -> FnResult<String> {
    info!("greeting {}", name);
    let greeting = config::get("greeting")?.unwrap_or("hello".to_string());
    Ok(format!("{greeting}, {name}"))
}

#[plugin_fn]
pub fn count(_: ()) -> FnResult<String> {
    let n: u64 = var::get::<String>("n")?.and_then(|s| s.parse().ok()).unwrap_or(0) + 1;
    var::set("n", n.to_string())?;
    Ok(n.to_string())
}

#[plugin_fn]
pub fn fails(_: ()) -> FnResult<String> {
    Err(Error::msg("no such market").into())
}

#[plugin_fn]
pub fn asks(_: ()) -> FnResult<String> {
    Ok(unsafe { ws_send("{\"connectionId\":\"none\",\"message\":\"x\"}".to_string())? })
}

#[plugin_fn]
pub fn sleeps(ms: String) -> FnResult<String> {
    unsafe { sleep_ms(ms.parse()?) };
    Ok("awake".to_string())
}

#[plugin_fn]
pub fn spins(_: ()) -> FnResult<String> {
    let mut n = 1u64;
    while std::hint::black_box(n) != 0 {
        n |= 1;
    }
    Ok(n.to_string())
}
