//! Which labels a satellite registers with: those of its token, and of those it claims the ones that the token allows.

use crate::settings::ClaimedTags;
use crate::validate::normalized;

/// The labels of a satellite that registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GrantedTags {
    /// What it is found by.
    pub(crate) tags: Vec<String>,
    /// What it says of itself beyond them.
    pub(crate) claimed: Vec<String>,
}

impl GrantedTags {
    /// Divides the claimed labels by what a token gives and allows.
    pub(crate) fn of(given: Vec<String>, allowed: &[String], claimed: Vec<String>, rule: ClaimedTags) -> Self {
        let is_allowed = |tag: &String| {
            rule == ClaimedTags::Accept || given.contains(tag) || allowed.iter().any(|pattern| matches(pattern, tag))
        };
        let (granted, rest): (Vec<_>, Vec<_>) = claimed.into_iter().partition(is_allowed);
        Self { tags: normalized([given, granted].concat()), claimed: normalized(rest) }
    }
}

/// Whether a label is of a pattern, in which `*` stands for any characters, also none.
fn matches(pattern: &str, tag: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| tag.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        // The leftmost place leaves the most for the parts behind it, so that no other has to be tried.
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        let check = |pattern, tag, expected| assert_eq!(matches(pattern, tag), expected, "{pattern} {tag}");
        check("dc:*", "dc:fra1", true);
        check("dc:*", "dc:", true);
        check("dc:*", "mydc:fra1", false);
        check("*:fra1", "dc:fra1", true);
        check("*:fra1", "dc:fra11", false);
        check("*", "anything", true);
        check("web", "web", true);
        check("web", "web2", false);
        check("a*b*c", "aXbYc", true);
        check("a*b*c", "acb", false);
        check("ab*ba", "aba", false);
        check("ab*ba", "abba", true);
    }

    #[test]
    fn claims_are_granted_by_the_token_alone() {
        let all = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let check = |given: &[&str], allowed: &[&str], claimed: &[&str], rule, tags: &[&str], rest: &[&str]| {
            let expected = GrantedTags { tags: all(tags), claimed: all(rest) };
            assert_eq!(GrantedTags::of(all(given), &all(allowed), all(claimed), rule), expected, "{claimed:?}");
        };
        let facts = ClaimedTags::Facts;
        check(&[], &[], &["prod", "db"], facts, &[], &["db", "prod"]);
        check(&["web"], &["dc:*"], &["dc:fra1", "prod", "web"], facts, &["dc:fra1", "web"], &["prod"]);
        check(&["web", "eu"], &[], &[], facts, &["eu", "web"], &[]);
        check(&["web"], &[], &["prod", "prod"], ClaimedTags::Accept, &["prod", "web"], &[]);
    }
}
