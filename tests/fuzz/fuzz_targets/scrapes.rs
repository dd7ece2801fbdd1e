//! Scrapes of anything recorded. Without a fuzzer it runs the files that it is given.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_tests::scrapes::run(data));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    for file in std::env::args_os().skip(1) {
        fuzz_tests::scrapes::run(&std::fs::read(file)?);
    }
    Ok(())
}
