//! The Start node's settings, typed (webhook spec §6). The editor's defaults are not applied: what a document does
//! not say has the meaning of the column "if absent".

use std::fmt;

use serde_json::{Map, Value};

use crate::js;
use crate::schedule::Schedule;
use crate::template::Template;

/// What begins a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StartTrigger {
    /// A chat message.
    ChatInput,
    /// A submitted form.
    FormInput,
    /// A call of the flow's webhook.
    WebhookTrigger,
    /// A schedule.
    ScheduleInput,
    /// The document names none, or none that there is.
    Unknown,
}

/// What the run's question is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InputMode {
    /// `webhookDefaultInput` with its `$webhook` references replaced.
    Text,
    /// A single space.
    None,
    /// There is no question; nodes see the payload as JSON.
    Payload,
}

/// How the caller gets the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResponseMode {
    /// In the HTTP answer.
    Sync,
    /// By callback, after a 202.
    Async,
    /// As server-sent events.
    Stream,
}

/// How a call proves where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureKind {
    /// An HMAC over the raw body.
    HmacSha256,
    /// The secret itself.
    PlainToken,
}

/// Signature verification, if the flow asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureSettings {
    /// The name of the header, lower case.
    pub header: String,
    /// What it carries.
    pub kind: SignatureKind,
}

/// A declared header or query parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name as it was declared.
    pub name: String,
    /// Whether a call without it is refused.
    pub required: bool,
}

/// A declared field of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyParameter {
    /// Its name.
    pub name: String,
    /// Whether a call without it is refused.
    pub required: bool,
    /// What it must be, if that was declared.
    pub kind: Option<ParameterType>,
}

/// The declared type of a body field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterType(String);

impl ParameterType {
    /// Whether a value that is present (not null) is of this type (webhook spec §4, type rules).
    pub fn accepts(&self, value: &Value) -> bool {
        match self.0.as_str() {
            "number" => value != "" && !js::number(value).is_nan(),
            "boolean" => value.is_boolean() || value == "true" || value == "false",
            "object" => value.is_object(),
            "array[string]" => all(value, Value::is_string),
            "array[number]" => all(value, Value::is_number),
            "array[boolean]" => all(value, Value::is_boolean),
            "array[object]" => all(value, Value::is_object),
            // Any other word is compared with what `typeof` says; objects and lists have types of their own above.
            word => word == if value.is_string() { "string" } else { "" },
        }
    }
}

fn all(value: &Value, accepts: impl Fn(&Value) -> bool) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(accepts))
}

/// What is checked of a call when `webhookEnableValidation` is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validation {
    /// Declared headers; their names are to be compared in lower case.
    pub headers: Vec<Parameter>,
    /// Declared top-level fields of the body.
    pub body: Vec<BodyParameter>,
    /// Declared query parameters.
    pub query: Vec<Parameter>,
}

/// Everything that the Start node says.
#[derive(Clone)]
pub struct StartSettings {
    /// What begins a run.
    pub trigger: StartTrigger,
    /// The method a call must have, as written; any if absent.
    pub method: Option<String>,
    /// What the content type of a body must begin with; not checked if absent.
    pub content_type: Option<String>,
    /// What the question is made of.
    pub input_mode: InputMode,
    /// Signature verification, if it is switched on.
    pub signature: Option<SignatureSettings>,
    /// How the caller gets the result.
    pub response_mode: ResponseMode,
    /// Where callbacks go. Used only in async mode.
    pub callback_url: Option<String>,
    /// What callbacks are signed with. Never shown by `Debug`.
    pub callback_secret: Option<String>,
    /// What is checked of a call, if that is switched on.
    pub validation: Option<Validation>,
    /// Whether earlier messages of the chat are left out of the run.
    pub ephemeral_memory: bool,
    /// Whether the flow state of the chat's previous run is taken over, see [`crate::Run::begin_in_state`].
    pub persist_state: bool,
    /// When the flow runs by itself, or why its schedule cannot be used. None for the other triggers.
    pub schedule: Option<Result<Schedule, String>>,
    /// The rows of its state that have a key and no value.
    pub(crate) state_without_value: Vec<String>,
    pub(crate) default_input: Template,
    pub(crate) state: InitialState,
    /// The form as it is shown: `{"title","description","inputs"}`.
    pub form: Value,
}

/// The rows of `startState`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum InitialState {
    Rows(Vec<(String, Value)>),
    /// Not readable: the run fails with `Invalid Flow State` (format §5.1).
    Invalid,
}

impl fmt::Debug for StartSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartSettings")
            .field("trigger", &self.trigger)
            .field("method", &self.method)
            .field("content_type", &self.content_type)
            .field("input_mode", &self.input_mode)
            .field("signature", &self.signature)
            .field("response_mode", &self.response_mode)
            .field("callback_url", &self.callback_url)
            .field("callback_secret", &self.callback_secret.as_ref().map(|_| "***"))
            .field("validation", &self.validation)
            .field("ephemeral_memory", &self.ephemeral_memory)
            .field("persist_state", &self.persist_state)
            .finish_non_exhaustive()
    }
}

