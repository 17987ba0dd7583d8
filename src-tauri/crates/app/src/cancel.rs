//! Taking back what nobody should answer or go on with any more.

use countersign_domain::{
    AlreadyDecided, Approval, ApprovalId, ApprovalState, CallbackKind, ErrorCode, Execution, ExecutionId,
    ExecutionState, JournalEvent, ResponseMode,
};
use countersign_store::{Changes, Transaction};

use crate::app::storage;
use crate::callbacks::{Content, Subject};
use crate::decide::{approval_id, no_such_approval};
use crate::execute::queue;
use crate::executions::no_such_execution;
use crate::view::{ApprovalView, ExecutionView};
use crate::{App, Error};

/// What the callback of a cancelled run says, as Flowise words it (execution semantics §12).
const CANCELLED: &str = "Flow execution was cancelled";

impl App {
    /// Cancels an execution that waits for a person, or that a restart has ended. A question that waits is taken back,
    /// so that nobody can answer it any more, and the receiver hears of it by an ERROR callback. Of an answer and a
    /// cancellation at once exactly one counts. Of a run that is lost, its question can be taken back all the same.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] for an unknown id; [`ErrorCode::AlreadyDecided`] if an answer came first;
    /// [`ErrorCode::NotWaiting`] for an execution that runs or has ended. In each case nothing was changed.
    pub async fn cancel_execution(&self, id: &str, person: Option<String>) -> Result<ExecutionView, Error> {
        self.ready()?;
        let execution_id: ExecutionId = id.parse().map_err(|_| no_such_execution(id))?;
        let (stored, lost) = match self.inner.run_of(execution_id)? {
            Ok(whole) => (whole.execution, false),
            Err(lost) => match lost.execution {
                Some(execution) => (execution, true),
                None => {
                    let asked = self.inner.question_of(execution_id)?;
                    return self
                        .take_back(asked.ok_or_else(|| no_such_execution(id))?, person)
                        .await;
                }
            },
        };
        let asked = match stored.approval_id {
            Some(id) => self.inner.store.approval(id).map_err(storage)?,
            None => None,
        };
        can_be_cancelled(&stored, asked)?;
        self.cancel(stored, lost, None, person).await
    }

    /// Takes back a question that waits, and cancels the execution that asks it. As [`Self::cancel_execution`], for this
    /// question and no other that the execution asks since.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] for an unknown id; [`ErrorCode::AlreadyDecided`] if it does not wait any more. In each case
    /// nothing was changed.
    pub async fn cancel_approval(&self, id: &str, person: Option<String>) -> Result<ApprovalView, Error> {
        self.ready()?;
        let approval_id = approval_id(id)?;
        let asked = self.inner.store.approval(approval_id).map_err(storage)?;
        let asked = asked.ok_or_else(|| no_such_approval(id))?;
        if asked.state != ApprovalState::Pending {
            return Err(AlreadyDecided(Box::new(asked)).into());
        }
        let (found, lost) = match self.inner.run_behind(&asked)? {
            Ok(whole) => (Some(whole.execution), false),
            Err(lost) => (lost.execution, true),
        };
        match found.filter(|execution| execution.approval_id == Some(approval_id)) {
            Some(execution) => self.cancel(execution, lost, Some(approval_id), person).await?,
            None => self.take_back(asked, person).await?,
        };
        self.approval(id)
    }

