//! What LLM and Agent have in common (format §5.11): which model they ask, what they tell it, and what they remember.

use countersign_domain::Role;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::execute_flow::slug;
use super::structured::Form;
use super::{Nature, Outcome, Ran, set_fields};
use crate::document::DocumentNode;
use crate::js;
use crate::model::{ModelChoice, ModelMessage, ModelReply, ModelRequest, ToolCall, ToolDefinition};
use crate::record::Body;
use crate::run::{RunScope, Said};
use crate::state::Updates;
use crate::template::Field;

/// How many rounds of the chat a window shows, and how many tokens a summary may leave out, where the node says
/// nothing.
const WINDOW: usize = 20;
const TOKENS: usize = 2000;

/// What the editor offers as memory.
const MEMORY_TYPES: [&str; 4] = [
    "allMessages",
    "windowSize",
    "conversationSummary",
    "conversationSummaryBuffer",
];

/// How many characters make a token, roughly: the tokenizers differ from model to model.
const CHARACTERS_A_TOKEN: usize = 4;

/// What a node's inputs are called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    model: &'static str,
    config: &'static str,
    messages: &'static str,
    enable_memory: &'static str,
    memory_type: &'static str,
    window: &'static str,
    tokens: &'static str,
    user_message: &'static str,
    returns_as: &'static str,
    structured: &'static str,
    update_state: &'static str,
}

macro_rules! names {
    ($prefix:literal) => {
        Names {
            model: concat!($prefix, "Model"),
            config: concat!($prefix, "ModelConfig"),
            messages: concat!($prefix, "Messages"),
            enable_memory: concat!($prefix, "EnableMemory"),
            memory_type: concat!($prefix, "MemoryType"),
            window: concat!($prefix, "MemoryWindowSize"),
            tokens: concat!($prefix, "MemoryMaxTokenLimit"),
            user_message: concat!($prefix, "UserMessage"),
            returns_as: concat!($prefix, "ReturnResponseAs"),
            structured: concat!($prefix, "StructuredOutput"),
            update_state: concat!($prefix, "UpdateState"),
        }
    };
}

pub(super) const LLM: Names = names!("llm");
pub(super) const AGENT: Names = names!("agent");
pub(super) const CONDITION_AGENT: Names = names!("conditionAgent");

/// The model that a node names, with its settings.
pub(super) fn model_of(node: &DocumentNode, model: &str, config: &str) -> Option<ModelChoice> {
    let component = node.inputs.get(model)?.as_str().filter(|name| !name.is_empty())?;
    let settings = node.inputs.get(config).and_then(Value::as_object);
    Some(ModelChoice {
        component: component.to_owned(),
        settings: settings.cloned().unwrap_or_default(),
    })
}

/// What a node remembers of the chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Memory {
    /// Nothing.
    Off,
    /// Everything.
    All,
    /// The last messages, so many rounds of two.
    Window(usize),
    /// A summary that the model makes of everything.
    Summary,
    /// The last messages within so many tokens, and a summary of those before.
    SummaryAndLast(usize),
}

impl Memory {
    fn read(node: &DocumentNode, names: Names) -> Self {
        if !js::truthy(node.inputs.get(names.enable_memory)) {
            return Self::Off;
        }
        let number = |name: &str, otherwise: usize| {
            let number = node.inputs.get(name).map_or(f64::NAN, js::number);
            if number >= 1.0 { number as usize } else { otherwise }
        };
        match node.inputs.get(names.memory_type).and_then(Value::as_str) {
            Some("windowSize") => Self::Window(number(names.window, WINDOW)),
            Some("conversationSummary") => Self::Summary,
            Some("conversationSummaryBuffer") => Self::SummaryAndLast(number(names.tokens, TOKENS)),
            _ => Self::All,
        }
    }
}

/// A node that talks to a model.
#[derive(Debug)]
pub(super) struct Conversation {
    names: Names,
    pub(super) model: Option<ModelChoice>,
    messages: Option<Field>,
    /// How many of them are of the system.
    system_messages: usize,
    memory: Memory,
    /// The type of its memory, where that is none that is known.
    unknown_memory: Option<String>,
    user_message: Option<Field>,
    structured: Option<Field>,
    updates: Updates,
    /// Whether the answer counts as said by the assistant; else by the user.
    as_assistant: bool,
    /// The other inputs, which the record repeats.
    shown: Map<String, Value>,
}

