//! Statements whose conditions depend on what is asked for.

use std::fmt::Write;

use super::{Statement, Value};
use crate::access::Sight;
use crate::Window;

/// Conditions that must all hold, and their values in the order of their `$N`.
#[derive(Debug, Default)]
pub(super) struct Filter {
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Filter {
    /// Adds a condition; each `?` in it stands for the value.
    pub(super) fn and(&mut self, condition: &str, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        self.conditions.push(condition.replace('?', &format!("${}", self.values.len())));
        self
    }

    /// Like [`and`](Self::and), where there is a text to compare with.
    pub(super) fn and_text(&mut self, condition: &str, text: Option<impl ToString>) -> &mut Self {
        if let Some(text) = text {
            self.and(condition, text.to_string());
        }
        self
    }

    /// Adds a condition that has no value.
    pub(super) fn always(&mut self, condition: &str) -> &mut Self {
        self.conditions.push(condition.to_owned());
        self
    }

    /// Leaves only what is in sight, by the team in `column`.
    pub(super) fn in_sight(&mut self, column: &str, sight: &Sight) -> &mut Self {
        match self.places(sight) {
            Some(places) if places.is_empty() => self.always("1 = 0"),
            Some(places) => self.always(&format!("{column} IN ({places})")),
            None => self,
        }
    }

    /// Leaves only what is in sight with all of its teams, by a sub-query that is complete but for the teams in sight.
    pub(super) fn all_in_sight(&mut self, elsewhere: &str, sight: &Sight) -> &mut Self {
        match self.places(sight) {
            Some(places) if places.is_empty() => self.always("1 = 0"),
            Some(places) => self.always(&format!("NOT EXISTS ({elsewhere} NOT IN ({places}))")),
            None => self,
        }
    }

    /// Adds the teams in sight as values; their places, or none where everything is in sight.
    fn places(&mut self, sight: &Sight) -> Option<String> {
        let Sight::Teams(teams) = sight else {
            return None;
        };
        let first = self.values.len() + 1;
        self.values.extend(teams.iter().map(|team| Value::from(team.to_string())));
        let places: Vec<_> = (first..first + teams.len()).map(|place| format!("${place}")).collect();
        Some(places.join(", "))
    }

    /// The statement `select` with these conditions, then `rest`, in which each `?` stands for the next of `values`.
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

impl Window {
    /// The values of `LIMIT $N OFFSET $M`.
    pub(super) fn values(self) -> [i64; 2] {
        [self.limit.into(), self.offset.try_into().unwrap_or(i64::MAX)]
    }
}

/// A pattern for `LIKE … ESCAPE '\'` that holds wherever `text` stands in the value, letter by letter.
pub(super) fn containing(text: &str) -> String {
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
    fn conditions_are_numbered_in_their_order() {
        let mut filter = Filter::default();
        filter.always("x IS NULL").and_text("(a = ? OR b = ?)", Some("one")).and_text("c = ?", None::<&str>);
        filter.and("d > ?", 2);
        let Statement { text, values } = filter.statement("SELECT 1", " LIMIT ? OFFSET ?", &[10, 20]);
        assert_eq!(text, "SELECT 1 WHERE x IS NULL AND (a = $1 OR b = $1) AND d > $2 LIMIT $3 OFFSET $4");
        assert_eq!(values, [Value::from("one"), 2.into(), 10.into(), 20.into()]);
    }

    #[test]
    fn who_sees_no_team_sees_nothing() {
        let mut filter = Filter::default();
        filter.in_sight("team_id", &Sight::Teams(Vec::new()));
        assert_eq!(filter.statement("SELECT 1", "", &[]).text, "SELECT 1 WHERE 1 = 0");
    }

    #[test]
    fn wildcards_are_letters() {
        assert_eq!(containing(r"50%_\"), r"%50\%\_\\%");
    }
}
