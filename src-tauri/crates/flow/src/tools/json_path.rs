//! Finds a value in JSON.

use serde_json::{Map, Value, json};

use super::{failed, object};
use crate::js;
use crate::template::Path;
use countersign_domain::json as bounded;

/// How much of the JSON in which nothing was found is repeated, in characters.
const SHOWN: usize = 200;

pub(super) const DESCRIPTION: &str = "Finds the value at a path that is set, in JSON.";

pub(super) fn parameters() -> Value {
    let kinds = json!({"description": "The JSON", "anyOf": [
        {"type": "string"}, {"type": "object"}, {"type": "array", "items": {}},
    ]});
    object(&[("json", kinds, true)])
}

#[derive(Debug)]
pub(super) struct JsonPath {
    /// As it is written; empty if it is not set.
    written: String,
    path: Path,
    null_on_error: bool,
}

impl JsonPath {
    pub(super) fn read(config: &Map<String, Value>) -> Self {
        let written = config.get("path").and_then(Value::as_str).unwrap_or_default();
        Self {
            written: written.to_owned(),
            path: Path::parse(js::trim(written)),
            null_on_error: js::truthy(config.get("returnNullOnError")),
        }
    }

    pub(super) fn call(&self, arguments: &Map<String, Value>) -> Result<String, String> {
        match self.find(arguments) {
            Err(_) if self.null_on_error => Ok("null".to_owned()),
            found => found,
        }
    }

    fn find(&self, arguments: &Map<String, Value>) -> Result<String, String> {
        if js::trim(&self.written).is_empty() {
            return Err("JSON Path is required".to_owned());
        }
        let parsed;
        let value = match arguments.get("json") {
            Some(Value::String(text)) => {
                parsed = bounded::parse(text.as_bytes(), bounded::MOST)
                    .map_err(|error| failed("Invalid JSON string", error))?;
                &parsed
            }
            Some(value) => value,
            None => return Err("There is no JSON".to_owned()),
        };
        match self.path.get(value) {
            Some(found) => Ok(js::text(&found).into_owned()),
            None => {
                let shown: String = js::json_text(value).chars().take(SHOWN).collect();
                Err(format!(
                    "Path \"{}\" not found in JSON. Received: {shown}",
                    self.written
                ))
            }
        }
    }
}
