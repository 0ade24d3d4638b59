//! Enums of words to which other versions may add: [`open_enum!`](crate::open_enum) and `open_tagged!`.
//!
//! A word that this version does not know is kept, and written again byte for byte. The code that uses it decides what it
//! means, and always takes the safe side: an unknown role grants nothing, an unknown status counts as final. A request of
//! the REST API is stricter: its fields are read by [`known`], which refuses such a word.

use std::fmt;
use std::marker::PhantomData;

#[doc(hidden)]
pub use serde;
use serde::de::value::MapDeserializer;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
#[cfg(feature = "openapi")]
#[doc(hidden)]
pub use utoipa;

/// An enum made by [`open_enum!`](crate::open_enum).
pub trait OpenEnum: for<'a> From<&'a str> {
    /// The words of this version, in the order of their variants.
    const WORDS: &'static [&'static str];

    /// The word as it is stored and sent.
    fn as_str(&self) -> &str;

    /// Whether this version knows the word.
    fn is_known(&self) -> bool;
}

/// Defines an enum of words with a variant `Unknown` that keeps every other word.
///
/// ```
/// hive_wire::open_enum! {
///     /// A color.
///     pub enum Color {
///         /// Like blood.
///         Red = "red",
///         /// Like grass.
///         Green = "green",
///     }
/// }
///
/// assert_eq!(Color::from("red"), Color::Red);
/// assert_eq!(serde_json::from_str::<Color>("\"mauve\"").unwrap().as_str(), "mauve");
/// ```
///
/// Words are read by `From<&str>`, `FromStr` (which never fails) and serde. All three give the known variant for a known
/// word.
#[macro_export]
macro_rules! open_enum {
    (
        $(#[$($meta:tt)*])*
        $vis:vis enum $name:ident {
            $($(#[$($variant_meta:tt)*])* $variant:ident = $word:literal),* $(,)?
        }
    ) => {
        $(#[$($meta)*])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        $vis enum $name {
            $($(#[$($variant_meta)*])* $variant,)*
            /// A word that this version does not know, kept as it was.
            Unknown(Box<str>),
        }

        impl $name {
            /// Every variant that this version knows.
            $vis const KNOWN: &'static [Self] = &[$(Self::$variant),*];

            /// The word as it is stored and sent.
            $vis fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Unknown(word) => word,
                }
            }

            /// Whether this version knows the word.
            $vis fn is_known(&self) -> bool {
                !matches!(self, Self::Unknown(_))
            }
        }

        impl $crate::open::OpenEnum for $name {
            const WORDS: &'static [&'static str] = &[$($word),*];

            fn as_str(&self) -> &str {
                self.as_str()
            }

            fn is_known(&self) -> bool {
                self.is_known()
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)*
                    other => Self::Unknown(other.into()),
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::convert::Infallible;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                Ok(word.into())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl $crate::open::serde::Serialize for $name {
            fn serialize<S: $crate::open::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> $crate::open::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::open::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::open::word(deserializer)
            }
        }

        $crate::open_enum_schema! {
            $name, &[$(stringify!($($meta)*)),*],
            [$(($word, &[$(stringify!($($variant_meta)*)),*])),*]
        }
    };
}

/// Implements the schema of an enum of words. The features of this crate decide, not those of the crate with the enum.
#[cfg(feature = "openapi")]
#[doc(hidden)]
#[macro_export]
macro_rules! open_enum_schema {
    ($name:ident, $docs:expr, [$($word:expr),*]) => {
        impl $crate::open::utoipa::PartialSchema for $name {
            fn schema() -> $crate::open::utoipa::openapi::RefOr<$crate::open::utoipa::openapi::Schema> {
                $crate::schema::open_words($docs, &[$($word),*])
            }
        }

        impl $crate::open::utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

/// Without the feature `openapi` there are no schemas.
#[cfg(not(feature = "openapi"))]
#[doc(hidden)]
#[macro_export]
macro_rules! open_enum_schema {
    ($name:ident, $docs:expr, [$($word:expr),*]) => {};
}

/// Something tagged by its kind, to which other versions may add kinds.
pub trait OpenTagged {
    /// The kinds of this version.
    fn kinds() -> &'static [&'static str];

    /// Whether this version knows the kind.
    fn is_known(&self) -> bool;
}

/// Implements `Serialize` and `Deserialize` for an enum whose variants are tagged, with a variant `Unknown(Value)` for
/// every other tag: the whole object, written again as it was read.
///
/// The enum derives both with `#[serde(remote = "Self")]` and skips `Unknown`.
macro_rules! open_tagged {
    ($name:ident, $tag:literal) => {
        impl $crate::open::OpenTagged for $name {
            fn kinds() -> &'static [&'static str] {
                $crate::open::kinds($tag, Self::deserialize)
            }

            fn is_known(&self) -> bool {
                !matches!(self, Self::Unknown(_))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    Self::Unknown(object) => object.serialize(serializer),
                    known => Self::serialize(known, serializer),
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                // The whole object first: of an unknown kind, all fields are kept.
                let object = serde_json::Value::deserialize(deserializer)?;
                match object.get($tag).and_then(|kind| kind.as_str()) {
                    None => Err(serde::de::Error::missing_field($tag)),
                    Some(kind) if <Self as $crate::open::OpenTagged>::kinds().contains(&kind) => {
                        Self::deserialize(object).map_err(serde::de::Error::custom)
                    }
                    // Kept whole, so that a relay of this version loses nothing of what a later one sends.
                    Some(_) => Ok(Self::Unknown(object)),
                }
            }
        }
    };
}

pub(crate) use open_tagged;

/// Returns the tags that a derived `Deserialize` knows. It is given an empty tag, and its error lists the expected
/// ones. So the enum itself is the only list of its variants.
pub(crate) fn kinds<T>(
    tag: &'static str,
    read: impl FnOnce(
        MapDeserializer<'static, std::iter::Once<(&'static str, &'static str)>, Expected>,
    ) -> Result<T, Expected>,
) -> &'static [&'static str] {
    match read(MapDeserializer::new(std::iter::once((tag, "")))) {
        // The empty tag is no kind, so that the reader always fails.
        Err(Expected(kinds)) => kinds,
        Ok(_) => &[],
    }
}

/// The error of a reader, as far as it names the variants that were expected.
#[derive(Debug)]
pub(crate) struct Expected(&'static [&'static str]);

