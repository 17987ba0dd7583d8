//! The runner: one execution as a state machine without I/O.
//!
//! Every edge of the graph carries a token. It begins as waiting; when its source has run it is delivered or, if it
//! leaves an output that was not taken, dead. A node whose edges are all settled runs once if one of them was
//! delivered; else it is dead itself and so are the edges that leave it. So a join waits for every branch that
//! can still come, across gates as well, and runs once (semantics §5.2, the engine that is recommended there).
//!
//! What hangs on an output of a gate that was not taken runs only if something behind that gate led to it: a step that
//! hangs on Proceed does not run after Reject because a branch beside the gate leads to it too.
//!
//! A gate waits until nothing else can run: what lies beside it is done before the question is asked.

mod child;
mod records;
mod scope;
mod step;
mod stored;

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use countersign_domain::{ArgumentsRefused, AskedCall, Outcome, Role};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::host::Host;
use crate::js;
use crate::nodes::Decision;
use crate::plan::Plan;
use crate::record::{Item, Record, Trigger, empty_state, weight};
use crate::start::InputMode;
pub(crate) use child::Child;
use records::Records;
pub(crate) use scope::{RunScope, TEXTS_LIMIT};
use scope::{WebhookScope, texts_too_large};
use step::failure;

/// How many steps one run may take; the next one fails it (semantics §3).
pub const STEP_LIMIT: u32 = 1000;

/// A message of the chat from before this run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastMessage {
    /// The text.
    pub content: String,
    /// Who spoke.
    pub role: Role,
}

/// What begins a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// A call of the flow's webhook: `{"body"?:…,"headers":…,"query":…}`, secrets already removed.
    Webhook(Value),
    /// A chat message, or the text of a schedule.
    Message(String),
    /// A form: an object of its fields.
    Form(Value),
}

/// What a run begins with.
#[derive(Debug, Clone)]
pub struct RunInput {
    /// What came in.
    pub incoming: Incoming,
    /// The execution; keys of outside effects are made of it, so it must stay the same after a restart.
    pub execution_id: String,
    /// The chat.
    pub chat_id: String,
    /// The session; for webhooks always the chat.
    pub session_id: String,
    /// The flow.
    pub flow_id: String,
    /// The id that the reply message will have.
    pub api_message_id: String,
    /// The chat's messages so far, oldest first.
    pub past_history: Vec<PastMessage>,
}

/// An answer to the step that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Yes or no.
    pub outcome: Outcome,
    /// The note that came with it, as the client sent it: usually a text, but any JSON is repeated in the record.
    /// An empty text counts as none.
    pub feedback: Option<Value>,
    /// What the tool is called with in place of what was shown, where the question is about a call.
    pub arguments: Option<Value>,
    /// The step that it is for, if the client said so.
    pub start_node_id: Option<String>,
}

/// Why an answer was not taken. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The run does not wait for an answer.
    #[error("Nothing waits for an answer in this execution")]
    NotWaiting,
    /// The answer is for another step.
    #[error("“{named}” is not the step that waits; that is “{waiting}”")]
    OtherStep {
        /// The step that waits.
        waiting: String,
        /// The step that the answer named.
        named: String,
    },
    /// The plan is not the one that the run began with.
    #[error("This is not the flow that the execution began with")]
    OtherPlan,
    /// The arguments that came with it are not ones that can be taken.
    #[error(transparent)]
    Arguments(#[from] ArgumentsRefused),
}

/// A question that the run waits with.
#[derive(Debug, Clone, PartialEq)]
pub struct Stop {
    /// The step that waits.
    pub node_id: String,
    /// Its label; for a step inside a called flow the labels on the way to it.
    pub node_label: String,
    /// The names of the flows that were called on the way to it, the first one first; none for a step of the flow itself.
    pub called_flows: Vec<String>,
    /// The text as a webhook client gets it: the last message of the chat, an empty line, the question.
    pub text: String,
    /// The question alone, Markdown.
    pub description: String,
    /// Whether a note can be given.
    pub feedback_enabled: bool,
    /// The `action` object (webhook spec §8.1); its `id` came from [`Host::new_id`].
    pub action: Value,
    /// The call of a tool that the question is about, if it is about one.
    pub call: Option<AskedCall>,
}

/// A step that failed, and the run with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeFailure {
    /// The step.
    pub node_id: String,
    /// Its label.
    pub node_label: String,
    /// What went wrong, without any prefix.
    pub message: String,
}

