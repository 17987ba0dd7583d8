//! Tools (format §5.13): what an Agent lets its model call, and what a Tool node calls itself.
//!
//! Those that need no account run here. Any other can be imported; it fails the step that needs it, by name.

mod calculator;
mod clock;
mod json_path;
mod requests;
mod script;

use std::fmt;

use serde_json::{Map, Value, json};

use crate::js;
use crate::lenient;
use crate::model::ToolDefinition;
use crate::run::RunScope;
use crate::template::Field;

/// The longest name that all providers take.
const NAME_LIMIT: usize = 64;

/// What runs here, for errors.
const KNOWN: &str = "calculator, currentDateTime, jsonPathExtractor, customTool, requestsGet, requestsPost, \
                     requestsPut and requestsDelete";

/// A tool with its settings.
#[derive(Debug)]
pub(crate) struct Tool {
    /// The component, as the export names it.
    pub(crate) component: String,
    /// Its name for the model.
    pub(crate) name: String,
    description: String,
    /// The JSON schema of its arguments.
    parameters: Value,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Calculator,
    Clock,
    JsonPath(json_path::JsonPath),
    Script(script::CustomTool),
    Request(Box<requests::RequestTool>),
    Store(String),
    /// It is not there, and this is why.
    Missing(String),
}

impl Tool {
    /// The tool of a component, with the settings that the export has for it.
    pub(crate) fn read(component: &str, config: &Map<String, Value>) -> Self {
        let tool = |name: &str, description: &str, parameters: Value, work: Work| Self {
            component: component.to_owned(),
            name: name_for_models(name),
            description: description.to_owned(),
            parameters,
            work,
        };
        match component {
            "calculator" => tool(
                "calculator",
                calculator::DESCRIPTION,
                calculator::parameters(),
                Work::Calculator,
            ),
            "currentDateTime" => tool(
                "current_date_time",
                clock::DESCRIPTION,
                no_parameters(),
                Work::Clock,
            ),
            "jsonPathExtractor" => tool(
                "json_path_extractor",
                json_path::DESCRIPTION,
                json_path::parameters(),
                Work::JsonPath(json_path::JsonPath::read(config)),
            ),
            "customTool" => match script::CustomTool::read(config) {
                Ok((custom, name, description, parameters)) => {
                    tool(&name, &description, parameters, Work::Script(custom))
                }
                Err(why) => tool("custom_tool", "", no_parameters(), Work::Missing(why)),
            },
            _ => match requests::RequestTool::read(component, config) {
                Some((request, name, description, parameters)) => {
                    tool(&name, &description, parameters, Work::Request(Box::new(request)))
                }
                None => {
                    let what = if component.to_ascii_lowercase().ends_with("mcp") {
                        format!("The MCP server “{component}” and its tools are")
                    } else {
                        format!("The tool “{component}” is")
                    };
                    let why = format!("{what} not available here; what is: {KNOWN}");
                    tool(component, "", no_parameters(), Work::Missing(why))
                }
            },
        }
    }

    /// A look-up in a document store, as a tool.
    pub(crate) fn of_store(store: &str, description: &str) -> Self {
        let name = store.split_once(':').map_or(store, |(_, name)| name);
        Self {
            component: "documentStore".to_owned(),
            name: name_for_models(name),
            description: description.to_owned(),
            parameters: object(&[(
                "input",
                json!({"type": "string", "description": "What is looked for"}),
                true,
            )]),
            work: Work::Store(store.to_owned()),
        }
    }

    /// Something that is not there, with why.
    pub(crate) fn missing(component: &str, why: String) -> Self {
        Self {
            component: component.to_owned(),
            name: name_for_models(component),
            description: String::new(),
            parameters: no_parameters(),
            work: Work::Missing(why),
        }
    }

    /// Why it is not there, if it is not.
    pub(crate) fn lacks(&self) -> Option<&str> {
        match &self.work {
            Work::Missing(why) => Some(why),
            _ => None,
        }
    }

    /// What of it works less well here, in sentences that the step's name goes before.
    pub(crate) fn degraded(&self) -> Vec<String> {
        match &self.work {
            Work::Script(custom) => custom.degraded(&self.name),
            _ => Vec::new(),
        }
    }