/// What a node left for itself: the summary of the chat, which it asks for first if its memory is one.
#[derive(Serialize, Deserialize)]
struct Summarised {
    summary: String,
}

/// The summary that a node left for itself.
pub(super) fn summary_in(carried: Option<&Value>) -> Option<String> {
    let summarised: Summarised = serde_json::from_value(carried?.clone()).ok()?;
    Some(summarised.summary)
}

/// An answer that becomes the record of its node.
pub(super) struct ModelAnswer {
    pub(super) reply: ModelReply,
    /// The answer in the form that the node describes.
    pub(super) parsed: Option<Map<String, Value>>,
    /// See [`times`].
    pub(super) time: Value,
    /// Whether it was told in pieces already.
    pub(super) was_told: bool,
    /// What stands in the output beside it.
    pub(super) more: Map<String, Value>,
}

/// The messages that a model is asked with, or what has to be done first.
pub(super) enum Opening {
    /// They are there, each as the record has it: `{"role","content"}`.
    Ready(Vec<Value>),
    /// The model is asked for a summary of these first.
    Summarise(Vec<Value>),
}

impl Conversation {
    pub(super) fn read(node: &DocumentNode, names: Names) -> Self {
        let rows = |name: &str, column: &str| {
            let value = node.inputs.get(name).filter(|value| value.is_array())?;
            Some(Field::read(value, node.accepts_variables_in_rows(name, column)))
        };
        let shown = [
            names.model,
            names.config,
            names.enable_memory,
            names.memory_type,
            names.window,
            names.tokens,
            names.returns_as,
        ];
        let shown = shown.into_iter().filter_map(|name| {
            let mut value = node.inputs.get(name).filter(|value| **value != "")?.clone();
            if let Some(config) = value.as_object_mut() {
                config.retain(|_, value| *value != "");
                config.shift_remove("FLOWISE_CREDENTIAL_ID");
                config.shift_remove("credential");
            }
            Some((name.to_owned(), value))
        });
        Self {
            names,
            model: model_of(node, names.model, names.config),
            messages: rows(names.messages, "content"),
            system_messages: node
                .inputs
                .get(names.messages)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter(|row| row["role"] == "system" && js::truthy(row.get("content")))
                .count(),
            memory: Memory::read(node, names),
            unknown_memory: node
                .inputs
                .get(names.memory_type)
                .and_then(Value::as_str)
                .filter(|kind| !kind.is_empty() && !MEMORY_TYPES.contains(kind))
                .filter(|_| js::truthy(node.inputs.get(names.enable_memory)))
                .map(str::to_owned),
            user_message: node.filled_field(names.user_message),
            structured: rows(names.structured, "description"),
            updates: Updates::read(node, names.update_state),
            as_assistant: node.inputs.get(names.returns_as).and_then(Value::as_str)
                == Some("assistantMessage"),
            shown: shown.collect(),
        }
    }

    /// How a node works that asks once. One that asks for a summary first asks twice, and is kept in the run between the
    /// two.
    pub(super) fn nature(&self) -> Nature {
        let asks_once = !matches!(self.memory, Memory::Summary | Memory::SummaryAndLast(_));
        Nature {
            beside: self.updates.is_empty() && asks_once,
            speaks: true,
            remembers: self.memory != Memory::Off,
            ..Nature::default()
        }
    }

    pub(super) fn fields(&self) -> Vec<(&'static str, &Field)> {
        let mut fields = set_fields([
            (self.names.messages, &self.messages),
            (self.names.user_message, &self.user_message),
            (self.names.structured, &self.structured),
        ]);
        fields.extend(self.updates.fields(self.names.update_state));
        fields
    }

    /// What its memory does otherwise than the editor says.
    pub(super) fn degraded(&self) -> Vec<String> {
        let mut degraded = Vec::new();
        if let Some(kind) = &self.unknown_memory {
            degraded.push(format!(
                "has the memory “{kind}”, which is not known here. It remembers the whole chat."
            ));
        }
        if matches!(self.memory, Memory::SummaryAndLast(_)) {
            degraded.push(format!(
                "remembers as much as fits into a number of tokens. Here {CHARACTERS_A_TOKEN} characters count as one,                  because the tokens of the model are not known."
            ));
        }
        degraded
    }