    async fn cancel(
        &self,
        stored: Execution,
        lost: bool,
        question: Option<ApprovalId>,
        person: Option<String>,
    ) -> Result<ExecutionView, Error> {
        let execution_id = stored.id;
        let now = self.inner.clock.now();
        let mut told = Changes::new();
        let callback = if stored.state != ExecutionState::Stopped {
            // That it ended was told when the restart had ended it.
            None
        } else if lost {
            let outgoing =
                self.inner
                    .callback_without_run(Subject::of(&stored), Some(&stored), CANCELLED, now)?;
            outgoing.map(|outgoing| queue(&mut told, outgoing))
        } else {
            // Whoever waited has its answer already; the result of a cancelled run leaves as a callback only.
            let mut begun = self.begun_again(stored)?;
            begun.execution.mode = ResponseMode::Async;
            // An earlier answer is not what ended this run.
            begun.decision = None;
            let content = Content::Error(CANCELLED);
            self.queue_callback(&mut told, &begun, CallbackKind::Error, content, now)?
        };
        let taken_back = self
            .inner
            .store
            .transact(move |transaction| -> Result<_, Error> {
                let mut execution = transaction
                    .execution(execution_id)
                    .map_err(storage)?
                    .ok_or_else(|| no_such_execution(execution_id))?;
                // Of an execution that asks something else by now, the question named is what counts.
                let asked = match question.or(execution.approval_id) {
                    Some(id) => transaction.approval(id).map_err(storage)?,
                    None => None,
                };
                let taken_back = match can_be_cancelled(&execution, asked)? {
                    Some(mut approval) => {
                        withdraw(transaction, &mut approval, person)?;
                        Some(approval)
                    }
                    None => None,
                };
                execution.state = ExecutionState::Terminated;
                execution.interrupted = false;
                execution.error = Some(CANCELLED.to_owned());
                execution.updated_at = now;
                transaction.put_execution(&execution);
                transaction.apply(told);
                Ok(taken_back)
            })
            .await
            .map_err(storage)??;
        if let Some(approval) = taken_back {
            self.inner.events.approval(&approval, None);
            self.inner.notifications.withdraw(approval.id);
        }
        self.send(callback);
        self.execution(&execution_id.to_string())
    }

    /// Takes back the question of a run whose record is lost. There is nothing else left of it.
    async fn take_back(&self, asked: Approval, person: Option<String>) -> Result<ExecutionView, Error> {
        let id = asked.execution_id;
        let now = self.inner.clock.now();
        let subject = Subject {
            execution_id: id,
            flow_id: asked.flow_id,
            flow_name: &asked.flow_name,
            chat_id: &asked.chat_id,
            decision: None,
        };
        let outgoing = self.inner.callback_without_run(subject, None, CANCELLED, now)?;
        let mut told = Changes::new();
        let callback = outgoing.map(|outgoing| queue(&mut told, outgoing));
        let approval_id = asked.id;
        let approval = self
            .inner
            .store
            .transact(move |transaction| -> Result<_, Error> {
                let asked = transaction.approval(approval_id).map_err(storage)?;
                let mut approval = asked.ok_or_else(|| no_such_execution(id))?;
                withdraw(transaction, &mut approval, person)?;
                transaction.apply(told);
                Ok(approval)
            })
            .await
            .map_err(storage)??;
        self.inner.events.approval(&approval, None);
        self.inner.notifications.withdraw(approval.id);
        self.send(callback);
        Ok(ExecutionView {
            id: id.to_string(),
            execution_data: "[]".to_owned(),
            state: ExecutionState::Terminated,
            agentflow_id: approval.flow_id.to_string(),
            session_id: approval.chat_id,
            created_date: approval.created_at.to_string(),
            updated_date: now.to_string(),
            stopped_date: Some(approval.created_at.to_string()),
            interrupted: false,
            execution_data_omitted: true,
        })
    }
}

fn withdraw(
    transaction: &mut Transaction<'_>,
    approval: &mut Approval,
    person: Option<String>,
) -> Result<(), Error> {
    approval.withdraw()?;
    transaction.put_approval(approval);
    transaction.journal(&JournalEvent::ApprovalWithdrawn {
        approval: Box::new(approval.clone()),
        person,
    });
    Ok(())
}

/// The question that waits, for an execution that can be cancelled; none where a restart has ended it.
fn can_be_cancelled(execution: &Execution, asked: Option<Approval>) -> Result<Option<Approval>, Error> {
    match asked {
        _ if execution.interrupted => Ok(None),
        Some(approval) if approval.state == ApprovalState::Pending => Ok(Some(approval)),
        // Who was first says more than where the run stands.
        Some(approval) => Err(AlreadyDecided(Box::new(approval)).into()),
        None => Err(Error::new(
            ErrorCode::NotWaiting,
            format!(
                "Execution {} is {}: only one that waits for an answer, or that a restart has ended, can be cancelled. \
                 Nothing was changed.",
                execution.id, execution.state
            ),
        )),
    }
}
