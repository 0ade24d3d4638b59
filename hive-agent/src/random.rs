//! Random numbers from the operating system.

/// A random number from 0 up to 1, for the jitter of a backoff.
pub(crate) fn fraction() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness the delay is the longest one, so that satellites do not all come back early.
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_ne_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
        Err(_) => 1.0 - f64::EPSILON,
    }
}

/// A unique id of 32 hexadecimal digits.
pub(crate) fn unique_id() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}