impl Error for Expected {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(&[])
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self(expected)
    }
}

impl std::error::Error for Expected {}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected one of {:?}", self.0)
    }
}

/// Reads a word.
#[doc(hidden)]
pub fn word<'de, D: Deserializer<'de>, T: for<'a> From<&'a str>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_str(WordVisitor(PhantomData))
}

struct WordVisitor<T>(PhantomData<T>);

impl<T: for<'a> From<&'a str>> Visitor<'_> for WordVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word")
    }

    fn visit_str<E>(self, word: &str) -> Result<T, E> {
        Ok(word.into())
    }
}

/// Reads a word for a field of a request, `#[serde(deserialize_with = "known")]`: one that this version does not know is
/// refused, and the words it could be are named.
pub fn known<'de, D: Deserializer<'de>, T: OpenEnum>(deserializer: D) -> Result<T, D::Error> {
    let word: T = word(deserializer)?;
    // The error lists the known words: the caller is a person or a program that can correct it.
    if word.is_known() { Ok(word) } else { Err(D::Error::unknown_variant(word.as_str(), T::WORDS)) }
}

/// As [`known`], for a field that need not be there and may be `null`.
pub fn known_opt<'de, D: Deserializer<'de>, T: OpenEnum>(deserializer: D) -> Result<Option<T>, D::Error> {
    struct KnownWord<T>(T);

    impl<'de, T: OpenEnum> Deserialize<'de> for KnownWord<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            known(deserializer).map(Self)
        }
    }

    Ok(Option::<KnownWord<T>>::deserialize(deserializer)?.map(|known| known.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Serialize;
    use serde_json::Value;

    use super::*;

    crate::open_enum! {
        /// A color.
        enum Color {
            /// Like blood.
            Red = "red",
            /// Like a forest at night.
            DarkGreen = "dark_green",
        }
    }

    /// Something with its data beside its kind.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind", rename_all = "snake_case", remote = "Self")]
    enum Beside {
        Plain,
        WithField {
            field: u32,
        },
        #[serde(skip)]
        Unknown(Value),
    }

    open_tagged!(Beside, "kind");

    /// Something with its data in a field.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind", content = "data", remote = "Self")]
    enum Within {
        #[serde(rename = "of:one")]
        One(u32),
        #[serde(rename = "of:two")]
        Two,
        #[serde(skip)]
        Unknown(Value),
    }

    open_tagged!(Within, "kind");

    #[derive(Debug, Deserialize)]
    struct Request {
        #[serde(default, deserialize_with = "known_opt")]
        color: Option<Color>,
    }

    #[test]
    fn a_known_word_is_its_variant_however_it_is_read() {
        for (variant, word) in Color::KNOWN.iter().zip(Color::WORDS) {
            assert_eq!(*variant, Color::from(*word));
            assert_eq!(*variant, word.parse().unwrap());
            assert_eq!(*variant, serde_json::from_value(serde_json::json!(word)).unwrap());
            assert_eq!((variant.as_str(), variant.to_string().as_str()), (*word, *word));
            assert!(variant.is_known());
        }
    }

    #[test]
    fn a_request_has_known_words_alone() {
        let read = |text| serde_json::from_str::<Request>(text).map(|request| request.color);
        assert_eq!(read(r#"{"color":"red"}"#).unwrap(), Some(Color::Red));
        assert_eq!(read(r#"{"color":null}"#).unwrap(), None);
        assert_eq!(read("{}").unwrap(), None);
        let refused = read(r#"{"color":"mauve"}"#).unwrap_err().to_string();
        for part in ["`mauve`", "`red`", "`dark_green`"] {
            assert!(refused.contains(part), "{refused} does not name {part}");
        }
    }

    #[test]
    fn the_known_kinds_are_those_of_the_enum_itself() {
        assert_eq!(Beside::kinds(), ["plain", "with_field"]);
        assert_eq!(Within::kinds(), ["of:one", "of:two"]);
    }

    #[test]
    fn a_known_kind_is_read_and_another_is_kept() {
        let beside = |text: &str| serde_json::from_str::<Beside>(text).unwrap();
        assert_eq!(beside(r#"{"kind":"with_field","field":3,"more":1}"#), Beside::WithField { field: 3 });
        assert_eq!(beside(r#"{"kind":"plain"}"#), Beside::Plain);
        assert_eq!(serde_json::from_str::<Within>(r#"{"kind":"of:one","data":1}"#).unwrap(), Within::One(1));
        for text in [r#"{"kind":"","data":1}"#, r#"{"data":{"kind":"of:one"},"kind":"of:three"}"#] {
            let read: Within = serde_json::from_str(text).unwrap();
            assert!(!read.is_known(), "{read:?}");
            assert_eq!(serde_json::to_value(&read).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        }
        for text in [r#"{"kind":"with_field"}"#, r#"{"field":3}"#, r#"{"kind":7,"field":3}"#] {
            assert!(serde_json::from_str::<Beside>(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_word_is_written_as_it_was_read(word in any::<String>()) {
            let written = serde_json::to_string(&word).unwrap();
            let read: Color = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(serde_json::to_string(&read).unwrap(), written);
            prop_assert_eq!(read.as_str(), word);
        }
    }
}
