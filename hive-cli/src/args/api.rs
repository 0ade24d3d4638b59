//! `hive api`.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use crate::completion;

#[derive(Debug, Args)]
#[command(after_help = "\
A path without a leading / is below /api/v1. The description of all paths is at /api/v1/openapi.json, and for
reading at /api/v1/docs.

Fields of GET, HEAD and DELETE are parameters of the query, those of other methods members of the body. In a body, a
value that is JSON is sent as such: a number, true, null, a list. To send such a text as a text, quote it: -f
name='\"12\"'. A field that is given twice is a list.

The answer is written as it is: an error gives the usual message and exit status, and an endless answer is written as
it comes.

Examples:
  hive api GET satellites -f tag=web -f per_page=10
  hive api POST satellites/sat_01m7zr6n3tf0mb0g8n9t2k5c1d/exec -f command=uptime -f timeout_seconds=5
  hive api PUT teams/team_01m7zr6n3tf0mb0g8n9t2k5c1d/members --input member.json
  hive api GET events")]
pub(crate) struct ApiArgs {
    /// GET, POST, PUT, PATCH or DELETE
    #[arg(add = completion::api_methods())]
    pub(crate) method: String,
    /// The path, with or without a query
    #[arg(add = completion::api_paths())]
    pub(crate) path: String,
    /// A field of the query or the body; may be repeated
    #[arg(short, long = "field", value_name = "NAME=VALUE", value_parser = parse_field)]
    pub(crate) fields: Vec<Field>,
    /// The file with the body, as JSON; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "fields")]
    pub(crate) input: Option<PathBuf>,
    /// A key with which the same call is carried out once, however often it is sent
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
}

/// A field of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl Field {
    /// Returns the value as it is sent in a body.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.value).unwrap_or_else(|_| Value::String(self.value.clone()))
    }
}

fn parse_field(text: &str) -> Result<Field, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(Field { name: name.into(), value: value.into() }),
        _ => Err("must be NAME=VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_is_json_where_it_can_be() {
        let check = |text: &str, expected: Value| assert_eq!(parse_field(text).unwrap().json(), expected, "{text}");
        check("cols=80", json!(80));
        check("tags=[\"web\"]", json!(["web"]));
        check("name=\"12\"", json!("12"));
        check("command=echo a=b", json!("echo a=b"));
        check("description=", json!(""));
        assert!(parse_field("=x").is_err() && parse_field("x").is_err());
    }
}
