//! Completes the path of `hive api` from the paths of the hive's OpenAPI document.

use serde_json::Value;

/// The prefix that a path may be typed without.
const PREFIX: &str = "/api/v1/";

/// Returns what a typed path may become: up to the next parameter, whose value the user types.
pub(super) fn completed(document: &Value, typed: &str) -> Vec<String> {
    let templates = document["paths"].as_object().into_iter().flatten().map(|(path, _)| path.as_str());
    let is_absolute = typed.starts_with('/');
    let templates = templates.filter_map(|path| if is_absolute { Some(path) } else { path.strip_prefix(PREFIX) });
    let mut found: Vec<_> = templates.filter_map(|template| complete(template, typed)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Completes the last typed segment of a path, if those before it are of this template.
fn complete(template: &str, typed: &str) -> Option<String> {
    let (before, last) = typed.rsplit_once('/').map_or(("", typed), |(before, last)| (before, last));
    let mut segments = template.split('/');
    let mut path = String::new();
    if typed.contains('/') {
        for segment in before.split('/') {
            let known = segments.next()?;
            let is_same = known == segment || (is_parameter(known) && !segment.is_empty());
            if !is_same {
                return None;
            }
            path.extend([segment, "/"]);
        }
    }
    let mut rest = segments.peekable();
    // A value of a parameter is the user's: what follows it is offered once there is a slash behind it.
    if is_parameter(rest.peek()?) || !rest.peek()?.starts_with(last) {
        return None;
    }
    let literal: Vec<_> = std::iter::from_fn(|| rest.next_if(|segment| !is_parameter(segment))).collect();
    let end = if rest.peek().is_some() { "/" } else { "" };
    Some(format!("{path}{}{end}", literal.join("/")))
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(typed: &str, expected: &[&str]) {
        let document = json!({"paths": {
            "/health": {}, "/api/v1/satellites": {}, "/api/v1/satellites/{id}": {}, "/api/v1/satellites/{id}/exec": {},
            "/api/v1/satellites/by-tag/{tag}": {}, "/api/v1/jobs/{id}/cancel": {}
        }});
        assert_eq!(completed(&document, typed), expected, "{typed:?}");
    }

    #[test]
    fn a_path_is_completed_up_to_its_next_parameter() {
        check("sat", &["satellites", "satellites/", "satellites/by-tag/"]);
        check("j", &["jobs/"]);
        check("satellites/b", &["satellites/by-tag/"]);
        check("satellites/sat_1/", &["satellites/sat_1/exec"]);
        check("jobs/job_1/c", &["jobs/job_1/cancel"]);
        check("/h", &["/health"]);
        check("/api/v1/jobs/x/", &["/api/v1/jobs/x/cancel"]);
        check("x", &[]);
        check("jobs//", &[]);
    }
}
