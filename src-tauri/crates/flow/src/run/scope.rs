//! What references of a running node see.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use countersign_domain::{Role, Timestamp};
use serde_json::Value;

use super::Run;
use crate::host::{Host, RunEvent};
use crate::js;
use crate::model::{Lookup, Passage};
use crate::plan::{Plan, PlannedNode};
use crate::policy::StepPolicy;
use crate::record::Record;
use crate::template::{Path, Scope};

/// How many passages a look-up gives.
const PASSAGES: usize = 4;

/// How many bytes the texts of one step may come to once their references are replaced. What a call brings and what a
/// target answers is at most 16 MiB each; a few references to such a text, repeated by a few steps, would fill the memory.
pub(crate) const TEXTS_LIMIT: usize = 32 << 20;

/// How long a request may take when the operator does not say (known gaps D3.12).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A call, before there is a run.
pub(super) struct WebhookScope<'a>(pub(super) &'a Value);

impl Scope for WebhookScope<'_> {
    fn webhook(&self) -> Option<&Value> {
        Some(self.0)
    }

    fn now(&self) -> Timestamp {
        Timestamp::default()
    }
}

/// A run as one of its nodes sees it.
#[derive(Clone, Copy)]
pub(crate) struct RunScope<'a> {
    pub(crate) run: &'a Run,
    pub(crate) plan: &'a Plan,
    pub(crate) host: &'a dyn Host,
    /// The run around an Iteration: its steps can be referred to.
    outer: Option<&'a Run>,
    /// The node.
    index: usize,
    /// What those before it say that run beside it.
    beside: Beside<'a>,
}

/// What a step that runs beside others has to know of them.
#[derive(Clone, Copy, Default)]
pub(super) struct Beside<'a> {
    /// One of those before it says something in the chat: it is as if that was said already.
    pub(super) after_speaker: bool,
    /// Where what it tells waits until those before it have ended.
    pub(super) held: Option<&'a Held>,
}

/// What a step told that is not its turn yet.
#[derive(Default)]
pub(super) struct Held(Mutex<Vec<HeldEvent>>);

enum HeldEvent {
    Token(String),
    Thought(String, Option<u64>),
    Fact(&'static str, Value),
}

impl Held {
    fn keep(&self, event: &RunEvent<'_>) {
        let event = match event {
            RunEvent::Token(text) => HeldEvent::Token((*text).to_owned()),
            RunEvent::Thought { text, seconds } => HeldEvent::Thought((*text).to_owned(), *seconds),
            RunEvent::Fact { name, data } => HeldEvent::Fact(name, (*data).clone()),
            // The run itself tells how steps begin and end.
            RunEvent::StepBegan { .. } | RunEvent::StepEnded { .. } => return,
        };
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.push(event);
    }

    /// Tells it now.
    pub(super) fn tell(self, host: &dyn Host) {
        for event in self.0.into_inner().unwrap_or_else(PoisonError::into_inner) {
            host.event(match &event {
                HeldEvent::Token(text) => RunEvent::Token(text),
                HeldEvent::Thought(text, seconds) => RunEvent::Thought {
                    text,
                    seconds: *seconds,
                },
                HeldEvent::Fact(name, data) => RunEvent::Fact { name, data },
            });
        }
    }
}

impl<'a> RunScope<'a> {
    pub(crate) fn new(
        run: &'a Run,
        plan: &'a Plan,
        host: &'a dyn Host,
        outer: Option<&'a Run>,
        index: usize,
    ) -> Self {
        Self {
            run,
            plan,
            host,
            outer,
            index,
            beside: Beside::default(),
        }
    }

    /// The same for a step that runs beside others.
    pub(super) fn beside(self, beside: Beside<'a>) -> Self {
        Self { beside, ..self }
    }

    /// How often its Loop has led back so far, for a Loop.
    pub(crate) fn turns(&self) -> u32 {
        self.run.turns_of(self.index)
    }

    /// What the operator says about the node.
    pub(crate) fn policy(&self) -> &'a StepPolicy {
        self.plan.policy(self.index)
    }

