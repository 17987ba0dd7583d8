//! Runs that cannot go on because their record or the document they began with is lost: it is damaged, or the data
//! folder was rebuilt from the journal, which carries questions and callbacks but no runs. The questions that they asked
//! can be taken back, not answered.

use countersign_domain::{
    Approval, Callback, CallbackKind, ErrorCode, Execution, ExecutionId, ExecutionState, Timestamp, UrlSource,
};
use countersign_flow::{Plan, RUN_FAILED, Run};
use countersign_store::{CallbackQuery, Changes, StoreError};

use crate::app::{Inner, storage};
use crate::callbacks::{Content, Outgoing, Subject, Target};
use crate::execute::queue;
use crate::executions::read_run;
use crate::flows::DocumentError;
use crate::policies::stored_policy;
use crate::{App, Error};

/// Why a run whose record is older than the journal cannot go on.
const OUTDATED: &str = "the record of the run behind it is older than the journal: the data folder was damaged, or an older copy of \
                        it was put back";

/// What goes on after an answer.
pub(crate) struct Whole {
    pub(crate) execution: Execution,
    pub(crate) plan: Plan,
    pub(crate) run: Run,
}

/// Why a run cannot go on.
pub(crate) struct Lost {
    /// A clause for people.
    pub(crate) why: &'static str,
    /// Its record, where that is what is left.
    pub(crate) execution: Option<Execution>,
    pub(crate) cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Lost {
    pub(crate) fn new(why: &'static str) -> Self {
        Self {
            why,
            execution: None,
            cause: None,
        }
    }

    fn of(self, execution: Execution) -> Self {
        Self {
            execution: Some(execution),
            ..self
        }
    }

    pub(crate) fn caused_by(self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..self
        }
    }

    /// What somebody is told who wants to go on with it.
    pub(crate) fn refuse_to_go_on(self) -> Error {
        let message = format!(
            "This run cannot go on any more, because {}. Nothing was changed; what its steps did is kept.",
            self.why
        );
        self.refusal(message)
    }

    fn refusal(self, message: String) -> Error {
        let error = Error::new(ErrorCode::RunLost, message);
        match self.cause {
            Some(cause) => error.caused_by(cause),
            None => error,
        }
    }

    /// What an answer to its question is told.
    pub(crate) fn refuse(self, approval: &Approval) -> Error {
        let message = format!(
            "This question cannot be answered any more, because {}. Nothing was decided. Take it back, in the inbox or with \
             `countersign cancel {}`; whoever asked is told by a callback where an address for that is known.",
            self.why, approval.id
        );
        self.refusal(message)
    }
}

impl Inner {
    /// The run of an execution with all that it needs to go on, or what of it is lost.
    pub(crate) fn run_of(&self, id: ExecutionId) -> Result<Result<Whole, Lost>, Error> {
        let (execution, plan) = match self.execution_and_plan(id)? {
            Ok(found) => found,
            Err(lost) => return Ok(Err(lost)),
        };
        if execution.outdated {
            return Ok(Err(Lost::new(OUTDATED).of(execution)));
        }
        let plan = plan.with_policy(stored_policy(&self.store, execution.flow_id).map_err(storage)?);
        Ok(match read_run(&execution) {
            Ok(run) => Ok(Whole { execution, plan, run }),
            Err(error) => Err(Lost::new("the state of the run behind it cannot be read")
                .of(execution)
                .caused_by(error)),
        })
    }

    /// The run behind a question, which waits on that question and no other, or what of it is lost.
    pub(crate) fn run_behind(&self, approval: &Approval) -> Result<Result<Whole, Lost>, Error> {
        let found = self.run_of(approval.execution_id)?;
        Ok(match found {
            Ok(whole) if whole.execution.approval_id != Some(approval.id) => {
                Err(Lost::new(OUTDATED).of(whole.execution))
            }
            found => found,
        })
    }

    /// The record of a run with the plan of its own document, or what of them is lost.
    pub(crate) fn execution_and_plan(
        &self,
        id: ExecutionId,
    ) -> Result<Result<(Execution, Plan), Lost>, Error> {
        let execution = match self.store.execution(id) {
            Ok(Some(execution)) => execution,
            Ok(None) => {
                return Ok(Err(Lost::new(
                    "the run behind it is gone: the data folder was rebuilt from its journal, which carries no runs",
                )));
            }
            Err(error @ StoreError::Damaged { .. }) => {
                return Ok(Err(
                    Lost::new("the record of the run behind it is damaged").caused_by(error)
                ));
            }
            Err(error) => return Err(storage(error)),
        };
        match self.flows.plan(&self.store, &execution.document) {
            Ok(plan) => Ok(Ok((execution, plan))),
            Err(DocumentError::Store(error)) if !matches!(error, StoreError::Damaged { .. }) => {
                Err(storage(error))
            }
            Err(error) => {
                let lost = Lost::new("the document that its run began with cannot be read any more");
                Ok(Err(lost.of(execution).caused_by(error)))
            }
        }
    }

    /// The question that an execution waits on, found without its record.
    pub(crate) fn question_of(&self, id: ExecutionId) -> Result<Option<Approval>, Error> {
        let pending = self.all_pending().map_err(storage)?;
        Ok(pending.into_iter().find(|approval| approval.execution_id == id))
    }

