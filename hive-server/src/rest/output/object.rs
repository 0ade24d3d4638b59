//! Serializes an object into a [`Document`], with a stream for its output. The other fields are written by serde_json, in the
//! order and with the attributes of the struct.

use hive_core::commands::OutputReader;
use hive_core::wire::agent::Channel;
use hive_core::wire::api::OutputEncoding;
use serde::ser::{Error as _, Impossible, SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};
use serde_json::{Error, Result};

use super::document::Document;

/// Serializes a struct or map. Other values are errors.
pub(super) struct ObjectSerializer<'d> {
    document: &'d mut Document,
    output: &'d OutputReader,
    encoding: OutputEncoding,
    is_first: bool,
}

impl<'d> ObjectSerializer<'d> {
    pub(super) fn new(document: &'d mut Document, output: &'d OutputReader, encoding: OutputEncoding) -> Self {
        Self { document, output, encoding, is_first: true }
    }

    fn begin(self) -> Self {
        self.document.raw("{");
        self
    }

    fn field(&mut self, name: &(impl Serialize + ?Sized), value: &(impl Serialize + ?Sized)) -> Result<()> {
        if !std::mem::replace(&mut self.is_first, false) {
            self.document.raw(",");
        }
        let name = serde_json::to_string(name)?;
        self.document.raw(&name);
        self.document.raw(":");
        // The name is a JSON string here, with its quotes.
        match name.as_str() {
            r#""stdout""# => self.document.string(self.output, Channel::Stdout, self.encoding),
            r#""stderr""# => self.document.string(self.output, Channel::Stderr, self.encoding),
            _ => self.document.value(value)?,
        }
        Ok(())
    }

    fn close(self) {
        self.document.raw("}");
    }
}

impl SerializeStruct for ObjectSerializer<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: ?Sized + Serialize>(&mut self, name: &'static str, value: &T) -> Result<()> {
        self.field(name, value)
    }

    fn end(self) -> Result<()> {
        self.close();
        Ok(())
    }
}

/// A struct with a flattened field is serialized as a map.
impl SerializeMap for ObjectSerializer<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_entry<K: ?Sized + Serialize, V: ?Sized + Serialize>(&mut self, key: &K, value: &V) -> Result<()> {
        self.field(key, value)
    }

    fn serialize_key<T: ?Sized + Serialize>(&mut self, _: &T) -> Result<()> {
        Err(not_an_object())
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, _: &T) -> Result<()> {
        Err(not_an_object())
    }

    fn end(self) -> Result<()> {
        self.close();
        Ok(())
    }
}

fn not_an_object() -> Error {
    Error::custom("only a struct has output")
}

macro_rules! refuse {
    ($($method:ident($($argument:ty),*) -> $ok:ty;)*) => {$(
        fn $method(self, $(_: $argument),*) -> Result<$ok> {
            Err(not_an_object())
        }
    )*};
}

impl Serializer for ObjectSerializer<'_> {
    type Ok = ();
    type Error = Error;
    type SerializeStruct = Self;
    type SerializeMap = Self;
    type SerializeSeq = Impossible<(), Error>;
    type SerializeTuple = Impossible<(), Error>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeStructVariant = Impossible<(), Error>;

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self> {
        Ok(self.begin())
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self> {
        Ok(self.begin())
    }

    refuse! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_str(&str) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, _: &'static str, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<()> {
        Err(not_an_object())
    }
}
