//! What is shown to people, and what to programs.

use std::time::Duration;

use hive_test_peers::FakeHive;
use hive_testkit::{FaultProxy, Finished, Process, TestHive, binary, until};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::Instant;

use super::Home;
use super::other_servers::crowded;

/// `hive` for the fake hive.
fn asking(fake: &FakeHive, args: &[&str]) -> Command {
    let mut command = Home::new().command(args);
    command.current_dir("/").env("HIVE_URL", fake.url()).env("HIVE_API_KEY", "k").env("LANG", "C.UTF-8");
    command
}

#[tokio::test]
async fn ten_thousand_satellites_are_listed_soon_and_in_pages() {
    // A fake: 10,000 real satellites would take minutes to register.
    let fake = crowded(10_000).await;
    let began = Instant::now();
    let list = Finished::run(asking(&fake, &["satellites", "list"])).await.expect_success();
    assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
    assert_eq!((list.stdout.lines().count(), fake.requests().len()), (10_001, 10));
    assert!(list.stdout.lines().all(|line| !line.contains('…')), "a program wants all of it");
    // Both stand at the same column of a screen: a letter of the second is two columns wide.
    let column = |number: usize, word: &str| {
        let line = list.stdout.lines().nth(number).unwrap();
        let before = &line[..line.find(word).unwrap_or_else(|| panic!("no {word} in {line}"))];
        before.chars().map(|c| if c.is_ascii() || c == 'ö' || c == 'ß' { 1 } else { 2 }).sum::<usize>()
    };
    assert_eq!(column(1, "host"), column(2, "host"));

    let few =
        Finished::run(asking(&fake, &["-o", "json", "satellites", "list", "--limit", "5"])).await.expect_success();
    assert_eq!((few.json().as_array().unwrap().len(), fake.requests().len()), (5, 11));
    let lines = Finished::run(asking(&fake, &["-o", "jsonl", "satellites", "list"])).await.expect_success();
    assert!(lines.stdout.lines().all(|line| serde_json::from_str::<Value>(line).unwrap()["name"].is_string()));

    let mut cut = Command::new("/bin/sh");
    cut.args(["-c", "\"$0\" satellites list | head -1"]).arg(binary("hive"));
    cut.env("HIVE_URL", fake.url()).env("HIVE_API_KEY", "k");
    let cut = Finished::run(cut).await;
    assert!(cut.stdout.starts_with("NAME") && cut.stderr.is_empty(), "{} {}", cut.stdout, cut.stderr);
}

#[tokio::test]
async fn colours_are_for_people_unless_somebody_says_otherwise() {
    let fake = crowded(2).await;
    let has_colours = async |args: &[&str], environment: &[(&str, &str)]| {
        let mut command = asking(&fake, args);
        command.envs(environment.iter().copied());
        Finished::run(command).await.expect_success().stdout.contains('\u{1b}')
    };
    let list = &["satellites", "list"][..];
    assert!(!has_colours(list, &[]).await, "it is piped");
    assert!(has_colours(list, &[("CLICOLOR_FORCE", "1")]).await);
    assert!(!has_colours(list, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]).await);
    assert!(has_colours(&["satellites", "list", "--color", "always"], &[("NO_COLOR", "1")]).await);
    assert!(!has_colours(&["satellites", "list", "--color=never"], &[("CLICOLOR_FORCE", "1")]).await);
    assert!(has_colours(&["--color", "always", "exec", "--help"], &[]).await);
    assert!(!has_colours(&["exec", "--help"], &[]).await);

    let seen_by = async |environment: &[(&str, &str)]| {
        let home = Home::new();
        let mut command = home.command(list);
        command
            .env("HIVE_URL", fake.url())
            .env("HIVE_API_KEY", "k")
            .env("TERM", "xterm-256color")
            .envs(environment.iter().copied());
        let mut console = hive_testkit::Console::start(command, 60, 24);
        assert_eq!(console.exit_code().await, 0);
        (console.text(), console.bytes().contains(&0x1b))
    };
    let (text, is_coloured) = seen_by(&[]).await;
    assert!(is_coloured && text.contains('…'), "it fits a screen of 60 columns:\n{text}");
    assert!(text.contains("sat_00000000000000000000000001"), "an id is whole:\n{text}");
    assert!(!seen_by(&[("NO_COLOR", "1")]).await.1);
}

