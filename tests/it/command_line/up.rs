//! `hive up`, as the first thing that somebody tries.

use hive_testkit::{Finished, Process, TestHive, binary, until};

use super::Home;

/// Starts `hive up` and waits until it is there.
async fn up(home: &Home, args: &[&str]) -> (Process, serde_json::Value) {
    let mut command = std::process::Command::new(binary("hive"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home.path());
    command.current_dir(home.path()).args(["-o", "json", "up"]).args(args);
    let mut up = Process::spawn("hive-up", command, &home.path().join("logs"));
    let said = up.event("up").await;
    (up, said)
}

#[tokio::test]
async fn it_says_what_to_try_and_ends_with_ctrl_c() {
    let home = Home::new();
    let mut console = home.console(["up", "--listen", "127.0.0.1:0"]);
    console.until_text("User admin, password ").await;
    console.until_text("hive satellites list").await;
    until("it can be used", async || {
        home.run(["exec", "all", "--", "echo", "it works"]).await.stdout.ends_with("it works\n")
    })
    .await;
    console.type_keys("\u{3}").await;
    assert_eq!(console.exit_code().await, 0, "{}", console.text());
    assert!(!console.text().contains("error"), "{}", console.text());

    // It is the same hive again: nobody is told a password.
    let mut console = home.console(["up", "--listen", "127.0.0.1:0"]);
    console.until_text("hive satellites list").await;
    assert!(!console.text().contains("password"), "{}", console.text());
    console.type_keys("\u{3}").await;
    assert_eq!(console.exit_code().await, 0, "{}", console.text());
}

#[tokio::test]
async fn a_second_one_in_the_same_place_says_what_is_there() {
    let home = Home::new();
    let (mut first, said) = up(&home, &["--listen", "127.0.0.1:0"]).await;
    let url = said["http"].as_str().unwrap();
    let second = home.run(["up", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(second.code, Some(1));
    for words in ["runs already", url, "`hive satellites list`"] {
        assert!(second.stderr.contains(words), "{words} is not in {}", second.stderr);
    }
    let elsewhere = Home::new();
    let address = url.strip_prefix("http://").unwrap();
    // Another directory, and the port of the first.
    let taken = elsewhere.run(["up", "--listen", address]).await;
    assert_eq!(taken.code, Some(1));
    assert!(
        taken.stderr.contains("cannot listen on") && taken.stderr.contains("--listen 127.0.0.1:"),
        "{}",
        taken.stderr
    );
    first.stop().await;
    assert!(home.run(["whoami"]).await.stderr.contains("`hive up`"));
}

#[tokio::test]
async fn a_login_elsewhere_counts_first_and_up_says_how_to_be_meant() {
    let hive = TestHive::start().await;
    let home = Home::new();
    home.log_in(&hive, &["--profile", "prod"]).await.expect_success();
    let mut console = home.console(["up", "--listen", "127.0.0.1:0"]);
    console.until_text("export HIVE_URL=http://127.0.0.1:").await;
    console.until_text("else the profile prod is used").await;
    let text = console.text();
    let url = text.split("export HIVE_URL=").nth(1).unwrap().split_whitespace().next().unwrap();
    let used = async |url: Option<&str>| {
        let mut command = home.command(["-o", "json", "whoami"]);
        command.envs(url.map(|url| ("HIVE_URL", url)));
        Finished::run(command).await.expect_success().json()["url"].clone()
    };
    assert_eq!(used(None).await, hive.url());
    assert_eq!(used(Some(url)).await, url);
    console.type_keys("\u{3}").await;
    assert_eq!(console.exit_code().await, 0);
}