    /// The node.
    pub(crate) fn node(&self) -> &'a PlannedNode {
        self.plan.node(self.index)
    }

    /// Whether anything lies inside the node, for an Iteration.
    pub(crate) fn has_body(&self) -> bool {
        self.plan.has_body(self.index)
    }

    /// In strict mode: what is wrong with the references of the node.
    pub(super) fn unresolved(&self) -> Option<String> {
        if !self.plan.is_strict() {
            return None;
        }
        let fields = self.node().kind.fields();
        fields.into_iter().find_map(|(name, field)| {
            let written = field.unresolved(self)?;
            let label = self.label();
            Some(format!(
                "{written} in the field {name} of “{label}” has no value, and this flow is strict"
            ))
        })
    }

    /// What is wrong with the size of the node's texts: told before any of them is made.
    pub(super) fn too_large(&self) -> Option<String> {
        let fields = self.node().kind.fields();
        let mut bytes = 0_usize;
        for (name, field) in fields {
            bytes = bytes.saturating_add(field.rendered_bytes(self));
            if bytes > TEXTS_LIMIT {
                return Some(texts_too_large(name, self.label()));
            }
        }
        None
    }

    /// The node's label.
    pub(crate) fn label(&self) -> &'a str {
        &self.plan.node(self.index).facts.label
    }

    /// Whether nothing has run in this run yet but Start.
    pub(crate) fn is_first(&self) -> bool {
        self.run.records.len() <= 1
    }

    /// Whether the chat lacks what began the run: nothing was said in it yet, and it was not said before either, as it
    /// is once the run was answered.
    pub(crate) fn opens_the_chat(&self) -> bool {
        !self.beside.after_speaker && self.run.chat_is_to_be_opened()
    }

    /// Whether the answer of the run is this node's: nothing follows it, and the run is nobody's part.
    pub(crate) fn is_last(&self) -> bool {
        self.run.item.is_none()
            && self.run.names.callers.is_empty()
            && self.plan.graph().outgoing[self.index].is_empty()
    }

    /// The passages of a document store that fit a question best.
    pub(crate) async fn look_up(&self, store: &str, query: String) -> Result<Vec<Passage>, String> {
        let lookup = Lookup {
            store: store.to_owned(),
            query,
            limit: PASSAGES,
        };
        self.host.look_up(lookup).await
    }

    /// How long a request of the node may take.
    pub(crate) fn request_timeout(&self) -> Duration {
        self.policy().timeout().unwrap_or(REQUEST_TIMEOUT)
    }

    /// Whether what it tells is heard at once, and not when those before it have ended.
    pub(crate) fn tells_at_once(&self) -> bool {
        self.beside.held.is_none()
    }

    /// Lets whoever listens hear a piece of the answer.
    pub(crate) fn say_token(&self, text: &str) {
        self.tell(RunEvent::Token(text));
    }

    /// Lets whoever listens hear what a model thought, and at the end how long.
    pub(crate) fn tell_thought(&self, text: &str, seconds: Option<u64>) {
        self.tell(RunEvent::Thought { text, seconds });
    }

    /// Lets whoever listens hear what belongs to the answer, if what happens here is part of what a caller sees.
    pub(crate) fn tell_fact(&self, name: &'static str, data: &Value) {
        if self.run.names.callers.is_empty() {
            self.tell(RunEvent::Fact { name, data });
        }
    }

    fn tell(&self, event: RunEvent<'_>) {
        match self.beside.held {
            Some(held) => held.keep(&event),
            None => self.host.event(event),
        }
    }

    /// Equal each time this step of this run comes here, also after a restart.
    pub(crate) fn idempotency_key(&self) -> String {
        let node = &self.plan.node(self.index).facts.id;
        let earlier = self.run.records.times(node);
        format!("{}:{node}:{earlier}", self.run.names.execution_id)
    }

    /// The flow that runs.
    pub(crate) fn flow_id(&self) -> &'a str {
        &self.run.names.flow_id
    }

    /// The flows that led here by calling one another, without this one.
    pub(crate) fn callers(&self) -> &'a [String] {
        &self.run.names.callers
    }

    /// The run's input as one text (semantics §4.7): the question, else the form's lines, else the call as JSON.
    pub(crate) fn input_text(&self) -> Option<String> {
        let trigger = &self.run.trigger;
        if let Some(question) = trigger.question.as_ref().filter(|question| !question.is_empty()) {
            return Some(question.clone());
        }
        if let Some(form) = &trigger.form {
            return Some(form_lines(form));
        }
        (!trigger.webhook.is_null()).then(|| js::json_text(&trigger.webhook))
    }

    /// `$flow` as scripts see it (format §5.7).
    pub(crate) fn flow_object(&self) -> Value {
        let names = &self.run.names;
        serde_json::json!({
            "input": self.input_text(),
            "state": &*self.run.state,
            "chatflowId": names.flow_id,
            "sessionId": names.session_id,
            "chatId": names.chat_id,
            "rawOutput": "",
            "chatHistory": [],
        })
    }

    fn newest(&self, node_id: &str) -> Option<&'a Record> {
        let inside = self.run.records.newest(node_id);
        inside.or_else(|| self.outer?.records.newest(node_id))
    }
}

