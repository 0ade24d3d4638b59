//! One process under test: its output goes to files, it is signalled and waited for, and it ends with its value.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd;
use serde_json::Value;

use crate::procfs::{self, Pid};
use hive_test_peers::until_some;

/// How much of a log a panicking test prints.
const TAIL: u64 = 8 * 1024;

/// A running process, leader of its own process group.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    /// Where its own output begins in the file, which earlier processes of the name wrote to.
    begin: u64,
    status: Option<ExitStatus>,
    /// What hung on it when it was killed.
    strays: Vec<Pid>,
}

impl Process {
    /// Starts a command; what it prints is appended to `<name>.out` and `<name>.err` in `logs`.
    pub fn spawn(name: &str, mut command: Command, logs: &Path) -> Self {
        fs::create_dir_all(logs).unwrap();
        let log = |ending: &str| logs.join(format!("{name}.{ending}"));
        let append = |path: &Path| File::options().create(true).append(true).open(path).unwrap();
        let (stdout, stderr) = (log("out"), log("err"));
        let begin = fs::metadata(&stdout).map_or(0, |file| file.len());
        // A process group of its own: a Ctrl-C in the terminal of the tests must reach the test, which then ends it in
        // order.
        command.stdin(Stdio::null()).stdout(append(&stdout)).stderr(append(&stderr)).process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self { name: name.to_owned(), child, stdout, stderr, begin, status: None, strays: Vec::new() }
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// What it has printed on its standard output so far.
    pub fn stdout(&self) -> String {
        read_from(&self.stdout, self.begin)
    }

    /// What it and its predecessors of the same name have written to their log.
    pub fn log(&self) -> String {
        read_from(&self.stderr, 0)
    }

    /// Waits for the JSON line with this `event` on its standard output.
    pub async fn event(&mut self, event: &str) -> Value {
        let what = format!("{} says {event}", self.name);
        until_some(&what, async || {
            if let Some(line) = self.find_event(event) {
                return Some(line);
            }
            if let Some(status) = self.try_wait() {
                panic!("{} ended with {status} before it said {event}:\n{}", self.name, self.tail());
            }
            None
        })
        .await
    }

    fn find_event(&self, event: &str) -> Option<Value> {
        let text = self.stdout();
        // A line without its end is still being written.
        let complete = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        complete.filter_map(|line| serde_json::from_str(line).ok()).find(|line: &Value| line["event"] == event)
    }

    /// Sends a signal to the process alone.
    pub fn signal(&self, signal: Signal) {
        kill(unistd::Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Ends the process alone, as `kill -9` does: what it has started is left to itself.
    pub fn kill(&mut self) {
        // Before the kill: afterwards its children have another parent.
        self.strays.extend(procfs::descendants(self.pid()));
        self.child.kill().unwrap();
        self.status = Some(self.child.wait().unwrap());
    }

    /// The same, and what it has started is left to itself for good.
    pub fn kill_alone(&mut self) {
        self.kill();
        self.strays.clear();
    }

    /// Asks it to end and waits until it has; how long that took.
    pub async fn stop(&mut self) -> Duration {
        let begin = tokio::time::Instant::now();
        self.signal(Signal::SIGTERM);
        self.exited().await;
        begin.elapsed()
    }

    /// Waits for its end.
    pub async fn exited(&mut self) -> ExitStatus {
        let what = format!("{} ends", self.name);
        until_some(&what, async || self.try_wait()).await
    }

    /// Its exit code, where it has ended; 128 + the number of the signal that ended it.
    pub fn try_code(&mut self) -> Option<i32> {
        let status = self.try_wait()?;
        status.code().or_else(|| Some(128 + status.signal()?))
    }

    fn try_wait(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap();
        }
        self.status
    }

    /// Everything it has started and that still hangs on it.
    pub fn descendants(&self) -> Vec<Pid> {
        procfs::descendants(self.pid())
    }

    /// The end of its log.
    pub fn tail(&self) -> String {
        let len = fs::metadata(&self.stderr).map_or(0, |file| file.len());
        read_from(&self.stderr, len.saturating_sub(TAIL))
    }
}

fn read_from(path: &Path, begin: u64) -> String {
    let mut bytes = Vec::new();
    let mut file = File::open(path).unwrap();
    file.seek(SeekFrom::Start(begin)).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the end of the log of {}\n{}", self.name, self.tail());
        }
        if self.try_wait().is_none() {
            self.kill();
        }
        self.strays.drain(..).for_each(Pid::kill);
    }
}
