//! Which passwords people may choose.

use std::collections::BTreeSet;

use crate::{Error, Result};

/// The fewest characters.
const SHORTEST: usize = 10;
/// The longest password that is looked at, in bytes: hashing it costs.
pub(crate) const LONGEST: usize = 1024;
/// The fewest different characters.
const FEWEST_DIFFERENT: usize = 5;
/// Passwords that are guessed first, without the digits and punctuation around them.
const COMMON: [&str; 20] = [
    "password",
    "passwort",
    "passw0rd",
    "qwerty",
    "qwertyuiop",
    "qwertzuiop",
    "asdfghjkl",
    "letmein",
    "welcome",
    "admin",
    "administrator",
    "changeme",
    "iloveyou",
    "superuser",
    "abcdefghij",
    "abcdefghijk",
    "secret",
    "default",
    "hivehive",
    "satellite",
];

/// Checks that a new password is not easily guessed.
///
/// # Errors
/// `InvalidInput` that says what is wrong about it.
pub(crate) fn check(password: &str, username: &str) -> Result<()> {
    let refuse = |rule: String| Err(Error::invalid("new", rule));
    if password.chars().count() < SHORTEST || password.len() > LONGEST {
        return refuse(format!("{SHORTEST} characters or more, and at most {LONGEST} bytes"));
    }
    let lower = password.to_lowercase();
    let core = lower.trim_matches(|c: char| !c.is_alphabetic());
    let is_common = core.is_empty() || core == username || COMMON.contains(&core);
    if is_common || lower.chars().collect::<BTreeSet<_>>().len() < FEWEST_DIFFERENT {
        return refuse("is easily guessed".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_guessers_try_first_is_refused() {
        let is_taken = |password: &str| check(password, "olga").is_ok();
        for good in ["correct horse battery", "kX3-9vBq_27", "ένα δύο τρία τέσσερα"] {
            assert!(is_taken(good), "{good}");
        }
        let long = "ab3-".repeat(LONGEST);
        let bad = ["", "short-one", "1234567890123", "Password123!", "aaaaabbbbb", "olga123456", "Qwertyuiop1", &long];
        for bad in bad {
            assert!(!is_taken(bad), "{bad}");
        }
    }
}
