//! What an audit record keeps of something long or secret.
//!
//! Of a long text or list it keeps the beginning, marked with `cut`, and length and SHA-256 of the whole, so that anybody who
//! has the whole can compare. Of a secret it keeps length and keyed digest alone: the same secret shows, and none can be
//! guessed at.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::vault::Vault;

/// Characters of a text that a record keeps.
pub(crate) const MAX_TEXT: usize = 1024;
/// Entries of a list that a record keeps.
const MAX_ENTRIES: usize = 1000;
/// Stands at the end of a text that was cut for lists of commands and jobs.
const ELLIPSIS: char = '…';

/// The details of a record, as they are put together.
#[derive(Debug, Default)]
pub(crate) struct Details(Map<String, Value>);

impl Details {
    /// Adds a field as it is.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.0.insert(name.into(), value);
        self
    }

    /// Adds at most 1,024 characters of a text.
    pub(crate) fn with_text(mut self, name: &str, text: &str) -> Self {
        let kept: String = text.chars().take(MAX_TEXT).collect();
        if kept.len() < text.len() {
            // Length and digest are of bytes: a reader compares them with a file.
            self.note_cut(name, text.len(), Sha256::digest(text).as_slice());
        }
        self.with(name, Value::String(kept))
    }

    /// Adds at most 1,000 entries of a list. Its SHA-256 is that of its entries, each with a line feed behind it.
    pub(crate) fn with_list<T: ToString>(mut self, name: &str, entries: &[T]) -> Self {
        let texts: Vec<_> = entries.iter().map(ToString::to_string).collect();
        if texts.len() > MAX_ENTRIES {
            let mut digest = Sha256::new();
            for text in &texts {
                // A line feed behind each, so that ["ab"] and ["a", "b"] differ.
                digest.update(format!("{text}\n"));
            }
            self.note_cut(name, texts.len(), &digest.finalize());
        }
        self.with(name, json!(texts[..texts.len().min(MAX_ENTRIES)]))
    }

    /// Adds the names of an environment, and what tells its values apart.
    pub(crate) fn with_env(self, env: &BTreeMap<String, String>, vault: &Vault) -> Self {
        // Values may be secrets, and a plain digest of a short one can be guessed: they go through the vault's key.
        let names: Vec<_> = env.keys().collect();
        let details = self.with_list("env", &names);
        if env.is_empty() {
            return details;
        }
        let value = |(name, value): (&String, &String)| {
            let digest = vault.digest("environment value", &[name.as_bytes(), value.as_bytes()]);
            (name.clone(), json!({ "length": value.len(), "hmac_sha256": digest }))
        };
        let values: Map<_, _> = env.iter().take(MAX_ENTRIES).map(value).collect();
        details.with("env_values", Value::Object(values))
    }

    /// Adds whether there is standard input, and what tells it apart.
    pub(crate) fn with_stdin(self, stdin: Option<&[u8]>, vault: &Vault) -> Self {
        let details = self.with("has_stdin", json!(stdin.is_some()));
        let Some(bytes) = stdin else { return details };
        let digest = vault.digest("standard input", &[bytes]);
        details.with("stdin", json!({ "length": bytes.len(), "hmac_sha256": digest }))
    }

    /// The details as a record has them.
    pub(crate) fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    fn note_cut(&mut self, name: &str, length: usize, sha256: &[u8]) {
        self.0.insert("cut".into(), Value::Bool(true));
        self.0.insert(format!("{name}_length"), json!(length));
        self.0.insert(format!("{name}_sha256"), json!(HEXLOWER.encode(sha256)));
    }
}

/// A text in at most 1,024 characters, the last of which says that it was cut.
pub(crate) fn summary(text: String) -> String {
    if text.chars().nth(MAX_TEXT).is_none() {
        return text;
    }
    text.chars().take(MAX_TEXT - 1).chain([ELLIPSIS]).collect()
}

/// Whether a summary is of something longer.
pub(crate) fn is_cut(summary: &str) -> bool {
    summary.ends_with(ELLIPSIS) && summary.chars().count() == MAX_TEXT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ClockAndRng;

    #[test]
    fn a_short_text_is_kept_whole_and_a_long_one_is_marked() {
        let whole = "ä".repeat(MAX_TEXT);
        let details = Details::default().with_text("command", &whole).into_value();
        assert_eq!(details, json!({ "command": whole }));
        let longer = format!("{whole}b");
        let details = Details::default().with_text("command", &longer).into_value();
        let sha256 = HEXLOWER.encode(&Sha256::digest(&longer));
        let expected =
            json!({ "command": whole, "cut": true, "command_length": 2 * MAX_TEXT + 1, "command_sha256": sha256 });
        assert_eq!(details, expected);
    }

    #[test]
    fn a_long_list_is_marked() {
        let entries: Vec<_> = (0..=MAX_ENTRIES).collect();
        let short = Details::default().with_list("targets", &entries[..MAX_ENTRIES]).into_value();
        assert_eq!((short["targets"].as_array().unwrap().len(), &short["cut"]), (MAX_ENTRIES, &Value::Null));
        let long = Details::default().with_list("targets", &entries).into_value();
        let lines = entries.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n") + "\n";
        assert_eq!(long["targets"].as_array().unwrap().len(), MAX_ENTRIES);
        assert_eq!((&long["cut"], &long["targets_length"]), (&json!(true), &json!(MAX_ENTRIES + 1)));
        assert_eq!(long["targets_sha256"], HEXLOWER.encode(&Sha256::digest(lines)));
    }

    #[test]
    fn secrets_are_told_apart_and_not_told() {
        let vault = Vault::generate(&ClockAndRng::default());
        let details = |pin: &str| {
            let env = BTreeMap::from([("PIN".to_owned(), pin.to_owned())]);
            Details::default().with_env(&env, &vault).with_stdin(Some(pin.as_bytes()), &vault).into_value()
        };
        let (one, other) = (details("4711"), details("4712"));
        assert_eq!(one, details("4711"));
        assert_ne!(one["env_values"]["PIN"]["hmac_sha256"], other["env_values"]["PIN"]["hmac_sha256"]);
        assert_ne!(one["stdin"]["hmac_sha256"], other["stdin"]["hmac_sha256"]);
        assert_ne!(one["stdin"]["hmac_sha256"], one["env_values"]["PIN"]["hmac_sha256"]);
        assert_eq!((&one["stdin"]["length"], &one["env_values"]["PIN"]["length"]), (&json!(4), &json!(4)));
        let plain = HEXLOWER.encode(&Sha256::digest("4711"));
        assert!(!one.to_string().contains("4711") && !one.to_string().contains(&plain), "{one}");
    }

    #[test]
    fn a_summary_shows_that_it_was_cut() {
        let whole = "x".repeat(MAX_TEXT);
        assert_eq!(summary(whole.clone()), whole);
        assert!(!is_cut(&whole));
        let cut = summary(format!("{whole}x"));
        assert!(is_cut(&cut) && cut.chars().count() == MAX_TEXT, "{cut}");
    }
}
