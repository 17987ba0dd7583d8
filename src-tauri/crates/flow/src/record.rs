//! The record of what ran: Flowise's `agentFlowExecutedData`, entry by entry (semantics §10).

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use countersign_domain::{DocumentHash, Timestamp};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::js;
use crate::template::Path;

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordStatus {
    /// It ran.
    Finished,
    /// It waits for a person.
    Stopped,
    /// It failed.
    Error,
}

/// What is known of a node before it runs; shared by all its records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct NodeFacts {
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) name: String,
    /// Static predecessors, one for each edge.
    pub(crate) previous: Vec<String>,
}

/// What began the run. The payload can be large and stands in the record twice, so it is shared.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trigger {
    /// Null where no webhook began it.
    pub(crate) webhook: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) form: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) question: Option<String>,
    #[serde(default)]
    pub(crate) payload_mode: bool,
    #[serde(default)]
    pub(crate) ephemeral: bool,
    #[serde(default)]
    pub(crate) persist: bool,
}

/// The input or output of a step.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Empty,
    Json(Arc<Value>),
    TriggerInput(Arc<Trigger>),
    TriggerOutput(Arc<Trigger>),
}

static TRUE: Value = Value::Bool(true);

impl Body {
    pub(crate) fn json(value: Value) -> Self {
        Self::Json(Arc::new(value))
    }

    /// It as one value.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Json(value) => (**value).clone(),
            other => serde_json::to_value(other).unwrap_or_default(),
        }
    }

    /// The value at a path in it.
    pub(crate) fn get(&self, path: &Path) -> Option<Cow<'_, Value>> {
        let (trigger, output) = match self {
            Self::Empty => return None,
            Self::Json(value) => return path.get(value),
            Self::TriggerInput(trigger) => (trigger, false),
            Self::TriggerOutput(trigger) => (trigger, true),
        };
        path.get_from(|first| match first {
            "webhook" if !trigger.webhook.is_null() => Some(Cow::Borrowed(&trigger.webhook)),
            "form" => trigger.form.as_ref().map(Cow::Borrowed),
            "question" => trigger
                .question
                .clone()
                .map(|question| Cow::Owned(Value::String(question))),
            "ephemeralMemory" if output && trigger.ephemeral => Some(Cow::Borrowed(&TRUE)),
            "persistState" if output && trigger.persist => Some(Cow::Borrowed(&TRUE)),
            _ => None,
        })
    }

    fn weight(&self) -> usize {
        match self {
            Self::Json(value) => weight(value),
            _ => 0,
        }
    }

    /// A field of it, where it is no trigger.
    pub(crate) fn field(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Json(value) => value.get(name),
            _ => None,
        }
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Empty => serializer.serialize_map(Some(0))?.end(),
            Self::Json(value) => value.serialize(serializer),
            Self::TriggerInput(trigger) | Self::TriggerOutput(trigger) => {
                let output = matches!(self, Self::TriggerOutput(_));
                let mut map = serializer.serialize_map(None)?;
                if !trigger.webhook.is_null() {
                    map.serialize_entry("webhook", &trigger.webhook)?;
                }
                if let Some(form) = &trigger.form {
                    map.serialize_entry("form", form)?;
                }
                if let Some(question) = &trigger.question {
                    map.serialize_entry("question", question)?;
                }
                if output && trigger.ephemeral {
                    map.serialize_entry("ephemeralMemory", &true)?;
                }
                if output && trigger.persist {
                    map.serialize_entry("persistState", &true)?;
                }
                map.end()
            }
        }
    }
}

/// About how many bytes a value takes.
pub fn weight(value: &Value) -> usize {
    let own = size_of::<Value>();
    own + match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| name.len() + weight(value))
            .sum(),
    }
}

/// The item of an Iteration that a step ran for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Item {
    pub(crate) index: usize,
    pub(crate) value: Value,
    pub(crate) is_first: bool,
    pub(crate) is_last: bool,
    pub(crate) session_id: String,
    /// The Iteration.
    pub(crate) parent: String,
}

/// What Flowise shows of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IterationContext<'a> {
    index: usize,
    value: &'a Value,
    is_first: bool,
    is_last: bool,
    session_id: &'a str,
}

/// What ran in a flow that was called.
#[derive(Debug, Clone)]
pub(crate) struct Called {
    /// Its document. Records of older versions do not know.
    pub(crate) document: Option<DocumentHash>,
    pub(crate) records: Vec<Record>,
}

/// One entry of `agentFlowExecutedData`. Its JSON has Flowise's keys in Flowise's order.
#[derive(Debug, Clone)]
pub struct Record {
    pub(crate) facts: Arc<NodeFacts>,
    pub(crate) status: RecordStatus,
    pub(crate) input: Body,
    pub(crate) output: Body,
    pub(crate) state: Arc<Value>,
    pub(crate) chat_history: Option<Arc<Value>>,
    /// Why it failed; then there is nothing else.
    pub(crate) error: Option<String>,
    /// The item that it ran for, inside an Iteration.
    pub(crate) item: Option<Arc<Item>>,
    /// What ran in the flow that it called. Flowise does not show it, so its JSON does not either.
    pub(crate) called: Option<Arc<Called>>,
    /// The last lines that its code wrote. Flowise does not show them, so its JSON does not either.
    pub(crate) console: Option<Arc<Vec<String>>>,
    /// When it began and ended. Records of older versions do not know.
    pub(crate) began: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
}

