//! Writes the Python and Swift sources from the built library; `cargo xtask test` calls it.

#![forbid(unsafe_code)]

fn main() {
    uniffi::uniffi_bindgen_main();
}