    /// Why it can only fail.
    pub(super) fn faults(&self) -> Vec<String> {
        match self.model {
            Some(_) => Vec::new(),
            None => vec!["names no language model. Select one in its settings.".to_owned()],
        }
    }

    /// What it does otherwise than Flowise.
    pub(super) fn differs(&self) -> Vec<(&'static str, String)> {
        if self.system_messages < 2 {
            return Vec::new();
        }
        let message = format!(
            "has {} messages of the system. Here the model gets them in their order; in Flowise in reverse order.",
            self.system_messages
        );
        vec![("order of system messages", message)]
    }

    /// The rows that describe the form of the answer.
    pub(super) fn structured(&self, scope: &RunScope<'_>) -> Value {
        self.structured
            .as_ref()
            .map(|rows| rows.resolve(scope))
            .unwrap_or_default()
    }

    /// The messages that the node itself brings: those of the system first.
    fn rows(&self, scope: &RunScope<'_>) -> Vec<Value> {
        let rows = self.messages.as_ref().map(|rows| rows.resolve(scope));
        let (mut system, mut others) = (Vec::new(), Vec::new());
        for row in rows.as_ref().and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| row.get(name).map(js::text).unwrap_or_default().into_owned();
            let (role, content) = (text("role"), text("content"));
            if role.is_empty() || content.is_empty() {
                continue;
            }
            let rows = if role == "system" {
                &mut system
            } else {
                &mut others
            };
            rows.push(message(&role, &content));
        }
        system.extend(others);
        system
    }

    /// What the model is asked with. `summary` is what it made of the chat, if it was asked for that.
    pub(super) fn opening(&self, scope: &RunScope<'_>, summary: Option<&str>) -> Opening {
        let mut messages = self.rows(scope);
        let input = scope.input_text().filter(|_| scope.opens_the_chat());
        if self.memory == Memory::Off {
            let has_user = messages.iter().any(|row| row["role"] == "user");
            if let Some(input) = input.filter(|_| !has_user) {
                messages.push(message("user", &input));
            }
            return Opening::Ready(messages);
        }
        let mut past = scope.run.messages();
        past.extend(input.map(|input| message("user", &input)));
        if let Err(first) = remember(self.memory, past, summary, &mut messages) {
            return Opening::Summarise(first);
        }
        let user_message = self.user_message.as_ref().map(|text| text.resolve(scope));
        if let Some(user_message) = user_message.filter(|text| js::truthy(Some(text))) {
            messages.push(message("user", &js::text(&user_message)));
        }
        Opening::Ready(messages)
    }

    /// What is remembered of the chat alone, without what began the run.
    pub(super) fn history(&self, scope: &RunScope<'_>, summary: Option<&str>) -> Opening {
        let mut messages = Vec::new();
        match remember(self.memory, scope.run.messages(), summary, &mut messages) {
            Ok(()) => Opening::Ready(messages),
            Err(first) => Opening::Summarise(first),
        }
    }

    /// The model, or why there is none.
    pub(super) fn chosen(&self) -> Result<&ModelChoice, String> {
        self.model.as_ref().ok_or_else(|| "Model is required".to_owned())
    }

    /// Asks the model for a summary.
    pub(super) async fn summarise(&self, scope: &RunScope<'_>, messages: &[Value]) -> Result<String, String> {
        summarise(self.chosen()?, scope, messages).await
    }

    /// Asks for the summary that [`summary_in`] finds when the node comes again.
    pub(super) async fn summarise_first(
        &self,
        scope: &RunScope<'_>,
        messages: &[Value],
    ) -> Result<Outcome, String> {
        let summary = self.summarise(scope, messages).await?;
        Ok(Outcome::Again(json!(Summarised { summary })))
    }

    /// Whether the answer is told in pieces: it is the run's, and comes as it is.
    pub(super) fn streams(&self, scope: &RunScope<'_>, form: Option<&Form>) -> bool {
        let wanted = self
            .model
            .as_ref()
            .is_some_and(|model| model.settings.get("streaming") != Some(&json!(false)));
        scope.is_last() && scope.tells_at_once() && form.is_none() && wanted
    }

    /// The record of an answer, and what it changes.
    pub(super) fn ran(
        &self,
        scope: &RunScope<'_>,
        messages: &[Value],
        answered: ModelAnswer,
    ) -> Result<Ran, String> {
        let ModelAnswer {
            reply,
            parsed,
            time,
            was_told,
            more,
        } = answered;
        let content = match &parsed {
            Some(parsed) => js::pretty_json(&Value::Object(parsed.clone())),
            None => reply.content.clone(),
        };
        if scope.is_last() && !was_told {
            if let Some(thought) = &reply.reasoning {
                scope.tell_thought(thought, None);
                let took = time["delta"].as_u64().unwrap_or_default();
                scope.tell_thought("", Some((took + 500) / 1000));
            }
            scope.say_token(&content);
        }
        let calls = called(&reply.tool_calls);
        let mut output = Map::new();
        output.insert("content".to_owned(), content.clone().into());
        output.insert("timeMetadata".to_owned(), time);
        facts(&mut output, &reply, parsed);
        output.extend(more);
        if scope.is_last() {
            for name in ["usedTools", "sourceDocuments"] {
                if let Some(fact) = output.get(name) {
                    scope.tell_fact(name, fact);
                }
            }
            // From now on nothing is being called any more.
            scope.tell_fact("calledTools", &calls);
            if let Some(usage) = output.get("usageMetadata") {
                scope.tell_fact("usageMetadata", usage);
            }
        }
        let mut said = self.said_before(scope);
        said.push(self.said(scope, &content));
        Ok(Ran {
            state: self.updates.apply(scope, &content)?,
            said,
            ..Ran::new(
                Body::json(self.input(scope, messages)),
                Body::json(Value::Object(output)),
            )
        })
    }

    /// What began the run, for the chat, if this node is the first to say something in it.
    fn said_before(&self, scope: &RunScope<'_>) -> Vec<Said> {
        if !scope.opens_the_chat() {
            return Vec::new();
        }
        let Some(input) = scope.input_text() else {
            return Vec::new();
        };
        let own: Vec<Said> = if self.memory == Memory::Off {
            let rows = self.rows(scope).into_iter().filter(|row| row["role"] == "user");
            rows.map(|row| Said::new(Role::User, row["content"].clone()))
                .collect()
        } else {
            Vec::new()
        };
        if own.is_empty() {
            vec![Said::new(Role::User, input.into())]
        } else {
            own
        }
    }

    /// The answer, for the chat.
    fn said(&self, scope: &RunScope<'_>, content: &str) -> Said {
        let role = if self.as_assistant {
            Role::Assistant
        } else {
            Role::User
        };
        Said::named(role, content.into(), slug(scope.label()))
    }

    /// The input of the record.
    fn input(&self, scope: &RunScope<'_>, messages: &[Value]) -> Value {
        let mut input = Map::with_capacity(self.shown.len() + 2);
        input.insert("messages".to_owned(), messages.into());
        input.extend(self.shown.clone());
        if let Some(text) = &self.user_message {
            input.insert(self.names.user_message.to_owned(), text.resolve(scope));
        }
        Value::Object(input)
    }
}

