//! Runs that cannot go on because their record or the document they began with is lost: it is damaged, or the data
//! folder was rebuilt from the journal, which carries questions and callbacks but no runs. The questions that they asked
//! can be taken back, not answered.

use countersign_domain::{
    Approval, CallbackKind, ErrorCode, Execution, ExecutionId, ExecutionState, Timestamp, UrlSource,
};
use countersign_flow::{Plan, RUN_FAILED, Run};
use countersign_store::{CallbackQuery, Changes, StoreError};

use crate::app::{Inner, storage};
use crate::callbacks::{Content, Outgoing, Subject};
use crate::execute::queue;
use crate::executions::read_run;
use crate::flows::DocumentError;
use crate::policies::stored_policy;
use crate::{App, Error};

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
    fn new(why: &'static str) -> Self {
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

    fn caused_by(self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..self
        }
    }

    /// What an answer to its question is told.
    pub(crate) fn refuse(self, approval: &Approval) -> Error {
        let message = format!(
            "This question cannot be answered any more, because {}. Nothing was decided. Take it back, in the inbox or with \
             `countersign cancel {}`; whoever asked is told by a callback where an address for that is known.",
            self.why, approval.id
        );
        let error = Error::new(ErrorCode::RunLost, message);
        match self.cause {
            Some(cause) => error.caused_by(cause),
            None => error,
        }
    }
}

impl Inner {
    /// The run of an execution with all that it needs to go on, or what of it is lost.
    pub(crate) fn run_of(&self, id: ExecutionId) -> Result<Result<Whole, Lost>, Error> {
        let (execution, plan) = match self.execution_and_plan(id)? {
            Ok(found) => found,
            Err(lost) => return Ok(Err(lost)),
        };
        let plan = plan.with_policy(stored_policy(&self.store, execution.flow_id).map_err(storage)?);
        Ok(match read_run(&execution) {
            Ok(run) => Ok(Whole { execution, plan, run }),
            Err(error) => Err(Lost::new("the state of the run behind it cannot be read")
                .of(execution)
                .caused_by(error)),
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

    fn target_without_run(
        &self,
        subject: &Subject<'_>,
        execution: Option<&Execution>,
    ) -> Result<Option<(String, UrlSource)>, Error> {
        if let Some(url) = execution.and_then(|execution| execution.caller_callback_url.clone()) {
            return Ok(Some((url, UrlSource::Caller)));
        }
        let reported = CallbackQuery {
            execution: Some(subject.execution_id),
            state: None,
            limit: 1,
            before: None,
        };
        if let Some(last) = self.store.callbacks(&reported).map_err(storage)?.items.pop() {
            return Ok(Some((last.url, last.url_source)));
        }
        let url = match self.flows.get(subject.flow_id) {
            Some(live) => self.operator_callback_url(&live.plan),
            None => Some(self.settings().callback_url).filter(|url| !url.is_empty()),
        };
        Ok(url.map(|url| (url, UrlSource::Operator)))
    }
}

impl App {
    /// Ends a run that was under way at the last end of the program and has lost its document since.
    pub(crate) async fn end_lost(&self, mut execution: Execution) -> Result<(), Error> {
        let now = self.inner.clock.now();
        let message = format!("{RUN_FAILED}the document that this run began with cannot be read any more");
        let subject = Subject {
            execution_id: execution.id,
            flow_id: execution.flow_id,
            flow_name: &execution.flow_name,
            chat_id: &execution.chat_id,
            decision: None,
        };
        let callback = self
            .inner
            .callback_without_run(subject, Some(&execution), &message, now)?;
        execution.state = ExecutionState::Error;
        execution.error = Some(message);
        execution.updated_at = now;
        let mut changes = Changes::new();
        changes.put_execution(&execution);
        let callback = callback.map(|outgoing| queue(&mut changes, outgoing));
        self.inner.store.commit(changes).await.map_err(storage)?;
        self.send(callback);
        Ok(())
    }
}