#[tokio::test]
async fn with_jsonl_each_result_is_a_line_as_soon_as_it_is_there() {
    let hive = TestHive::start().await;
    let (_first, _second) = (hive.satellite("web-server-01").await, hive.satellite("web-server-02").await);
    let mut third = hive.satellite("web-server-03").await;
    third.process().kill();
    hive.until_online(&third, false).await;
    let dir = hive.dir().display();
    // The satellites share one machine: who comes first goes on at once, the other waits.
    let line = format!("mkdir {dir}/first 2>&- || until [ -e {dir}/gate ]; do sleep 0.02; done; echo out; exit 3");
    let args = ["-o", "jsonl", "exec", "all", "--shell", &line];
    let mut command = std::process::Command::new(binary("hive"));
    command.env("HIVE_URL", hive.url()).env("HIVE_API_KEY", hive.api_key()).args(args);
    let mut exec = Process::spawn("hive-exec", command, &hive.dir().join("logs"));
    until("two of three are told", async || exec.stdout().lines().count() == 2).await;
    assert!(exec.try_code().is_none());
    std::fs::write(hive.dir().join("gate"), "").unwrap();
    exec.exited().await;
    assert_eq!((exec.try_code(), exec.log().as_str()), (Some(255), ""), "one was not run");
    let results = crate::support::expect_json_lines(&exec);
    let of = |name: &str| results.iter().find(|result| result["satellite_name"] == name).unwrap();
    for name in ["web-server-01", "web-server-02"] {
        let result = of(name);
        assert_eq!((&result["stdout"], &result["exit_code"]), (&json!("out\n"), &json!(3)), "{result}");
    }
    assert_eq!(of("web-server-03")["error"]["code"], "SATELLITE_OFFLINE");

    let jobs = hive.cli(["-o", "json", "jobs", "list"]).await.expect_success().json();
    let id = jobs[0]["id"].as_str().unwrap();
    let watched = hive.cli(["-o", "jsonl", "jobs", "watch", id]).await.expect_success();
    let events: Vec<Value> = watched.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.len() == 3 && events.iter().all(|event| event["event"] == "target"), "{}", watched.stdout);
    let shown = hive.cli(["-o", "json", "jobs", "show", id, "--output"]).await.expect_success().json();
    assert_eq!(shown.as_array().unwrap().iter().filter(|result| result["stdout"] == "out\n").count(), 2);

    let one = hive.cli(["-o", "jsonl", "exec", "web-server-01", "--", "echo", "hello"]).await.expect_success();
    assert_eq!(one.json()["stdout"], "hello\n");
}

#[tokio::test]
async fn progress_is_for_people_and_gone_at_the_end() {
    let hive = TestHive::start().await;
    let (_first, _second) = (hive.satellite("web-server-01").await, hive.satellite("web-server-02").await);
    let gate = hive.dir().join("gate");
    let line = format!("until [ -e {} ]; do sleep 0.02; done; echo the output", gate.display());
    let mut console = hive.console(["exec", "all", "--shell", &line]);
    console.until_text("0 of 2 done, 2 running").await;
    std::fs::write(&gate, "").unwrap();
    assert_eq!(console.exit_code().await, 0);
    let text = console.text();
    assert!(text.contains("web-server-01, web-server-02 (2):\nthe output"), "{text}");
    assert!(!text.contains(" done"), "{text}");

    let piped = hive.cli(["exec", "all", "--shell", &line]).await.expect_success();
    assert_eq!((piped.stdout.as_str(), piped.stderr.as_str()), ("web-server-01, web-server-02 (2):\nthe output\n", ""));
}

#[tokio::test]
async fn ctrl_c_ends_what_runs_and_exits_with_130() {
    let hive = TestHive::start().await;
    let _satellite = hive.satellite("web-server-01").await;
    // On the long way it runs before anybody here has heard its id.
    let far = FaultProxy::start(hive.url());
    far.delay(Duration::from_millis(300));
    for url in [hive.url(), far.url()] {
        let seconds = crate::support::unique_seconds();
        let mut console = hive.console_via(url, ["exec", "web-server-01", "--", "sleep", &seconds]);
        // The command line names the seconds too.
        crate::support::until_sleeping(&seconds, 2).await;
        console.type_keys("\u{3}").await;
        assert_eq!(console.exit_code().await, 130);
        crate::support::until_sleeping(&seconds, 0).await;
    }
}

#[tokio::test]
async fn satellites_are_labelled_and_records_are_looked_at() {
    let hive = TestHive::start().await;
    let _satellite = hive.satellite("web-server-01").await;
    hive.cli(["satellites", "update", "web-server-01", "--tag", "web", "--tag", "old"]).await.expect_success();
    let update = ["satellites", "update", "web-server-01", "--add-tag", "größe", "--remove-tag", "old"];
    let updated = hive.cli(["-o", "json"].iter().chain(&update)).await.expect_success().json();
    assert_eq!(updated["tags"], json!(["größe", "web"]));
    let tags = hive.cli(["-o", "jsonl", "satellites", "tags"]).await.expect_success();
    assert!(tags.stdout.contains(r#"{"online":1,"satellites":1,"tag":"web"}"#), "{}", tags.stdout);

    let listed = hive.cli(["-o", "json", "audit", "list", "--limit", "3"]).await.expect_success().json();
    for record in listed.as_array().unwrap() {
        for name in [record["seq"].to_string(), record["id"].as_str().unwrap().to_owned()] {
            let shown = hive.cli(["-o", "json", "audit", "show", &name]).await.expect_success().json();
            assert_eq!(shown, *record);
        }
    }
    assert_eq!(hive.cli(["audit", "show", "100000"]).await.code, Some(68));

    let asked = hive.cli(["satellites", "remove", "web-server-01"]).await;
    assert!(asked.code == Some(2) && asked.stderr.contains("--yes"), "{}", asked.stderr);
    hive.cli(["satellites", "remove", "web-server-01", "--yes"]).await.expect_success();
}
