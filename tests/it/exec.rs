//! How a command runs on one satellite.

use data_encoding::BASE64;
use hive_testkit::{SatelliteOptions, TestHive, TestSatellite, procfs};
use serde_json::{Value, json};

use crate::support::{sleeping, text, unique_seconds, until_sleeping};

/// What is kept of each output.
const CAP: usize = 10 * 1024 * 1024;

async fn start() -> (TestHive, TestSatellite) {
    let hive = TestHive::start().await;
    let satellite = hive.satellite("web-server-01").await;
    (hive, satellite)
}

async fn exec(hive: &TestHive, satellite: &TestSatellite, command: Value) -> Value {
    hive.rest().post(&satellite.path("/exec"), &command).await.data()
}

#[tokio::test]
async fn a_line_runs_in_a_shell_and_argv_does_not() {
    let (hive, satellite) = start().await;
    let result = hive.exec(&satellite, "echo $((6 * 7)) | tr 4 x; echo oops >&2; exit 3").await;
    assert_eq!(result["stdout"], "x2\n");
    assert_eq!(result["stderr"], "oops\n");
    assert_eq!((&result["status"], &result["exit_code"]), (&json!("failed"), &json!(3)));

    let argv = json!({"command": "printf", "args": ["%s|", "$HOME", "a b", ";", ""]});
    assert_eq!(exec(&hive, &satellite, argv).await["stdout"], "$HOME|a b|;||");

    // 128 + the number of the signal.
    let killed = hive.exec(&satellite, "kill -9 $$").await;
    assert_eq!((&killed["status"], &killed["exit_code"]), (&json!("failed"), &json!(137)));
    let missing = exec(&hive, &satellite, json!({"command": "/no/such/program", "args": []})).await;
    assert_eq!(missing["status"], "failed");
    assert!(missing["error"]["message"].is_string(), "{missing}");
}

#[tokio::test]
async fn a_command_gets_the_input_place_and_environment_it_was_given() {
    let hive = TestHive::start().await;
    let mut options = SatelliteOptions::default();
    // In the environment of the agent, which commands must not get.
    options.env.push(("MY_OWN_SECRET".into(), "agents-only".into()));
    let satellite = hive.satellite_with("web-server-01", options).await;

    let command = json!({
        "command": "pwd; cat; env",
        "stdin": BASE64.encode(b"from stdin\n"),
        "cwd": "/usr",
        "env": {"GREETING": "hello\nthere", "LANG": "C"},
    });
    let output = exec(&hive, &satellite, command).await;
    let output = text(&output["stdout"]);
    assert!(output.starts_with("/usr\nfrom stdin\n"), "{output}");
    assert!(output.contains("GREETING=hello\nthere\n") && output.contains("LANG=C\n"), "{output}");

    let plain = hive.exec(&satellite, "env; cat").await;
    let names: Vec<&str> = text(&plain["stdout"]).lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    for expected in ["PATH", "HOME", "USER", "SHELL", "LANG"] {
        assert!(names.contains(&expected), "{expected} is missing in {names:?}");
    }
    for name in names {
        let is_known =
            ["PATH", "HOME", "USER", "SHELL", "LANG", "HIVE_COMMAND_ID", "PWD", "OLDPWD", "SHLVL", "_"].contains(&name);
        assert!(is_known, "{name} comes from nowhere");
    }
    let home = hive.exec(&satellite, "test \"$PWD\" = \"$HOME\" && echo home").await;
    assert_eq!(home["stdout"], "home\n");
    let nowhere = exec(&hive, &satellite, json!({"command": "true", "cwd": "/no/such/place"})).await;
    assert_eq!(nowhere["status"], "failed");
}

/// Children of all kinds: in the same group, in their own session, and orphaned by their parent.
fn forest(seconds: &str) -> String {
    format!(
        "sleep {seconds} & setsid sleep {seconds} & (setsid sleep {seconds} &); sh -c 'setsid sh -c \"sleep {seconds}; :\"; :'"
    )
}

#[tokio::test]
async fn a_timeout_ends_the_whole_tree_and_answers_504_with_the_output() {
    let (hive, satellite) = start().await;
    let seconds = unique_seconds();
    let command = json!({"command": format!("echo before; {}", forest(&seconds)), "timeout_seconds": 2});
    let answer = hive.rest().post(&satellite.path("/exec"), &command).await;
    assert_eq!(answer.refusal(), (504, "COMMAND_TIMEOUT".into()));
    assert_eq!(sleeping(&seconds), 0, "it is reported when the tree is gone");
    let details = &answer.json()["error"]["details"];
    assert_eq!(details["result"]["stdout"], "before\n");
    assert_eq!(details["result"]["status"], "timed_out");
    let command = hive.command(text(&details["command_id"])).await;
    assert_eq!((&command["status"], &command["stdout"]), (&json!("timed_out"), &json!("before\n")));
}

