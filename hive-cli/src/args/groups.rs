//! The first page of help: the commands in groups by purpose.

use clap::Command;
use clap::builder::styling::Style;

/// Each command that is shown, in one group.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Getting started", &["up", "login", "logout", "profiles", "whoami"]),
    ("Satellites", &["satellites", "groups", "tokens"]),
    ("Commands and sessions", &["exec", "jobs", "commands", "shell", "sessions", "power"]),
    ("Access and audit", &["users", "teams", "passwd", "api-keys", "audit"]),
    ("More", &["api", "completions", "help"]),
];

pub(super) const ABOUT: &str = "\
One control plane for people, programs and AI agents over a fleet of machines.

The satellites of a hive are the machines that run its agent. Run commands on one or on all of them, open terminal \
sessions that survive broken connections, and read in the audit log who did what.";

pub(super) const AFTER: &str = "\
`hive COMMAND --help` explains each command, with examples.

The hive that is used: --url or --profile, else HIVE_URL or HIVE_PROFILE, else the current profile, else a hive that was \
started in this directory with `hive up`.

Exit status if `hive` itself fails:
  1   another error
  2   the arguments are wrong
  67  the key or the password is rejected
  68  there is no such satellite, job, …
  69  the hive cannot be reached
  73  a conflict: the name is taken, …
  74  a file or the keyring cannot be used
  75  not now: the satellite is offline, or a limit is reached
  76  the server is not a hive of this version, or TLS fails
  77  not allowed
  78  no hive is known here";

/// Puts the commands of the first page into their groups.
pub(super) fn grouped(command: Command) -> Command {
    // Only a built command has the subcommand `help`. A clone is built, because clap builds the command itself when it
    // parses.
    let mut built = command.clone();
    built.build();
    let heading = heading();
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}{heading}Options:{heading:#}\n{{options}}{{after-help}}",
        list(&built)
    );
    command.about(ABOUT).after_help(AFTER).help_template(template)
}

fn heading() -> Style {
    Style::new().bold().underline()
}

fn list(command: &Command) -> String {
    let (bold, heading) = (Style::new().bold(), heading());
    // Builds without a feature lack its commands, such as `up`.
    let known = |name: &&&str| command.find_subcommand(**name).is_some();
    let width = GROUPS.iter().flat_map(|(_, names)| *names).map(|name| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (title, names) in GROUPS {
        let mut lines = vec![format!("{heading}{title}:{heading:#}")];
        for name in names.iter().filter(known) {
            let about = command.find_subcommand(name).and_then(Command::get_about).map(ToString::to_string);
            lines.push(format!("  {bold}{name:width$}{bold:#}  {}", about.unwrap_or_default()));
        }
        text = text + &lines.join("\n") + "\n\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_command_is_in_one_group() {
        let mut command = crate::args::Cli::command();
        command.build();
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        for shown in command.get_subcommands().filter(|command| !command.is_hide_set()) {
            let count = grouped.iter().filter(|name| **name == shown.get_name()).count();
            assert_eq!(count, 1, "{} is {count} times in the groups", shown.get_name());
        }
    }
}
