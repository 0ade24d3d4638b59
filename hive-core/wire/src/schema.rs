//! What the schemas of types are made of that serde reads and writes by code of their own, for an OpenAPI document (feature `openapi`).
//! All other types derive theirs.
//!
//! A schema says what is accepted and sent, and no more: the pattern of an id is what its parser takes.

use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Array, ArrayBuilder, Object, ObjectBuilder, OneOfBuilder, Schema, Type};

use crate::open::OpenEnum;

/// Characters of an id behind its prefix.
const ID_PATTERN: &str = "[0-7][0-9a-hjkmnp-tv-z]{25}";

pub(crate) type Collected = Vec<(String, RefOr<Schema>)>;

/// A text.
pub(crate) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// The schema of an id with this prefix.
pub(crate) fn id(prefix: &str, description: &str) -> RefOr<Schema> {
    text()
        .description(Some(description.trim()))
        .pattern(Some(format!("^{prefix}_{ID_PATTERN}$")))
        .examples([format!("{prefix}_01kge3h900e41861050r3gg28a")])
        .into()
}

/// The schema of a word to which later versions add: any text, with the known words as examples. The docs are the attributes of
/// the enum and of its words, as source text.
#[doc(hidden)]
pub fn open_words(docs: &[&str], words: &[(&str, &[&str])]) -> RefOr<Schema> {
    let known = words.iter().map(|(word, docs)| format!("- `{word}`: {}", doc_text(docs)));
    let lines: Vec<String> = known.collect();
    let description = format!("{}\n\n{}\n\nLater versions may add words.", doc_text(docs), lines.join("\n"));
    text().description(Some(description)).examples(words.iter().map(|(word, _)| *word)).into()
}

/// The schema of a word in a request, which is refused unless this version knows it.
pub(crate) fn known_words<T: OpenEnum>() -> Object {
    text().enum_values(Some(T::WORDS.iter().copied())).build()
}

/// As [`known_words`], of a field that may be `null`.
pub(crate) fn known_words_or_null<T: OpenEnum>() -> Schema {
    let null = ObjectBuilder::new().schema_type(Type::Null);
    OneOfBuilder::new().item(null).item(known_words::<T>()).into()
}

/// Labels of satellites. A pattern of labels has the same limits.
pub fn labels() -> Array {
    let label = text().min_length(Some(1)).max_length(Some(64));
    ArrayBuilder::new().items(label).max_items(Some(64)).build()
}

/// As [`labels`], of a field that may be `null`.
pub(crate) fn labels_or_null() -> Schema {
    OneOfBuilder::new().item(ObjectBuilder::new().schema_type(Type::Null)).item(labels()).into()
}

/// The text of doc comments, from the source text of attributes.
fn doc_text(attributes: &[&str]) -> String {
    let docs = attributes.iter().filter(|attribute| attribute.starts_with("doc"));
    let lines = docs.filter_map(|attribute| {
        let (_, rest) = attribute.split_once('"')?;
        let (text, _) = rest.rsplit_once('"')?;
        Some(text.trim().replace("\\\"", "\""))
    });
    lines.collect::<Vec<_>>().join(" ")
}

/// Implements both traits of utoipa for a type that refers to no other schema.
macro_rules! schemas {
    ($($name:ident => $schema:expr;)*) => {$(
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $schema.into()
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )*};
}

pub(crate) use schemas;

/// Adds the schema of a type, and those that it refers to.
pub(crate) fn add<T: ToSchema>(schemas: &mut Collected) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}
