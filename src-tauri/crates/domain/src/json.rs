//! JSON from outside, bounded in depth and in the number of values: what is read becomes part of a run, and a run has
//! to fit into memory and has to be readable again after a restart.
//!
//! As in JavaScript, the last of equal keys wins and integers beyond 64 bit become floating.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How many arrays and objects may lie in one another. A stored run is read with at most 127 levels (`serde_json`);
/// six of them are the run's own and two go to each flow that called another.
pub const DEEPEST: usize = 64;

/// How many values there may be. In memory each takes 72 bytes and more.
pub const MOST: usize = 1_000_000;

/// Which bound was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Beyond {
    /// Of depth, [`DEEPEST`].
    #[error("it is nested more than {DEEPEST} levels deep")]
    Depth,
    /// Of the number of values, which is told.
    #[error("it holds more than {0} values")]
    Number(usize),
}

/// Why a text was not read.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It is no JSON, or holds a number that cannot be kept.
    #[error("{0}")]
    Malformed(serde_json::Error),
    /// It is more than is read.
    #[error("{0}")]
    Beyond(Beyond),
}

/// Reads one strict JSON value that holds at most `most` values.
///
/// # Errors
/// [`Problem`]; reading stops at the bound, before memory is spent.
pub fn parse(text: &[u8], most: usize) -> Result<Value, Problem> {
    let bounds = Bounds::new(most);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = bounds.outermost().deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| match bounds.beyond.get() {
        Some(beyond) => Problem::Beyond(beyond),
        None => Problem::Malformed(error),
    })
}

/// Whether a value that came another way lies within [`DEEPEST`] and [`MOST`].
///
/// # Errors
/// [`Beyond`]
pub fn check(value: &Value) -> Result<(), Beyond> {
    let bounds = Bounds::new(MOST);
    // Nothing else can be wrong with it: it is a value already.
    let _ = bounds.outermost().deserialize(value);
    bounds.beyond.get().map_or(Ok(()), Err)
}

/// A value within [`DEEPEST`] and [`MOST`], for readers of other notations.
pub struct Bounded(pub Value);

impl<'de> Deserialize<'de> for Bounded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Bounds::new(MOST).outermost().deserialize(deserializer).map(Self)
    }
}

struct Bounds {
    most: usize,
    left: Cell<usize>,
    beyond: Cell<Option<Beyond>>,
}

impl Bounds {
    const fn new(most: usize) -> Self {
        Self {
            most,
            left: Cell::new(most),
            beyond: Cell::new(None),
        }
    }

    fn outermost(&self) -> Within<'_> {
        Within {
            bounds: self,
            depth: 0,
        }
    }
}

/// Reads a value that lies in this many arrays and objects.
#[derive(Clone, Copy)]
struct Within<'a> {
    bounds: &'a Bounds,
    depth: usize,
}

impl<'a> Within<'a> {
    fn stop<E: serde::de::Error>(self, beyond: Beyond) -> E {
        self.bounds.beyond.set(Some(beyond));
        E::custom(beyond)
    }

    fn inner<E: serde::de::Error>(self) -> Result<Within<'a>, E> {
        if self.depth == DEEPEST {
            return Err(self.stop(Beyond::Depth));
        }
        Ok(Within {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Within<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let Some(left) = self.bounds.left.get().checked_sub(1) else {
            return Err(self.stop(Beyond::Number(self.bounds.most)));
        };
        self.bounds.left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Within<'_> {
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

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number is out of range"))?;
        Ok(Value::Number(number))
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
        let inner = self.inner()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            object.insert(key, entries.next_value_seed(inner)?);
        }
        Ok(Value::Object(object))
    }
}
