//! Puts the C headers that match the chosen features where scripts/build-rust finds them.

use std::{env, fs, io, path::Path};

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn main() {
    println!("cargo:rerun-if-env-changed=WEIR_RUST_INCLUDE");
    println!("cargo:rerun-if-changed=build.rs");
    let from = env::var("DEP_WASMTIME_C_API_INCLUDE").expect("wasmtime-c-api-impl names its headers");
    if let Ok(to) = env::var("WEIR_RUST_INCLUDE") {
        copy(Path::new(&from), Path::new(&to)).expect("copy the headers");
    }
}
