//! Statements whose conditions depend on the query.

use std::fmt::Write;

use super::{Statement, Value};
use crate::access::{VisibleScope, VisibleTeams};

/// Conditions that are joined by AND, and the values of their placeholders.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Filter {
    /// Adds a condition. Each `?` in it stands for `value`.
    pub(super) fn and(&mut self, condition: &str, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        // A condition may have its value more than once, and it is bound once.
        self.conditions.push(condition.replace('?', &format!("${}", self.values.len())));
        self
    }

    /// Adds a condition on a text, if there is one.
    pub(super) fn and_text(&mut self, condition: &str, text: Option<impl ToString>) -> &mut Self {
        if let Some(text) = text {
            self.and(condition, text.to_string());
        }
        self
    }

    /// Adds a condition without a value.
    pub(super) fn and_raw(&mut self, condition: &str) -> &mut Self {
        self.conditions.push(condition.to_owned());
        self
    }

    /// Restricts the list to rows whose `column` is one of these.
    pub(super) fn one_of(&mut self, column: &str, values: impl IntoIterator<Item = impl ToString>) -> &mut Self {
        match self.bind_all(values) {
            // `IN ()` is no SQL.
            placeholders if placeholders.is_empty() => self.and_raw("1 = 0"),
            placeholders => self.and_raw(&format!("{column} IN ({placeholders})")),
        }
    }

    /// Restricts the list to rows in `visible`. `team` is the column with the team of a row, and `satellite` the one with its
    /// satellite; `None` for rows of no satellite.
    pub(super) fn visible_to(&mut self, team: &str, satellite: Option<&str>, visible: &VisibleScope) -> &mut Self {
        self.of_visible_teams(team, &visible.teams);
        let Some(tags) = &visible.tags else { return self };
        let placeholders = self.bind_all(tags);
        match satellite {
            Some(column) if !placeholders.is_empty() => self.and_raw(&format!(
                "{column} IN (SELECT satellite_id FROM satellite_tags WHERE tag IN ({placeholders}))"
            )),
            _ => self.and_raw("1 = 0"),
        }
    }

    /// Restricts the list to rows of these teams.
    pub(super) fn of_visible_teams(&mut self, column: &str, visible: &VisibleTeams) -> &mut Self {
        match visible {
            VisibleTeams::All => self,
            VisibleTeams::Teams(teams) => self.one_of(column, teams),
        }
    }

    /// Restricts the list to rows that have a team in `visible` and none that is not. `of` is a sub-query for the ids of the
    /// rows of a team, and `elsewhere` one for the teams of a row. Both lack their condition at the end: `IN (…)`, `NOT IN (…)`.
    pub(super) fn all_visible(&mut self, column: &str, of: &str, elsewhere: &str, visible: &VisibleTeams) -> &mut Self {
        let VisibleTeams::Teams(teams) = visible else { return self };
        let placeholders = self.bind_all(teams);
        if placeholders.is_empty() {
            return self.and_raw("1 = 0");
        }
        // The first condition follows from the second, because every row has a team. It is what an index answers.
        self.and_raw(&format!("{column} IN ({of} IN ({placeholders}))"));
        self.and_raw(&format!("NOT EXISTS ({elsewhere} NOT IN ({placeholders}))"))
    }

    /// Restricts the list to rows none of whose satellites lacks the tags of `visible`. `unselected` is a sub-query for the
    /// satellites of a row; it lacks the list of those with the tags at its end: `NOT IN (…)`.
    pub(super) fn all_selected(&mut self, unselected: &str, visible: &VisibleScope) -> &mut Self {
        let Some(tags) = &visible.tags else { return self };
        let placeholders = self.bind_all(tags);
        if placeholders.is_empty() {
            return self.and_raw("1 = 0");
        }
        let selected = format!("SELECT satellite_id FROM satellite_tags WHERE tag IN ({placeholders})");
        self.and_raw(&format!("NOT EXISTS ({unselected} NOT IN ({selected}))"))
    }

    /// Binds a text, and returns its placeholder.
    pub(super) fn bind(&mut self, text: impl ToString) -> String {
        self.bind_all([text])
    }

    /// Binds a value, and returns its placeholder.
    pub(super) fn bind_value(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    /// Binds values, and returns their placeholders.
    fn bind_all(&mut self, values: impl IntoIterator<Item = impl ToString>) -> String {
        let first = self.values.len();
        self.values.extend(values.into_iter().map(|value| Value::from(value.to_string())));
        let placeholders: Vec<_> = (first + 1..=self.values.len()).map(|index| format!("${index}")).collect();
        placeholders.join(", ")
    }

    /// Returns the statement `select` with these conditions, followed by `rest`, in which each `?` stands for the next of
    /// `values`.
    pub(super) fn statement(&self, select: &str, rest: &str, values: &[i64]) -> Statement {
        let mut text = select.to_owned();
        for (index, condition) in self.conditions.iter().enumerate() {
            text.push_str(if index == 0 { " WHERE " } else { " AND " });
            text.push_str(condition);
        }
        let mut all = self.values.clone();
        let mut pieces = rest.split('?');
        text.push_str(pieces.next().unwrap_or_default());
        for (piece, value) in pieces.zip(values) {
            all.push(Value::from(*value));
            write!(text, "${}{piece}", all.len()).expect("a String takes all text");
        }
        Statement { text: text.into(), values: all }
    }
}

/// Returns a pattern for `LIKE … ESCAPE '\'` that matches values with `text` in them. Wildcards in `text` are escaped.
pub(super) fn like_pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered_in_order() {
        let mut filter = Filter::default();
        filter.and_raw("x IS NULL").and_text("(a = ? OR b = ?)", Some("one")).and_text("c = ?", None::<&str>);
        filter.and("d > ?", 2);
        let Statement { text, values } = filter.statement("SELECT 1", " LIMIT ? OFFSET ?", &[10, 20]);
        assert_eq!(text, "SELECT 1 WHERE x IS NULL AND (a = $1 OR b = $1) AND d > $2 LIMIT $3 OFFSET $4");
        assert_eq!(values, [Value::from("one"), 2.into(), 10.into(), 20.into()]);
    }

    #[test]
    fn a_caller_without_teams_sees_nothing() {
        let mut filter = Filter::default();
        filter.visible_to("team_id", None, &VisibleScope::of_teams([]));
        assert_eq!(filter.statement("SELECT 1", "", &[]).text, "SELECT 1 WHERE 1 = 0");
    }

    #[test]
    fn a_caller_with_tags_sees_satellites_with_one_of_them_and_nothing_else() {
        let tags = ["a", "b"].map(str::to_owned).into();
        let visible = VisibleScope { tags: Some(tags), ..VisibleScope::ALL };
        let check = |satellite, expected: &str| {
            let mut filter = Filter::default();
            filter.visible_to("team_id", satellite, &visible);
            assert_eq!(filter.statement("SELECT 1", "", &[]).text, expected);
        };
        check(Some("id"), "SELECT 1 WHERE id IN (SELECT satellite_id FROM satellite_tags WHERE tag IN ($1, $2))");
        check(None, "SELECT 1 WHERE 1 = 0");
    }

    #[test]
    fn wildcards_are_escaped() {
        assert_eq!(like_pattern(r"50%_\"), r"%50\%\_\\%");
    }
}
