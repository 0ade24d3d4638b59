//! Randomness from the operating system.

/// A number from 0 up to, but not including, 1: what a backoff spreads its delays by.
pub(crate) fn roll() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness the delay is the longest one: late, but never a herd of hasty ones.
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_ne_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
        Err(_) => 1.0 - f64::EPSILON,
    }
}

/// 32 hexadecimal digits that nobody else has.
pub(crate) fn unique_id() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}
