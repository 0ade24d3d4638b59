//! Keystrokes and their echoes go ahead of everything else of a link, and never wait for the database.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use hive_core::wire::agent::MAX_STDIN;
use hive_testkit::{FaultProxy, TestHive, until};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::{NAME, Site, options};

/// How long the database is frozen: as long as SQLite waits for a lock.
const FREEZE: Duration = Duration::from_secs(5);
/// Commands that end while the database is frozen.
const ENDS: usize = 20;
/// Commands with as much input as a command may have.
const LARGE: usize = 40;

/// A lock on a hive's SQLite file, held by another program: nobody else writes.
struct FrozenDatabase(Child);

impl FrozenDatabase {
    async fn of(hive: &TestHive) -> Self {
        let script = "import sqlite3, sys\n\
                      database = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)\n\
                      database.execute('BEGIN EXCLUSIVE')\n\
                      print('frozen', flush=True)\n\
                      sys.stdin.readline()\n\
                      database.execute('ROLLBACK')";
        let mut command = Command::new("python3");
        command.args(["-c", script]).arg(hive.data_dir().join("hive.db"));
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("python3 runs");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).await.unwrap();
        assert_eq!(line, "frozen\n");
        Self(child)
    }

    async fn thaw(mut self) {
        self.0.stdin.as_mut().expect("piped").write_all(b"\n").await.unwrap();
        assert!(self.0.wait().await.unwrap().success());
    }
}

fn lines(file: &Path) -> usize {
    std::fs::read_to_string(file).map_or(0, |text| text.lines().count())
}

#[tokio::test]
async fn echo_goes_on_while_the_database_is_frozen_and_no_end_is_lost() {
    let hive = TestHive::start_on_sqlite().await;
    let satellite = hive.satellite_with(NAME, options(&[])).await;
    let mut site = Site { satellite, hive };
    let mut viewer = site.shell().await;
    assert_eq!(viewer.answer("before").await, "before");
    let (begun, gate, ended) =
        (site.hive.dir().join("begun"), site.hive.dir().join("gate"), site.hive.dir().join("ended"));
    let line = format!(
        "echo x >> {}; until test -e {}; do sleep 0.05; done; head -c 100000 /dev/zero; echo x >> {}",
        begun.display(),
        gate.display(),
        ended.display()
    );
    let command = json!({"command": line});
    let ids = join_all((0..ENDS).map(|_| site.hive.submit(&site.satellite, &command))).await;
    until("all commands run", async || lines(&begun) == ENDS).await;
    for id in &ids {
        site.hive.until_status(id, "started").await;
    }

    let frozen = FrozenDatabase::of(&site.hive).await;
    std::fs::write(&gate, "").unwrap();
    let begin = Instant::now();
    let mut answered = 0;
    // Each answer arrives while the database is frozen: it is released only after them.
    while begin.elapsed() < FREEZE || answered < 100 || lines(&ended) < ENDS {
        assert_eq!(viewer.answer(&answered.to_string()).await, answered.to_string());
        answered += 1;
    }
    for id in &ids {
        assert_eq!(site.hive.command(id).await["status"], "started", "no end is stored");
    }
    frozen.thaw().await;

    for id in &ids {
        let command = site.hive.until_status(id, "succeeded").await;
        assert_eq!(command["stdout"].as_str().map(str::len), Some(100_000));
    }
    assert_eq!(site.hive.server().log().matches("satellite online").count(), 1, "the link stayed");
    site.hive.cli(["audit", "verify"]).await.expect_success();
}

#[tokio::test]
async fn a_keystroke_overtakes_large_commands_on_a_slow_link() {
    // One command takes two thirds of a second, and all of them half a minute.
    let (site, _proxy) = Site::behind(|url| FaultProxy::start_narrow(url, 1_000_000), &[], &[]).await;
    let mut viewer = site.shell().await;
    assert_eq!(viewer.answer("before").await, "before");
    let arrived = site.hive.dir().join("arrived");
    let command = json!({
        "command": format!("echo x >> {}", arrived.display()),
        "stdin": BASE64.encode(&vec![b'x'; MAX_STDIN]),
    });
    let (rest, path, body) =
        (site.hive.rest(), site.satellite.path("/exec?wait=false"), Bytes::from(command.to_string()));
    let submit = || rest.call("POST", &path).with("content-type", "application/json").body(body.clone()).answer();
    // Not all at the same time: the bodies have a deadline.
    let submitted: Vec<_> = stream::iter(0..LARGE).map(|_| submit()).buffer_unordered(4).collect().await;
    assert!(submitted.iter().all(|answer| answer.status == 202));
    for number in 0..3 {
        assert_eq!(viewer.answer(&number.to_string()).await, number.to_string());
    }
    let count = lines(&arrived);
    assert!(count < LARGE / 2, "{count} of {LARGE} commands were sent before three lines were typed and answered");
}
