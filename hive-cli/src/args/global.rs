//! The options of every command.

use std::ffi::OsString;

use clap::{Args, ColorChoice, ValueEnum};

use crate::output::Format;
use crate::settings::HiveSelector;
use crate::style::Colour;

const HEADING: &str = "Global options";

#[derive(Debug, Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct Global {
    /// Output format: table, json, or jsonl for one document per line [default: table]
    #[arg(short = 'o', long, global = true, value_enum, hide_possible_values = true)]
    format: Option<Format>,
    /// The same, in front of the command: behind it, `audit export --output` names a file.
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with = "format", hide = true)]
    output: Option<Format>,
    /// Colours: auto, always or never; NO_COLOR and CLICOLOR_FORCE are respected [default: auto]
    #[arg(long, global = true, value_enum, hide_possible_values = true, value_name = "WHEN")]
    color: Option<Colour>,
    /// Use the hive of this profile, see `hive profiles list` [env: HIVE_PROFILE]
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "url", add = crate::completion::profiles())]
    profile: Option<String>,
    /// Use the hive at this address, such as https://hive.example.com [env: HIVE_URL]
    #[arg(long, global = true)]
    url: Option<String>,
    /// Use this API key; prefer the variable, because other users of this machine can see arguments [env: HIVE_API_KEY]
    #[arg(long, global = true, value_name = "KEY")]
    api_key: Option<ApiKeyArg>,
}

impl Global {
    pub(crate) fn format(&self) -> Format {
        self.format.or(self.output).unwrap_or_default()
    }

    pub(crate) fn colour(&self) -> Colour {
        self.color.unwrap_or_default()
    }

    /// Returns the hive and the key that the flags name. An empty value counts as none, as in the environment.
    pub(crate) fn selector(&self) -> HiveSelector {
        let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        let api_key = self.api_key.as_ref().filter(|key| !key.0.is_empty());
        HiveSelector {
            url: given(&self.url),
            profile: given(&self.profile),
            api_key: api_key.map(|key| key.0.clone().into()),
        }
    }
}

/// An API key from the command line. Its `Debug` shows nothing of it.
#[derive(Clone)]
struct ApiKeyArg(String);

impl std::fmt::Debug for ApiKeyArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKeyArg")
    }
}

impl From<String> for ApiKeyArg {
    fn from(key: String) -> Self {
        Self(key)
    }
}

impl From<Colour> for ColorChoice {
    fn from(colour: Colour) -> Self {
        match colour {
            Colour::Auto => Self::Auto,
            Colour::Always => Self::Always,
            Colour::Never => Self::Never,
        }
    }
}

/// Returns when help and usage errors are coloured. They are written before the arguments are parsed, so the flag is
/// searched for.
pub(super) fn colour_of(args: impl Iterator<Item = OsString>) -> ColorChoice {
    // What follows `--` are the arguments of a remote program, which may have a `--color` of its own.
    let words: Vec<_> = args.map(|word| word.to_string_lossy().into_owned()).take_while(|word| word != "--").collect();
    let given = words.iter().enumerate().find_map(|(index, word)| match word.strip_prefix("--color") {
        Some("") => words.get(index + 1).cloned(),
        Some(rest) => rest.strip_prefix('=').map(str::to_owned),
        None => None,
    });
    given.and_then(|word| Colour::from_str(&word, false).ok()).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_colour_is_known_before_the_arguments_are() {
        let check = |line: &str, expected| {
            assert_eq!(colour_of(line.split(' ').map(OsString::from)), expected, "{line}");
        };
        check("hive", ColorChoice::Auto);
        check("hive --color never --help", ColorChoice::Never);
        check("hive exec --color=always", ColorChoice::Always);
        check("hive --color", ColorChoice::Auto);
        check("hive exec all -- ls --color=never", ColorChoice::Auto);
    }
}
