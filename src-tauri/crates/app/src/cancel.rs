//! Taking back what nobody should answer or go on with any more.

use countersign_domain::{
    AlreadyDecided, Approval, ApprovalState, CallbackKind, ErrorCode, Execution, ExecutionState,
    JournalEvent, ResponseMode,
};

use countersign_store::Changes;

use crate::app::storage;
use crate::callbacks::Content;
use crate::executions::no_such_execution;
use crate::view::ExecutionView;
use crate::{App, Error};

/// What the callback of a cancelled run says, as Flowise words it (execution semantics §12).
const CANCELLED: &str = "Flow execution was cancelled";

impl App {
    /// Cancels an execution that waits for a person, or that a restart has ended. A question that waits is taken back,
    /// so that nobody can answer it any more, and the receiver hears of it by an ERROR callback. Of an answer and a
    /// cancellation at once exactly one counts.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] for an unknown id; [`ErrorCode::AlreadyDecided`] if an answer came first;
    /// [`ErrorCode::NotWaiting`] for an execution that runs or has ended. In each case nothing was changed.
    pub async fn cancel_execution(&self, id: &str, person: Option<String>) -> Result<ExecutionView, Error> {
        self.ready()?;
        let stored = self.stored_execution(id)?;
        let execution_id = stored.id;
        let asked = match stored.approval_id {
            Some(id) => self.inner.store.approval(id).map_err(storage)?,
            None => None,
        };
        can_be_cancelled(&stored, asked)?;
        let now = self.inner.clock.now();
        // Whoever waited has its answer already; the result of a cancelled run leaves as a callback only.
        let mut begun = self.begun_again(stored)?;
        begun.execution.mode = ResponseMode::Async;
        let mut told = Changes::new();
        let callback = if begun.execution.state == ExecutionState::Stopped {
            // An earlier answer is not what ended this run.
            begun.decision = None;
            let content = Content::Error(CANCELLED);
            self.queue_callback(&mut told, &begun, CallbackKind::Error, content, now)?
        } else {
            // That it ended was told when the restart had ended it.
            None
        };
        let taken_back = self
            .inner
            .store
            .transact(move |transaction| -> Result<_, Error> {
                let mut execution = transaction
                    .execution(execution_id)
                    .map_err(storage)?
                    .ok_or_else(|| no_such_execution(execution_id))?;
                let asked = match execution.approval_id {
                    Some(id) => transaction.approval(id).map_err(storage)?,
                    None => None,
                };
                let taken_back = match can_be_cancelled(&execution, asked)? {
                    Some(mut approval) => {
                        approval.withdraw()?;
                        transaction.put_approval(&approval);
                        transaction.journal(&JournalEvent::ApprovalWithdrawn {
                            approval: Box::new(approval.clone()),
                            person,
                        });
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
        self.execution(id)
    }
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
