//! Plain tables: columns padded to their widest cell, every cell made harmless.

use std::fmt;

use crate::escape;

/// The most characters of a cell that are shown.
const MAX_CELL: usize = 80;

/// Rows under a heading.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(heading: &[&str]) -> Self {
        Self { rows: vec![heading.iter().map(|&title| title.to_owned()).collect()] }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| shown(&cell)).collect());
    }

    /// A table of one row for each of `things`.
    pub(crate) fn of<T, const N: usize>(heading: [&str; N], things: &[T], row: impl Fn(&T) -> [String; N]) -> Self {
        let mut table = Self::new(&heading);
        for thing in things {
            table.row(row(thing));
        }
        table
    }

    /// Names beside values, without a heading.
    pub(crate) fn pairs<const N: usize>(pairs: [(&str, String); N]) -> Self {
        let row = |(name, value): (&str, String)| vec![name.to_owned(), shown(&value)];
        Self { rows: pairs.into_iter().map(row).collect() }
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width_in = |row: &Vec<String>, column| row.get(column).map_or(0, |cell: &String| cell.chars().count());
        (0..columns).map(|column| self.rows.iter().map(|row| width_in(row, column)).max().unwrap_or(0)).collect()
    }
}

fn shown(cell: &str) -> String {
    let cell = escape::cell(if cell.is_empty() { "-" } else { cell });
    match cell.char_indices().nth(MAX_CELL) {
        Some((cut, _)) => format!("{}…", &cell[..cut]),
        None => cell.into_owned(),
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for row in &self.rows {
            let padded = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
            writeln!(f, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let table = Table::of(["NAME", "N"], &["a", "longer"], |name| [(*name).to_owned(), String::new()]);
        assert_eq!(table.to_string(), "NAME    N\na       -\nlonger  -\n");
    }

    #[test]
    fn a_cell_is_one_harmless_bounded_line() {
        let table = Table::pairs([("name", "\u{1b}[2J\n".into()), ("long", "x".repeat(100))]);
        let text = table.to_string();
        assert!(text.starts_with("name  \\u{1b}[2J\\n\n"), "{text:?}");
        assert!(text.lines().all(|line| line.chars().count() < 90));
    }
}
