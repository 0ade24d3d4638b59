//! Small things that several subjects need.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use hive_testkit::{Process, procfs, until};
use serde_json::Value;

/// A number of seconds to sleep that no other process on this machine sleeps: by it a test finds its own processes.
pub(crate) fn unique_seconds() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::SeqCst);
    format!("{}.{:03}7", 40_000 + std::process::id() % 10_000, count)
}

/// Waits until as many processes sleep these seconds.
pub(crate) async fn until_sleeping(seconds: &str, count: usize) {
    let what = format!("{count} processes sleep {seconds}");
    until(&what, async || sleeping(seconds) == count).await;
}

/// How many processes sleep these seconds.
pub(crate) fn sleeping(seconds: &str) -> usize {
    procfs::running_with(seconds).len()
}

/// What `seq 1 last` prints.
pub(crate) fn counted_to(last: u32) -> String {
    (1..=last).flat_map(|number| [number.to_string(), "\n".into()]).collect()
}

/// The fields of an object.
pub(crate) fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

/// Checks that everything a process has said on its standard output is JSON, one document a line.
pub(crate) fn expect_json_lines(process: &Process) -> Vec<Value> {
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"));
    process.stdout().lines().map(read).collect()
}

/// A small reproducible source of numbers (xorshift64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// Dice of any number: near ones give nothing alike.
    pub(crate) fn of(seed: u64) -> Self {
        // The steps of SplitMix64. The last bit is set, because xorshift never leaves zero.
        let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((mixed ^ (mixed >> 31)) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// As many bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.next().to_le_bytes());
        let mut bytes: Vec<u8> = words.take(len.div_ceil(8)).flatten().collect();
        bytes.truncate(len);
        bytes
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// A number out of the environment, by which a test is repeated or made longer.
pub(crate) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is not a number")))
}
