//! Writes the Python and Swift sources from the built library. `cargo xtask` and maturin call it.
//!
//! Its arguments are those of `uniffi-bindgen`, which it is for all languages. For Python it also writes `records.py`.

#![forbid(unsafe_code)]

mod python_records;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    // It ends the process if it fails.
    uniffi::uniffi_bindgen_main();
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    if option("--language").is_some_and(|language| language == "python") {
        // maturin and `cargo xtask` both pass the library last.
        let library = arguments.last().ok_or("the last argument is the library")?;
        python_records::write(library, option("--out-dir").ok_or("--out-dir is missing")?)?;
    }
    Ok(())
}
