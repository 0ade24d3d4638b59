//! The authority behind a command, session, job or registration token, which is stored with it.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// What allowed an actor to do something. An AI client never acts by a role: the database refuses such a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Authority {
    /// A permission of the role of the actor.
    #[default]
    Role,
    /// A rule of an AI policy, by its id.
    Rule(String),
    /// An approved plan, by its id.
    Plan(String),
    /// An authority that a newer version stored.
    Unknown(String),
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role => f.write_str("role"),
            Self::Rule(id) => write!(f, "rule:{id}"),
            Self::Plan(id) => write!(f, "plan:{id}"),
            Self::Unknown(text) => f.write_str(text),
        }
    }
}

impl FromStr for Authority {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.split_once(':') {
            None if text == "role" => Self::Role,
            Some(("rule", id)) => Self::Rule(id.to_owned()),
            Some(("plan", id)) => Self::Plan(id.to_owned()),
            _ => Self::Unknown(text.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_read_as_it_was_written() {
        for text in ["role", "rule:rul_1", "plan:pln_1", "oracle", "oracle:1", "rule:"] {
            let Ok(authority) = text.parse::<Authority>();
            assert_eq!(authority.to_string(), text);
        }
        assert_eq!("oracle:1".parse(), Ok(Authority::Unknown("oracle:1".into())));
    }
}
