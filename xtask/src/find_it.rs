//! Checks the answers of `docs/find-it.md`: each file exists, and contains the symbols that stand after it.
//!
//! An answer is a table row: a question that ends in `?`, then paths in backticks, each followed by symbols in backticks.

use std::path::Path;

use anyhow::{Context, Result};

use crate::run::root;

const PAGE: &str = "docs/find-it.md";

/// The page has at least this many questions.
const MIN_QUESTIONS: usize = 40;

/// What is wrong with the page.
pub(crate) fn faults() -> Result<Vec<String>> {
    let page = std::fs::read_to_string(root().join(PAGE)).with_context(|| format!("cannot read {PAGE}"))?;
    let read = |path: &str| std::fs::read_to_string(root().join(Path::new(path))).ok();
    Ok(faults_of(&page, MIN_QUESTIONS, read))
}

fn faults_of(page: &str, min_questions: usize, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut questions = 0;
    for (line, row) in (1..).zip(page.lines()) {
        let Some((question, answer)) = question_of(row) else { continue };
        questions += 1;
        let found = faults_of_answer(answer, &read);
        faults.extend(found.into_iter().map(|fault| format!("{PAGE}:{line}: {fault}, asked by \"{question}\"")));
    }
    if questions < min_questions {
        faults.push(format!("{PAGE}: {questions} questions, fewer than {min_questions}"));
    }
    faults
}

/// The question and the answer of a table row.
fn question_of(row: &str) -> Option<(&str, &str)> {
    let (question, answer) = row.strip_prefix('|')?.split_once('|')?;
    let question = question.trim();
    question.ends_with('?').then_some((question, answer))
}

fn faults_of_answer(answer: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut faults = Vec::new();
    // Every second part of a text that is split at backticks stands inside of them.
    let spans = answer.split('`').skip(1).step_by(2);
    let mut file: Option<(&str, Option<String>)> = None;
    let mut symbols = 0;
    for span in spans {
        if span.contains('/') {
            let text = read(span);
            if text.is_none() {
                faults.push(format!("{span} does not exist"));
            }
            file = Some((span, text));
            continue;
        }
        symbols += 1;
        match &file {
            Some((path, Some(text))) if !contains_word(text, span) => faults.push(format!("{path} has no {span}")),
            Some(_) => {}
            None => faults.push(format!("{span} has no file")),
        }
    }
    if symbols == 0 {
        faults.push("no symbol".to_owned());
    }
    faults
}

/// Whether a name stands in a text, and not as a part of a longer name.
fn contains_word(text: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(page: &str, expected: &[&str]) {
        let read = |path: &str| (path == "a/b.rs").then(|| "fn take() {}\nfn take_all() {}\n".to_owned());
        let faults = faults_of(page, 1, read);
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (fault, part) in faults.iter().zip(expected) {
            assert!(fault.contains(part), "{fault:?} does not contain {part:?}");
        }
    }

    #[test]
    fn an_answer_names_files_and_symbols_that_exist() {
        check("| Where is it? | `a/b.rs`: `take` |", &[]);
        check("| Where is it? | `a/b.rs`: `take`, `take_all` |", &[]);
        check("| question | answer |\n|---|---|\n| Where is it? | `a/b.rs`: `take` |", &[]);
        check("| Where is it? | `a/c.rs`: `take` |", &["find-it.md:1: a/c.rs does not exist"]);
        check("| Where is it? | `a/b.rs`: `take_a` |", &["a/b.rs has no take_a"]);
        check("| Where is it? | `a/b.rs` |", &["no symbol"]);
        check("| Where is it? | `take` |", &["take has no file"]);
    }

    #[test]
    fn a_page_without_questions_is_a_fault() {
        check("nothing", &["0 questions"]);
    }
}