#[tokio::test]
async fn a_cancel_ends_the_whole_tree() {
    let (hive, satellite) = start().await;
    let seconds = unique_seconds();
    let id = hive.submit(&satellite, &json!({"command": forest(&seconds)})).await;
    until_sleeping(&seconds, 4).await;
    let answer = hive.rest().post(&format!("/api/v1/commands/{id}/cancel"), &json!({})).await;
    assert!(answer.is_success(), "{}", answer.text());
    hive.until_status(&id, "cancelled").await;
    assert_eq!(sleeping(&seconds), 0, "it is reported when the tree is gone");
    let again = hive.rest().post(&format!("/api/v1/commands/{id}/cancel"), &json!({})).await.data();
    assert_eq!(again["status"], "cancelled", "the first terminal status stays");
}

#[tokio::test]
async fn children_in_the_background_are_left_alone_by_a_normal_end() {
    let (hive, satellite) = start().await;
    let seconds = unique_seconds();
    let result = hive.exec(&satellite, &format!("sleep {seconds} & echo started")).await;
    assert_eq!((&result["status"], &result["stdout"]), (&json!("succeeded"), &json!("started\n")));
    assert_eq!(sleeping(&seconds), 1);
    // The test ends what the satellite rightly left running.
    procfs::running_with(&seconds).into_iter().for_each(procfs::Pid::kill);
}

#[tokio::test]
async fn output_beyond_the_cap_is_cut_and_said_to_be() {
    let (hive, satellite) = start().await;
    // Half a megabyte more than the cap.
    let command = json!({"command": "head -c 11000000 /dev/zero | tr '\\0' x; echo end >&2"});
    let result = exec(&hive, &satellite, command).await;
    assert_eq!(text(&result["stdout"]).len(), CAP);
    assert_eq!(result["stderr"], "end\n");
    assert_eq!((&result["truncated"], &result["status"]), (&json!(true), &json!("succeeded")));
}

#[tokio::test]
async fn base64_is_exact_where_text_is_lossy() {
    let (hive, satellite) = start().await;
    let command = json!({"command": "printf '\\377\\000\\n'"});
    let answer = hive.rest().post(&satellite.path("/exec?encoding=base64"), &command).await.data();
    assert_eq!(answer["stdout"], BASE64.encode(b"\xff\x00\n"));
    let lossy = hive.rest().post(&satellite.path("/exec"), &command).await.data();
    assert_eq!(lossy["stdout"], "\u{fffd}\0\n");
    let stored = format!("/api/v1/commands/{}?encoding=base64", text(&answer["command_id"]));
    assert_eq!(hive.rest().get(&stored).await.data()["stdout"], answer["stdout"]);
}

#[tokio::test]
async fn output_is_streamed_while_the_command_runs() {
    let (hive, satellite) = start().await;
    let gate = hive.dir().join("gate");
    let line = format!("echo first; until test -e {}; do sleep 0.01; done; echo second; exit 4", gate.display());
    // The gate opens only after the first output was read, which proves that output is not held back until the end.
    let call = hive.rest().call("POST", &satellite.path("/exec")).json(&json!({"command": line}));
    let mut events = call.events().await;

    let (name, accepted) = events.next().await.expect("an event");
    assert_eq!((name.as_str(), &accepted["event"]), ("accepted", &json!("accepted")));
    let (name, output) = events.next().await.expect("output before the end");
    assert_eq!((name.as_str(), &output["data"]), ("output", &json!(BASE64.encode(b"first\n"))));
    std::fs::write(gate, "").unwrap();

    let rest = events.rest().await;
    let second: Vec<u8> =
        rest.iter().filter(|(name, _)| name == "output").flat_map(|(_, event)| decode(event)).collect();
    assert_eq!(second, b"second\n");
    let (name, exit) = rest.last().expect("an end");
    assert_eq!(name, "exit");
    assert_eq!((&exit["status"], &exit["exit_code"]), (&json!("failed"), &json!(4)));
    assert_eq!(hive.command(text(&accepted["command_id"])).await["stdout"], "first\nsecond\n");
}

fn decode(output: &Value) -> Vec<u8> {
    BASE64.decode(text(&output["data"]).as_bytes()).expect("base64")
}

