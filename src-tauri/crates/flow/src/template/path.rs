//! Paths into values, as lodash `get` reads them (semantics §7.3).

use std::borrow::Cow;

use serde_json::Value;

use crate::js;

/// A path such as `body.items[0].name`, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    whole: Box<str>,
    segments: Vec<Box<str>>,
}

impl Path {
    /// Reads a path. Every text is one: what is not well-formed simply finds nothing.
    pub fn parse(text: &str) -> Self {
        Self {
            whole: text.into(),
            segments: split(text),
        }
    }

    /// It as it was written.
    pub(crate) const fn as_text(&self) -> &str {
        &self.whole
    }

    /// Whether its first segment is one of these.
    pub(crate) fn begins_with(&self, names: &[&str]) -> bool {
        self.segments
            .first()
            .is_some_and(|first| names.contains(&&**first))
    }

    /// The value at the end of the path: `None` if it leads nowhere (JavaScript's `undefined`). A key of the root
    /// that equals the whole path wins.
    pub fn get<'v>(&self, root: &'v Value) -> Option<Cow<'v, Value>> {
        if let Value::Object(object) = root
            && let Some(value) = object.get(&*self.whole)
        {
            return Some(Cow::Borrowed(value));
        }
        walk(root, &self.segments)
    }

    /// The first segment, and the value that the rest of the path finds in what `first` returns for it.
    pub(crate) fn get_from<'v>(
        &self,
        first: impl FnOnce(&str) -> Option<Cow<'v, Value>>,
    ) -> Option<Cow<'v, Value>> {
        let (head, rest) = self.segments.split_first()?;
        match first(head)? {
            Cow::Borrowed(value) => walk(value, rest),
            Cow::Owned(value) => walk(&value, rest).map(|found| Cow::Owned(found.into_owned())),
        }
    }

    /// Whether it names something that every JavaScript object has (webhook spec §6, mode `text`).
    pub(crate) fn touches_prototype(&self) -> bool {
        self.segments
            .iter()
            .any(|segment| matches!(&**segment, "__proto__" | "constructor" | "prototype"))
    }
}

fn walk<'v>(mut value: &'v Value, segments: &[Box<str>]) -> Option<Cow<'v, Value>> {
    for (index, segment) in segments.iter().enumerate() {
        value = match value {
            Value::Object(object) => object.get(&**segment)?,
            Value::Array(items) => match array_index(segment) {
                Some(place) => items.get(place)?,
                None if &**segment == "length" => {
                    return computed(items.len().into(), &segments[index + 1..]);
                }
                None => return None,
            },
            Value::String(text) => {
                if &**segment == "length" {
                    return computed(text.encode_utf16().count().into(), &segments[index + 1..]);
                }
                let unit = text.encode_utf16().nth(array_index(segment)?)?;
                let letter = String::from_utf16_lossy(&[unit]);
                return computed(Value::String(letter), &segments[index + 1..]);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => return None,
        };
    }
    Some(Cow::Borrowed(value))
}

fn computed<'v>(value: Value, rest: &[Box<str>]) -> Option<Cow<'v, Value>> {
    if rest.is_empty() {
        return Some(Cow::Owned(value));
    }
    walk(&value, rest).map(|found| Cow::Owned(found.into_owned()))
}

/// An index as JavaScript knows it: digits without a leading zero.
fn array_index(segment: &str) -> Option<usize> {
    let canonical = segment == "0" || (!segment.starts_with('0') && !segment.is_empty());
    if canonical && segment.bytes().all(|byte| byte.is_ascii_digit()) {
        segment.parse().ok()
    } else {
        None
    }
}

fn split(text: &str) -> Vec<Box<str>> {
    let mut segments: Vec<Box<str>> = Vec::new();
    let mut rest = text;
    if rest.starts_with('.') {
        segments.push("".into());
    }
    while let Some(first) = rest.chars().next() {
        match first {
            '.' => {
                rest = &rest[1..];
                // Two dots, or one at the end, name an empty key.
                if rest.is_empty() || rest.starts_with('.') {
                    segments.push("".into());
                }
            }
            '[' => match bracket(&rest[1..]) {
                Some((key, after)) => {
                    segments.push(key.into());
                    rest = after;
                }
                None => rest = &rest[1..],
            },
            ']' => rest = &rest[1..],
            _ => {
                let end = rest.find(['.', '[', ']']).unwrap_or(rest.len());
                segments.push(rest[..end].into());
                rest = &rest[end..];
            }
        }
    }
    segments
}

/// What stands between brackets, a number or a quoted text, and what follows them.
fn bracket(inside: &str) -> Option<(String, &str)> {
    let quote = inside.chars().next()?;
    if quote == '"' || quote == '\'' {
        let mut key = String::new();
        let mut chars = inside[1..].char_indices();
        while let Some((at, c)) = chars.next() {
            if c == '\\' {
                key.push(chars.next()?.1);
            } else if c == quote {
                let after = inside[1 + at + 1..].strip_prefix(']')?;
                return Some((key, after));
            } else {
                key.push(c);
            }
        }
        return None;
    }
    let (key, after) = inside.split_once(']')?;
    let digits = key.strip_prefix('-').unwrap_or(key);
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.ends_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    numeric.then(|| (key.to_owned(), after))
}

/// The value as it stands in a text, or `None` where `null` and `undefined` both leave the reference alone.
pub(crate) fn present(found: Option<Cow<'_, Value>>) -> Option<String> {
    match found {
        None => None,
        Some(value) if value.is_null() => None,
        Some(Cow::Owned(Value::String(text))) => Some(text),
        Some(value) => Some(js::text(&value).into_owned()),
    }
}
