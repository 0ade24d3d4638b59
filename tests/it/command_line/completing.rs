//! Completions in real shells, and the manual.

use std::ffi::OsStr;
use std::path::Path;

use hive_core::RemoteHive;
use hive_testkit::{Console, Finished, ServerOptions, TestHive, binary, enrol};
use tokio::process::Command;

use super::Home;

/// Somebody in front of a bash that has read the completions.
async fn at_bash(hive: &TestHive) -> Console {
    let mut command = Command::new("bash");
    let folder = binary("hive");
    let path = [folder.parent().unwrap().as_os_str(), &std::env::var_os("PATH").unwrap()].join(OsStr::new(":"));
    command.env_clear().env("PATH", path).env("HOME", hive.dir()).env("TERM", "xterm-256color").env("PS1", "> ");
    command.env("HIVE_URL", hive.url()).env("HIVE_API_KEY", hive.api_key()).args(["--norc", "-i"]);
    let mut console = Console::start(command, 80, 24);
    // The quotes are in the echo of the line and not in what it prints, so that only the answer matches.
    console.type_keys("source <(hive completions bash); echo rea''dy\r").await;
    console.until_text("ready").await;
    console
}

/// Types a line and a Tab, waits for what becomes of the line, and takes it back.
async fn check(console: &mut Console, line: &str, completed: &str) {
    console.type_keys(format!("{line}\t")).await;
    console.until_text(&format!("> {completed}")).await;
    console.type_keys("\u{15}\u{c}").await;
    console.until("the line is gone", |screen| screen.contents().trim() == ">").await;
}

#[tokio::test]
async fn bash_completes_commands_options_and_the_names_of_satellites() {
    let mut hive = TestHive::start().await;
    let _satellite = hive.satellite("web-server-01").await;
    hive.cli(["satellites", "update", "web-server-01", "--tag", "prod"]).await.expect_success();
    let mut console = at_bash(&hive).await;
    check(&mut console, "hive sat", "hive satellites").await;
    check(&mut console, "hive satellites get w", "hive satellites get web-server-01").await;
    check(&mut console, "hive exec tag:", "hive exec tag:prod").await;
    check(&mut console, "hive exec all --time", "hive exec all --timeout").await;
    check(&mut console, "hive power web-server-01 --action re", "hive power web-server-01 --action reboot").await;

    // No hive: no names, and no noise.
    hive.kill_server();
    console.type_keys("hive satellites get w\t").await;
    console.type_keys("X; echo qui''et\r").await;
    console.until_text("quiet").await;
    assert!(console.text().starts_with("> hive satellites get wX; echo qui''et\n"), "{}", console.text());
}

#[tokio::test]
async fn bash_completes_a_name_and_a_label_behind_the_first_thousand_machines() {
    let args = ["--handshake-rate", "0"].map(String::from).to_vec();
    let hive = TestHive::start_with(ServerOptions { args, ..ServerOptions::default() }).await;
    let remote = RemoteHive::connect(hive.url(), hive.api_key().into()).unwrap();
    enrol(&remote, 1_000).await.unwrap();
    let last = hive.satellite("web-server-01").await;
    hive.rest().put(&last.path(""), &serde_json::json!({"tags": ["prod"]})).await.data();
    let mut console = at_bash(&hive).await;
    check(&mut console, "hive satellites get web", "hive satellites get web-server-01").await;
    check(&mut console, "hive exec tag:", "hive exec tag:prod").await;
}

#[tokio::test]
async fn bash_completes_the_paths_of_the_document_that_the_hive_serves() {
    let hive = TestHive::start().await;
    let mut console = at_bash(&hive).await;
    check(&mut console, "hive api GET audit/v", "hive api GET audit/verify").await;
    check(&mut console, "hive api GET /health/l", "hive api GET /health/live").await;
    // The value of a parameter is the user's. What follows it is completed again.
    check(&mut console, "hive api POST jobs/job_1/c", "hive api POST jobs/job_1/cancel").await;
}

#[tokio::test]
async fn zsh_and_fish_can_read_their_scripts() {
    let home = Home::new();
    for shell in ["zsh", "fish"] {
        let script = home.run(["completions", shell]).await.expect_success().stdout;
        assert!(script.contains("HIVE_COMPLETE"), "{script}");
        let path = home.path().join(shell);
        std::fs::write(&path, script).unwrap();
        let mut check = Command::new(shell);
        check.arg("-n").arg(&path);
        if is_installed(shell) {
            Finished::run(check).await.expect_success();
        }
    }
}

#[tokio::test]
async fn every_command_has_a_page_that_man_can_show() {
    let home = Home::new();
    home.run(["man", "pages"]).await.expect_success();
    let pages: Vec<_> =
        std::fs::read_dir(home.path().join("pages")).unwrap().map(|page| page.unwrap().path()).collect();
    let named = |name: &str| pages.iter().find(|page| page.ends_with(name)).unwrap_or_else(|| panic!("no {name}"));
    for (name, word) in [("hive.1", "satellites"), ("hive-exec.1", "tag:web"), ("hive-audit-verify.1", "public-key")] {
        let source = std::fs::read_to_string(named(name)).unwrap();
        assert!(source.starts_with(".ie") || source.contains(".TH"), "{name} is no page:\n{source}");
        let shown = if is_installed("man") { rendered(named(name)).await } else { source.replace('\\', "") };
        assert!(shown.contains(word), "{name} has no {word}:\n{shown}");
    }
}

async fn rendered(page: &Path) -> String {
    let mut man = Command::new("man");
    man.env("MANPAGER", "cat").env("MANWIDTH", "200").env("LANG", "C.UTF-8").arg("-l").arg(page);
    Finished::run(man).await.expect_success().stdout
}

fn is_installed(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|folder| folder.join(program).is_file())
}
