//! From a tree to typed values: a serde deserializer whose errors know their place.
//!
//! Where text is wanted, a plain scalar is taken as it is written: `version: 1.10` is the text `1.10`. A key that
//! stands without a value is an error, so that a forgotten limit is not the same as none.
#![forbid(unsafe_code)]

use serde::de::{self, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_yaml::Value;

use super::fault::Fault;
use super::place::Span;
use super::tree::{Entry, Kind, Node};

/// Reads a node as a typed value.
pub(super) fn typed<'a, T: serde::Deserialize<'a>>(node: &'a Node) -> Result<T, Fault> {
    T::deserialize(Reader(node))
}

#[derive(Clone, Copy)]
struct Reader<'a>(&'a Node);

/// What a plain scalar means: that is for the YAML library to say. Only a null, a truth value or a number is not text.
fn resolve(text: &str) -> Unexpected<'_> {
    match serde_yaml::from_str(text) {
        Ok(Value::Null) => Unexpected::Unit,
        Ok(Value::Bool(value)) => Unexpected::Bool(value),
        Ok(Value::Number(value)) => match (value.as_u64(), value.as_i64(), value.as_f64()) {
            (Some(value), _, _) => Unexpected::Unsigned(value),
            (_, Some(value), _) => Unexpected::Signed(value),
            (_, _, Some(value)) => Unexpected::Float(value),
            (None, None, None) => Unexpected::Str(text),
        },
        _ => Unexpected::Str(text),
    }
}

impl<'a> Reader<'a> {
    /// Gives every error that has no place yet this node's.
    fn placed<T>(self, result: Result<T, Fault>) -> Result<T, Fault> {
        result.map_err(|fault| fault.or_at(self.0.span))
    }

    fn unexpected(self) -> Unexpected<'a> {
        match &self.0.kind {
            Kind::List(_) => Unexpected::Seq,
            Kind::Map(_) => Unexpected::Map,
            Kind::Scalar { text, plain: false } => Unexpected::Str(text),
            Kind::Scalar { text, plain: true } => resolve(text),
        }
    }

    fn any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.kind {
            Kind::List(items) => visitor.visit_seq(Items(items.iter())),
            Kind::Map(entries) => visitor.visit_map(Entries { rest: entries.iter(), value: None }),
            Kind::Scalar { text, plain: false } => visitor.visit_borrowed_str(text),
            Kind::Scalar { text, plain: true } => match resolve(text) {
                Unexpected::Unit => visitor.visit_unit(),
                Unexpected::Bool(value) => visitor.visit_bool(value),
                Unexpected::Unsigned(value) => visitor.visit_u64(value),
                Unexpected::Signed(value) => visitor.visit_i64(value),
                Unexpected::Float(value) => visitor.visit_f64(value),
                _ => visitor.visit_borrowed_str(text),
            },
        }
    }
}

impl<'a> Deserializer<'a> for Reader<'a> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.placed(self.any(visitor))
    }

    fn deserialize_str<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.placed(match &self.0.kind {
            Kind::Scalar { text, .. } if !self.0.is_null() => visitor.visit_borrowed_str(text),
            Kind::Scalar { text, .. } if !text.is_empty() => {
                let fault = Fault::invalid_type(self.unexpected(), &visitor);
                Err(fault.help(format!("the text itself stands in quotes: `\"{text}\"`")))
            }
            _ => Err(Fault::invalid_type(self.unexpected(), &visitor)),
        })
    }

    fn deserialize_string<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.0.is_null() {
            return Err(Fault::new("a value is missing here").at(self.0.span));
        }
        self.placed(visitor.visit_some(self))
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.placed(visitor.visit_newtype_struct(self))
    }

    // A list in place of a map would otherwise be taken for the fields in their order.
    fn deserialize_struct<V: Visitor<'a>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.placed(match &self.0.kind {
            Kind::Map(_) => self.any(visitor),
            _ => Err(Fault::invalid_type(self.unexpected(), &visitor)),
        })
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.placed(match &self.0.kind {
            Kind::Scalar { text, .. } if !self.0.is_null() => {
                visitor.visit_enum(Variant { name: text, name_span: self.0.span, content: None })
            }
            Kind::Map(entries) => match entries.as_slice() {
                [Entry { key, key_span, value }] => visitor.visit_enum(Variant {
                    name: key,
                    name_span: *key_span,
                    content: Some(Reader(value)),
                }),
                _ => Err(Fault::new(format!("expected one key, found {}", entries.len()))),
            },
            _ => Err(Fault::invalid_type(self.unexpected(), &visitor)),
        })
    }

    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        <W: Visitor<'a>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple
        tuple_struct map
    }
}

struct Items<'a>(std::slice::Iter<'a, Node>);

