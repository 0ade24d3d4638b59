//! What the schemas of types are made of that serde reads and writes by code of their own, for an OpenAPI document (feature `openapi`).
//! All other types derive theirs.
//!
//! A schema says what is accepted and sent, and no more: the pattern of an id is what its parser takes.

use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, ObjectBuilder, OneOfBuilder, Schema, Type};

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

/// Texts of requests with a rule. The rules are checked in hive-core; a field names one of these as its `value_type`.
mod rules {
    /// A tag.
    #[derive(Debug)]
    pub struct TagText;
    /// A pattern of tags.
    #[derive(Debug)]
    pub struct TagPattern;
    /// The tag of a satellite to which a key is limited.
    #[derive(Debug)]
    pub struct TagSelector;
    /// A permission in a request.
    #[derive(Debug)]
    pub struct ScopeWord;
    /// A network in a request.
    #[derive(Debug)]
    pub struct NetworkText;
    /// A target of a command.
    #[derive(Debug)]
    pub struct TargetText;
    /// A text that a process gets.
    #[derive(Debug)]
    pub struct ProcessText;
    /// The name of a variable of a process.
    #[derive(Debug)]
    pub struct VariableName;
    /// Bytes.
    #[derive(Debug)]
    pub struct Base64Text;
}

pub use rules::{
    Base64Text, NetworkText, ProcessText, ScopeWord, TagPattern, TagSelector, TagText, TargetText, VariableName,
};

// The patterns of tags refuse each ASCII character that a tag may not have. Which other characters are letters no dialect of regular
// expressions says that all readers of the document have.
schemas! {
    TagText => text()
        .description(Some("A tag: letters and digits of any script, and `-_.:/=@`."))
        .min_length(Some(1))
        .max_length(Some(64))
        .pattern(Some(r"^[^\x00-,;<>?\[-\^`{-\x9f]+$"))
        .examples(["web", "region=eu"]);
    TagPattern => text()
        .description(Some("A pattern of tags, in which `*` stands for any characters."))
        .min_length(Some(1))
        .max_length(Some(64))
        .pattern(Some(r"^[^\x00-)+,;<>?\[-\^`{-\x9f]+$"))
        .examples(["region=*"]);
    TagSelector => text().description(Some("Satellites with this tag.")).pattern(Some("^tag:.+$")).examples(["tag:web"]);
    ScopeWord => text()
        .description(Some("A permission of the caller."))
        .enum_values(Some(<crate::Permission as OpenEnum>::WORDS.iter().copied()));
    NetworkText => text()
        .description(Some("A network in CIDR notation, or a single address."))
        .max_length(Some(49))
        .pattern(Some(r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"))
        .examples(["192.0.2.0/24", "2001:db8::7"]);
    TargetText => text()
        .description(Some("The id or the name of a satellite, `tag:x`, `group:x` by its name or id, `query:…` or `all`."))
        .pattern(Some(r"^(all|tag:[\s\S]+|group:[a-z0-9_\-]{1,32}|query:[\s\S]{1,1000}|[a-z0-9_\-]{10,32})$"))
        .examples(["web-server-01", "tag:web", "all"]);
    ProcessText => text().description(Some("A text without a zero byte.")).pattern(Some(r"^[^\x00]*$"));
    VariableName => text().description(Some("The name of a variable.")).pattern(Some(r"^[^=\x00]+$")).examples(["LANG"]);
    Base64Text => text()
        .description(Some("Bytes in base64, with padding (RFC 4648, section 4)."))
        .content_encoding("base64")
        .pattern(Some("^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$"))
        .examples(["bHMK"]);
}

/// Adds the schema of a type, and those that it refers to.
pub(crate) fn add<T: ToSchema>(schemas: &mut Collected) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}
