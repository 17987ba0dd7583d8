//! Runs: from the trigger or an answer to the next stop or end, and the one commit at each.

use std::sync::Arc;

use bytes::Bytes;
use countersign_domain::{
    Approval, ApprovalId, ApprovalState, Callback, CallbackKind, Decision, ErrorCode, Execution, ExecutionId,
    ExecutionState, FirstAnswer, FlowId, JournalEvent, Message, MessageId, Question, ResponseMode, Role,
    Timestamp, display_line, display_text, payload_facts,
};
use countersign_flow::{Advance, Incoming, PastMessage, Plan, RUN_FAILED, Record, Run, RunInput, Stop};
use countersign_store::Changes;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::app::{Inner, storage};
use crate::callbacks::{Content, Outgoing};
use crate::executions::{no_such_execution, read_run};
use crate::flows::LiveFlow;
use crate::host::RunHost;
use crate::lost::{Lost, Whole};
use crate::redact::Redact;
use crate::repeats::Claim;
use crate::stream::Listener;
use crate::view::ExecutionView;
use crate::{App, Error, notifications};

/// The longest title of a question, in characters.
const TITLE_LIMIT: usize = 200;

/// The longest text of a question, in characters: more than a person reads.
const BODY_LIMIT: usize = 50_000;

/// Whether somebody waits for the result on an open connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The HTTP answer carries the result.
    Waits,
    /// The result leaves as a callback, if there is a URL for one.
    Gone,
}

/// What starts a run.
pub(crate) struct Trigger {
    pub(crate) live: Arc<LiveFlow>,
    pub(crate) incoming: Incoming,
    pub(crate) chat_id: String,
    /// The session, where it is not the chat.
    pub(crate) session_id: Option<String>,
    /// The chat so far, where the caller brings it along.
    pub(crate) history: Option<Vec<PastMessage>>,
    /// Whether the chat id was made up for this run, so that nothing can lie under it.
    pub(crate) fresh_chat: bool,
    pub(crate) signed: bool,
    pub(crate) mode: ResponseMode,
    pub(crate) caller_callback_url: Option<String>,
    /// What holds back the same call until this one is answered, if it carries an id of its sender.
    pub(crate) claim: Option<Claim>,
}

/// A run that can go on, with its record.
pub(crate) struct Begun {
    pub(crate) execution: Execution,
    pub(crate) run: Run,
    pub(crate) plan: Plan,
    /// The id of the answer that will be given.
    pub(crate) message_id: Uuid,
    /// The decision that put it back to work.
    pub(crate) decision: Option<(ApprovalId, Decision)>,
    /// Whether the store knows it already.
    pub(crate) stored: bool,
    /// Who watches it.
    pub(crate) listener: Option<Listener>,
    /// What the same call waits for, until the first answer is stored.
    pub(crate) claim: Option<Claim>,
}

impl Begun {
    /// Remembers the call that began it in these changes, if it carries an id of its sender.
    fn note_call(
        &self,
        changes: &mut Changes,
        answer: impl FnOnce() -> Result<Option<FirstAnswer>, Error>,
    ) -> Result<(), Error> {
        if let Some(claim) = &self.claim {
            claim.note(changes, &self.execution, answer()?);
        }
        Ok(())
    }

    pub(crate) fn chat_id(&self) -> &str {
        &self.execution.chat_id
    }
}

/// How a run came to rest.
#[derive(Debug)]
pub(crate) enum Ending {
    /// It is done; the JSON text of the answer.
    Finished(Bytes),
    /// It waits for a person; the JSON text of the answer.
    Stopped(Bytes),
    /// A step failed; the message that the caller gets.
    Failed(String),
}

/// The answer of a run (webhook spec §8.1). The order of the keys is Flowise's.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnswerBody<'a> {
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    question: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    form: Option<&'a Value>,
    chat_id: &'a str,
    chat_message_id: Uuid,
    execution_id: ExecutionId,
    agent_flow_executed_data: &'a [Record],
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'a Value>,
    session_id: &'a str,
}

