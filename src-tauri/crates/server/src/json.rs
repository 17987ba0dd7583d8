//! JSON from strangers: bounded in depth and in the number of values.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a text was not taken.
#[derive(Debug)]
pub(crate) enum Problem {
    /// It is no JSON, or nested deeper than 127 levels, or holds a number that cannot be kept.
    Malformed(serde_json::Error),
    /// It holds more values than allowed.
    TooMany,
}

/// Reads one JSON value. As in JavaScript, the last of equal keys wins and integers beyond 64 bit become
/// floating.
pub(crate) fn parse(text: &[u8], value_limit: usize) -> Result<Value, Problem> {
    let left = Cell::new(value_limit);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Counted(&left).deserialize(&mut deserializer).and_then(|value| {
        deserializer.end()?;
        Ok(value)
    });
    value.map_err(|error| {
        if left.get() == 0 {
            Problem::TooMany
        } else {
            Problem::Malformed(error)
        }
    })
}

/// Builds a value and counts it, so that reading stops before memory is spent.
struct Counted<'a>(&'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for Counted<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.0.get() {
            0 | 1 => {
                self.0.set(0);
                Err(D::Error::custom("too many values"))
            }
            left => {
                self.0.set(left - 1);
                deserializer.deserialize_any(self)
            }
        }
    }
}

impl<'de> Visitor<'de> for Counted<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Counted(self.0))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Counted(self.0))?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
