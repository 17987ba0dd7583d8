//! Answers in a form that the node describes (format §5.11): the schema that the model gets, and what is made of its
//! answer.

use serde_json::{Map, Value, json};

use crate::js;
use crate::lenient;

/// How much of an answer in another form is repeated, in characters.
const SHOWN: usize = 200;

/// The form of an answer: an object with these keys.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Form {
    keys: Vec<(String, Value)>,
}

impl Form {
    /// From the rows of the node, references replaced; `None` if there are none.
    pub(super) fn read(rows: &Value) -> Result<Option<Self>, String> {
        let mut keys = Vec::new();
        for row in rows.as_array().into_iter().flatten() {
            let text = |name: &str| row.get(name).map(js::text).unwrap_or_default().into_owned();
            let key = text("key");
            if key.is_empty() {
                continue;
            }
            let mut schema = match text("type").as_str() {
                "number" => json!({"type": "number"}),
                "boolean" => json!({"type": "boolean"}),
                "stringArray" => json!({"type": "array", "items": {"type": "string"}}),
                "enum" => {
                    let values = text("enumValues");
                    let values: Vec<&str> = values
                        .split(',')
                        .map(js::trim)
                        .filter(|v| !v.is_empty())
                        .collect();
                    json!({"type": "string", "enum": values})
                }
                "jsonArray" => json!({"type": "array", "items": items(&key, row.get("jsonSchema"))?}),
                _ => json!({"type": "string"}),
            };
            let description = text("description");
            if !description.is_empty() {
                schema["description"] = description.into();
            }
            keys.push((key, schema));
        }
        Ok((!keys.is_empty()).then_some(Self { keys }))
    }

    /// The JSON schema.
    pub(super) fn schema(&self) -> Value {
        let properties: Map<String, Value> = self.keys.iter().cloned().collect();
        object(properties)
    }

    /// The answer as the object that it is, keys in the order of the rows.
    pub(super) fn parse(&self, answer: &str) -> Result<Map<String, Value>, String> {
        let refused = |why: &str| {
            let shown: String = answer.chars().take(SHOWN).collect();
            format!("The model did not answer in the form that was asked for: {why}. It said: {shown}")
        };
        let Ok(Value::Object(mut found)) = lenient::parse(inside_fences(answer)) else {
            return Err(refused("it is no JSON object"));
        };
        let mut parsed = Map::with_capacity(self.keys.len());
        for (key, schema) in &self.keys {
            let Some(value) = found.shift_remove(key) else {
                return Err(refused(&format!("“{key}” is missing")));
            };
            if !fits(&value, schema) {
                return Err(refused(&format!("“{key}” is not what it should be")));
            }
            parsed.insert(key.clone(), value);
        }
        Ok(parsed)
    }
}

/// Whether a value is of the type that was asked for, and one of the values if they are listed.
fn fits(value: &Value, schema: &Value) -> bool {
    let of_type = match schema["type"].as_str() {
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        _ => value.is_string(),
    };
    let listed = schema["enum"].as_array();
    of_type && listed.is_none_or(|values| values.is_empty() || values.contains(value))
}

/// The schema of a list's items: the row has a schema for each of their keys, or nothing.
fn items(key: &str, written: Option<&Value>) -> Result<Value, String> {
    let properties = match written {
        None | Some(Value::Null) => return Ok(json!({"type": "object"})),
        Some(Value::String(text)) if js::trim(text).is_empty() => return Ok(json!({"type": "object"})),
        Some(Value::String(text)) => lenient::parse(text)
            .map_err(|error| format!("The JSON schema of “{key}” cannot be read: {error}"))?,
        Some(other) => other.clone(),
    };
    match properties {
        Value::Object(properties) => Ok(object(properties)),
        _ => Err(format!("The JSON schema of “{key}” is no object")),
    }
}

fn object(properties: Map<String, Value>) -> Value {
    let required: Vec<String> = properties.keys().cloned().collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// What stands between ``` marks, if there are any: models like to put JSON there.
pub(super) fn inside_fences(answer: &str) -> &str {
    let Some((_, behind)) = answer.split_once("```") else {
        return js::trim(answer);
    };
    // The word behind the marks names the language.
    let behind = behind.split_once('\n').map_or(behind, |(word, rest)| {
        if word.trim().chars().all(char::is_alphanumeric) {
            rest
        } else {
            behind
        }
    });
    let inside = behind.split_once("```").map_or(behind, |(inside, _)| inside);
    js::trim(inside)
}
