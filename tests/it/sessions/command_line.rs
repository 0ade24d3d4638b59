//! `hive shell` and `hive sessions`, as somebody at a keyboard uses them.

use hive_testkit::{Console, FaultProxy, Finished, MouseProtocolMode, Screen, Signal, until};
use serde_json::json;

use super::{NAME, SHELL, Site};
use crate::support::{counted_to, text};

/// Somebody in front of `hive shell`, at the prompt.
async fn at_prompt(site: &Site) -> Console {
    at_prompt_via(site, site.hive.url()).await
}

async fn at_prompt_via(site: &Site, url: &str) -> Console {
    let mut console = site.hive.console_via(url, ["shell", NAME, "--shell", SHELL]);
    // The quotes are in the echo of the line and not in the prompt, so that only the prompt matches.
    console.type_keys("PS1='prom''pt> '\r").await;
    console.until_text("prompt>").await;
    assert_ne!(console.modes(), *console.modes_before(), "it is not in raw mode");
    console
}

/// The id of the only open terminal.
async fn only_session(site: &Site) -> String {
    let sessions = site.hive.rest().get("/api/v1/sessions").await.data();
    assert_eq!(sessions.as_array().map(Vec::len), Some(1), "{sessions}");
    text(&sessions[0]["id"]).to_owned()
}

/// Waits for the end of the command line, which leaves the terminal as it was; the exit code.
async fn left(console: &mut Console) -> i32 {
    let code = console.exit_code().await;
    assert_eq!(console.modes(), *console.modes_before(), "the terminal is not as it was");
    code
}

#[tokio::test]
async fn the_exit_code_is_the_shells() {
    let site = Site::start().await;
    let mut console = at_prompt(&site).await;
    console.type_keys("echo $(stty size)\r").await;
    console.until_text("24 80").await;
    // The signal and the keys race each other to the command line, as they do with ssh.
    console.resize(90, 30);
    let rest = site.hive.rest();
    until("the size is told", async || rest.get("/api/v1/sessions").await.data()[0]["rows"] == 30).await;
    console.type_keys("echo $(stty size)\r").await;
    console.until_text("30 90").await;
    console.type_keys("exit 7\r").await;
    assert_eq!(left(&mut console).await, 7);

    let mut console = at_prompt(&site).await;
    console.type_keys("kill -9 $$\r").await;
    assert_eq!(left(&mut console).await, 137);
}

#[tokio::test]
async fn a_signal_leaves_the_terminal_as_it_was() {
    let site = Site::start().await;
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let mut console = at_prompt(&site).await;
        // The program has the screen in modes of its own.
        console.type_keys("printf '\\033[?1049h\\033[?1000h\\033[?2004h\\033[?25lmo''des'\r").await;
        console
            .until("the modes are set", |screen| screen.alternate_screen() && screen.contents().contains("modes"))
            .await;
        console.signal(signal);
        assert_eq!(left(&mut console).await, 128 + signal as i32, "{signal}");
        let is_plain = |screen: &Screen| {
            !screen.alternate_screen()
                && !screen.bracketed_paste()
                && !screen.hide_cursor()
                && screen.mouse_protocol_mode() == MouseProtocolMode::None
        };
        console.until("the screen is plain", is_plain).await;
    }
    let sessions = site.hive.rest().get("/api/v1/sessions").await.data();
    assert_eq!(sessions.as_array().map(Vec::len), Some(3), "the terminals live on");
}

#[tokio::test]
async fn a_terminal_is_left_and_found_again_from_elsewhere() {
    let site = Site::start().await;
    let mut console = at_prompt(&site).await;
    console.type_keys("echo ~? mid''line\r").await;
    console.until_text("~? midline").await;
    console.type_keys("~?").await;
    console.until_text("~.").await;
    console.type_keys("\rA_VARIABLE=kept; echo be''fore\r").await;
    console.until_text("before").await;
    console.type_keys("~.").await;
    assert_eq!(left(&mut console).await, 0);
    let id = only_session(&site).await;
    assert!(console.text().replace('\n', "").contains(&format!("hive sessions attach {id}")), "{}", console.text());

    // Another machine: nothing but the address and a key.
    let mut elsewhere = site.hive.console(["sessions", "attach", &id]);
    elsewhere.until_text("before").await;
    elsewhere.type_keys("echo $A_VARIABLE $(stty size)\r").await;
    elsewhere.until_text("kept 24 80").await;
    elsewhere.type_keys("exit 3\r").await;
    assert_eq!(left(&mut elsewhere).await, 3);
}

#[tokio::test]
async fn it_attaches_again_by_itself_and_says_so() {
    let mut site = Site::start().await;
    let proxy = FaultProxy::start(site.hive.url());
    let mut console = at_prompt_via(&site, proxy.url()).await;
    for round in 0..3 {
        proxy.cut();
        console.type_keys(format!("clear; echo round{round}en''d\r")).await;
        console.until_text(&format!("round{round}end")).await;
    }
    console.until_bytes(b"attached again").await;
    site.hive.kill_server();
    console.until_bytes(b"the link to the hive broke").await;
    console.type_keys("echo typed me''anwhile\r").await;
    site.hive.restart_server().await;
    console.until_text("typed meanwhile").await;

    // Who has waited long enough leaves.
    site.hive.kill_server();
    let before = console.bytes().len();
    until("it says that it is away", async || String::from_utf8_lossy(&console.bytes()[before..]).contains("broke"))
        .await;
    console.type_keys("\r~.").await;
    left(&mut console).await;
}

