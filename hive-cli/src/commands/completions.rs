//! `hive completions`: the script that lets a shell ask this program for completions.

use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use crate::args::{CompletionsArgs, Shell};
use crate::completion::VARIABLE;
use crate::error::{CliError, Result};
use crate::output;

const NAME: &str = "hive";
/// Bash splits words at a colon: without this line it would complete `tag:x` to `tag:tag:x`.
const WHOLE_WORDS: &[u8] = b"COMP_WORDBREAKS=${COMP_WORDBREAKS//:}\n";

pub(super) fn run(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    let shell: &dyn EnvCompleter = match args.shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    shell.write_registration(VARIABLE, NAME, NAME, NAME, &mut script).map_err(CliError::Output)?;
    if args.shell == Shell::Bash {
        script.extend_from_slice(WHOLE_WORDS);
    }
    output::bytes(&script)
}