impl<'a> de::SeqAccess<'a> for Items<'a> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        self.0
            .next()
            .map(|node| seed.deserialize(Reader(node)).map_err(|fault| fault.or_at(node.span)))
            .transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Entries<'a> {
    rest: std::slice::Iter<'a, Entry>,
    value: Option<&'a Entry>,
}

impl<'a> de::MapAccess<'a> for Entries<'a> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.value = self.rest.next();
        self.value
            .map(|entry| {
                let key: de::value::BorrowedStrDeserializer<'a, Fault> =
                    de::value::BorrowedStrDeserializer::new(&entry.key);
                seed.deserialize(key).map_err(|fault| {
                    let value = match &entry.value.kind {
                        Kind::Scalar { text, .. } => Some(text.as_str()),
                        _ => None,
                    };
                    fault.of_key(&entry.key, value).or_at(entry.key_span)
                })
            })
            .transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some(entry) = self.value.take() else {
            return Err(Fault::new("a value was asked for before its key"));
        };
        seed.deserialize(Reader(&entry.value)).map_err(|fault| {
            // Nothing was written, so there is nothing to point at but the key.
            let span = if entry.value.is_null() { entry.key_span } else { entry.value.span };
            if fault.span == Some(entry.value.span) { fault.at(span) } else { fault.or_at(span) }
        })
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

struct Variant<'a> {
    name: &'a str,
    name_span: Span,
    content: Option<Reader<'a>>,
}

impl<'a> de::EnumAccess<'a> for Variant<'a> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'a>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let name: de::value::StrDeserializer<'_, Fault> = self.name.into_deserializer();
        match seed.deserialize(name) {
            Ok(value) => Ok((value, self)),
            Err(fault) => Err(fault.or_at(self.name_span)),
        }
    }
}

impl<'a> Variant<'a> {
    fn content(self) -> Result<Reader<'a>, Fault> {
        self.content.ok_or_else(|| Fault::new(format!("`{}` needs a value", self.name)).at(self.name_span))
    }
}

impl<'a> de::VariantAccess<'a> for Variant<'a> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.content {
            None => Ok(()),
            Some(content) => Err(Fault::new(format!("`{}` takes no value", self.name)).at(content.0.span)),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'a>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(self.content()?)
    }

    fn tuple_variant<V: Visitor<'a>>(self, _len: usize, visitor: V) -> Result<V::Value, Fault> {
        self.content()?.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'a>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.content()?.deserialize_struct("", fields, visitor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tree::parse;
    use super::*;

    fn read<T: serde::de::DeserializeOwned>(yaml: &str) -> Result<T, Fault> {
        typed(&parse(yaml)?.documents[0])
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        let yaml = "[1, -2, 0x1f, 0o17, 010, 1.5, -.5, 1e3, true, False, ~, null, yes, on, 1_000, 0x, e3, .., '1', \
                    12:30, 2000-01-01, 18446744073709551615, +7]";
        let wanted = json!([
            1,
            -2,
            31,
            15,
            "010",
            1.5,
            -0.5,
            1000.0,
            true,
            false,
            null,
            null,
            "yes",
            "on",
            "1_000",
            "0x",
            "e3",
            "..",
            "1",
            "12:30",
            "2000-01-01",
            u64::MAX,
            7
        ]);
        assert_eq!(read::<Value>(yaml).unwrap(), wanted);
    }

    #[test]
    fn text_is_taken_as_written() {
        let texts: Vec<String> = read("[1.10, 0644, yes, true, '', \"a\\tb\"]").unwrap();
        assert_eq!(texts, ["1.10", "0644", "yes", "true", "", "a\tb"]);
        assert_eq!(read::<Vec<String>>("[~]").unwrap_err().title, "expected text, found nothing");
        assert_eq!(
            read::<Vec<u8>>("[300]").unwrap_err().title,
            "expected a whole number from 0 up, found the number 300"
        );
        assert_eq!(
            read::<Vec<u8>>("['3']").unwrap_err().title,
            "expected a whole number from 0 up, found the text \"3\""
        );
        assert!(read::<Vec<Option<u8>>>("[~]").is_err());
    }

    #[test]
    fn variants_are_words_or_maps_of_one_key() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Form {
            Plain,
            Number(u8),
            Named { x: u8 },
        }
        let forms: Vec<Form> = read("[plain, { number: 3 }, { named: { x: 4 } }]").unwrap();
        assert_eq!(forms, [Form::Plain, Form::Number(3), Form::Named { x: 4 }]);
        for bad in ["[number]", "[{ plain: 1 }]", "[{ number: 1, named: {} }]", "[other]", "[[]]", "[~]"] {
            assert!(read::<Vec<Form>>(bad).unwrap_err().span.is_some(), "{bad}");
        }
    }
}