impl App {
    /// Puts a run together. Nothing is stored yet.
    pub(crate) fn begin(&self, trigger: Trigger) -> Result<Begun, Error> {
        let now = self.inner.clock.now();
        let flow = &trigger.live.flow;
        let (past_history, state) = if let Some(history) = trigger.history {
            (history, None)
        } else if trigger.fresh_chat {
            (Vec::new(), None)
        } else {
            let state = if trigger.live.plan.start().persist_state {
                self.inner.left_state(flow.id, &trigger.chat_id)?
            } else {
                None
            };
            (self.inner.past_history(flow.id, &trigger.chat_id)?, state)
        };
        let message_id = self.inner.ids.random();
        let id = ExecutionId::from_uuid(self.inner.ids.ordered(now));
        let session_id = trigger.session_id.unwrap_or_else(|| trigger.chat_id.clone());
        let run = Run::begin_in_state(
            &trigger.live.plan,
            RunInput {
                incoming: trigger.incoming,
                execution_id: id.to_string(),
                chat_id: trigger.chat_id.clone(),
                session_id,
                flow_id: flow.id.to_string(),
                api_message_id: message_id.to_string(),
                past_history,
            },
            state,
        );
        let execution = Execution {
            id,
            flow_id: flow.id,
            flow_name: flow.name.clone(),
            document: flow.document.clone(),
            chat_id: trigger.chat_id,
            state: ExecutionState::InProgress,
            mode: trigger.mode,
            caller_callback_url: trigger.caller_callback_url,
            approval_id: None,
            run: RawValue::NULL.to_owned(),
            messages: Vec::new(),
            signed: trigger.signed,
            interrupted: false,
            outdated: false,
            failed_step: None,
            error: None,
            created_at: now,
            updated_at: now,
            stopped_at: None,
        };
        Ok(Begun {
            execution,
            run,
            plan: trigger.live.plan.clone(),
            message_id,
            decision: None,
            stored: false,
            listener: None,
            claim: trigger.claim,
        })
    }

    /// Puts a run together that somebody here or a schedule starts, in a chat of its own, and that nobody waits for.
    pub(crate) fn begin_unattended(&self, live: Arc<LiveFlow>, incoming: Incoming) -> Result<Begun, Error> {
        self.begin(Trigger {
            live,
            incoming,
            chat_id: self.inner.ids.random().to_string(),
            session_id: None,
            history: None,
            fresh_chat: true,
            signed: false,
            mode: ResponseMode::Async,
            caller_callback_url: None,
            claim: None,
        })
    }

    /// Makes an asynchronous run durable together with these changes, so that a restart runs it, and lets it go on
    /// by itself.
    pub(crate) async fn run_behind(&self, mut begun: Begun, mut changes: Changes) -> Result<(), Error> {
        begun.execution.run = raw(&begun.run)?;
        changes.put_execution(&begun.execution);
        begun.note_call(&mut changes, || Ok(Some(FirstAnswer::Accepted)))?;
        self.inner.store.commit(changes).await.map_err(storage)?;
        begun.stored = true;
        begun.claim = None;
        self.spawn(begun);
        Ok(())
    }

    /// Lets a run go on by itself; its failure is in its record and in the log.
    pub(crate) fn spawn(&self, begun: Begun) {
        self.spawn_for(begun, Caller::Gone);
    }

    /// Lets a run go on for somebody who watches it. It does not depend on them.
    pub(crate) fn spawn_watched(&self, begun: Begun) {
        self.spawn_for(begun, Caller::Waits);
    }

    fn spawn_for(&self, begun: Begun, caller: Caller) {
        let app = self.clone();
        tokio::spawn(async move {
            let id = begun.execution.id;
            if let Err(error) = app.run_to_end(begun, caller).await {
                tracing::error!(execution = %id, %error, source = ?error.source, "a run could not be kept");
            }
        });
    }

