//! Which program a name means. If the policy lists commands, only the machine's owner may decide that.
//!
//! A list of names is useless if a request chooses the directory in which a name is looked up, or the libraries that
//! are loaded into the program. docs/satellites.md lists the variables.

use std::path::{Component, Path};

/// Variables that decide which program a name means, what is loaded into it, or what it executes.
const VARIABLES: [&str; 41] = [
    "BASHOPTS",
    "BASH_ENV",
    "BROWSER",
    "CDPATH",
    "CLASSPATH",
    "EDITOR",
    "ENV",
    "FPATH",
    "GCONV_PATH",
    "GETCONF_DIR",
    "GLIBC_TUNABLES",
    "HOME",
    "HOSTALIASES",
    "IFS",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "LESS",
    "LESSCLOSE",
    "LESSOPEN",
    "LOCALDOMAIN",
    "LOCPATH",
    "LUA_INIT",
    "LUA_PATH",
    "MANPAGER",
    "NLSPATH",
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
    "PAGER",
    "PATH",
    "PERLLIB",
    "PROMPT_COMMAND",
    "PS4",
    "SHELL",
    "SHELLOPTS",
    "TERMCAP",
    "TERMINFO",
    "TZDIR",
    "VISUAL",
    "ZDOTDIR",
    "_JAVA_OPTIONS",
];
/// Prefixes of further such variables.
const PREFIXES: [&str; 11] =
    ["BASH_FUNC_", "DYLD_", "GIT_", "LD_", "NODE_", "PERL5", "PHP_", "PYTHON", "RUBY", "SYSTEMD_", "XDG_"];

/// Whether a variable may decide which program runs.
pub(super) fn selects_program(variable: &str) -> bool {
    VARIABLES.contains(&variable) || PREFIXES.iter().any(|prefix| variable.starts_with(prefix))
}

/// Whether a program is named by a path that depends on the working directory, or contains `..`.
pub(super) fn depends_on_directory(program: &str, has_directory: bool) -> bool {
    let path = Path::new(program);
    let is_relative = program.contains('/') && !path.is_absolute();
    // Without a directory of its own the program runs in the account's home, which the owner controls.
    is_relative && has_directory || path.components().any(|part| part == Component::ParentDir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_loaders_and_paths_are_decisive() {
        for variable in ["PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "BASH_ENV", "ENV", "IFS"] {
            assert!(selects_program(variable), "{variable}");
        }
        for variable in ["PYTHONPATH", "PERL5LIB", "NODE_OPTIONS", "BASH_FUNC_echo%%", "HOME", "GIT_SSH_COMMAND"] {
            assert!(selects_program(variable), "{variable}");
        }
        for variable in ["LANG", "LC_ALL", "TZ", "TERM", "PASSWORD", "MY_PATH", "PATHS", "ENVIRONMENT"] {
            assert!(!selects_program(variable), "{variable}");
        }
    }

    #[test]
    fn a_path_is_elsewhere_where_the_request_moves_it() {
        let check =
            |program, has_directory, expected| assert_eq!(depends_on_directory(program, has_directory), expected);
        check("echo", true, false);
        check("/opt/app/run", true, false);
        check("./run", false, false);
        check("./run", true, true);
        check("bin/run", true, true);
        check("/opt/app/../../tmp/run", false, true);
        check("bin/../run", false, true);
        check("..", false, true);
        check("/opt/app..d/run", false, false);
    }
}
