//! Checks of what callers send. Each names the field that breaks a rule, and the rule.

use std::collections::BTreeMap;
use std::time::Duration;

use hive_wire::open::{OpenEnum, known};
use serde::de::IntoDeserializer as _;
use serde::de::value::StrDeserializer;

use crate::{Error, Result};

/// The most labels of one satellite.
const MAX_TAGS: usize = 64;
/// The most characters of a label or a region.
const MAX_LABEL_LEN: usize = 64;
/// The most characters of a key's name or a token's description.
const MAX_NOTE: usize = 255;

pub(crate) fn check_range(field: &str, value: u32, least: u32, most: u32) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid(field, format!("must be {least} to {most}")))
}

/// Checks a lifetime in hours.
pub(crate) fn check_hours(hours: u32, most: u32) -> Result<Duration> {
    check_range("expires_in_hours", hours, 1, most)?;
    Ok(Duration::from_secs(u64::from(hours) * 3600))
}

/// Refuses a word that this version does not know, as the REST interface does.
pub(crate) fn check_known<T: OpenEnum>(field: &str, word: &T) -> Result<()> {
    let text: StrDeserializer<'_, serde::de::value::Error> = word.as_str().into_deserializer();
    known::<_, T>(text).map(drop).map_err(|error| Error::invalid(field, error.to_string()))
}

/// Refuses a text that cannot be an argument of a process.
pub(crate) fn check_text(field: &str, text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::invalid(field, "must not contain a zero byte"));
    }
    Ok(())
}

/// Checks the names and values of an environment.
pub(crate) fn check_env(env: &BTreeMap<String, String>) -> Result<()> {
    for (key, value) in env {
        if key.is_empty() || key.contains(['=', '\0']) {
            return Err(Error::invalid("env", "names must not be empty nor contain '=' or a zero byte"));
        }
        check_text("env", value)?;
    }
    Ok(())
}

/// Checks a short text for people.
pub(crate) fn check_note(field: &str, note: Option<&str>) -> Result<()> {
    let is_plain = |text: &str| text.chars().count() <= MAX_NOTE && !text.chars().any(char::is_control);
    if note.is_none_or(is_plain) {
        return Ok(());
    }
    Err(Error::invalid(field, format!("at most {MAX_NOTE} characters, none of them control characters")))
}

/// Checks labels: 1 to 64 printable characters each, no commas, at most 64 of them.
pub(crate) fn check_labels<'l>(field: &str, labels: impl Iterator<Item = &'l String>) -> Result<()> {
    for (count, label) in labels.enumerate() {
        // Checked one by one: a request with millions of labels is refused at the 65th.
        if !is_label(label) || count >= MAX_TAGS {
            let rule = format!("1 to {MAX_LABEL_LEN} letters, digits or -_.:/=@ each, at most {MAX_TAGS} of them");
            return Err(Error::invalid(field, rule));
        }
    }
    Ok(())
}

/// Checks patterns of labels, in which `*` stands for any characters.
pub(crate) fn check_patterns<'l>(field: &str, patterns: impl Iterator<Item = &'l String>) -> Result<()> {
    // A star counts as one allowed character, so that the rules of labels hold for the rest of the pattern.
    let labels: Vec<_> = patterns.map(|pattern| pattern.replace('*', "x")).collect();
    check_labels(field, labels.iter())
}

fn is_label(label: &str) -> bool {
    let is_allowed = |c: char| c.is_alphanumeric() || "-_.:/=@".contains(c);
    !label.is_empty() && label.chars().count() <= MAX_LABEL_LEN && label.chars().all(is_allowed)
}

/// Returns labels sorted and without doubles.
pub(crate) fn normalized(mut tags: Vec<String>) -> Vec<String> {
    tags.sort();
    tags.dedup();
    tags
}
