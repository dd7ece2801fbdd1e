//! Compiles the gRPC interface, without protoc.

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_file("sentrascan/v1/scans.proto")?;

    // For reflection and for the metrics, without the comments.
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    let described = Path::new(&out).join("sentrascan.v1.bin");
    let files = compiler.file_descriptor_set();
    compiler.include_source_info(false);
    fs::write(described, compiler.encode_file_descriptor_set())?;

    // Who calls brings a channel of its own.
    tonic_prost_build::configure()
        .build_transport(false)
        .compile_fds(files)?;
    Ok(())
}
