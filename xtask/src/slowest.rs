//! The slowest tests of a run, out of the reports that nextest writes (`.config/nextest.toml`).

use crate::run::built;

/// How many are printed.
const COUNT: usize = 30;

/// A test of a report.
#[derive(Debug, PartialEq)]
struct TestTime {
    name: String,
    seconds: f64,
}

/// Prints the slowest tests of these profiles of nextest, each with its profile.
pub(crate) fn print(profiles: &[&str]) {
    let mut tests = Vec::new();
    for profile in profiles {
        let report = built("nextest").join(profile).join("junit.xml");
        // Without nextest there is no report.
        let report = std::fs::read_to_string(report).unwrap_or_default();
        tests.extend(test_times(&report).into_iter().map(|test| (*profile, test)));
    }
    tests.sort_by(|(_, one), (_, other)| other.seconds.total_cmp(&one.seconds));
    let sum: f64 = tests.iter().map(|(_, test)| test.seconds).sum();
    println!("the slowest of {} tests, which took {sum:.0} s one after the other:", tests.len());
    for (profile, TestTime { name, seconds }) in tests.iter().take(COUNT) {
        println!("{seconds:>8.1} s  {profile:<10} {name}");
    }
}

/// The tests of a report in the format of JUnit. nextest writes each on a line of its own.
fn test_times(report: &str) -> Vec<TestTime> {
    let lines = report.lines().filter(|line| line.trim_start().starts_with("<testcase "));
    lines
        .filter_map(|line| Some(TestTime { name: name(line)?, seconds: attribute(line, "time")?.parse().ok()? }))
        .collect()
}

fn name(line: &str) -> Option<String> {
    Some(format!("{} {}", attribute(line, "classname")?, attribute(line, "name")?))
}

fn attribute<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let (_, rest) = line.split_once(&format!(" {name}=\""))?;
    Some(rest.split_once('"')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_test_of_a_report_has_its_time() {
        let report = r#"<?xml version="1.0" encoding="UTF-8"?>
            <testsuites name="nextest-run" tests="2" failures="0" errors="0" time="9.1">
                <testsuite name="hive-core" tests="1" time="3">
                    <testcase name="links::one" classname="hive-core" timestamp="2026-12-01T02:00:00" time="0.014">
                    </testcase>
                    <testcase name="storm::two" classname="satellite-hive::it" timestamp="x" time="9.100"/>
        "#;
        let expected = [("hive-core links::one", 0.014), ("satellite-hive::it storm::two", 9.1)];
        let expected = expected.map(|(name, seconds)| TestTime { name: name.to_owned(), seconds });
        assert_eq!(test_times(report), expected);
    }
}
