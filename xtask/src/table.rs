//! The figures of a run as a table in Markdown, as it stands in `docs/benchmarks.md`.

use std::fmt;

use serde_json::Value;

/// Figures as they came, and what they were measured on.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<String>,
    origins: Vec<String>,
}

impl Table {
    /// Takes a line of what was printed. False where it is no figure.
    pub(crate) fn take(&mut self, line: &str) -> bool {
        // Benches also print other lines, such as the start line of a server.
        let figure: Value = serde_json::from_str(line).unwrap_or_default();
        if figure["figure"].is_null() {
            return false;
        }
        self.rows.push(row(&figure));
        let origin = origin(&figure);
        if !self.origins.contains(&origin) {
            self.origins.push(origin);
        }
        true
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| bench | figure | value | half of them | samples | peer | ratio | what |")?;
        writeln!(f, "|---|---|---|---|---|---|---|---|")?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))?;
        self.origins.iter().try_for_each(|origin| writeln!(f, "\n{origin}"))
    }
}

fn row(figure: &Value) -> String {
    let unit = text(&figure["unit"]);
    let spread = &figure["spread"];
    let [low, high] = [&spread["p25"], &spread["p75"]].map(|value| quantity(value, unit));
    let peer = &figure["peer"];
    let (peer, ratio) = if peer.is_null() {
        ("–".into(), "–".into())
    } else {
        (format!("{}, {}", quantity(&peer["value"], unit), text(&peer["name"])), number(&figure["ratio"]))
    };
    let cells = [
        text(&figure["bench"]).into(),
        text(&figure["figure"]).into(),
        quantity(&figure["value"], unit),
        format!("{low} – {high}"),
        spread["samples"].to_string(),
        peer,
        ratio,
        text(&figure["command"]).into(),
    ];
    // A bar would end the cell.
    format!("| {} |", cells.map(|cell: String| cell.replace('|', "\\|")).join(" | "))
}

fn origin(figure: &Value) -> String {
    let machine = &figure["machine"];
    format!(
        "Commit {} on {}, {} cores, {}, {}.",
        text(&figure["commit"]),
        text(&machine["cpu"]),
        machine["cores"],
        text(&machine["memory"]),
        text(&machine["kernel"])
    )
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

/// A number with its unit, in one that people read.
fn quantity(value: &Value, unit: &str) -> String {
    let bytes = value.as_f64().filter(|_| unit == "bytes").unwrap_or_default();
    let (divisor, unit) = match (unit, bytes.abs()) {
        ("bytes", 1_048_576.0..) => (1_048_576.0, "MiB"),
        ("bytes", 1_024.0..) => (1_024.0, "KiB"),
        _ => (1.0, unit),
    };
    value.as_f64().map_or("?".into(), |value| format!("{} {unit}", significant(value / divisor)))
}

fn number(value: &Value) -> String {
    value.as_f64().map_or("?".into(), significant)
}

/// Three digits that mean something.
fn significant(value: f64) -> String {
    let decimals = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_becomes_a_row_and_anything_else_does_not() {
        let mut table = Table::default();
        assert!(!table.take("Benchmarking codec/frame_write_64"));
        assert!(!table.take(r#"{"event":"listening"}"#));
        table.take(
            r#"{"bench":"echo","figure":"p50","value":0.2415,"unit":"ms","spread":{"samples":9,"min":0.1,"p25":0.2,"p75":0.3,"max":4.0},
            "peer":{"name":"ssh","value":0.5},"ratio":0.483,"command":"cat | cat","commit":"abc","machine":{"cpu":"C","cores":2,"memory":"1 kB","kernel":"Linux 6"}}"#,
        );
        table.take(
            r#"{"bench":"size","figure":"binary","value":3145728.0,"unit":"bytes","spread":{"samples":1,"min":0,"p25":2048,"p75":3145728,"max":0},
            "peer":null,"ratio":null,"command":"ls","commit":"abc","machine":{"cpu":"C","cores":2,"memory":"1 kB","kernel":"Linux 6"}}"#,
        );
        let lines: Vec<String> = table.to_string().lines().map(String::from).collect();
        let expected = [
            r"| echo | p50 | 0.241 ms | 0.200 ms – 0.300 ms | 9 | 0.500 ms, ssh | 0.483 | cat \| cat |",
            "| size | binary | 3.00 MiB | 2.00 KiB – 3.00 MiB | 1 | – | – | ls |",
            "",
            "Commit abc on C, 2 cores, 1 kB, Linux 6.",
        ];
        assert_eq!(lines[2..], expected);
    }
}
