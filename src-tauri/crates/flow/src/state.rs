//! Updates of the flow state (semantics §8).

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::document::DocumentNode;
use crate::js;
use crate::run::{RunScope, TEXTS_LIMIT};
use crate::template::{Field, Path};

/// The rows of a node's `…UpdateState`.
#[derive(Debug, Default)]
pub(crate) struct Updates(Vec<(String, Field)>);

impl Updates {
    pub(crate) fn read(node: &DocumentNode, field: &str) -> Self {
        let accepts = node.accepts_variables_in_rows(field, "value");
        let rows = node.inputs.get(field).and_then(Value::as_array);
        Self(
            rows.into_iter()
                .flatten()
                .filter_map(|row| {
                    let key = row.get("key")?.as_str().filter(|key| !key.is_empty())?;
                    let value = row.get("value").filter(|value| !value.is_null());
                    let value = value.cloned().unwrap_or_else(|| Value::String(String::new()));
                    Some((key.to_owned(), Field::read(&value, accepts)))
                })
                .collect(),
        )
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn fields(&self, name: &'static str) -> impl Iterator<Item = (&'static str, &Field)> {
        self.0.iter().map(move |(_, field)| (name, field))
    }

    /// The state after the rows, with `{{ output }}` and `{{ output.path }}` replaced by what the node made. `None`
    /// if there are no rows.
    ///
    /// # Errors
    /// A value would become too large, for people.
    pub(crate) fn apply(&self, scope: &RunScope<'_>, output: &str) -> Result<Option<Arc<Value>>, String> {
        self.apply_with(scope, |value| replace_output(value, output))
    }

    /// The same for a Loop, where a value that mentions the output becomes it.
    pub(crate) fn apply_in_loop(
        &self,
        scope: &RunScope<'_>,
        output: &str,
    ) -> Result<Option<Arc<Value>>, String> {
        self.apply_with(scope, |value| match value {
            Value::String(text) if tokens(text).any(|token| token.path.is_none()) => {
                Ok(Some(Value::String(output.to_owned())))
            }
            _ => Ok(None),
        })
    }

    fn apply_with(
        &self,
        scope: &RunScope<'_>,
        replace: impl Fn(&Value) -> Result<Option<Value>, usize>,
    ) -> Result<Option<Arc<Value>>, String> {
        if self.is_empty() {
            return Ok(None);
        }
        let mut state = match &*scope.run.state {
            Value::Object(state) => state.clone(),
            _ => Map::new(),
        };
        for (key, field) in &self.0 {
            state.insert(key.clone(), field.resolve(scope));
        }
        // Values of earlier updates are looked at too: one that waited for an output gets it now.
        for (key, value) in &mut state {
            let new = replace(value).map_err(|limit| {
                format!(
                    "With {{{{ output }}}} replaced, {key} of the flow state would be too large: it may come to {} MiB",
                    limit >> 20
                )
            })?;
            if let Some(new) = new {
                *value = new;
            }
        }
        Ok(Some(Arc::new(Value::Object(state))))
    }
}

/// `{{ output }}` or `{{ output.path }}` in a text.
struct Token<'a> {
    start: usize,
    end: usize,
    path: Option<&'a str>,
}

fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let start = from + text[from..].find("{{")?;
            from = start + 2;
            // The end is looked for only where it can be one: a text may be full of beginnings.
            let Some(name) = trim_start(&text[from..]).strip_prefix("output") else {
                continue;
            };
            let behind = trim_start(name);
            let (close, path) = if behind.starts_with("}}") {
                (text.len() - behind.len(), None)
            } else if let Some(path) = name.strip_prefix('.') {
                let path = &path[..path.find("}}")?];
                let close = text.len() - name.len() + 1 + path.len();
                (close, Some(path.trim_end_matches(js::is_space)))
            } else {
                continue;
            };
            from = close + 2;
            return Some(Token {
                start,
                end: from,
                path,
            });
        }
    })
}

/// Without the white space at its beginning, as JavaScript sees it.
fn trim_start(text: &str) -> &str {
    text.trim_start_matches(js::is_space)
}

/// The value with the output in it; the limit, if it would be larger.
fn replace_output(value: &Value, output: &str) -> Result<Option<Value>, usize> {
    let Value::String(text) = value else {
        return Ok(None);
    };
    let found: Vec<Token<'_>> = tokens(text).collect();
    if found.is_empty() {
        return Ok(None);
    }
    if let Some(path) = found.iter().find_map(|token| token.path) {
        // The whole value becomes what the path finds; without it, or without JSON, it stays.
        let parsed: Option<Value> = serde_json::from_str(output).ok();
        let path = Path::parse(path);
        let value = parsed.and_then(|parsed| path.get(&parsed).map(|value| value.into_owned()));
        return Ok(value);
    }
    let bytes = text
        .len()
        .saturating_add(found.len().saturating_mul(output.len()));
    if bytes > TEXTS_LIMIT {
        return Err(TEXTS_LIMIT);
    }
    let mut new = String::with_capacity(bytes);
    let mut done = 0;
    for token in &found {
        new.push_str(&text[done..token.start]);
        new.push_str(output);
        done = token.end;
    }
    new.push_str(&text[done..]);
    Ok(Some(Value::String(new)))
}
