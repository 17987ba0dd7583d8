//! An answer that comes in pieces.

use countersign_domain::json as bounded;
use serde_json::{Map, Value};

use crate::{ModelError, Reply, ToolCall, Usage};

/// How many tools a model may want to be called at once.
const CALLS_MAX: usize = 128;

/// What has come so far.
#[derive(Debug, Default)]
pub(crate) struct Partial {
    pub(crate) content: String,
    pub(crate) reasoning: String,
    calls: Vec<PartialCall>,
    pub(crate) input_tokens: Option<u64>,
    pub(crate) output_tokens: Option<u64>,
    pub(crate) model: Option<String>,
    pub(crate) finish_reason: Option<String>,
    /// Whether the provider said that this is all.
    pub(crate) ended: bool,
}

#[derive(Debug, Default)]
struct PartialCall {
    /// The place that the provider gives it.
    place: u64,
    id: String,
    name: String,
    arguments: String,
}

impl Partial {
    /// A piece of a call.
    pub(crate) fn call(
        &mut self,
        place: u64,
        id: Option<&str>,
        name: Option<&str>,
        arguments: &str,
    ) -> Result<(), ModelError> {
        let known = self.calls.iter().position(|call| call.place == place);
        let at = match known {
            Some(at) => at,
            None if self.calls.len() >= CALLS_MAX => {
                return Err(ModelError::NotUnderstood(format!(
                    "it calls more than {CALLS_MAX} tools at once"
                )));
            }
            None => {
                self.calls.push(PartialCall {
                    place,
                    ..PartialCall::default()
                });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at];
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            id.clone_into(&mut call.id);
        }
        call.name.push_str(name.unwrap_or_default());
        call.arguments.push_str(arguments);
        Ok(())
    }

    pub(crate) const fn calls(&self) -> usize {
        self.calls.len()
    }

    /// The answer as a whole. `earlier` is how many calls the conversation holds already, so that ids that are made up
    /// differ.
    pub(crate) fn whole(self, earlier: usize) -> Reply {
        let calls = self.calls.into_iter().enumerate();
        let usage = match (self.input_tokens, self.output_tokens) {
            (None, None) => None,
            (input, output) => Some(Usage {
                input: input.unwrap_or_default(),
                output: output.unwrap_or_default(),
            }),
        };
        Reply {
            content: self.content,
            reasoning: Some(self.reasoning).filter(|text| !text.is_empty()),
            tool_calls: calls
                .map(|(at, call)| ToolCall {
                    id: if call.id.is_empty() {
                        format!("call_{}", earlier + at + 1)
                    } else {
                        call.id
                    },
                    name: call.name,
                    arguments: arguments(&call.arguments),
                })
                .collect(),
            usage,
            model: self.model,
            finish_reason: self.finish_reason,
        }
    }
}

/// Arguments as models write them: JSON in a text, or nothing.
fn arguments(text: &str) -> Value {
    if text.trim().is_empty() {
        return Value::Object(Map::new());
    }
    // They become part of a run, which has to be readable again.
    bounded::parse(text.as_bytes(), bounded::MOST).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// The text under this name.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}
