//! Writes the Python and Swift sources from the built library; `cargo xtask bindings` calls it.

fn main() {
    uniffi::uniffi_bindgen_main();
}
