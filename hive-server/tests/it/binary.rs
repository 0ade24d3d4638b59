//! The binary: documents on standard output, errors on standard error, shutdown by a signal.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

fn hive_server(data_dir: &std::path::Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hive-server"));
    command.args(args).arg("--data-dir").arg(data_dir).env_remove("HIVE_DATA_DIR").env_remove("HIVE_LISTEN");
    command.env_remove("HIVE_DATABASE_URL");
    command.kill_on_drop(true);
    command
}

async fn run(data_dir: &std::path::Path, args: &[&str]) -> Value {
    let output = hive_server(data_dir, args).output().await.unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn refuse(data_dir: &std::path::Path, args: &[&str], code: i32, message: &str) {
    let output = hive_server(data_dir, args).output().await.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{args:?}: {stderr}");
    assert!(stderr.contains(message), "{stderr:?} does not contain {message:?}");
    assert!(code != 1 || stderr.lines().count() == 1, "{stderr:?} is more than one line");
}

#[tokio::test]
async fn setup_commands_run_beside_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut server = hive_server(dir, &["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let first: Value = lines.next_line().await.unwrap().unwrap().parse().unwrap();
    assert_eq!(first["event"], "listening");
    assert!(first["http"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{first}");

    let admin = run(dir, &["admin", "create", "--username", "anna"]).await;
    assert!(admin["username"] == "anna" && admin["password"].is_string(), "{admin}");
    let key = run(dir, &["api-key", "create", "--username", "anna"]).await;
    assert!(key["api_key"].as_str().unwrap().starts_with("hive_key_"), "{key}");
    assert_eq!(run(dir, &["team", "create", "--slug", "red"]).await["slug"], "red");
    assert_eq!(run(dir, &["user", "create", "--username", "otto"]).await["username"], "otto");
    let member = run(dir, &["team", "add", "--team", "red", "--username", "otto", "--role", "viewer"]).await;
    assert_eq!(member["role"], "viewer");

    refuse(dir, &["admin", "create", "--username", "anna"], 1, "the username is taken").await;
    refuse(dir, &["api-key", "create", "--username", "nobody"], 1, "no user nobody").await;
    refuse(
        dir,
        &["team", "add", "--team", "red", "--username", "otto", "--role", "king"],
        2,
        "admin, operator or viewer",
    )
    .await;

    let pid = server.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    let status =
        tokio::time::timeout(Duration::from_secs(5), server.wait()).await.expect("it ends within 5 s").unwrap();
    assert!(status.success());
    assert_eq!(lines.next_line().await.unwrap(), None, "standard output holds the address alone");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refuse(dir.path(), &["--listen", &address], 1, &format!("cannot listen on {address}")).await;
    refuse(dir.path(), &["--listen", "nowhere"], 2, "nowhere").await;
}

#[tokio::test]
async fn an_invalid_limit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    refuse(dir.path(), &["--max-sessions-per-agent", "0"], 2, "max-sessions-per-agent").await;
    refuse(dir.path(), &["--session-linger", "0"], 2, "session-linger").await;
    refuse(dir.path(), &["--handshake-rate", "fast"], 2, "handshake-rate").await;
    refuse(dir.path(), &["--handshake-timeout", "0"], 2, "handshake-timeout").await;
    refuse(dir.path(), &["--session-idle-timeout", "often"], 2, "must be seconds, or never").await;
}

#[tokio::test]
async fn an_invalid_database_is_refused_without_its_password() {
    let dir = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = format!("postgres://anna:s3cret@{free}/hive");
    let rule = "the database must be sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/NAME";
    for (url, message) in [
        ("mysql://anna:s3cret@localhost/hive", rule),
        ("s3cret", rule),
        ("sqlite:", "must be sqlite:PATH with the path of a file"),
        ("postgres://anna:s3cret@localhost:port/hive", "invalid port number"),
        ("postgres://anna:s3cret@localhost/hive?sslmode=s3cret", "a parameter behind the ?"),
        (&gone, &format!("cannot connect to the database hive of anna on {free}")),
    ] {
        for args in [vec!["--listen", "127.0.0.1:0"], vec!["admin", "create", "--username", "anna"]] {
            let mut command = hive_server(dir.path(), &args);
            let output = command.env("HIVE_DATABASE_URL", url).output().await.unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{url}: {stderr}");
            assert!(stderr.contains(message) && !stderr.contains("s3cret"), "{url}: {stderr}");
        }
    }
    let help = hive_server(dir.path(), &["--help"]).env("HIVE_DATABASE_URL", &gone).output().await.unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("HIVE_DATABASE_URL") && !help.contains("s3cret"), "{help}");
}

#[tokio::test]
async fn an_error_of_the_database_is_told_without_the_words_of_the_driver() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &["admin", "create", "--username", "anna"]).await;
    let garbage = dir.path().join("garbage.db");
    std::fs::write(&garbage, [0x17; 8192]).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (garbage, gone) = (format!("sqlite:{}", garbage.display()), format!("postgres://anna:s3cret@{free}/hive"));
    for (url, message) in [
        (&garbage, "garbage.db: file is not a database; put back a backup\n".to_owned()),
        (&gone, format!("the database hive of anna on {free}: Connection refused (os error 111)\n")),
    ] {
        for args in [["check"].as_slice(), &["--listen", "127.0.0.1:0"]] {
            let output = hive_server(dir.path(), &[&["--database", url], args].concat()).output().await.unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert!(stderr.ends_with(&message) && !stderr.contains("code:"), "{args:?}: {stderr}");
            assert_eq!(output.status.code(), Some(1), "{args:?}");
        }
    }
}

#[tokio::test]
async fn the_database_may_be_outside_of_the_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("elsewhere.db").display());
    let data = dir.path().join("data");
    run(&data, &["admin", "create", "--username", "anna", "--database", &url]).await;
    refuse(&data, &["--database", &url, "admin", "create", "--username", "anna"], 1, "the username is taken").await;
    assert!(dir.path().join("elsewhere.db").exists() && data.join("keys").exists() && !data.join("hive.db").exists());
}