    /// The ERROR callback for a run that is lost: to where the run has reported before, else to where its flow
    /// reports now.
    pub(crate) fn callback_without_run(
        &self,
        subject: Subject<'_>,
        execution: Option<&Execution>,
        message: &str,
        now: Timestamp,
    ) -> Result<Option<Outgoing>, Error> {
        let Some(target) = self.target_without_run(&subject, execution)? else {
            return Ok(None);
        };
        self.callback_to(subject, target, CallbackKind::Error, Content::Error(message), now)
            .map(Some)
    }

    /// Settles a run whose record is older than the journal: it waits on this question, which cannot be answered, or ends.
    fn settle(
        &self,
        mut execution: Execution,
        question: Option<&Approval>,
        changes: &mut Changes,
    ) -> Result<Option<Callback>, Error> {
        execution.outdated = true;
        execution.updated_at = self.clock.now();
        let has_ended = !matches!(
            execution.state,
            ExecutionState::InProgress | ExecutionState::Stopped
        );
        let callback = match question {
            Some(question) => {
                execution.state = ExecutionState::Stopped;
                execution.approval_id = Some(question.id);
                None
            }
            None if has_ended => None,
            None => {
                let last = self.last_callback(execution.id)?;
                let knows = last.is_some_and(|last| last.kind != CallbackKind::Stopped);
                self.end_without_run(&mut execution, OUTDATED, !knows, changes)?
            }
        };
        changes.put_execution(&execution);
        Ok(callback)
    }

    /// Ends a run that cannot go on, which the call that began it hears when it comes again. `tell` says whether its
    /// receiver hears of it.
    fn end_without_run(
        &self,
        execution: &mut Execution,
        why: &str,
        tell: bool,
        changes: &mut Changes,
    ) -> Result<Option<Callback>, Error> {
        let now = self.clock.now();
        let message = format!("{RUN_FAILED}{why}");
        self.answer_call(changes, execution.id, &message)?;
        let outgoing = match tell {
            true => self.callback_without_run(Subject::of(execution), Some(execution), &message, now)?,
            false => None,
        };
        execution.state = ExecutionState::Error;
        execution.error = Some(message);
        execution.updated_at = now;
        Ok(outgoing.map(|outgoing| queue(changes, outgoing)))
    }

    /// What an execution has reported last.
    fn last_callback(&self, execution: ExecutionId) -> Result<Option<Callback>, Error> {
        let query = CallbackQuery {
            execution: Some(execution),
            state: None,
            limit: 1,
            before: None,
        };
        Ok(self.store.callbacks(&query).map_err(storage)?.items.pop())
    }

    fn target_without_run(
        &self,
        subject: &Subject<'_>,
        execution: Option<&Execution>,
    ) -> Result<Option<Target>, Error> {
        let last = self.last_callback(subject.execution_id)?;
        let live = self.flows.get(subject.flow_id);
        let own = live
            .as_ref()
            .and_then(|live| live.plan.start().callback_secret.as_deref());
        let signed = self.secret_or_default(own)?.is_some() || last.as_ref().is_some_and(|last| last.signed);
        let (url, source) = match (
            execution.and_then(|execution| execution.caller_callback_url.clone()),
            last,
        ) {
            (Some(url), _) => (Some(url), UrlSource::Caller),
            (None, Some(last)) => (Some(last.url), last.url_source),
            (None, None) => {
                let url = match &live {
                    Some(live) => self.operator_callback_url(&live.plan),
                    None => Some(self.settings().callback_url).filter(|url| !url.is_empty()),
                };
                (url, UrlSource::Operator)
            }
        };
        Ok(url.map(|url| Target { url, source, signed }))
    }
}

impl App {
    /// Settles the runs whose record is older than the journal, before any run goes on: what they asked or did since is
    /// not in them, so they would ask or do it a second time. One whose question waits keeps it, to be taken back; any
    /// other ends, and its receiver hears of it unless it has heard of an end already.
    ///
    /// `pending` are the questions that wait.
    pub(crate) async fn settle_outdated(&self, pending: &[Approval]) -> Result<(), Error> {
        for id in self.inner.store.outdated_executions().map_err(storage)? {
            let mut changes = Changes::new();
            changes.settle_outdated(id);
            let callback = match self.inner.store.execution(id) {
                Ok(Some(execution)) => {
                    tracing::error!(execution = %id, "the record of a run is older than the journal; it does not go on");
                    let question = pending.iter().find(|approval| approval.execution_id == id);
                    self.inner.settle(execution, question, &mut changes)?
                }
                // It is lost, which is told where it matters.
                Ok(None) | Err(StoreError::Damaged { .. }) => None,
                Err(error) => return Err(storage(error)),
            };
            self.inner.store.commit(changes).await.map_err(storage)?;
            self.send(callback);
        }
        Ok(())
    }

    /// Ends a run that was under way at the last end of the program and has lost its document since.
    pub(crate) async fn end_lost(&self, mut execution: Execution) -> Result<(), Error> {
        let mut changes = Changes::new();
        let why = "the document that this run began with cannot be read any more";
        let callback = self
            .inner
            .end_without_run(&mut execution, why, true, &mut changes)?;
        changes.put_execution(&execution);
        self.inner.store.commit(changes).await.map_err(storage)?;
        self.send(callback);
        Ok(())
    }
}