#[tokio::test]
async fn who_only_reads_sees_all_and_changes_nothing() {
    let site = Site::start().await;
    let mut console = at_prompt(&site).await;
    let id = only_session(&site).await;
    let mut reader = site.hive.console(["sessions", "attach", &id, "--read-only"]);
    reader.until_text("prompt>").await;
    console.type_keys("echo sh''own\r").await;
    reader.until_text("shown").await;
    reader.type_keys("exit\r").await;
    console.type_keys("echo al''ive\r").await;
    reader.until_text("alive").await;
    reader.type_keys("\r~.").await;
    assert_eq!(left(&mut reader).await, 0);
    console.type_keys("exit\r").await;
    assert_eq!(left(&mut console).await, 0);
}

#[tokio::test]
async fn the_keyboard_goes_from_hand_to_hand() {
    let site = Site::start().await;
    let mut first = at_prompt(&site).await;
    let id = only_session(&site).await;
    let mut second = site.hive.console(["sessions", "attach", &id]);
    second.until_text("prompt>").await;
    second.type_keys("\r~R").await;
    first.until_bytes(b"asks for the keyboard").await;
    first.type_keys("\r~G").await;
    let mut typed = 0;
    until("the second types", async || {
        // Typed again and again: keys that come before the keyboard has changed hands are refused.
        typed += 1;
        second.type_keys(format!("echo second{typed}en''d\r")).await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        first.text().contains(&format!("second{typed}end"))
    })
    .await;
    first.type_keys("\r~T").await;
    until("the first types", async || {
        typed += 1;
        first.type_keys(format!("echo first{typed}en''d\r")).await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        second.text().contains(&format!("first{typed}end"))
    })
    .await;
}

#[tokio::test]
async fn terminals_are_listed_and_ended() {
    let site = Site::start_with(&["--max-sessions-per-agent", "1"], &[]).await;
    let mut console = at_prompt(&site).await;
    let id = only_session(&site).await;
    let listed = site.hive.cli(["-o", "json", "sessions", "list"]).await.expect_success().json();
    assert_eq!(
        (&listed[0]["id"], &listed[0]["satellite_name"], &listed[0]["viewers"]),
        (&json!(id), &json!(NAME), &json!(1))
    );
    let table = site.hive.cli(["sessions", "list", NAME]).await.expect_success();
    assert!(table.stdout.contains(&id) && table.stdout.contains(NAME), "{}", table.stdout);

    let refused = site.hive.cli(["shell", NAME]).await;
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("hive sessions list"), "{}", refused.stderr);

    site.hive.cli(["sessions", "kill", &id]).await.expect_success();
    assert_ne!(left(&mut console).await, 0);
    let listed = site.hive.cli(["-o", "json", "sessions", "list"]).await.expect_success().json();
    assert_eq!(listed, json!([]));
    let ended = site.hive.cli(["-o", "json", "sessions", "list", "--ended"]).await.expect_success().json();
    assert_eq!(ended[0]["end"]["reason"], "killed", "{ended}");
    let missing = site.hive.cli(["sessions", "kill", "sess_01kge3h900e41861050r3gg28a"]).await;
    assert_ne!(missing.code, Some(0));
}

/// Runs a line of the local shell in which `$0` is `hive`.
async fn run_locally(site: &Site, line: &str) -> Finished {
    let mut command = tokio::process::Command::new("/bin/sh");
    command.args(["-c", line]).arg(hive_testkit::binary("hive"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HIVE_URL", site.hive.url()).env("HIVE_API_KEY", site.hive.api_key());
    Finished::run(command).await
}

#[tokio::test]
async fn a_script_types_what_it_says() {
    let site = Site::start().await;
    let line = format!("printf 'echo pi''ped\\nexit 5\\n' | \"$0\" shell {NAME} --shell {SHELL}");
    let finished = run_locally(&site, &line).await;
    assert_eq!(finished.code, Some(5), "{}", finished.stderr);
    assert!(finished.stdout.contains("piped"), "{}", finished.stdout);
}

#[tokio::test]
async fn more_than_a_window_goes_into_a_silent_program() {
    let site = Site::start().await;
    let text = counted_to(100_000);
    let (from, to) = (site.hive.dir().join("from"), site.hive.dir().join("to"));
    std::fs::write(&from, &text).unwrap();
    let program = site.script("silent.sh", &format!("head -c {} > {}; exit 4", text.len(), to.display()));
    let line = format!("cat {} | \"$0\" shell {NAME} --shell {program}", from.display());
    let finished = run_locally(&site, &line).await;
    assert_eq!(finished.code, Some(4), "{}", finished.stderr);
    assert!(std::fs::read_to_string(to).unwrap() == text);
}