    /// Runs until the run comes to rest, and commits that. Before a step that touches the world, and after it, the
    /// run is made durable: after a kill nothing is done twice but the step that was under way, with those that ran side by
    /// side with it, and that with the same idempotency keys.
    pub(crate) async fn run_to_end(&self, mut begun: Begun, caller: Caller) -> Result<Ending, Error> {
        let _under_way = self.run_guard();
        let listener = begun.listener.take();
        let told = listener.as_ref();
        let ending = self.run_to_rest(begun, caller, told).await;
        if let (Some(listener), Err(error)) = (told, &ending) {
            listener.tell("error", error.to_string());
        }
        if let Some(listener) = told {
            listener.ended();
        }
        ending
    }

    async fn run_to_rest(
        &self,
        mut begun: Begun,
        caller: Caller,
        told: Option<&Listener>,
    ) -> Result<Ending, Error> {
        let host = RunHost::new(&self.inner, told);
        if let Some(listener) = told {
            listener.began(&begun.run);
        }
        let mut acted = false;
        loop {
            let acts = begun.run.acts_next(&begun.plan, &host);
            if acts || (acted && begun.run.has_more()) {
                self.checkpoint(&mut begun).await?;
            }
            acted = acts;
            let advance = begun.run.advance(&begun.plan, &host).await;
            if let Some(listener) = told {
                match &advance {
                    Advance::Ran { .. } => {
                        listener.executed(&begun.run);
                        listener.pace().await;
                    }
                    Advance::Finished => listener.ran_to_its_end(&begun.run),
                    Advance::Stopped(_) | Advance::Failed(_) => listener.rested(&begun.run),
                }
            }
            match advance {
                Advance::Ran { .. } => {}
                Advance::Stopped(stop) => {
                    // Made before the run is handed over, and only if somebody listens.
                    let told = told.map(|listener| (listener, metadata(&begun, Some(&stop.action))));
                    let ending = self.stopped(begun, stop, caller).await?;
                    if let Some((listener, metadata)) = told {
                        listener.stopped(&metadata);
                    }
                    return Ok(ending);
                }
                Advance::Finished => {
                    let told = told.map(|listener| (listener, metadata(&begun, None)));
                    let ending = self.finished(begun, caller).await?;
                    if let Some((listener, metadata)) = told {
                        listener.finished(&metadata);
                    }
                    return Ok(ending);
                }
                Advance::Failed(failure) => {
                    let message = format!("{RUN_FAILED}{}", failure.message);
                    let ending = self.failed(begun, message.clone(), caller).await?;
                    if let Some(listener) = told {
                        listener.failed(&message);
                    }
                    return Ok(ending);
                }
            }
        }
    }

    /// Makes a run that is under way durable as it stands.
    async fn checkpoint(&self, begun: &mut Begun) -> Result<(), Error> {
        begun.execution.run = raw(&begun.run)?;
        begun.execution.updated_at = self.inner.clock.now();
        let mut changes = Changes::new();
        changes.put_execution(&begun.execution);
        if !begun.stored {
            begun.note_call(&mut changes, || Ok(None))?;
        }
        self.inner.store.commit(changes).await.map_err(storage)?;
        begun.stored = true;
        Ok(())
    }

    async fn stopped(&self, mut begun: Begun, stop: Stop, caller: Caller) -> Result<Ending, Error> {
        let now = self.inner.clock.now();
        let redact = Redact::of(&self.inner);
        let approval = self.ask(&begun, &stop, &redact, now)?;
        let body = answer_body(&begun, &stop.text, Some(&stop.action), &redact)?;
        self.inner.say(&mut begun, &redact, now);
        let execution = &mut begun.execution;
        execution.state = ExecutionState::Stopped;
        execution.approval_id = Some(approval.id);
        execution.updated_at = now;
        execution.stopped_at = Some(now);
        execution.run = raw(&begun.run)?;

        let mut changes = Changes::new();
        changes.put_execution(&begun.execution);
        begun.note_call(&mut changes, || done(&body).map(Some))?;
        changes.put_approval(&approval);
        changes.journal(&JournalEvent::ApprovalOpened {
            approval: Box::new(approval.clone()),
        });
        let callback = if caller == Caller::Gone {
            let data = serde_json::json!({
                "text": stop.text,
                "executionId": begun.execution.id.to_string(),
                "action": stop.action,
            });
            let data = redact.json(&data).and_then(RawValue::from_string);
            let data = data.map_err(not_json)?;
            self.queue_callback(
                &mut changes,
                &begun,
                CallbackKind::Stopped,
                Content::Data(data),
                now,
            )?
        } else {
            None
        };
        self.commit_and_send(changes, callback).await?;
        self.inner.events.approval(&approval, None);
        notifications::present(self, &approval);
        Ok(Ending::Stopped(body))
    }