#[tokio::test]
async fn an_offline_satellite_gets_queued_commands_when_it_is_back_and_no_others() {
    let (hive, mut satellite) = start().await;
    satellite.process().kill();
    hive.until_online(&satellite, false).await;

    let waiting = hive.rest().post(&satellite.path("/exec"), &json!({"command": "true"})).await;
    assert_eq!(waiting.refusal(), (503, "SATELLITE_OFFLINE".into()));
    assert_eq!(hive.rest().get(&satellite.path("/commands")).await.data(), json!([]), "nothing was stored");

    let queued = hive.submit(&satellite, &json!({"command": "echo at last"})).await;
    let cancelled = hive.submit(&satellite, &json!({"command": "echo never"})).await;
    let expiring = hive.submit(&satellite, &json!({"command": "echo never", "expires_in_seconds": 1})).await;
    assert_eq!(hive.command(&queued).await["status"], "queued");
    hive.rest().post(&format!("/api/v1/commands/{cancelled}/cancel"), &json!({})).await.data();
    hive.until_status(&expiring, "expired").await;

    satellite.restart().await;
    let command = hive.until_status(&queued, "succeeded").await;
    assert_eq!(command["stdout"], "at last\n");
    for (id, status) in [(cancelled, "cancelled"), (expiring, "expired")] {
        let command = hive.command(&id).await;
        assert_eq!((&command["status"], &command["stdout"]), (&json!(status), &json!("")));
    }
}

#[tokio::test]
async fn an_inactive_satellite_takes_no_commands() {
    let (hive, satellite) = start().await;
    hive.rest().put(&satellite.path(""), &json!({"status": "inactive"})).await.data();
    for path in ["/exec", "/exec?wait=false"] {
        let answer = hive.rest().post(&satellite.path(path), &json!({"command": "true"})).await;
        assert_eq!(answer.refusal(), (409, "SATELLITE_INACTIVE".into()), "{path}");
    }
    hive.rest().put(&satellite.path(""), &json!({"status": "active"})).await.data();
    assert_eq!(hive.exec(&satellite, "true").await["status"], "succeeded");
}

#[tokio::test]
async fn a_request_that_breaks_a_rule_names_the_field() {
    let (hive, satellite) = start().await;
    for (command, field) in [
        (json!({"command": ""}), "command"),
        (json!({"command": "true", "timeout_seconds": 90_000}), "timeout_seconds"),
        (json!({"command": "true", "stdin": "not base64!"}), "stdin"),
        (json!({"command": "true", "env": {"A=B": "c"}}), "env"),
        (json!({"command": "true", "comand": "typo"}), "comand"),
    ] {
        let answer = hive.rest().post(&satellite.path("/exec"), &command).await;
        let (status, code) = answer.refusal();
        assert!(matches!(status, 400 | 422) && code == "INVALID_INPUT", "{command}: {}", answer.text());
        assert!(answer.text().contains(field), "{field} is not named: {}", answer.text());
    }
}

#[tokio::test]
async fn the_satellites_own_policy_refuses() {
    let hive = TestHive::start().await;
    let mut options = SatelliteOptions::default();
    options.args(["--blocked-command", "rm"]);
    let satellite = hive.satellite_with("web-server-01", options).await;
    let answer = hive.rest().post(&satellite.path("/exec"), &json!({"command": "rm -rf /nowhere"})).await;
    assert_eq!(answer.refusal(), (403, "COMMAND_BLOCKED".into()));
    assert_eq!(hive.exec(&satellite, "echo allowed").await["stdout"], "allowed\n");

    let mut options = SatelliteOptions::default();
    options.args(["--allow-shell", "false", "--allow-power", "false"]);
    let closed = hive.satellite_with("web-server-02", options).await;
    let answer = hive.rest().post(&closed.path("/exec"), &json!({"command": "true"})).await;
    assert_eq!(answer.refusal(), (403, "COMMAND_BLOCKED".into()));
    let answer = hive.rest().post(&closed.path("/power"), &json!({"action": "reboot"})).await;
    assert_eq!(answer.refusal(), (403, "COMMAND_BLOCKED".into()));
}

#[tokio::test]
async fn a_reboot_is_not_asked_for_again_after_the_boot() {
    let hive = TestHive::start().await;
    let helper = hive.dir().join("helper");
    let told = hive.dir().join("told");
    // The machine goes down: the agent with everything else, and nobody is told how the helper ended.
    let script = format!("#!/bin/sh\necho \"$1\" >> {}\nkill -9 $PPID\nsleep 5\n", told.display());
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut options = SatelliteOptions::default();
    options.args(["--power-helper", helper.to_str().unwrap(), "--boot-id", "first"]);
    let mut satellite = hive.satellite_with("web-server-01", options).await;

    let reboot = json!({"action": "reboot"});
    let path = satellite.path("/power");
    let waiting = async { hive.rest().post(&path, &reboot).await };
    let booting = async {
        satellite.process().exited().await;
        satellite.options().args.retain(|argument| argument != "first");
        satellite.options().args(["second"]);
        satellite.restart().await;
    };
    let (answer, ()) = tokio::join!(waiting, booting);
    assert_eq!(answer.data()["status"], "succeeded", "{}", answer.text());
    assert_eq!(hive.exec(&satellite, "echo up").await["stdout"], "up\n");
    assert_eq!(std::fs::read_to_string(&told).unwrap(), "reboot\n");
}
