//! Query strings of the REST API as structs.
//!
//! A struct has a field per parameter: an `Option` or a field with a default where the parameter may be missing, a `Vec` where
//! it may be repeated. A client writes such a struct with [`to_pairs`], and a server reads it with [`QueryDeserializer`] and
//! finds its parameters with [`names`]. Percent-encoding is left to the HTTP library.
//!
//! ```
//! use hive_wire::query::{QueryDeserializer, names, to_pairs};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
//! #[serde(default)]
//! struct Filter {
//!     tag: Vec<String>,
//!     online: Option<bool>,
//! }
//!
//! let filter = Filter { tag: vec!["web".into(), "eu".into()], online: Some(true) };
//! let pairs = to_pairs(&filter).unwrap();
//! assert_eq!(Filter::deserialize(QueryDeserializer::new(pairs)).unwrap(), filter);
//! assert_eq!(names::<Filter>(), ["tag", "online"]);
//! ```

use std::fmt::Display;
use std::str::FromStr;

use serde::de::value::{Error, MapDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::{Serialize, forward_to_deserialize_any};
use serde_json::Value;

/// Returns the parameters of a query: those that are `None` are left out, and each element of a `Vec` is one of its own.
///
/// # Errors
/// Fails if `query` is no struct of texts, numbers, booleans and lists of them.
pub fn to_pairs(query: &impl Serialize) -> Result<Vec<(String, String)>, serde_json::Error> {
    let Value::Object(fields) = serde_json::to_value(query)? else {
        return Err(serde::ser::Error::custom("a query must be a struct"));
    };
    let mut pairs = Vec::new();
    for (name, value) in fields {
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        for value in values {
            match value {
                // A parameter that is `None` is left out.
                Value::Null => {}
                Value::String(text) => pairs.push((name.clone(), text)),
                Value::Bool(_) | Value::Number(_) => pairs.push((name.clone(), value.to_string())),
                Value::Array(_) | Value::Object(_) => {
                    return Err(serde::ser::Error::custom(format!("the parameter {name} has a nested value")));
                }
            }
        }
    }
    Ok(pairs)
}

/// Returns the parameters that a query struct has.
pub fn names<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // The derived code of a struct hands its field names to the deserializer before it reads anything.
    drop(T::deserialize(FieldNames(&mut names)));
    names
}

struct FieldNames<'n>(&'n mut &'static [&'static str]);

impl<'de> Deserializer<'de> for FieldNames<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("a query must be a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(Error::custom("only the names are read"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// Reads a struct from the parameters of a query. Of a repeated parameter that is no list, the first one counts. Parameters
/// without a field are ignored unless the struct denies unknown fields.
#[derive(Debug)]
pub struct QueryDeserializer(Vec<(String, Parameter)>);

impl QueryDeserializer {
    /// Reads these parameters, percent-decoded.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut parameters: Vec<(String, Parameter)> = Vec::new();
        for (name, value) in pairs {
            match parameters.iter_mut().find(|(known, _)| *known == name) {
                // In their order: a field that is no list takes the first value.
                Some((_, Parameter { more, .. })) => more.push(value),
                None => parameters.push((name, Parameter { first: value, more: Vec::new() })),
            }
        }
        Self(parameters)
    }
}

impl<'de> Deserializer<'de> for QueryDeserializer {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(MapDeserializer::new(self.0.into_iter()))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The values of one parameter.
#[derive(Debug)]
struct Parameter {
    first: String,
    more: Vec<String>,
}

impl Parameter {
    fn parse<T: FromStr<Err: Display>>(&self) -> Result<T, Error> {
        self.first.parse().map_err(Error::custom)
    }
}

impl IntoDeserializer<'_, Error> for Parameter {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parsed {
    ($($method:ident => $visit:ident),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(self.parse()?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Parameter {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.first)
    }

    parsed! {
        deserialize_bool => visit_bool,
        deserialize_i64 => visit_i64,
        deserialize_u16 => visit_u16,
        deserialize_u32 => visit_u32,
        deserialize_u64 => visit_u64,
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // A parameter that is left out never gets here: serde has its field as `None`.
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let values = std::iter::once(self.first).chain(self.more);
        visitor.visit_seq(SeqDeserializer::new(values.map(|first| Self { first, more: Vec::new() })))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        de::value::StringDeserializer::new(self.first).deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct
        identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    struct Query {
        text: Option<String>,
        many: Vec<String>,
        number: Option<u64>,
        flag: bool,
        #[serde(rename = "kind")]
        word: Option<Word>,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Word {
        Long,
        VeryLong,
    }

    fn read(pairs: &[(&str, &str)]) -> Result<Query, Error> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Query::deserialize(QueryDeserializer::new(pairs))
    }

    fn check_refused(name: &str, value: &str, message: &str) {
        assert_eq!(read(&[(name, value)]).unwrap_err().to_string(), message, "{name}={value}");
    }

    #[test]
    fn a_missing_parameter_is_its_default() {
        assert_eq!(read(&[]).unwrap(), Query::default());
        assert_eq!(read(&[("nonsense", "1")]).unwrap(), Query::default());
    }

    #[test]
    fn a_repeated_parameter_is_a_list_or_its_first_value() {
        let pairs = [("many", "a"), ("number", "1"), ("many", "b"), ("number", "2"), ("text", ""), ("many", "")];
        let query = read(&pairs).unwrap();
        assert_eq!(query.many, ["a", "b", ""]);
        assert_eq!((query.number, query.text.as_deref()), (Some(1), Some("")));
    }

    #[test]
    fn a_value_that_does_not_parse_is_refused() {
        check_refused("number", "-1", "invalid digit found in string");
        check_refused("number", "", "cannot parse integer from empty string");
        check_refused("flag", "yes", "provided string was not `true` or `false`");
        check_refused("kind", "short", "unknown variant `short`, expected `long` or `very_long`");
    }

    #[test]
    fn the_names_are_those_of_the_parameters() {
        assert_eq!(names::<Query>(), ["text", "many", "number", "flag", "kind"]);
        assert!(names::<String>().is_empty());
    }

    #[test]
    fn only_flat_structs_are_written() {
        assert!(to_pairs(&"text").is_err());
        assert!(to_pairs(&serde_json::json!({ "nested": { "a": 1 } })).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            text: Option<String>, many: Vec<String>, number: Option<u64>, flag: bool, word: Option<bool>,
        ) {
            let word = word.map(|long| if long { Word::Long } else { Word::VeryLong });
            let query = Query { text, many, number, flag, word };
            let pairs = to_pairs(&query).unwrap();
            prop_assert_eq!(Query::deserialize(QueryDeserializer::new(pairs)).unwrap(), query);
        }
    }
}