    async fn finished(&self, mut begun: Begun, caller: Caller) -> Result<Ending, Error> {
        let now = self.inner.clock.now();
        let text = begun.run.final_text();
        let redact = Redact::of(&self.inner);
        let body = answer_body(&begun, &text, None, &redact)?;
        self.inner.say(&mut begun, &redact, now);
        begun.execution.state = ExecutionState::Finished;
        begun.execution.updated_at = now;
        begun.execution.run = redact.records_of(&begun.run).map_err(not_json)?;

        let mut changes = Changes::new();
        changes.put_execution(&begun.execution);
        begun.note_call(&mut changes, || done(&body).map(Some))?;
        let callback = if caller == Caller::Gone {
            let data = RawValue::from_string(text_of(&body)).map_err(not_json)?;
            self.queue_callback(
                &mut changes,
                &begun,
                CallbackKind::Success,
                Content::Data(data),
                now,
            )?
        } else {
            None
        };
        self.keep(changes, callback, &begun, caller).await?;
        Ok(Ending::Finished(body))
    }

    async fn failed(&self, mut begun: Begun, message: String, caller: Caller) -> Result<Ending, Error> {
        let now = self.inner.clock.now();
        let message = Redact::of(&self.inner).text(&message);
        begun.execution.state = ExecutionState::Error;
        begun.execution.error = Some(message.clone());
        begun.execution.failed_step = begun.run.failed_step();
        begun.execution.updated_at = now;
        begun.execution.run = raw(&begun.run)?;

        let mut changes = Changes::new();
        changes.put_execution(&begun.execution);
        begun.note_call(&mut changes, || Ok(Some(FirstAnswer::Failed(message.clone()))))?;
        let callback = if caller == Caller::Gone {
            self.queue_callback(
                &mut changes,
                &begun,
                CallbackKind::Error,
                Content::Error(&message),
                now,
            )?
        } else {
            None
        };
        self.keep(changes, callback, &begun, caller).await?;
        Ok(Ending::Failed(message))
    }

    /// Commits an end. When nobody depends on the record, because the caller gets the answer itself, no person was
    /// asked and no id tells that the caller may come again, it may be flushed with the next commit (design §5).
    async fn keep(
        &self,
        changes: Changes,
        callback: Option<Callback>,
        begun: &Begun,
        caller: Caller,
    ) -> Result<(), Error> {
        let nobody_depends = begun.execution.approval_id.is_none() && begun.claim.is_none() && !begun.stored;
        if caller == Caller::Waits && nobody_depends {
            return self.inner.store.record(changes).map_err(storage);
        }
        self.commit_and_send(changes, callback).await
    }

    /// Makes changes durable, and lets the callback among them go out.
    async fn commit_and_send(&self, changes: Changes, callback: Option<Callback>) -> Result<(), Error> {
        self.inner.store.commit(changes).await.map_err(storage)?;
        self.send(callback);
        Ok(())
    }

    /// Lets a callback that is durable go out.
    pub(crate) fn send(&self, callback: Option<Callback>) {
        if let (Some(callback), Some(dispatcher)) = (callback, self.dispatcher()) {
            dispatcher.put(&callback);
        }
    }

    /// Takes an asynchronous run up again after a restart.
    pub(crate) async fn go_on(&self, execution: Execution) {
        let id = execution.id;
        let begun = match self.begun_again(execution) {
            Ok(begun) => begun,
            Err(error) => {
                tracing::error!(execution = %id, %error, "a run cannot go on after the restart");
                return;
            }
        };
        if let Err(error) = self.run_to_end(begun, Caller::Gone).await {
            tracing::error!(execution = %id, %error, "a run could not be kept");
        }
    }