impl Scope for RunScope<'_> {
    fn question(&self) -> &str {
        self.run.question().unwrap_or_default()
    }

    fn webhook(&self) -> Option<&Value> {
        Some(&self.run.trigger.webhook)
    }

    fn form(&self) -> Option<&Value> {
        self.run.trigger.form.as_ref()
    }

    fn iteration(&self) -> Option<&Value> {
        self.run.item.as_ref().map(|item| &item.value)
    }

    fn flow(&self, path: &Path) -> Option<Cow<'_, Value>> {
        let names = &self.run.names;
        let text = |text: &str| Some(Cow::Owned(Value::String(text.to_owned())));
        path.get_from(|first| match first {
            "state" => Some(Cow::Borrowed(&*self.run.state)),
            "sessionId" => text(&names.session_id),
            "chatId" => text(&names.chat_id),
            "chatflowId" | "chatflowid" => text(&names.flow_id),
            "apiMessageId" => text(&names.api_message_id),
            "runtimeChatHistoryLength" => Some(Cow::Owned(self.runtime_messages_length().into())),
            "chatHistory" => Some(Cow::Owned(Value::Array(self.run.messages()))),
            _ => None,
        })
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.host.variable(name)
    }

    fn chat_history(&self) -> String {
        let past = self
            .run
            .past
            .iter()
            .map(|message| (message.role, Cow::Borrowed(message.content.as_str())));
        let said = self
            .run
            .runtime
            .iter()
            .map(|said| (said.role, js::text(&said.content)));
        let lines: Vec<_> = past
            .chain(said)
            .filter(|(_, content)| !js::trim(content).is_empty())
            .map(|(role, content)| match role {
                Role::User => format!("Human: {content}"),
                Role::Assistant => format!("Assistant: {content}"),
            })
            .collect();
        lines.join("\n")
    }

    fn runtime_messages_length(&self) -> usize {
        self.run.runtime.len().saturating_sub(1)
    }

    fn loop_count(&self) -> u64 {
        self.run
            .last_loop
            .map_or(0, |index| u64::from(self.run.turns_of(index)))
    }

    fn now(&self) -> Timestamp {
        self.host.now()
    }

    fn content(&self, node_id: &str) -> Option<Cow<'_, Value>> {
        self.newest(node_id)?.referenced().map(Cow::Borrowed)
    }

    fn output(&self, node_id: &str, path: &Path) -> Option<Cow<'_, Value>> {
        self.newest(node_id)?.output.get(path)
    }
}

pub(super) fn texts_too_large(field: &str, label: &str) -> String {
    format!(
        "With its references replaced the field {field} of “{label}” would be too large: the texts of a step may come to \
         {} MiB",
        TEXTS_LIMIT >> 20
    )
}

/// A form as one text: `name: value` a line.
pub(super) fn form_lines(form: &Value) -> String {
    let Value::Object(fields) = form else {
        return js::text(form).into_owned();
    };
    let lines: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("{name}: {}", js::text(value)))
        .collect();
    lines.join("\n")
}
