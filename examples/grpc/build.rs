//! Generates the code of the service. `protox` reads the `.proto` file, so no `protoc` is needed.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["proto/words.proto"], ["proto"])?;
    // Reflection tells clients what is in the file.
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("words.bin"), files.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(files)?;
    Ok(())
}