impl StartSettings {
    /// Why a run cannot be begun by the prediction API or by another flow that calls this one (semantics §1, webhook spec
    /// §10). `id` is the flow's.
    pub fn wrong_entry(&self, id: &str) -> Option<String> {
        match self.trigger {
            StartTrigger::WebhookTrigger => {
                let method = self.method.as_deref().unwrap_or("POST");
                Some(format!(
                    "This flow is configured as a Webhook Trigger. Call {method} /api/v1/webhook/{id} instead of the \
                     prediction API."
                ))
            }
            StartTrigger::ScheduleInput => Some(
                "This flow is configured as a Schedule Trigger. It runs by its schedule and cannot be started by the \
                 prediction API."
                    .to_owned(),
            ),
            StartTrigger::ChatInput | StartTrigger::FormInput | StartTrigger::Unknown => None,
        }
    }

    pub(crate) fn read(inputs: &Map<String, Value>) -> Self {
        let text = |name: &str| {
            inputs
                .get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        let owned = |name: &str| text(name).map(str::to_owned);
        // Only the boolean counts: the texts "true" and "" are what the editor leaves behind.
        let trigger = match text("startInputType") {
            Some("chatInput") => StartTrigger::ChatInput,
            Some("formInput") => StartTrigger::FormInput,
            Some("webhookTrigger") => StartTrigger::WebhookTrigger,
            Some("scheduleInput") => StartTrigger::ScheduleInput,
            _ => StartTrigger::Unknown,
        };
        let flag = |name: &str| inputs.get(name) == Some(&Value::Bool(true));
        Self {
            trigger,
            method: owned("webhookMethod"),
            content_type: owned("webhookContentType"),
            input_mode: match text("webhookInputMode") {
                Some("none") => InputMode::None,
                Some("payload") => InputMode::Payload,
                _ => InputMode::Text,
            },
            signature: flag("webhookEnableAuth").then(|| SignatureSettings {
                header: text("webhookSignatureHeader")
                    .unwrap_or("x-webhook-signature")
                    .to_lowercase(),
                kind: match text("webhookSignatureType") {
                    Some("plain-token") => SignatureKind::PlainToken,
                    _ => SignatureKind::HmacSha256,
                },
            }),
            response_mode: match text("webhookResponseMode") {
                Some("async") => ResponseMode::Async,
                Some("stream") => ResponseMode::Stream,
                _ => ResponseMode::Sync,
            },
            callback_url: owned("callbackUrl"),
            callback_secret: owned("callbackSecret"),
            validation: flag("webhookEnableValidation").then(|| Validation {
                headers: parameters(inputs.get("webhookHeaderParams")),
                body: rows(inputs.get("webhookBodyParams"))
                    .map(|(name, required, row)| BodyParameter {
                        name,
                        required,
                        kind: row
                            .get("type")
                            .and_then(Value::as_str)
                            .filter(|kind| !kind.is_empty())
                            .map(|kind| ParameterType(kind.to_owned())),
                    })
                    .collect(),
                query: parameters(inputs.get("webhookQueryParams")),
            }),
            ephemeral_memory: flag("startEphemeralMemory"),
            persist_state: flag("startPersistState"),
            default_input: Template::parse_webhook_only(text("webhookDefaultInput").unwrap_or_default()),
            state: initial_state(inputs.get("startState")),
            state_without_value: without_value(inputs.get("startState")),
            schedule: (trigger == StartTrigger::ScheduleInput).then(|| Schedule::read(inputs)),
            form: serde_json::json!({
                "title": inputs.get("formTitle"),
                "description": inputs.get("formDescription"),
                "inputs": inputs.get("formInputTypes"),
            }),
        }
    }
}

fn rows(value: Option<&Value>) -> impl Iterator<Item = (String, bool, &Map<String, Value>)> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|row| {
            let row = row.as_object()?;
            let name = row.get("name")?.as_str().filter(|name| !name.is_empty())?;
            Some((
                name.to_owned(),
                row.get("required") == Some(&Value::Bool(true)),
                row,
            ))
        })
}

fn parameters(value: Option<&Value>) -> Vec<Parameter> {
    rows(value)
        .map(|(name, required, _)| Parameter { name, required })
        .collect()
}

/// The keys of rows that have none of a value, see [`initial_state`].
fn without_value(state: Option<&Value>) -> Vec<String> {
    let parsed;
    let rows = match state {
        Some(Value::String(text)) => {
            parsed = serde_json::from_str(text).unwrap_or(Value::Null);
            &parsed
        }
        Some(rows) => rows,
        None => &Value::Null,
    };
    let rows = rows.as_array().into_iter().flatten();
    rows.filter(|row| row.get("value").is_none_or(Value::is_null))
        .filter_map(|row| row.get("key")?.as_str().filter(|key| !key.is_empty()))
        .map(str::to_owned)
        .collect()
}

fn initial_state(value: Option<&Value>) -> InitialState {
    let parsed: Value;
    let items = match value {
        None | Some(Value::Null) => return InitialState::Rows(Vec::new()),
        Some(Value::String(text)) if text.is_empty() => return InitialState::Rows(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(value) => {
                parsed = value;
                match &parsed {
                    Value::Array(items) => items,
                    _ => return InitialState::Invalid,
                }
            }
            Err(_) => return InitialState::Invalid,
        },
        Some(_) => return InitialState::Invalid,
    };
    let rows = items.iter().filter_map(|row| {
        let key = row.get("key")?.as_str().filter(|key| !key.is_empty())?;
        // A row without a value would break every later node of Flowise; here it is an empty text.
        let value = row.get("value").filter(|value| !value.is_null()).cloned();
        Some((
            key.to_owned(),
            value.unwrap_or_else(|| Value::String(String::new())),
        ))
    });
    InitialState::Rows(rows.collect())
}