/// Adds what is remembered of the chat, or says what the model has to make a summary of first.
fn remember(
    memory: Memory,
    past: Vec<Value>,
    summary: Option<&str>,
    messages: &mut Vec<Value>,
) -> Result<(), Vec<Value>> {
    if past.is_empty() {
        return Ok(());
    }
    match memory {
        Memory::Off => {}
        Memory::All => messages.extend(past),
        Memory::Window(rounds) => {
            let first = past.len().saturating_sub(rounds.saturating_mul(2));
            messages.extend(past.into_iter().skip(first));
        }
        Memory::Summary => match summary {
            Some(summary) => messages.push(message("assistant", summary)),
            None => return Err(past),
        },
        Memory::SummaryAndLast(limit) => {
            let first = first_within(&past, limit);
            if first == 0 {
                messages.extend(past);
                return Ok(());
            }
            let Some(summary) = summary else {
                return Err(past.into_iter().take(first).collect());
            };
            // Some models take only one message of the system.
            let has_system = messages.iter().any(|row| row["role"] == "system");
            let role = if has_system { "user" } else { "system" };
            messages.push(message(
                role,
                &format!("Summary of the conversation so far: {summary}"),
            ));
            messages.extend(past.into_iter().skip(first));
        }
    }
    Ok(())
}