    /// The store that it looks into.
    pub(crate) fn store(&self) -> Option<&str> {
        match &self.work {
            Work::Store(store) => Some(store),
            _ => None,
        }
    }

    /// Its settings that may hold references.
    pub(crate) fn fields(&self) -> Vec<&Field> {
        match &self.work {
            Work::Request(request) => request.fields(),
            _ => Vec::new(),
        }
    }

    /// It, for a model.
    pub(crate) fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: self.name.clone(),
            description: self.description.clone(),
            parameters: self.parameters.clone(),
        }
    }

    /// Whether these can be arguments at all.
    pub(crate) const fn takes(arguments: &Value) -> bool {
        matches!(arguments, Value::Object(_) | Value::Null)
    }

    /// Calls it. `key` is equal each time the same call of the same run is made.
    pub(crate) async fn call(
        &self,
        scope: &RunScope<'_>,
        arguments: &Value,
        key: String,
    ) -> Result<Found, String> {
        let none = Map::new();
        let arguments = match arguments {
            Value::Object(arguments) => arguments,
            Value::Null => &none,
            _ => return Err("The arguments are no JSON object".to_owned()),
        };
        match &self.work {
            Work::Calculator => calculator::call(arguments).map(Found::text),
            Work::Clock => Ok(Found::text(clock::call(scope.host.now()))),
            Work::JsonPath(path) => path.call(arguments).map(Found::text),
            Work::Script(custom) => custom.call(scope, arguments, key).await.map(Found::value),
            Work::Request(request) => request.call(scope, arguments, key).await.map(Found::text),
            Work::Store(store) => {
                let query = arguments.get("input").map(js::text).unwrap_or_default();
                let passages = scope.look_up(store, query.into_owned()).await?;
                let texts: Vec<&str> = passages
                    .iter()
                    .map(|passage| passage.page_content.as_str())
                    .collect();
                Ok(Found {
                    content: texts.join("\n\n").into(),
                    documents: passages.iter().map(|passage| json!(passage)).collect(),
                })
            }
            Work::Missing(why) => Err(why.clone()),
        }
    }
}

/// What a tool gave.
pub(crate) struct Found {
    /// A text, or what it returned.
    pub(crate) content: Value,
    /// Where it comes from, for look-ups.
    pub(crate) documents: Vec<Value>,
}

impl Found {
    fn text(text: String) -> Self {
        Self::value(text.into())
    }

    fn value(content: Value) -> Self {
        Self {
            content,
            documents: Vec::new(),
        }
    }
}

/// A name that all providers take: small letters, digits, `_` and `-`.
fn name_for_models(name: &str) -> String {
    let letters = name.to_lowercase().replace(' ', "_");
    let kept: String = letters
        .chars()
        .filter(|letter| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '_' | '-')
        })
        .take(NAME_LIMIT)
        .collect();
    if kept.is_empty() { "tool".to_owned() } else { kept }
}

/// The schema of an object: name, schema and whether it is required.
fn object(properties: &[(&str, Value, bool)]) -> Value {
    let required: Vec<&str> = properties
        .iter()
        .filter(|(_, _, required)| *required)
        .map(|(name, _, _)| *name)
        .collect();
    let properties: Map<String, Value> = properties
        .iter()
        .map(|(name, schema, _)| ((*name).to_owned(), schema.clone()))
        .collect();
    json!({"type": "object", "properties": properties, "required": required})
}

fn no_parameters() -> Value {
    object(&[])
}

/// The text of a setting; one that is not set, or set to nothing, is none.
fn setting<'a>(config: &'a Map<String, Value>, names: &[&str]) -> Option<&'a str> {
    let mut texts = names.iter().filter_map(|name| config.get(*name)?.as_str());
    texts.find(|text| !js::trim(text).is_empty())
}

/// JSON in a setting, which may be the value itself.
fn json_setting(value: &Value) -> Result<Value, String> {
    match value {
        Value::String(text) => lenient::parse(text),
        other => Ok(other.clone()),
    }
}

/// The error of a tool with what it is about.
fn failed(what: &str, error: impl fmt::Display) -> String {
    format!("{what}: {error}")
}