    pub(crate) fn begun_again(&self, execution: Execution) -> Result<Begun, Error> {
        let plan = self.inner.plan_of(&execution)?;
        let mut run = read_run(&execution)?;
        let message_id = self.inner.ids.random();
        run.set_api_message_id(message_id.to_string());
        let decision = match execution.approval_id {
            Some(id) => self
                .inner
                .store
                .approval(id)
                .map_err(storage)?
                .and_then(|a| a.decision.map(|d| (id, d))),
            None => None,
        };
        Ok(Begun {
            execution,
            run,
            plan,
            message_id,
            decision,
            stored: true,
            listener: None,
            claim: None,
        })
    }

    /// Ends a synchronous run whose caller went with the last run of the program. Where a callback URL is known,
    /// the receiver hears of it there, since no answer can reach the caller any more.
    pub(crate) async fn interrupted(&self, execution: Execution) -> Result<(), Error> {
        let now = self.inner.clock.now();
        let message = format!("{RUN_FAILED}interrupted by a restart");
        let mut begun = self.begun_again(execution)?;
        begun.execution.state = ExecutionState::Error;
        begun.execution.interrupted = true;
        begun.execution.error = Some(message.clone());
        begun.execution.updated_at = now;
        let mut changes = Changes::new();
        changes.put_execution(&begun.execution);
        self.inner
            .answer_call(&mut changes, begun.execution.id, &message)?;
        let callback = self.queue_callback(
            &mut changes,
            &begun,
            CallbackKind::Error,
            Content::Error(&message),
            now,
        )?;
        self.commit_and_send(changes, callback).await
    }

    /// Lets an execution go on that ended at a step: one that a restart interrupted while its caller waited goes on
    /// with that step under the same idempotency key, because nobody knows whether it was done; one that failed tries
    /// the failed step again under another key, because it is known to have failed. Answers that were given stand. Its
    /// result leaves as a callback where a URL is known. Of several that ask at once exactly one gets it going.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] for an unknown id; [`ErrorCode::NotWaiting`] for an execution with nothing to go on
    /// with; [`ErrorCode::RunLost`] if its document or its state cannot be read any more. In each case nothing was
    /// changed.
    pub async fn continue_execution(&self, id: &str, person: Option<String>) -> Result<ExecutionView, Error> {
        self.ready()?;
        let id = self.stored_execution(id)?.id;
        // Read before, so that what cannot go on is not marked as running.
        let Whole {
            execution: stored,
            plan,
            mut run,
        } = match self.inner.run_of(id)? {
            Ok(whole) => whole,
            Err(lost) => return Err(lost.refuse_to_go_on()),
        };
        if !stored.can_go_on() {
            return Err(nothing_to_go_on_with(&stored));
        }
        if stored.failed_step.is_some() {
            let host = RunHost::new(&self.inner, None);
            run.retry(&plan, &host).map_err(|error| {
                let why = "a document that the failed step needs cannot be read any more";
                Lost::new(why).caused_by(error).refuse_to_go_on()
            })?;
        }
        let put_back = raw(&run)?;
        let now = self.inner.clock.now();
        let execution = self
            .inner
            .store
            .transact(move |transaction| -> Result<_, Error> {
                let mut execution = transaction
                    .execution(id)
                    .map_err(storage)?
                    .ok_or_else(|| no_such_execution(id))?;
                // Also one that went on since, and ended in the same way again, is not the one that was read.
                if !execution.can_go_on() || execution.run.get() != stored.run.get() {
                    return Err(nothing_to_go_on_with(&execution));
                }
                execution.go_on(now);
                execution.run = put_back;
                transaction.put_execution(&execution);
                transaction.journal(&JournalEvent::ExecutionContinued {
                    execution_id: id,
                    person,
                });
                Ok(execution)
            })
            .await
            .map_err(storage)??;
        let begun = self.begun_again(execution)?;
        self.spawn(begun);
        self.execution(&id.to_string())
    }