impl Record {
    /// The node's id.
    pub fn node_id(&self) -> &str {
        &self.facts.id
    }

    /// The node's label.
    pub fn node_label(&self) -> &str {
        &self.facts.label
    }

    /// The node's kind: `data.name` of the document.
    pub fn kind(&self) -> &str {
        &self.facts.name
    }

    /// When the step began and when it ended, if that was noted.
    pub fn times(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        (self.began, self.ended)
    }

    /// Why it failed.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// What it worked on, references replaced.
    pub fn input(&self) -> Value {
        self.input.to_value()
    }

    /// What it made.
    pub fn output(&self) -> Value {
        self.output.to_value()
    }

    /// The flow state after it.
    pub fn state(&self) -> &Value {
        &self.state
    }

    /// Which item it ran for, from 0, and the Iteration, inside one.
    pub fn item(&self) -> Option<(usize, &str)> {
        self.item.as_ref().map(|item| (item.index, item.parent.as_str()))
    }

    /// What ran in the flow that it called.
    pub fn called(&self) -> &[Record] {
        self.called
            .as_deref()
            .map_or(&[], |called| called.records.as_slice())
    }

    /// The document of the flow that it called, if that was noted.
    pub(crate) fn called_document(&self) -> Option<&DocumentHash> {
        self.called.as_deref()?.document.as_ref()
    }

    /// The last lines that its code wrote to its console, the oldest first.
    pub fn console(&self) -> &[String] {
        self.console.as_deref().map_or(&[], Vec::as_slice)
    }

    /// About how many bytes it holds for itself: what began the run stands in the run once, and a state that no step has
    /// changed in the record before.
    pub(crate) fn weight(&self, before: Option<&Self>) -> usize {
        let changed = before.is_none_or(|before| !Arc::ptr_eq(&before.state, &self.state));
        let state = if changed { weight(&self.state) } else { 0 };
        let history = self.chat_history.as_deref().map_or(0, weight);
        let called = self
            .called()
            .iter()
            .map(|record| record.weight(None))
            .sum::<usize>();
        let console = self.console().iter().map(String::len).sum::<usize>();
        self.input.weight() + self.output.weight() + state + history + called + console
    }

    /// How the step ended.
    pub fn status(&self) -> RecordStatus {
        self.status
    }

    /// `output.content` as text, if there is one.
    pub fn content(&self) -> Option<Cow<'_, str>> {
        self.output
            .field("content")
            .filter(|content| !content.is_null())
            .map(js::text)
    }

    /// What `{{ <node id> }}` stands for: the content, else the data of an HTTP answer (semantics §7.3).
    pub(crate) fn referenced(&self) -> Option<&Value> {
        self.output
            .field("content")
            .filter(|content| !content.is_null())
            .or_else(|| self.output.field("http").and_then(|http| http.get("data")))
    }

    /// `output.humanInputAction`, if the step waits.
    pub(crate) fn action(&self) -> Option<&Value> {
        self.output.field("humanInputAction")
    }

    pub(crate) fn failed(facts: Arc<NodeFacts>, error: String) -> Self {
        Self {
            facts,
            status: RecordStatus::Error,
            input: Body::Empty,
            output: Body::Empty,
            state: empty_state(),
            chat_history: None,
            error: Some(error),
            item: None,
            called: None,
            console: None,
            began: None,
            ended: None,
        }
    }
}

static EMPTY_STATE: LazyLock<Arc<Value>> = LazyLock::new(|| Arc::new(Value::Object(Map::new())));

pub(crate) fn empty_state() -> Arc<Value> {
    EMPTY_STATE.clone()
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry("nodeId", &self.facts.id)?;
        map.serialize_entry("nodeLabel", &self.facts.label)?;
        // A failed step has its keys in another order, as recorded.
        if self.error.is_some() {
            map.serialize_entry("previousNodeIds", &self.facts.previous)?;
            map.serialize_entry("data", &Data(self))?;
        } else {
            map.serialize_entry("data", &Data(self))?;
            map.serialize_entry("previousNodeIds", &self.facts.previous)?;
        }
        map.serialize_entry("status", &self.status)?;
        map.end()
    }
}

struct Data<'a>(&'a Record);

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &record.facts.id)?;
        map.serialize_entry("name", &record.facts.name)?;
        if let Some(error) = &record.error {
            map.serialize_entry("error", error)?;
        } else {
            map.serialize_entry("input", &record.input)?;
            map.serialize_entry("output", &record.output)?;
            map.serialize_entry("state", &*record.state)?;
            if let Some(chat_history) = &record.chat_history {
                map.serialize_entry("chatHistory", &**chat_history)?;
            }
        }
        if let Some(item) = &record.item {
            let context = IterationContext {
                index: item.index,
                value: &item.value,
                is_first: item.is_first,
                is_last: item.is_last,
                session_id: &item.session_id,
            };
            map.serialize_entry("iterationIndex", &item.index)?;
            map.serialize_entry("iterationContext", &context)?;
            map.serialize_entry("parentNodeId", &item.parent)?;
        }
        map.end()
    }
}
