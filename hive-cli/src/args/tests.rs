use clap::CommandFactory;
use hive_core::wire::session::ViewMode;

use super::*;
use crate::output::Format;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' '))
}

#[test]
fn the_arguments_are_well_formed() {
    command().debug_assert();
}

#[test]
fn what_stands_behind_two_dashes_is_the_satellites() {
    let cli = parse("hive -o json exec all tag:web --timeout 5 -- sh -c -o").unwrap();
    let CliCommand::Call(CallCommand::Exec(args)) = cli.command else { panic!("no exec") };
    assert_eq!(args.targets, ["all", "tag:web"]);
    assert_eq!(args.argv, ["sh", "-c", "-o"]);
    assert_eq!((cli.global.format(), args.timeout), (Format::Json, Some(5)));
}

#[test]
fn the_format_may_stand_in_front_or_behind() {
    let check = |line: &str, expected| assert_eq!(parse(line).unwrap().global.format(), expected, "{line}");
    check("hive whoami", Format::Table);
    check("hive -o json whoami", Format::Json);
    check("hive --output json whoami", Format::Json);
    check("hive whoami -o jsonl", Format::Jsonl);
    check("hive audit export --output audit.jsonl", Format::Table);
    check("hive -o json audit export --output audit.jsonl", Format::Json);
}

#[test]
fn a_command_is_given_once() {
    assert!(parse("hive exec all").is_err());
    assert!(parse("hive exec --shell=ls all").is_ok());
    assert!(parse("hive exec --shell=ls all -- ls").is_err());
    assert!(parse("hive exec -- ls").is_err());
}

#[test]
fn a_session_is_looked_at_in_one_way() {
    let check = |line: &str, expected| {
        let CliCommand::Call(CallCommand::Shell(args)) = parse(line).unwrap().command else { panic!("no shell") };
        assert_eq!(args.view.mode(), expected, "{line}");
    };
    check("hive shell web", ViewMode::Control);
    check("hive shell web --read-only", ViewMode::ReadOnly);
    check("hive shell --take web -e A=b --env C=d --shell /bin/sh", ViewMode::Take);
    assert!(parse("hive shell web --read-only --take").is_err());
    assert!(parse("hive shell").is_err());
    assert!(parse("hive sessions kill").is_err());
    assert!(parse("hive sessions attach web").is_err());
}

#[test]
fn only_terminals_are_interactive() {
    let check = |line: &str, expected| assert_eq!(parse(line).unwrap().command.is_interactive(), expected, "{line}");
    check("hive shell web", true);
    check("hive sessions attach sess_01jd3k00000000000000000000", true);
    check("hive sessions list", false);
    check("hive whoami", false);
}

#[test]
fn a_key_is_never_shown() {
    let cli = parse("hive --api-key hive_key_secret whoami").unwrap();
    assert!(!format!("{cli:?} {:?}", cli.global.selector()).contains("hive_key_secret"));
}

#[test]
fn a_team_token_needs_its_team() {
    assert!(parse("hive tokens create --scope team").is_err());
    assert!(parse("hive tokens create --scope team --team web").is_ok());
    assert!(parse("hive tokens create --scope global").is_ok());
    assert!(parse("hive tokens create").is_ok());
}

#[test]
fn old_names_still_mean_the_same() {
    assert!(matches!(
        parse("hive keys list").unwrap().command,
        CliCommand::Call(CallCommand::ApiKeys(ApiKeysCommand::List { user: None, .. }))
    ));
    assert!(matches!(parse("hive sats list").unwrap().command, CliCommand::Call(CallCommand::Satellites(_))));
}

#[test]
fn one_hive_is_named_in_one_way() {
    assert!(parse("hive whoami --profile a --url http://b").is_err());
    assert!(parse("hive audit show 0").is_err());
    assert!(parse("hive audit show 12").is_ok());
}

/// Every help page, one after the other. `HIVE_BLESS=1 cargo test -p hive-cli help` writes the file anew; its changes
/// are then to be read.
#[test]
fn the_help_pages_are_those_in_the_file() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/args/help.txt");
    let mut pages = String::new();
    collect(command().term_width(100), "hive", &mut pages);
    if std::env::var_os("HIVE_BLESS").is_some() {
        std::fs::write(path, &pages).unwrap();
    }
    let known = std::fs::read_to_string(path).unwrap();
    let differing = pages.lines().zip(known.lines()).find(|(now, before)| now != before);
    assert!(pages == known, "the first line that differs, now and before: {differing:#?}");
}

#[test]
fn every_command_has_an_example() {
    fn check(command: &clap::Command, path: &str) {
        if !command.has_subcommands() {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("Example") && after.contains(path), "{path} has no example:\n{after}");
        }
        for inner in command.get_subcommands() {
            check(inner, &format!("{path} {}", inner.get_name()));
        }
    }
    check(&Cli::command(), "hive");
}

fn collect(mut command: clap::Command, path: &str, pages: &mut String) {
    command.build();
    page(&mut command, path, pages);
}

fn page(command: &mut clap::Command, path: &str, pages: &mut String) {
    let text = command.render_help().to_string();
    // What is on every page is in the file once: on the first one.
    let common = |text: &str| {
        text.split("\n\n").filter(|part| !part.starts_with("Global options:")).collect::<Vec<_>>().join("\n\n")
    };
    pages.extend(["$ ", path, " --help\n", common(&text).trim_end(), "\n\n"]);
    for inner in command.get_subcommands_mut().filter(|inner| inner.get_name() != "help") {
        let path = format!("{path} {}", inner.get_name());
        page(inner, &path, pages);
    }
}