    fn ask(&self, begun: &Begun, stop: &Stop, redact: &Redact, now: Timestamp) -> Result<Approval, Error> {
        let execution = &begun.execution;
        let id = stop
            .action
            .get("id")
            .and_then(Value::as_str)
            .and_then(|id| id.parse::<ApprovalId>().ok())
            .ok_or_else(|| Error::new(ErrorCode::Internal, "A stop came without an id."))?;
        let (title, body) = title_and_body(stop);
        let host = RunHost::new(&self.inner, None);
        let mut if_approved = begun.run.what_follows(&begun.plan, &host, true);
        let mut if_rejected = begun.run.what_follows(&begun.plan, &host, false);
        if let Some(receiver) = self.inner.receiver_of(execution, &begun.plan) {
            for path in [&mut if_approved, &mut if_rejected] {
                path.push(format!("Callback SUCCESS to {receiver}"));
            }
        }
        let (payload_hash, payload_bytes) = payload_facts(&begun.run.payload());
        let mut question = Question {
            title,
            body,
            feedback_enabled: stop.feedback_enabled,
            call: stop.call.clone(),
            payload_hash,
            payload_bytes,
            if_approved,
            if_rejected,
        };
        redact.question(&mut question);
        Ok(Approval {
            id,
            state: ApprovalState::Pending,
            flow_id: execution.flow_id,
            flow_name: execution.flow_name.clone(),
            execution_id: execution.id,
            chat_id: execution.chat_id.clone(),
            called_flows: stop.called_flows.clone(),
            node_id: stop.node_id.clone(),
            node_label: stop.node_label.clone(),
            content_hash: question.hash(id),
            question,
            signed: execution.signed,
            created_at: now,
            decision: None,
        })
    }

    /// Writes a callback into the same commit as the state that it reports, if there is somewhere to send it.
    pub(crate) fn queue_callback(
        &self,
        changes: &mut Changes,
        begun: &Begun,
        kind: CallbackKind,
        content: Content<'_>,
        now: Timestamp,
    ) -> Result<Option<Callback>, Error> {
        let outgoing = self.inner.callback(begun, kind, content, now)?;
        Ok(outgoing.map(|outgoing| queue(changes, outgoing)))
    }
}

/// What somebody is told who wants to go on with a run that waits for nobody to do that.
fn nothing_to_go_on_with(execution: &Execution) -> Error {
    let why = match execution.state {
        ExecutionState::Error => {
            "failed at something that trying again cannot change, or under a version that kept nothing for it"
        }
        _ => "neither failed at a step nor was interrupted by a restart",
    };
    let message = format!(
        "Execution {} is {} and {why}, so there is nothing to go on with. Nothing was changed.",
        execution.id, execution.state
    );
    Error::new(ErrorCode::NotWaiting, message)
}

/// Adds a new callback to changes, with its line for the journal.
pub(crate) fn queue(changes: &mut Changes, (callback, body): Outgoing) -> Callback {
    changes.put_new_callback(&callback, &body);
    changes.journal(&JournalEvent::CallbackQueued {
        callback: Box::new(callback.clone()),
        body,
    });
    callback
}

/// What a stream says about the answer as a whole.
fn metadata(begun: &Begun, action: Option<&Value>) -> Value {
    let mut metadata = serde_json::json!({
        "chatId": begun.execution.chat_id,
        "chatMessageId": begun.message_id,
    });
    if let Some(question) = begun.run.question() {
        metadata["question"] = question.into();
    }
    metadata["sessionId"] = begun.run.session_id().into();
    if let Some(action) = action {
        metadata["action"] = action.clone();
    }
    metadata
}