impl fmt::Display for NodeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What one [`Run::advance`] came to.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one of it at a time, and it is taken apart at once"
)]
#[derive(Debug, Clone, PartialEq)]
pub enum Advance {
    /// A step ran; there may be more.
    Ran {
        /// The step, the last of them if several ran side by side.
        node_id: String,
    },
    /// A step waits for a person.
    Stopped(Stop),
    /// There is nothing left to run.
    Finished,
    /// A step failed, which ended the run.
    Failed(NodeFailure),
}

/// A message of this run. A note can be any JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Said {
    role: Role,
    content: Value,
    /// Who spoke, where a step speaks under its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl Said {
    pub(crate) fn new(role: Role, content: Value) -> Self {
        Self {
            role,
            content,
            name: None,
        }
    }

    pub(crate) fn named(role: Role, content: Value, name: String) -> Self {
        Self {
            role,
            content,
            name: Some(name),
        }
    }

    /// As it stands in records.
    fn in_record(&self) -> Value {
        match &self.name {
            None => json!({"role": self.role, "content": self.content}),
            Some(name) => json!({"role": self.role, "content": self.content, "name": name}),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Waiting,
    Delivered,
    /// Its source is a gate that was answered the other way.
    NotTaken,
    /// Its source does not run, or decided otherwise.
    Dead,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Phase {
    Running,
    Stopped {
        node: usize,
        description: String,
        feedback_enabled: bool,
        /// The labels on the way to a step inside a called flow.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label: Option<String>,
        /// The call of a tool that is asked about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call: Option<AskedCall>,
        /// What the step needs again when it is answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        carried: Option<Value>,
    },
    Finished,
    Failed {
        failure: NodeFailure,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Names {
    chat_id: String,
    session_id: String,
    flow_id: String,
    api_message_id: String,
    /// The execution; inside a called flow or an item, the key of the step that leads there.
    #[serde(default)]
    execution_id: String,
    /// The flows that led here by calling one another, the first one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    callers: Vec<String>,
}

/// Why a run was not put back to work at the step that failed. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RetryError {
    /// The run has not failed, or not at a step, or trying it again cannot end otherwise.
    #[error("There is no failed step in this execution that could be tried again")]
    NothingToRetry,
    /// The plan is not the one that the run began with, or the document of a called flow is not there any more.
    #[error("This is not the flow that the execution began with")]
    OtherPlan,
}

/// A step that failed the run, as it stood before it was taken up.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Undone {
    node: usize,
    /// What it had done already, if it does several things.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    carried: Option<Value>,
    /// The answer that it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decision: Option<Decision>,
    /// The run inside that failed with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    child: Option<Box<Child>>,
}

impl Undone {
    fn new(node: usize) -> Self {
        Self {
            node,
            carried: None,
            decision: None,
            child: None,
        }
    }
}

/// A step that does several things one after the other and is not done yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct UnderWay {
    node: usize,
    carried: Value,
}

/// One execution. Serialised, it holds everything that is needed to go on after a restart.
#[derive(Debug, Clone)]
pub struct Run {
    names: Arc<Names>,
    pub(crate) trigger: Arc<Trigger>,
    /// Whether the run was answered; from then on it has no question, and its user said this.
    answered: Option<Option<String>>,
    past: Arc<Vec<PastMessage>>,
    /// What was said in this run since it began or was answered.
    runtime: Vec<Said>,
    pub(crate) state: Arc<Value>,
    records: Records,
    queue: VecDeque<usize>,
    tokens: Vec<Token>,
    decision: Option<Decision>,
    steps: u32,
    phase: Phase,
    /// How often each Loop has led back.
    turns: BTreeMap<usize, u32>,
    /// The Loop that ran last.
    last_loop: Option<usize>,
    under_way: Option<UnderWay>,
    /// The step that is under way by a run of its own.
    child: Option<Box<Child>>,
    /// Once the run has failed: the steps to take up again, first the one that is on record as failed.
    undone: Vec<Undone>,
    /// The item that this run is for, inside an Iteration.
    pub(crate) item: Option<Arc<Item>>,
    /// While it is stopped, what its last record says about that. Not stored.
    stop: Option<Box<Stop>>,
}

impl Run {
    /// A run at its Start, nothing executed yet.
    pub fn begin(plan: &Plan, input: RunInput) -> Self {
        Self::begin_in_state(plan, input, None)
    }

    /// The same, with the flow state that the previous run of the chat ended with. It matters only to flows whose
    /// [`crate::StartSettings::persist_state`] is set.
    pub fn begin_in_state(plan: &Plan, input: RunInput, state: Option<Value>) -> Self {
        let settings = plan.start();
        let payload_mode = settings.input_mode == InputMode::Payload;
        let mut refused = None;
        let mut trigger = Trigger {
            ephemeral: settings.ephemeral_memory,
            persist: settings.persist_state,
            ..Trigger::default()
        };
        match input.incoming {
            Incoming::Message(question) => trigger.question = Some(question),
            Incoming::Form(form) => trigger.form = Some(form),
            Incoming::Webhook(webhook) => {
                trigger.payload_mode = payload_mode;
                trigger.question = match settings.input_mode {
                    InputMode::Payload => None,
                    InputMode::None => Some(" ".to_owned()),
                    InputMode::Text => {
                        let scope = WebhookScope(&webhook);
                        let text = match settings.default_input.rendered_bytes(&scope) {
                            0..=TEXTS_LIMIT => settings.default_input.render_text(&scope),
                            _ => {
                                refused = Some("webhookDefaultInput");
                                String::new()
                            }
                        };
                        Some(if text.is_empty() { " ".to_owned() } else { text })
                    }
                };
                trigger.webhook = webhook;
            }
        }
        let past = if settings.ephemeral_memory {
            Vec::new()
        } else {
            input.past_history
        };
        let names = Names {
            chat_id: input.chat_id,
            session_id: input.session_id,
            flow_id: input.flow_id,
            api_message_id: input.api_message_id,
            execution_id: input.execution_id,
            callers: Vec::new(),
        };
        let state = state.filter(Value::is_object).map_or_else(empty_state, Arc::new);
        let mut run = Self::at_start(plan, Arc::new(names), Arc::new(trigger), Arc::new(past), state);
        if let (Some(field), Some(start)) = (refused, plan.starts().first()) {
            let facts = &plan.node(*start).facts;
            run.fail(failure(facts, texts_too_large(field, &facts.label)));
        }
        run
    }

    fn at_start(
        plan: &Plan,
        names: Arc<Names>,
        trigger: Arc<Trigger>,
        past: Arc<Vec<PastMessage>>,
        state: Arc<Value>,
    ) -> Self {
        Self {
            names,
            trigger,
            answered: None,
            past,
            runtime: Vec::new(),
            state,
            records: Records::default(),
            queue: plan.starts().iter().copied().collect(),
            tokens: vec![Token::Waiting; plan.graph().edges.len()],
            decision: None,
            steps: 0,
            phase: Phase::Running,
            turns: BTreeMap::new(),
            last_loop: None,
            under_way: None,
            child: None,
            undone: Vec::new(),
            item: None,
            stop: None,
        }
    }

    /// Takes the answer to the step that waits and puts the run back to work there. `past_history` is the chat as
    /// it stands now, with the messages of the stop.
    ///
    /// # Errors
    /// [`AnswerError`]; then nothing has changed.
    pub fn answer(
        &mut self,
        plan: &Plan,
        host: &dyn Host,
        answer: Answer,
        past_history: Vec<PastMessage>,
    ) -> Result<(), AnswerError> {
        let Phase::Stopped { node, call, .. } = &self.phase else {
            return Err(AnswerError::NotWaiting);
        };
        let node = *node;
        if !self.belongs_to(plan) {
            return Err(AnswerError::OtherPlan);
        }
        let waiting = &plan.node(node).facts.id;
        if self.records.last().map(Record::node_id) != Some(waiting) {
            return Err(AnswerError::OtherPlan);
        }
        if let Some(named) = &answer.start_node_id
            && named != waiting
        {
            return Err(AnswerError::OtherStep {
                waiting: waiting.clone(),
                named: named.clone(),
            });
        }
        let arguments = AskedCall::changed(call.as_ref(), answer.outcome, answer.arguments)?;
        let answer = Answer { arguments, ..answer };
        let start_node_id = waiting.clone();
        let said = answer
            .feedback
            .as_ref()
            .filter(|feedback| js::truthy(Some(feedback)))
            .map(|said| js::text(said).into_owned());
        match self.child.take() {
            Some(mut child) => {
                let answered = child.answer(plan, host, answer);
                self.child = Some(child);
                answered?;
                // The record of the question gives way to what comes of the answer.
                self.records.take_question(&start_node_id);
            }
            None => {
                self.decision = Some(Decision {
                    node,
                    outcome: answer.outcome,
                    feedback: answer.feedback,
                    arguments: answer.arguments,
                    start_node_id,
                });
                if let Phase::Stopped {
                    carried: Some(carried),
                    ..
                } = &mut self.phase
                {
                    let carried = std::mem::take(carried);
                    self.under_way = Some(UnderWay { node, carried });
                } else {
                    self.queue.push_front(node);
                }
            }
        }
        self.answered = Some(said);
        self.past = Arc::new(if plan.start().ephemeral_memory {
            Vec::new()
        } else {
            past_history
        });
        self.runtime.clear();
        self.stop = None;
        self.phase = Phase::Running;
        Ok(())
    }

    /// The label of the step at which the run failed, if [`Self::retry`] can take it up again there; for a step of an
    /// Iteration the labels on the way to it. None where the run failed at a limit of its own, which it would meet again.
    pub fn failed_step(&self) -> Option<String> {
        let Phase::Failed { failure } = &self.phase else {
            return None;
        };
        match &self.undone.first()?.child {
            Some(child) if child.has_failed() => child
                .failed_step()
                .map(|inside| format!("{} › {inside}", failure.node_label)),
            _ => Some(failure.node_label.clone()),
        }
    }

    /// Puts a run that failed at a step back to work there, with all that was there before it: the answers that were
    /// given, what a step of several parts had done, and the item of an Iteration. The record of the failure stays, so
    /// the key of the step's outside effects is another one than before; steps that ran beside it and were not
    /// recorded keep theirs.
    ///
    /// # Errors
    /// [`RetryError`]; then nothing has changed.
    pub fn retry(&mut self, plan: &Plan, host: &dyn Host) -> Result<(), RetryError> {
        if self.failed_step().is_none() {
            return Err(RetryError::NothingToRetry);
        }
        if !self.belongs_to(plan) || self.undone.iter().any(|step| step.node >= plan.node_count()) {
            return Err(RetryError::OtherPlan);
        }
        let mut undone = self.undone.clone();
        for child in undone.iter_mut().filter_map(|step| step.child.as_mut()) {
            child.retry(plan, host)?;
        }
        self.undone.clear();
        self.phase = Phase::Running;
        for step in undone.into_iter().rev() {
            let Undone {
                node,
                carried,
                decision,
                child,
            } = step;
            self.decision = decision.or(self.decision.take());
            match (child, carried) {
                (Some(child), _) => self.child = Some(child),
                (None, Some(carried)) => self.under_way = Some(UnderWay { node, carried }),
                (None, None) => {
                    self.steps = self.steps.saturating_sub(1);
                    self.queue.push_front(node);
                }
            }
        }
        Ok(())
    }

    /// Sets the id that the next reply message will have, for `{{ $flow.apiMessageId }}` after an answer.
    pub fn set_api_message_id(&mut self, id: impl Into<String>) {
        Arc::make_mut(&mut self.names).api_message_id = id.into();
    }

    /// The question that the run waits with, if it does.
    pub fn waiting(&self) -> Option<&Stop> {
        self.stop.as_deref()
    }

    /// What comes after the question that waits is answered, one line a step, up to the next questions, with
    /// everything filled in that is known by now. Empty if nothing waits.
    pub fn what_follows(&self, plan: &Plan, host: &dyn Host, approve: bool) -> Vec<String> {
        let Phase::Stopped { node, call, .. } = &self.phase else {
            return Vec::new();
        };
        let scope = RunScope::new(self, plan, host, None, *node);
        let in_words = |node: &crate::plan::PlannedNode| node.kind.in_words(&node.facts.label, &scope);
        match &self.child {
            Some(child) => {
                let mut lines = child.what_follows(plan, host, approve);
                lines.extend(plan.after(*node, None, in_words));
                lines
            }
            None => {
                let first = plan.node(*node).kind.answered_in_words(call.as_ref(), approve);
                let mut lines: Vec<String> = first.into_iter().collect();
                lines.extend(plan.after(*node, Some(usize::from(!approve)), in_words));
                lines
            }
        }
    }

    /// What ran, in Flowise's form: `agentFlowExecutedData`.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The `question` of the reply: absent in payload mode and after an answer (webhook spec §8.1).
    pub fn question(&self) -> Option<&str> {
        if self.answered.is_some() {
            None
        } else {
            self.trigger.question.as_deref()
        }
    }

    /// The `form` of the reply: what was filled in, absent after an answer (webhook spec §8.1).
    pub fn form(&self) -> Option<&Value> {
        if self.answered.is_some() {
            None
        } else {
            self.trigger.form.as_ref()
        }
    }

    /// The text of the reply: the content of the last record, else a space.
    pub fn final_text(&self) -> String {
        self.records
            .last()
            .and_then(Record::content)
            .map_or_else(|| " ".to_owned(), Cow::into_owned)
    }

    /// What the chat keeps as said by the user (semantics §9).
    pub fn user_message(&self) -> String {
        if self.trigger.payload_mode {
            return js::json_text(&self.trigger.webhook);
        }
        if let Some(form) = &self.trigger.form {
            return scope::form_lines(form);
        }
        match &self.answered {
            // In a chat the message itself goes before what was said about it.
            Some(feedback) if self.trigger.webhook.is_null() => self
                .trigger
                .question
                .clone()
                .filter(|question| !question.is_empty())
                .or_else(|| feedback.clone())
                .unwrap_or_else(|| " ".to_owned()),
            Some(feedback) => feedback.clone().unwrap_or_else(|| " ".to_owned()),
            None => self.trigger.question.clone().unwrap_or_else(|| " ".to_owned()),
        }
    }

    /// What the chat keeps as said by the flow: the text of the reply.
    pub fn assistant_message(&self) -> String {
        self.final_text()
    }

    /// The session of the chat.
    pub fn session_id(&self) -> &str {
        &self.names.session_id
    }

    /// The run inside, if a step is under way by one.
    pub(crate) fn inside(&self) -> Option<&Child> {
        self.child.as_deref()
    }

    /// Whether the next [`Run::advance`] runs a step.
    pub fn has_more(&self) -> bool {
        self.phase == Phase::Running
            && (self.child.is_some() || self.under_way.is_some() || !self.queue.is_empty())
    }

    /// How many records were ever made: each step that comes to an end makes one.
    pub fn recorded(&self) -> usize {
        self.records.made()
    }

    /// About how many bytes its records take, without what began the run.
    pub fn records_weight(&self) -> usize {
        self.records.weight()
    }

    /// About how many bytes what began the run takes. It stands in the record of Start twice.
    pub fn trigger_weight(&self) -> usize {
        let form = self.trigger.form.as_ref().map_or(0, weight);
        weight(&self.trigger.webhook) + form + self.trigger.question.as_ref().map_or(0, String::len)
    }

    /// Whether nothing was said in the chat since what began the run.
    fn chat_is_to_be_opened(&self) -> bool {
        self.runtime.is_empty() && (self.answered.is_none() || self.past.is_empty())
    }

    /// Whether the next step is the one that was answered, here or inside.
    fn was_just_answered(&self) -> bool {
        self.decision.is_some()
            || self
                .child
                .as_ref()
                .is_some_and(|child| child.run().was_just_answered())
    }

    /// The flow state as it stands now.
    pub fn state(&self) -> &Value {
        &self.state
    }

    /// What began the run, if a webhook did: `{"body"?:…,"headers":…,"query":…}`; else null.
    pub fn webhook(&self) -> &Value {
        &self.trigger.webhook
    }

    /// What began the run, as people are shown it: the webhook's call, the form or the message.
    pub fn payload(&self) -> Value {
        if !self.trigger.webhook.is_null() {
            return self.trigger.webhook.clone();
        }
        match &self.trigger.form {
            Some(form) => json!({"form": form}),
            None => json!({"question": self.trigger.question}),
        }
    }

    fn belongs_to(&self, plan: &Plan) -> bool {
        self.tokens.len() == plan.graph().edges.len()
            && self.queue.iter().all(|index| *index < plan.node_count())
            && !matches!(self.phase, Phase::Stopped { node, .. } if node >= plan.node_count())
    }

    /// What the last record says about the question that waits.
    fn read_stop(&self) -> Option<Stop> {
        let Phase::Stopped {
            description,
            feedback_enabled,
            label,
            call,
            ..
        } = &self.phase
        else {
            return None;
        };
        let record = self.records.last()?;
        Some(Stop {
            node_id: record.facts.id.clone(),
            node_label: label.clone().unwrap_or_else(|| record.facts.label.clone()),
            called_flows: self.child.as_deref().map(Child::called_flows).unwrap_or_default(),
            text: record.content().map_or_else(String::new, Cow::into_owned),
            description: description.clone(),
            feedback_enabled: *feedback_enabled,
            action: record.action().cloned().unwrap_or_default(),
            call: call.clone(),
        })
    }

    /// The chat as nodes see it: before this run `content` comes first, since then `role`, as recorded.
    pub(crate) fn messages(&self) -> Vec<Value> {
        let past = self
            .past
            .iter()
            .map(|message| json!({"content": message.content, "role": message.role}));
        past.chain(self.runtime.iter().map(Said::in_record)).collect()
    }

    pub(crate) fn last_message(&self) -> Option<Cow<'_, str>> {
        match self.runtime.last() {
            Some(said) => Some(js::text(&said.content)),
            None => self
                .past
                .last()
                .map(|message| Cow::Borrowed(message.content.as_str())),
        }
    }

    /// How often a Loop has led back so far.
    pub(crate) fn turns_of(&self, index: usize) -> u32 {
        self.turns.get(&index).copied().unwrap_or_default()
    }
}
