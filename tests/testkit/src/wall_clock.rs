//! A clock on the wall that is wrong, and can be set while processes look at it.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A wrong clock for processes that get its environment. Time that only goes on, by which they wait, stays right.
#[derive(Debug)]
pub struct WallClock {
    library: PathBuf,
    dir: TempDir,
}

impl WallClock {
    /// A clock that is off by so many seconds.
    pub fn off_by(seconds: i64) -> Self {
        let clock = Self { library: library(), dir: tempfile::tempdir().unwrap() };
        clock.set(seconds);
        clock
    }

    /// Sets it, for all that look at it from now on.
    pub fn set(&self, seconds: i64) {
        // Renamed, so that nobody reads half of it.
        let new = self.dir.path().join("new");
        std::fs::write(&new, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(new, self.file()).unwrap();
    }

    /// What a process needs in its environment to look at it.
    pub fn env(&self) -> Vec<(String, String)> {
        let text = |path: &Path| path.to_str().expect("a path of ours is text").to_owned();
        let variables = [
            ("LD_PRELOAD", text(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", text(&self.file())),
            // Read with each call, so that the clock can be set while the process runs.
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        variables.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("clock")
    }
}

/// Where Debian's package `libfaketime` puts its library, whatever the machine.
fn library() -> PathBuf {
    let entries = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let mut candidates = entries.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    candidates.find(|path| path.is_file()).expect("libfaketime is installed: `cargo xtask test` does that")
}
