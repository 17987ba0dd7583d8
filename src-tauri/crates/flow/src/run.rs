//! The runner: one execution as a state machine without I/O.
//!
//! Every edge of the graph carries a token. It begins as waiting; when its source has run it is delivered or, if it
//! leaves an output that was not taken, dead. A node whose edges are all settled runs once if one of them was
//! delivered; else it is dead itself and so are the edges that leave it. So a join waits for every branch that
//! can still come, across gates as well, and runs once (semantics §5.2, the engine that is recommended there).
//!
//! A gate waits until nothing else can run: what lies beside it is done before the question is asked.

mod stored;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use countersign_domain::{Outcome, Role, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::host::Host;
use crate::js;
use crate::nodes::{self, Decision, Ran};
use crate::plan::Plan;
use crate::record::{Body, Record, RecordStatus, Trigger, empty_state};
use crate::start::InputMode;
use crate::template::{Path, Scope};

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

/// What a run begins with.
#[derive(Debug, Clone)]
pub struct RunInput {
    /// What came in: `{"body"?:…,"headers":…,"query":…}`, secrets already removed.
    pub webhook: Value,
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
}

/// A question that the run waits with.
#[derive(Debug, Clone, PartialEq)]
pub struct Stop {
    /// The step that waits.
    pub node_id: String,
    /// Its label.
    pub node_label: String,
    /// The text as a webhook client gets it: the last message of the chat, an empty line, the question.
    pub text: String,
    /// The question alone, Markdown.
    pub description: String,
    /// Whether a note can be given.
    pub feedback_enabled: bool,
    /// The `action` object (webhook spec §8.1); its `id` came from [`Host::new_id`].
    pub action: Value,
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
#[derive(Debug, Clone, PartialEq)]
pub enum Advance {
    /// A step ran; there may be more.
    Ran {
        /// The step.
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
struct Said {
    role: Role,
    content: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Waiting,
    Delivered,
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
}

/// One execution. Serialised, it holds everything that is needed to go on after a restart.
#[derive(Debug, Clone)]
pub struct Run {
    names: Names,
    pub(crate) trigger: Arc<Trigger>,
    /// Whether the run was answered; from then on it has no question, and its user said this.
    answered: Option<Option<String>>,
    past: Vec<PastMessage>,
    /// What was said in this run since it began or was answered.
    runtime: Vec<Said>,
    pub(crate) state: Arc<Value>,
    records: Vec<Record>,
    queue: VecDeque<usize>,
    tokens: Vec<Token>,
    decision: Option<Decision>,
    steps: u32,
    phase: Phase,
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
        let question = match settings.input_mode {
            InputMode::Payload => None,
            InputMode::None => Some(" ".to_owned()),
            InputMode::Text => {
                let text = settings.default_input.render_text(&WebhookScope(&input.webhook));
                Some(if text.is_empty() { " ".to_owned() } else { text })
            }
        };
        let past = if settings.ephemeral_memory {
            Vec::new()
        } else {
            input.past_history
        };
        Self {
            names: Names {
                chat_id: input.chat_id,
                session_id: input.session_id,
                flow_id: input.flow_id,
                api_message_id: input.api_message_id,
            },
            trigger: Arc::new(Trigger {
                webhook: input.webhook,
                question,
                payload_mode: settings.input_mode == InputMode::Payload,
                ephemeral: settings.ephemeral_memory,
                persist: settings.persist_state,
            }),
            answered: None,
            past,
            runtime: Vec::new(),
            state: state.filter(Value::is_object).map_or_else(empty_state, Arc::new),
            records: Vec::with_capacity(plan.node_count().min(16)),
            queue: VecDeque::from([plan.start_index()]),
            tokens: vec![Token::Waiting; plan.graph().edges.len()],
            decision: None,
            steps: 0,
            phase: Phase::Running,
            stop: None,
        }
    }

    /// Runs the next step. `plan` must be the one that the run began with. Once the run has stopped, finished or
    /// failed, that is what every further call says.
    pub async fn advance<H: Host + ?Sized>(&mut self, plan: &Plan, host: &H) -> Advance {
        match &self.phase {
            Phase::Running => {}
            Phase::Stopped { .. } => return self.stopped(),
            Phase::Finished => return Advance::Finished,
            Phase::Failed { failure } => return Advance::Failed(failure.clone()),
        }
        if !self.belongs_to(plan) {
            let failure = NodeFailure {
                node_id: String::new(),
                node_label: String::new(),
                message: AnswerError::OtherPlan.to_string(),
            };
            return self.fail(failure);
        }
        let Some(index) = self.next(plan) else {
            self.phase = Phase::Finished;
            return Advance::Finished;
        };
        let node = plan.node(index);
        if self.steps >= STEP_LIMIT {
            return self.fail(NodeFailure {
                node_id: node.facts.id.clone(),
                node_label: node.facts.label.clone(),
                message: "Maximum iteration limit reached".to_owned(),
            });
        }
        self.steps += 1;
        let decision = self.decision.take_if(|decision| decision.node == index);
        let outcome = {
            let scope = RunScope {
                run: self,
                plan,
                host,
            };
            node.kind.run(&scope, decision.as_ref()).await
        };
        match outcome {
            Ok(nodes::Outcome::Ran(ran)) => {
                self.finish(plan, index, ran, decision.is_some());
                Advance::Ran {
                    node_id: node.facts.id.clone(),
                }
            }
            Ok(nodes::Outcome::Asks(question)) => self.ask(plan, index, question, host),
            Err(message) => {
                self.records
                    .push(Record::failed(node.facts.clone(), message.clone()));
                self.fail(NodeFailure {
                    node_id: node.facts.id.clone(),
                    node_label: node.facts.label.clone(),
                    message,
                })
            }
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
        answer: Answer,
        past_history: Vec<PastMessage>,
    ) -> Result<(), AnswerError> {
        let Phase::Stopped { node, .. } = self.phase else {
            return Err(AnswerError::NotWaiting);
        };
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
        let said = answer
            .feedback
            .as_ref()
            .filter(|feedback| js::truthy(Some(feedback)));
        self.answered = Some(said.map(|said| js::text(said).into_owned()));
        self.decision = Some(Decision {
            node,
            outcome: answer.outcome,
            feedback: answer.feedback,
            start_node_id: waiting.clone(),
        });
        self.past = if plan.start().ephemeral_memory {
            Vec::new()
        } else {
            past_history
        };
        self.runtime.clear();
        self.stop = None;
        self.queue.push_front(node);
        self.phase = Phase::Running;
        Ok(())
    }

    /// Sets the id that the next reply message will have, for `{{ $flow.apiMessageId }}` after an answer.
    pub fn set_api_message_id(&mut self, id: impl Into<String>) {
        self.names.api_message_id = id.into();
    }

    /// The question that the run waits with, if it does.
    pub fn waiting(&self) -> Option<&Stop> {
        self.stop.as_deref()
    }

    /// What comes after the question that waits is answered, one line a step, up to the next questions, with
    /// everything filled in that is known by now. Empty if nothing waits.
    pub fn what_follows<H: Host + ?Sized>(&self, plan: &Plan, host: &H, approve: bool) -> Vec<String> {
        let Phase::Stopped { node, .. } = &self.phase else {
            return Vec::new();
        };
        let scope = RunScope {
            run: self,
            plan,
            host,
        };
        plan.after_gate(*node, approve, |node| {
            node.kind.in_words(&node.facts.label, &scope)
        })
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
        match &self.answered {
            Some(feedback) => feedback.clone().unwrap_or_else(|| " ".to_owned()),
            None => self.trigger.question.clone().unwrap_or_else(|| " ".to_owned()),
        }
    }

    /// What the chat keeps as said by the flow: the text of the reply.
    pub fn assistant_message(&self) -> String {
        self.final_text()
    }

    /// The flow state as it stands now.
    pub fn state(&self) -> &Value {
        &self.state
    }

    /// What began the run: `{"body"?:…,"headers":…,"query":…}`.
    pub fn webhook(&self) -> &Value {
        &self.trigger.webhook
    }

    fn belongs_to(&self, plan: &Plan) -> bool {
        self.tokens.len() == plan.graph().edges.len()
            && self.queue.iter().all(|index| *index < plan.node_count())
            && !matches!(self.phase, Phase::Stopped { node, .. } if node >= plan.node_count())
    }

    /// The next node: the first that does not have to wait for a person, else the first gate.
    fn next(&mut self, plan: &Plan) -> Option<usize> {
        let answered = self.decision.as_ref().map(|decision| decision.node);
        let ready = self
            .queue
            .iter()
            .position(|index| !plan.node(*index).kind.waits() || answered == Some(*index));
        self.queue.remove(ready.unwrap_or(0))
    }

    fn fail(&mut self, failure: NodeFailure) -> Advance {
        self.phase = Phase::Failed {
            failure: failure.clone(),
        };
        Advance::Failed(failure)
    }

    fn ask<H: Host + ?Sized>(
        &mut self,
        plan: &Plan,
        index: usize,
        question: nodes::Question,
        host: &H,
    ) -> Advance {
        let facts = plan.node(index).facts.clone();
        let action = nodes::action(host.new_id(), &facts, &question.input);
        self.records.push(Record {
            facts,
            status: RecordStatus::Stopped,
            input: Body::json(question.input),
            output: Body::json(json!({"content": question.text, "humanInputAction": action})),
            state: self.state.clone(),
            chat_history: Some(Arc::new(json!([{"role": "assistant", "content": question.text}]))),
            error: None,
        });
        self.runtime.push(Said {
            role: Role::Assistant,
            content: question.text.into(),
        });
        self.phase = Phase::Stopped {
            node: index,
            description: question.description,
            feedback_enabled: question.feedback_enabled,
        };
        self.stop = self.read_stop().map(Box::new);
        self.stopped()
    }

    fn stopped(&self) -> Advance {
        self.stop
            .as_deref()
            .map_or(Advance::Finished, |stop| Advance::Stopped(stop.clone()))
    }

    /// What the last record says about the question that waits.
    fn read_stop(&self) -> Option<Stop> {
        let Phase::Stopped {
            description,
            feedback_enabled,
            ..
        } = &self.phase
        else {
            return None;
        };
        let record = self.records.last()?;
        Some(Stop {
            node_id: record.facts.id.clone(),
            node_label: record.facts.label.clone(),
            text: record.content().map_or_else(String::new, Cow::into_owned),
            description: description.clone(),
            feedback_enabled: *feedback_enabled,
            action: record.action().cloned().unwrap_or_default(),
        })
    }

    fn finish(&mut self, plan: &Plan, index: usize, ran: Ran, was_asked: bool) {
        let facts = plan.node(index).facts.clone();
        if was_asked {
            // The record of the question gives way to that of the answer; earlier ones of a loop stay.
            let asked = self
                .records
                .iter()
                .rposition(|record| record.status == RecordStatus::Stopped && record.facts.id == facts.id);
            if let Some(asked) = asked {
                self.records.remove(asked);
            }
        }
        if let Some(state) = ran.state {
            self.state = state;
        }
        let chat_history = ran.said.map(|said| {
            let history = json!([{"role": "user", "content": said}]);
            self.runtime.push(Said {
                role: Role::User,
                content: said,
            });
            Arc::new(history)
        });
        self.records.push(Record {
            facts,
            status: RecordStatus::Finished,
            input: ran.input,
            output: ran.output,
            state: self.state.clone(),
            chat_history,
            error: None,
        });
        self.settle_edges(plan, index, ran.taken);
    }

    fn settle_edges(&mut self, plan: &Plan, index: usize, taken: Option<usize>) {
        let graph = plan.graph();
        // Edges whose source turned out dead. They are settled after those of the node that ran.
        let mut dead = VecDeque::new();
        for id in &graph.outgoing[index] {
            let edge = graph.edges[*id];
            let delivered = match (edge.output, taken) {
                (Some(output), Some(taken)) => output == taken,
                _ => true,
            };
            self.tokens[*id] = if delivered { Token::Delivered } else { Token::Dead };
            self.settle_node(plan, edge.target, &mut dead);
        }
        while let Some(id) = dead.pop_front() {
            self.tokens[id] = Token::Dead;
            self.settle_node(plan, graph.edges[id].target, &mut dead);
        }
    }

    fn settle_node(&mut self, plan: &Plan, index: usize, dead: &mut VecDeque<usize>) {
        let graph = plan.graph();
        let mut delivered = false;
        for id in &graph.incoming[index] {
            match self.tokens[*id] {
                Token::Waiting => return,
                Token::Delivered => delivered = true,
                Token::Dead => {}
            }
        }
        if delivered {
            self.queue.push_back(index);
        } else {
            dead.extend(&graph.outgoing[index]);
        }
    }

    /// The chat as nodes see it: before this run `content` comes first, since then `role`, as recorded.
    pub(crate) fn messages(&self) -> Vec<Value> {
        let past = self
            .past
            .iter()
            .map(|message| json!({"content": message.content, "role": message.role}));
        let runtime = self
            .runtime
            .iter()
            .map(|message| json!({"role": message.role, "content": message.content}));
        past.chain(runtime).collect()
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
}

struct WebhookScope<'a>(&'a Value);

impl Scope for WebhookScope<'_> {
    fn webhook(&self) -> Option<&Value> {
        Some(self.0)
    }

    fn now(&self) -> Timestamp {
        Timestamp::default()
    }
}

/// What references of a running node see.
pub(crate) struct RunScope<'a, H: ?Sized> {
    pub(crate) run: &'a Run,
    pub(crate) plan: &'a Plan,
    host: &'a H,
}

impl<H: Host + ?Sized> RunScope<'_, H> {
    fn newest(&self, node_id: &str) -> Option<&Record> {
        self.run
            .records
            .iter()
            .rev()
            // A question that waits has no value yet: what it will be is what is asked.
            .find(|record| record.facts.id == node_id && record.status != RecordStatus::Stopped)
    }
}

impl<H: Host + ?Sized> Scope for RunScope<'_, H> {
    fn question(&self) -> &str {
        self.run.question().unwrap_or_default()
    }

    fn webhook(&self) -> Option<&Value> {
        Some(&self.run.trigger.webhook)
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
