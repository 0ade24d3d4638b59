//! `hive completions`: what a shell needs to ask this program what may come next.

use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use crate::args::{CompletionsArgs, Shell};
use crate::completing::VARIABLE;
use crate::failure::{Failure, Result};
use crate::output;

const NAME: &str = "hive";
/// Else bash takes `tag:x` apart, and puts what it is offered behind the colon.
const WHOLE_WORDS: &[u8] = b"COMP_WORDBREAKS=${COMP_WORDBREAKS//:}\n";

pub(super) fn run(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    let shell: &dyn EnvCompleter = match args.shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    shell.write_registration(VARIABLE, NAME, NAME, NAME, &mut script).map_err(Failure::Output)?;
    if args.shell == Shell::Bash {
        script.extend_from_slice(WHOLE_WORDS);
    }
    output::plain(&script)
}
