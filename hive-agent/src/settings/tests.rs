//! Flags, variables and defaults.

use super::*;
use secrecy::ExposeSecret;

fn config(flags: &[&str], variables: &[(&str, &str)]) -> Result<AgentConfig, Error> {
    let flags = Flags::try_parse_from([&["satellite-agent"], flags].concat()).unwrap();
    let variable = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    flags.into_config(&EnvVars { variable })
}

#[test]
fn flags_win_over_environment_and_environment_over_defaults() {
    let variables = [
        ("HIVE_SERVER_URL", "http://env:1"),
        ("HIVE_SATELLITE_NAME", "name-from-env"),
        ("HIVE_TAGS", "a, b"),
        ("HIVE_ALLOW_POWER", "no"),
    ];
    let from_env = config(&[], &variables).unwrap();
    assert_eq!(from_env.server.to_string(), "http://env:1");
    assert_eq!(from_env.name.as_str(), "name-from-env");
    assert_eq!(from_env.tags, ["a", "b"]);
    assert!(!from_env.policy.allow_power_commands && from_env.policy.allow_shell);
    assert_eq!(from_env.data_dir, PathBuf::from("persistent_data"));
    let flags = [
        "--server",
        "http://flag:1",
        "--name",
        "name-from-flag",
        "--tag",
        "c",
        "--allow-power",
        "true",
        "--local-api",
        "off",
        "--max-sessions",
        "3",
        "--claim-linger",
        "0.5",
    ];
    let from_flags = config(&flags, &variables).unwrap();
    assert_eq!(from_flags.server.to_string(), "http://flag:1");
    assert_eq!(from_flags.name.as_str(), "name-from-flag");
    assert_eq!(from_flags.tags, ["c"]);
    assert!(from_flags.policy.allow_power_commands && from_flags.local_api.is_none());
    assert_eq!((from_flags.max_sessions, from_flags.claim_linger), (3, Duration::from_millis(500)));
}

#[test]
fn a_variable_has_three_names() {
    let check = |variables: &[(&str, &str)], server: &str, name: &str| {
        let config = config(&[], variables).unwrap();
        assert_eq!((config.server.to_string().as_str(), config.name.as_str()), (server, name));
    };
    check(
        &[("DEPLOYSTACK_BACKEND_URL", "http://x"), ("DEPLOYSTACK_SATELLITE_NAME", "satellite-1")],
        "http://x",
        "satellite-1",
    );
    check(&[("SATELLITE_SERVER_URL", "http://x"), ("SATELLITE_NAME", "satellite-1")], "http://x", "satellite-1");
    check(
        &[
            ("DEPLOYSTACK_SERVER_URL", "http://old"),
            ("HIVE_SERVER_URL", "http://new"),
            ("HIVE_SATELLITE_NAME", "satellite-1"),
        ],
        "http://new",
        "satellite-1",
    );
}

#[test]
fn the_name_is_looked_at_first() {
    assert!(matches!(config(&["--name", "short", "--server", "nonsense"], &[]), Err(Error::Name(_))));
    assert!(matches!(config(&[], &[]), Err(Error::Name(_))));
    assert!(matches!(config(&["--name", "long-enough"], &[]), Err(Error::Setting { setting: "--server", .. })));
}

#[test]
fn a_token_comes_from_a_flag_or_else_from_the_environment() {
    let check = |flags: &[&str], variables: &[(&str, &str)], token: Option<&str>, file: Option<&str>| {
        let flags = [&["--server", "http://x:1", "--name", "web-server-01"], flags].concat();
        let config = config(&flags, variables).unwrap();
        let got = config.registration_token.as_ref().map(ExposeSecret::expose_secret);
        assert_eq!((got, config.registration_token_file), (token, file.map(PathBuf::from)), "{flags:?} {variables:?}");
    };
    let (token, file) = (("HIVE_REGISTRATION_TOKEN", "t-env\n"), ("HIVE_REGISTRATION_TOKEN_FILE", "/f/env"));
    check(&[], &[], None, None);
    check(&[], &[token], Some("t-env"), None);
    check(&[], &[file], None, Some("/f/env"));
    check(&[], &[("SATELLITE_REGISTRATION_TOKEN_FILE", "-")], None, Some("-"));
    check(&["--registration-token-file", "-"], &[token, file], None, Some("-"));
    check(&["--registration-token", "t-flag"], &[token, file], Some("t-flag"), None);
    let both = ["satellite-agent", "--registration-token", "t", "--registration-token-file", "f"];
    assert!(Flags::try_parse_from(both).is_err());
}

#[test]
fn the_token_is_not_shown() {
    let flags = Flags::try_parse_from(["satellite-agent", "--registration-token", "hunter2"]).unwrap();
    assert!(!format!("{flags:?}").contains("hunter2"));
}
