//! Tables of text: columns as wide as their widest cell, cells with their harmful characters escaped.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::escape;
use crate::style::{self, HEADING};

/// Spaces between columns.
const GAP: usize = 2;
/// The width below which no column is cut.
const MIN_COLUMN: usize = 12;
/// Titles of columns whose cells are coloured by state.
const STATES: [&str; 5] = ["STATUS", "ONLINE", "RESULT", "STATE", "CURRENT"];
/// The length of the random part of an id.
const ID_LEN: usize = 26;

/// Rows under a heading.
#[derive(Debug, Clone)]
pub(crate) struct TextTable {
    rows: Vec<Vec<String>>,
    has_heading: bool,
}

/// How a table is rendered.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TableLayout {
    /// The columns of the terminal; `None` where lines may have any length.
    pub(crate) width: Option<usize>,
    pub(crate) is_coloured: bool,
}

impl TextTable {
    pub(crate) fn new(heading: &[&str]) -> Self {
        Self { rows: vec![heading.iter().map(|&title| title.to_owned()).collect()], has_heading: true }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(escaped).collect());
    }

    /// Makes a table with one row for each item.
    pub(crate) fn of<T, const N: usize>(heading: [&str; N], items: &[T], row: impl Fn(&T) -> [String; N]) -> Self {
        let mut table = Self::new(&heading);
        for item in items {
            table.row(row(item));
        }
        table
    }

    /// Makes a table of names and values, without a heading. Values are never cut.
    pub(crate) fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let row = |(name, value): (&str, String)| vec![name.to_owned(), escaped(value)];
        Self { rows: pairs.into_iter().map(row).collect(), has_heading: false }
    }

    pub(crate) fn render(&self, layout: TableLayout) -> String {
        let mut widths = self.widths();
        if let Some(width) = layout.width.filter(|_| self.has_heading) {
            self.fit(&mut widths, width);
        }
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let is_heading = number == 0 && self.has_heading;
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                // Padded by hand: `{:width$}` counts characters, not columns of the terminal. The last column needs no
                // padding.
                let is_last = column + 1 == row.len();
                let (cut, cut_width) = cut(cell, width);
                let style =
                    if layout.is_coloured { self.style(is_heading, column, cell) } else { anstyle::Style::new() };
                text.extend([style.render().to_string(), cut, style.render_reset().to_string()]);
                if !is_last {
                    text.extend(std::iter::repeat_n(' ', width.saturating_sub(cut_width) + GAP));
                }
            }
            text.push('\n');
        }
        text
    }

    fn style(&self, is_heading: bool, column: usize, cell: &str) -> anstyle::Style {
        let title = self.rows[0].get(column).filter(|_| self.has_heading);
        match title {
            _ if is_heading => HEADING,
            Some(title) if STATES.contains(&title.as_str()) => style::of_state(cell),
            _ => anstyle::Style::new(),
        }
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width_in = |row: &Vec<String>, column| row.get(column).map_or(0, |cell: &String| cell.width());
        (0..columns).map(|column| self.rows.iter().map(|row| width_in(row, column)).max().unwrap_or(0)).collect()
    }

    /// Cuts the widest columns until the table fits. Columns with ids stay whole, because half an id cannot be copied.
    fn fit(&self, widths: &mut [usize], room: usize) {
        let fixed: Vec<bool> = (0..widths.len()).map(|column| self.has_ids(column)).collect();
        // Each step cuts the widest column to the width of the next one, so the loop ends after a few steps and the cut
        // is shared.
        loop {
            let total = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
            let widest = (0..widths.len()).filter(|&column| !fixed[column]).max_by_key(|&column| widths[column]);
            match widest {
                Some(column) if total > room && widths[column] > MIN_COLUMN => {
                    let next =
                        (0..widths.len()).filter(|&other| other != column && !fixed[other]).map(|other| widths[other]);
                    let step = widths[column].saturating_sub(next.max().unwrap_or(0)).max(1);
                    let excess = (total - room).min(step);
                    widths[column] = widths[column].saturating_sub(excess).max(MIN_COLUMN);
                }
                _ => return,
            }
        }
    }

    fn has_ids(&self, column: usize) -> bool {
        let is_id = |cell: &str| cell.rsplit_once('_').is_some_and(|(_, rest)| rest.len() == ID_LEN);
        self.rows.iter().skip(1).filter_map(|row| row.get(column)).any(|cell| is_id(cell))
    }
}

fn escaped(cell: String) -> String {
    if cell.is_empty() { "-".into() } else { escape::cell(&cell).into_owned() }
}

/// Returns the cell cut to this width, and its width.
fn cut(cell: &str, room: usize) -> (String, usize) {
    let width = cell.width();
    if width <= room {
        return (cell.to_owned(), width);
    }
    let (mut text, mut taken) = (String::new(), 0);
    // Widths count in terminal columns: a CJK character takes two, a combining one none. One column is kept for the
    // ellipsis.
    for c in cell.chars() {
        let width = c.width().unwrap_or(0);
        if taken + width + 1 > room {
            break;
        }
        taken += width;
        text.push(c);
    }
    text.push('…');
    (text, taken + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(table: &TextTable) -> String {
        table.render(TableLayout::default())
    }

    fn on_screen(table: &TextTable, width: usize) -> String {
        table.render(TableLayout { width: Some(width), is_coloured: false })
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let table = TextTable::of(["NAME", "N"], &["a", "longer"], |name| [(*name).to_owned(), String::new()]);
        assert_eq!(plain(&table), "NAME    N\na       -\nlonger  -\n");
    }

    #[test]
    fn a_letter_may_be_two_columns_wide() {
        let table = TextTable::of(["NAME", "N"], &["日本語", "Zürich"], |name| [(*name).to_owned(), "1".into()]);
        assert_eq!(plain(&table), "NAME    N\n日本語  1\nZürich  1\n");
    }

    #[test]
    fn a_cell_is_one_harmless_line() {
        let table = TextTable::pairs([("name", "\u{1b}[2J\n".into()), ("long", "x".repeat(100))]);
        let text = on_screen(&table, 40);
        assert!(text.starts_with("name  \\u{1b}[2J\\n\n"), "{text:?}");
        assert!(text.contains(&"x".repeat(100)), "a value is shown whole");
    }

    #[test]
    fn on_a_screen_the_widest_columns_are_cut_and_ids_are_not() {
        let id = format!("sat_{}", "0".repeat(ID_LEN));
        let mut table = TextTable::new(&["ID", "HOST", "TAGS"]);
        table.row([id.clone(), "h".repeat(40), "日".repeat(30)]);
        assert!(plain(&table).contains(&"h".repeat(40)), "nothing is cut where nobody looks");
        let text = on_screen(&table, 80);
        assert!(text.lines().all(|line| line.width() <= 80), "{text}");
        assert!(text.contains(&id) && text.contains("h…") && text.contains("日…"), "{text}");
        assert!(on_screen(&table, 10).contains(&id), "a screen may be too small");
    }

    #[test]
    fn colours_are_beside_the_words() {
        let table = TextTable::of(["NAME", "STATUS"], &["failed"], |name| [(*name).to_owned(), (*name).to_owned()]);
        let text = table.render(TableLayout { width: None, is_coloured: true });
        assert!(text.contains("\u{1b}[31mfailed\u{1b}[0m\n"), "{text:?}");
        assert!(text.contains("\nfailed  "), "a name is no state: {text:?}");
        assert!(!plain(&table).contains('\u{1b}'));
    }
}
