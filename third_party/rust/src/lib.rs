//! C functions for what Weir takes from the Rust world; `weir_rust.h` declares those added here.

pub use wasmtime_c_api::*;

use std::{mem::size_of, ptr, slice, str};

/// Hands `bytes` to C as a NUL-terminated block that `weir_rust_free` releases.
fn give(bytes: Vec<u8>, len: &mut usize) -> *mut u8 {
    *len = bytes.len();
    let mut block = bytes;
    block.push(0);
    Box::into_raw(block.into_boxed_slice()) as *mut u8
}

/// TOML text to JSON text. NULL on failure, and then `*error` holds the parser's words.
///
/// # Safety
/// `text` must point at `text_len` readable bytes; the out-pointers must be valid.
#[no_mangle]
pub unsafe extern "C" fn weir_toml_to_json(
    text: *const u8,
    text_len: usize,
    json_len: &mut usize,
    error: &mut *mut u8,
    error_len: &mut usize,
) -> *mut u8 {
    let input = if text_len == 0 { &[] } else { slice::from_raw_parts(text, text_len) };
    let done = str::from_utf8(input)
        .map_err(|e| e.to_string())
        .and_then(|text| toml::from_str::<toml::Table>(text).map_err(|e| e.to_string()))
        .and_then(|table| serde_json::to_vec(&table).map_err(|e| e.to_string()));
    *error = ptr::null_mut();
    match done {
        Ok(json) => give(json, json_len),
        Err(text) => {
            *error = give(text.trim_end().as_bytes().to_vec(), error_len);
            ptr::null_mut()
        }
    }
}

/// # Safety
/// `block` came from a function here with this length, or is NULL.
#[no_mangle]
pub unsafe extern "C" fn weir_rust_free(block: *mut u8, len: usize) {
    if !block.is_null() {
        drop(Box::from_raw(ptr::slice_from_raw_parts_mut(block, len + 1)));
    }
}

/// `wasm_engine_new_with_config` aborts the process when the kernel refuses the address space
/// that the pooling allocator reserves; this one answers NULL and the reason.
///
/// # Safety
/// `config` came from `wasm_config_new` and is consumed.
#[no_mangle]
pub unsafe extern "C" fn weir_engine_new(
    config: *mut wasm_config_t,
    error: &mut *mut u8,
    error_len: &mut usize,
) -> *mut wasm_engine_t {
    // Both types are #[repr(C)] structs of exactly one field, the Rust value.
    const _: () = assert!(size_of::<wasm_config_t>() == size_of::<wasmtime::Config>());
    const _: () = assert!(size_of::<wasm_engine_t>() == size_of::<wasmtime::Engine>());
    let config = Box::from_raw(config as *mut wasmtime::Config);
    *error = ptr::null_mut();
    match wasmtime::Engine::new(&config) {
        Ok(engine) => Box::into_raw(Box::new(engine)) as *mut wasm_engine_t,
        Err(e) => {
            *error = give(format!("{e:#}").into_bytes(), error_len);
            ptr::null_mut()
        }
    }
}
