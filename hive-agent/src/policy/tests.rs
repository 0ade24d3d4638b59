//! Commands that a policy allows and blocks.

use super::*;
use hive_wire::agent::PowerSpec;
use hive_wire::api::PowerAction;

fn shell(line: &str) -> Payload {
    Payload::Exec(ExecSpec { command: line.into(), ..ExecSpec::default() })
}

fn argv(program: &str, args: &[&str]) -> Payload {
    Payload::Exec(ExecSpec {
        command: program.into(),
        args: Some(args.iter().map(ToString::to_string).collect()),
        ..ExecSpec::default()
    })
}

fn check(policy: &Policy, payload: Payload, is_allowed: bool) {
    assert_eq!(policy.check(&payload).is_ok(), is_allowed, "{payload:?}");
}

#[test]
fn everything_is_allowed_by_default() {
    check(&Policy::default(), shell("rm -rf /"), true);
}

#[test]
fn a_block_covers_whole_words() {
    let policy = Policy { blocked_commands: vec!["rm".into(), "apt remove".into()], ..Policy::default() };
    check(&policy, shell("rm -rf /"), false);
    check(&policy, shell("  rm -rf /"), false);
    check(&policy, shell("rm;ls"), false);
    check(&policy, shell("/bin/rm -rf /"), false);
    check(&policy, argv("rm", &["-rf", "/"]), false);
    check(&policy, argv("apt", &["remove", "x"]), false);
    check(&policy, shell("rmdir x"), true);
    check(&policy, shell("rm-safely x"), true);
    check(&policy, shell("ls /bin/rm"), true);
    check(&policy, argv("apt", &["install", "x"]), true);
}

#[test]
fn an_allow_list_admits_nothing_else() {
    let policy = Policy {
        allowed_commands: vec!["systemctl status".into(), "/opt/app/".into()],
        blocked_commands: vec!["/opt/app/drop".into()],
        ..Policy::default()
    };
    check(&policy, shell("systemctl status nginx"), true);
    check(&policy, shell("systemctl status"), true);
    check(&policy, shell("systemctl statusx"), false);
    check(&policy, shell("systemctl status;reboot"), false);
    check(&policy, shell("systemctl stop nginx"), false);
    check(&policy, argv("/opt/app/run", &["now"]), true);
    check(&policy, argv("/opt/app/drop", &[]), false);
    check(&policy, shell(""), false);
}

#[test]
fn a_session_is_judged_by_its_shell() {
    let check = |policy: &Policy, shell: &str, is_allowed: bool| {
        assert_eq!(policy.check_session(shell, &BTreeMap::new()).is_ok(), is_allowed, "{shell}");
    };
    check(&Policy::default(), "/bin/bash", true);
    check(&Policy { allow_shell: false, ..Policy::default() }, "/bin/bash", false);
    let blocking = Policy { blocked_commands: vec!["bash".into()], ..Policy::default() };
    check(&blocking, "/bin/bash", false);
    check(&blocking, "/bin/dash", true);
    let listing = Policy { allowed_commands: vec!["systemctl".into(), "/usr/bin/rbash".into()], ..Policy::default() };
    check(&listing, "/bin/bash", false);
    check(&listing, "/usr/bin/rbash", true);
    let env = BTreeMap::from([("BASH_ENV".to_owned(), "/tmp/x".to_owned())]);
    assert!(listing.check_session("/usr/bin/rbash", &env).is_err());
    assert!(Policy::default().check_session("/bin/bash", &env).is_ok());
}

#[test]
fn a_request_does_not_decide_which_program_a_listed_name_is() {
    let policy =
        Policy { allowed_commands: vec!["echo".into(), "./run".into(), "/opt/app/".into()], ..Policy::default() };
    let spec = |command: &str, cwd: Option<&str>, variable: Option<&str>| ExecSpec {
        command: command.into(),
        args: Some(Vec::new()),
        cwd: cwd.map(Into::into),
        env: variable.map(|name| (name.to_owned(), "/tmp/x".to_owned())).into_iter().collect(),
        ..ExecSpec::default()
    };
    for (spec, is_allowed) in [
        (spec("echo", Some("/tmp"), Some("GREETING")), true),
        (spec("./run", None, None), true),
        (spec("/opt/app/run", Some("/tmp"), None), true),
        (spec("echo", None, Some("PATH")), false),
        (spec("echo", None, Some("LD_PRELOAD")), false),
        (spec("./run", Some("/tmp"), None), false),
        (spec("/opt/app/../../tmp/x", None, None), false),
    ] {
        let line = ExecSpec { args: None, ..spec.clone() };
        for spec in [spec, line] {
            let refusal = policy.check(&Payload::Exec(spec.clone())).err();
            assert_eq!(refusal.is_none(), is_allowed, "{spec:?}");
            assert!(refusal.is_none_or(|refusal| refusal.code == ErrorCode::CommandBlocked));
            check(&Policy::default(), Payload::Exec(spec), true);
        }
    }
}

#[test]
fn switches_turn_whole_kinds_off() {
    let policy = Policy { allow_shell: false, allow_power_commands: false, ..Policy::default() };
    check(&policy, shell("true"), false);
    check(&policy, argv("true", &[]), false);
    let reboot = Payload::Power(PowerSpec { action: PowerAction::Reboot, delay_seconds: 0, message: None });
    check(&Policy::default(), reboot.clone(), true);
    let refusal = policy.check(&reboot).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::CommandBlocked);
}
