//! The orders in which the store lists rows, and the keys by which a list goes on behind one of them. Rows of the store have their
//! orders beside them, those of the API have theirs here.

use hive_wire::Timestamp;
use hive_wire::api::{
    AuditEntry, AuditSort, Group, GroupSort, RegistrationTokenInfo, RegistrationTokenSort, Sort, TagCount, TagSort,
    Team, TeamMember, TeamMemberSort, TeamSort, User, UserSort,
};
use serde::{Deserialize, Serialize};

/// A column by which the store sorts rows.
pub trait RowOrder: Copy + Eq + std::fmt::Debug + Send + Sync + 'static {
    /// The rows of the list.
    type Row;

    /// The usual order.
    const DEFAULT: Sort<Self>;

    /// What a key of this column has as its value.
    fn kind(self) -> KeyKind;

    /// The key of a row.
    fn key(self, row: &Self::Row) -> SortKey;
}

/// The values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Texts, by their bytes.
    Text,
    /// Numbers and times.
    Number,
    /// Numbers and times that may be missing. Rows without a value are last in both directions.
    OptionalNumber,
}

/// The place of a row in a sorted list: its value, and its id for rows with the same value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SortKey {
    /// The value of the column.
    #[serde(rename = "v")]
    pub value: Option<SortValue>,
    /// The id of the row, or another text that no two rows have in common.
    #[serde(rename = "i")]
    pub id: String,
}

/// The value of a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SortValue {
    /// A number, or a time in microseconds.
    Number(i64),
    /// A text.
    Text(String),
}

impl SortKey {
    /// A key with a text as its value.
    pub fn text(value: impl ToString, id: impl ToString) -> Self {
        Self { value: Some(SortValue::Text(value.to_string())), id: id.to_string() }
    }

    /// A key with a number as its value.
    pub fn number(value: i64, id: impl ToString) -> Self {
        Self { value: Some(SortValue::Number(value)), id: id.to_string() }
    }

    /// A key with a time as its value, if there is one.
    pub fn time(value: impl Into<Option<Timestamp>>, id: impl ToString) -> Self {
        let value = value.into().map(|time: Timestamp| SortValue::Number(time.as_micros()));
        Self { value, id: id.to_string() }
    }
}

impl KeyKind {
    /// Whether a column of this kind can have this key. A caller may have made it up.
    pub fn takes(self, key: &SortKey) -> bool {
        match (&key.value, self) {
            (Some(SortValue::Text(_)), Self::Text)
            | (Some(SortValue::Number(_)), Self::Number | Self::OptionalNumber)
            | (None, Self::OptionalNumber) => true,
            (Some(_) | None, _) => false,
        }
    }
}

/// Implements [`RowOrder`] for the columns of a list: what each has as its value, and the key of a row.
macro_rules! row_orders {
    ($($sort:ident of $row:ident { $($column:ident: $kind:ident, |$of:ident| $key:expr;)* })*) => {$(
        impl $crate::row_order::RowOrder for $sort {
            type Row = $row;

            const DEFAULT: hive_wire::api::Sort<Self> = <Self as hive_wire::api::SortColumn>::DEFAULT;

            fn kind(self) -> $crate::row_order::KeyKind {
                match self {
                    $(Self::$column => $crate::row_order::KeyKind::$kind,)*
                }
            }

            fn key(self, row: &$row) -> $crate::row_order::SortKey {
                match self {
                    $(Self::$column => {
                        let $of = row;
                        $key
                    })*
                }
            }
        }
    )*};
}

pub(crate) use row_orders;

row_orders! {
    TagSort of TagCount {
        Tag: Text, |row| SortKey::text(&row.tag, "");
    }
    GroupSort of Group {
        Name: Text, |row| SortKey::text(&row.name, row.id);
        CreatedAt: Number, |row| SortKey::time(row.created_at, row.id);
    }
    UserSort of User {
        Username: Text, |row| SortKey::text(&row.username, row.id);
        CreatedAt: Number, |row| SortKey::time(row.created_at, row.id);
    }
    TeamSort of Team {
        Slug: Text, |row| SortKey::text(&row.slug, row.id);
        CreatedAt: Number, |row| SortKey::time(row.created_at, row.id);
    }
    TeamMemberSort of TeamMember {
        Username: Text, |row| SortKey::text(&row.username, row.user_id);
    }
    RegistrationTokenSort of RegistrationTokenInfo {
        CreatedAt: Number, |row| SortKey::time(row.created_at, row.token_id);
        ExpiresAt: Number, |row| SortKey::time(row.expires_at, row.token_id);
    }
    AuditSort of AuditEntry {
        Seq: Number, |row| SortKey::number(row.seq.cast_signed(), row.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_takes_its_own_keys_only() {
        let (text, number) = (SortKey::text("a", "1"), SortKey::number(7, "1"));
        let none = SortKey { value: None, id: "1".into() };
        let taken = |kind: KeyKind| [&text, &number, &none].map(|key| kind.takes(key));
        assert_eq!(taken(KeyKind::Text), [true, false, false]);
        assert_eq!(taken(KeyKind::Number), [false, true, false]);
        assert_eq!(taken(KeyKind::OptionalNumber), [false, true, true]);
    }

    #[test]
    fn a_key_reads_back() {
        for key in [SortKey::text("ä\0", "x"), SortKey::number(i64::MIN, ""), SortKey { value: None, id: "y".into() }]
        {
            let text = serde_json::to_string(&key).unwrap();
            assert_eq!(serde_json::from_str::<SortKey>(&text).unwrap(), key, "{text}");
        }
    }
}
