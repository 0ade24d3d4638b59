use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const TAGS: [&str; 6] = ["web", "api", "canary", "all", "NOT", "a=b/c"];

fn read(text: &str) -> TagQuery {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn check_written(text: &str, expected: &str) {
    assert_eq!(read(text).to_string(), expected, "{text:?}");
}

fn check_refused(text: &str, position: usize, part: &str) {
    let error = text.parse::<TagQuery>().unwrap_err();
    assert_eq!(error.position, position, "{text:?}: {error}");
    assert!(error.rule.contains(part), "{text:?}: {error}");
}

#[test]
fn not_binds_tighter_than_and_and_and_tighter_than_or() {
    let check = |text: &str, tags: &[&str], expected: bool| assert_eq!(read(text).matches(tags), expected, "{text}");
    check("a OR b AND c", &["a"], true);
    check("(a OR b) AND c", &["a"], false);
    check("NOT a AND b", &["b"], true);
    check("all AND NOT (a AND b)", &["a"], true);
    check("all AND NOT canary", &[], true);
    check("all", &[], true);
    check("\"all\"", &["web"], false);
    check("\"all\"", &["all"], true);
}

#[test]
fn a_query_is_written_in_one_form() {
    check_written("  web ", "web");
    check_written("((web))AND(api)", "web AND api");
    check_written("a OR (b AND c)", "a OR b AND c");
    check_written("a AND (b OR c)", "a AND (b OR c)");
    check_written("a AND (b AND c)", "a AND (b AND c)");
    check_written("all AND NOT(a)", "all AND NOT a");
    check_written("a AND NOT NOT b", "a AND NOT NOT b");
    check_written("\"web\" OR \"AND\"", "web OR \"AND\"");
    check_written("ä=1.2/x@y:z", "ä=1.2/x@y:z");
}

#[test]
fn an_error_names_the_position() {
    check_refused("", 1, "found the end");
    check_refused("web AND", 8, "found the end");
    check_refused("web api", 5, "expected AND, OR or the end, found \"api\"");
    check_refused("web and api", 5, "upper case");
    check_refused("(web", 5, "')'");
    check_refused("web)", 4, "found ')'");
    check_refused("web AND OR api", 9, "found \"OR\"");
    check_refused("ä & b", 3, "'&' is not allowed");
    check_refused("web AND \"api", 9, "no end");
    check_refused("web AND \"\"", 9, "1 to 64");
    check_refused("web AND \"a b\"", 9, "letters");
    check_refused(&"a".repeat(65), 1, "1 to 64");
    check_refused("web\u{1b}[2J", 4, "\\u{1b}");
}

#[test]
fn a_query_that_only_excludes_is_refused() {
    for text in ["NOT canary", "NOT a AND NOT b", "web OR NOT canary", "NOT (a AND b)"] {
        check_refused(text, 1, "all AND");
    }
    for text in ["all AND NOT canary", "NOT canary OR all", "NOT NOT web", "NOT (NOT web OR NOT api)", "NOT all"] {
        read(text);
    }
}

#[test]
fn a_query_is_bounded() {
    let deep = |depth: usize| format!("{}web{}", "(".repeat(depth), ")".repeat(depth));
    read(&deep(MAX_DEPTH));
    check_refused(&deep(MAX_DEPTH + 1), MAX_DEPTH + 2, "inside each other");
    check_refused(&"(".repeat(MAX_CHARS), MAX_DEPTH + 2, "inside each other");
    let many = |terms: usize| vec!["a"; terms].join(" OR ");
    read(&many(MAX_TERMS));
    check_refused(&many(MAX_TERMS + 1), 64 * 5 + 1, "at most 64 tags");
    check_refused(&"a".repeat(MAX_CHARS + 1), MAX_CHARS + 1, "1000 characters");
    // Short enough as it is given, and too long as it would be stored.
    let tight = vec![format!("({} OR b)", "a".repeat(60)); 14].join("AND");
    assert!(tight.chars().count() < MAX_CHARS);
    check_refused(&tight, MAX_CHARS + 1, "1000 characters");
}

fn an_expr() -> impl Strategy<Value = TagExpr> {
    let tag = (0..TAGS.len()).prop_map(|index| TagExpr::Tag(TAGS[index].into()));
    let leaf = prop_oneof![1 => Just(TagExpr::All), 5 => tag];
    leaf.prop_recursive(4, 24, 4, |part| {
        prop_oneof![
            part.clone().prop_map(|part| TagExpr::Not(Box::new(part))),
            proptest::collection::vec(part.clone(), 2..4).prop_map(TagExpr::And),
            proptest::collection::vec(part, 2..4).prop_map(TagExpr::Or),
        ]
    })
}

/// The value of an expression by the rules of logic, from the values of the tags alone.
fn truth(expr: &TagExpr, values: &BTreeMap<&str, bool>) -> bool {
    match expr {
        TagExpr::All => true,
        TagExpr::Tag(tag) => values[tag.as_str()],
        TagExpr::Not(part) => !truth(part, values),
        TagExpr::And(parts) => parts.iter().fold(true, |value, part| value & truth(part, values)),
        TagExpr::Or(parts) => parts.iter().fold(false, |value, part| value | truth(part, values)),
    }
}

proptest! {
    #[test]
    fn a_query_reads_back_as_it_was_written(expr in an_expr()) {
        let text = TagQuery(expr.clone()).to_string();
        prop_assert_eq!(parser::parse(&text), Ok(expr.clone()), "{}", text);
        match text.parse::<TagQuery>() {
            Ok(query) => prop_assert_eq!(query, TagQuery(expr)),
            Err(error) => {
                prop_assert!(error.rule.contains("only excludes"), "{}: {}", text, error);
                prop_assert!(!expr.has_all() && TagQuery(expr).matches::<&str>(&[]), "{}", text);
            }
        }
    }

    #[test]
    fn a_query_selects_what_its_truth_table_says(expr in an_expr()) {
        for row in 0..1 << TAGS.len() {
            let values: BTreeMap<_, _> = TAGS.iter().enumerate().map(|(n, tag)| (*tag, row >> n & 1 == 1)).collect();
            let tags: Vec<_> = TAGS.into_iter().filter(|tag| values[tag]).collect();
            prop_assert_eq!(TagQuery(expr.clone()).matches(&tags), truth(&expr, &values), "{:?}", tags);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[a-c\"() ANDORTl.ä\u{0}-]{0,60}") {
        match text.parse::<TagQuery>() {
            Ok(query) => prop_assert_eq!(query.to_string().parse::<TagQuery>(), Ok(query)),
            Err(error) => prop_assert!((1..=text.chars().count() + 1).contains(&error.position), "{}", error),
        }
    }
}
