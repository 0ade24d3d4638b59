//! What many measurements of the same thing say.

/// The value at `percent` of the sorted samples, by nearest rank.
pub(crate) fn percentile(samples: &[f64], percent: usize) -> f64 {
    assert!(!samples.is_empty(), "a percentile of nothing");
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
}