impl Inner {
    /// What earlier runs under this chat have said, oldest first (execution semantics §9).
    pub(crate) fn past_history(&self, flow: FlowId, chat_id: &str) -> Result<Vec<PastMessage>, Error> {
        let messages = self.store.messages(flow, chat_id).map_err(storage)?;
        // What is said from now on stands behind them, also if the clock was set back since.
        if let Some(last) = messages.last() {
            self.ids.continue_after(last.id.uuid());
        }
        Ok(messages
            .into_iter()
            .map(|m| PastMessage {
                role: m.role,
                content: m.content,
            })
            .collect())
    }

    /// The flow state that the chat's newest run left (execution semantics §8, persistence).
    fn left_state(&self, flow: FlowId, chat_id: &str) -> Result<Option<Value>, Error> {
        let query = countersign_store::ExecutionQuery {
            flow: Some(flow),
            chat_id: Some(chat_id.to_owned()),
            limit: 1,
            ..Default::default()
        };
        let newest = self.store.executions(&query).map_err(storage)?.items.pop();
        newest
            .as_ref()
            .map(|execution| Ok(read_run(execution)?.state().clone()))
            .transpose()
    }

    /// Adds the two messages that a run leaves when it comes to rest.
    fn say(&self, begun: &mut Begun, redact: &Redact, now: Timestamp) {
        for (role, content) in [
            (Role::User, begun.run.user_message()),
            (Role::Assistant, begun.run.assistant_message()),
        ] {
            let id = MessageId::from_uuid(self.ids.ordered(now));
            let content = redact.text(&content);
            begun.execution.messages.push(Message { id, role, content });
        }
    }
}

fn answer_body(begun: &Begun, text: &str, action: Option<&Value>, redact: &Redact) -> Result<Bytes, Error> {
    let body = AnswerBody {
        text,
        question: begun.run.question(),
        form: begun.run.form(),
        chat_id: &begun.execution.chat_id,
        chat_message_id: begun.message_id,
        execution_id: begun.execution.id,
        agent_flow_executed_data: begun.run.records(),
        action,
        session_id: begun.run.session_id(),
    };
    redact.json(&body).map(Bytes::from).map_err(not_json)
}

fn done(body: &Bytes) -> Result<FirstAnswer, Error> {
    let body = RawValue::from_string(text_of(body)).map_err(not_json)?;
    Ok(FirstAnswer::Done(body))
}

fn text_of(body: &Bytes) -> String {
    String::from_utf8_lossy(body).into_owned()
}

pub(crate) fn raw(run: &Run) -> Result<Box<RawValue>, Error> {
    serde_json::value::to_raw_value(run).map_err(not_json)
}

pub(crate) fn not_json(error: serde_json::Error) -> Error {
    Error::new(ErrorCode::Internal, "A result cannot be written as JSON.").caused_by(error)
}

/// The first line of the step's own text is the question; what an earlier step said, and the rest, is the
/// body. People must see all that Flowise's client would have seen, as far as anybody reads on.
fn title_and_body(stop: &Stop) -> (String, String) {
    let (description, mut missing) = readable(&stop.description);
    let mut lines = description.lines().skip_while(|line| line.trim().is_empty());
    let first = lines.next().unwrap_or("Do you want to proceed?");
    let title = display_line(
        first.trim_start_matches('#').trim().trim_matches('*'),
        TITLE_LIMIT,
    );
    let rest = lines.collect::<Vec<_>>().join("\n");
    // A title that had to be cut is repeated whole.
    let whole = if title.ends_with('…') && !first.ends_with('…') {
        first
    } else {
        ""
    };
    let (said, more_missing) = readable(stop.text.strip_suffix(&stop.description).unwrap_or_default());
    missing += more_missing;
    let mut body = [said.trim(), whole, rest.trim()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("\n\n");
    if missing > 0 {
        body.push_str(&format!(
            "…\n\n({missing} more characters are not shown; the whole text is in the record of the step.)"
        ));
    }
    (title, body)
}

/// The beginning of a text, fit to be shown, and how many characters of it are left out.
fn readable(text: &str) -> (String, usize) {
    match text.char_indices().nth(BODY_LIMIT) {
        None => (display_text(text), 0),
        Some((end, _)) => (display_text(&text[..end]), text[end..].chars().count()),
    }
}