/// The first message from which on all fit into so many tokens.
fn first_within(past: &[Value], limit: usize) -> usize {
    let limit = limit.saturating_mul(CHARACTERS_A_TOKEN);
    let mut length = 0;
    for (at, one) in past.iter().enumerate().rev() {
        length += line(one).chars().count() + 1;
        if length > limit {
            return at + 1;
        }
    }
    0
}

fn line(message: &Value) -> String {
    format!(
        "{}: {}",
        js::text(&message["role"]),
        js::text(&message["content"])
    )
}

pub(super) fn message(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

/// Asks a model for a summary of these messages.
async fn summarise(model: &ModelChoice, scope: &RunScope<'_>, messages: &[Value]) -> Result<String, String> {
    let lines: Vec<String> = messages.iter().map(line).collect();
    let text = format!(
        "Summarise the conversation below, so that somebody who has only the summary can carry it on. Keep names, \
         numbers, decisions and open questions. Answer with the summary alone.\n\n{}",
        lines.join("\n")
    );
    let asked = Asking {
        messages: to_model(&[message("user", &text)]),
        key: "summary",
        ..Asking::default()
    };
    Ok(ask(model, scope, asked).await?.content)
}

/// What a model is asked, beside itself.
#[derive(Debug, Default)]
pub(super) struct Asking<'a> {
    pub(super) messages: Vec<ModelMessage>,
    pub(super) tools: Vec<ToolDefinition>,
    pub(super) answer_schema: Option<Value>,
    /// What is asked for in words, as a schema.
    pub(super) expected: Option<Value>,
    pub(super) stream: bool,
    /// Which question of the step this is.
    pub(super) key: &'a str,
}

/// Asks a model.
pub(super) async fn ask(
    model: &ModelChoice,
    scope: &RunScope<'_>,
    asked: Asking<'_>,
) -> Result<ModelReply, String> {
    if asked.messages.is_empty() {
        return Err("There is no message to ask the model with".to_owned());
    }
    let request = ModelRequest {
        node_label: scope.label().to_owned(),
        model: model.clone(),
        messages: asked.messages,
        tools: asked.tools,
        answer_schema: asked.answer_schema,
        expected: asked.expected,
        stream: asked.stream,
        idempotency_key: format!("{}:{}", scope.idempotency_key(), asked.key),
    };
    scope.host.model(request).await
}

/// Calls that a model wants, as those who watch are told: `[{"tool","toolInput","toolOutput":""}]`.
pub(super) fn called(calls: &[ToolCall]) -> Value {
    let calls = calls.iter();
    calls
        .map(|call| json!({"tool": call.name, "toolInput": call.arguments, "toolOutput": ""}))
        .collect()
}

/// Messages as the record has them, for the model.
pub(super) fn to_model(messages: &[Value]) -> Vec<ModelMessage> {
    let messages = messages.iter().map(|message| {
        let content = message
            .get("content")
            .map(js::text)
            .unwrap_or_default()
            .into_owned();
        match message["role"].as_str() {
            Some("system" | "developer") => ModelMessage::System { content },
            Some("assistant") => ModelMessage::Assistant {
                content,
                tool_calls: Vec::new(),
            },
            _ => ModelMessage::User { content },
        }
    });
    messages.collect()
}

/// `timeMetadata`: when the model was asked and when its answer was there, in milliseconds.
pub(super) fn times(began: i64, ended: i64) -> Value {
    json!({"start": began, "end": ended, "delta": ended - began})
}

/// What an answer adds to the output beside its text.
pub(super) fn facts(output: &mut Map<String, Value>, reply: &ModelReply, parsed: Option<Map<String, Value>>) {
    if !reply.tool_calls.is_empty() {
        output.insert("calledTools".to_owned(), json!(reply.tool_calls));
    }
    for (name, fact) in [
        ("usageMetadata", &reply.usage),
        ("responseMetadata", &reply.metadata),
    ] {
        if let Some(fact) = fact {
            output.insert(name.to_owned(), fact.clone());
        }
    }
    output.extend(parsed.unwrap_or_default());
    if let Some(thinking) = &reply.reasoning {
        output.insert("reasonContent".to_owned(), json!({"thinking": thinking}));
    }
}
