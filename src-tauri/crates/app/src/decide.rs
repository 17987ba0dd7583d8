//! The one way to answer an approval. Every surface goes through it.

use countersign_domain::{
    AlreadyDecided, ApprovalId, ApprovalState, ArgumentsRefused, AskedCall, Decision, ErrorCode,
    ExecutionState, JournalEvent, Outcome, QuestionHash, ResponseMode, Surface,
};
use countersign_flow::Answer as RunAnswer;
use serde_json::Value;

use crate::app::storage;
use crate::execute::{Begun, raw};
use crate::flows::response_mode;
use crate::host::RunHost;
use crate::lost::Whole;
use crate::view::{ApprovalView, DecisionRequest};
use crate::{App, Error};

/// The longest note that is taken, in characters.
const FEEDBACK_LIMIT: usize = 10_000;

/// An answer as a surface gives it.
pub(crate) struct Answer {
    pub(crate) id: ApprovalId,
    pub(crate) outcome: Outcome,
    /// The note as text, for the record.
    pub(crate) feedback: Option<String>,
    /// The note as the flow sees it; a webhook client may send any JSON.
    pub(crate) raw_feedback: Option<Value>,
    /// What the tool gets in place of what was shown, where the question is about a call.
    pub(crate) arguments: Option<Value>,
    pub(crate) start_node_id: Option<String>,
    /// What the person saw, if the surface knows.
    pub(crate) content_hash: Option<QuestionHash>,
    pub(crate) surface: Surface,
    pub(crate) person: Option<String>,
}

/// An approval that was just decided, and the run that can go on. The decision is durable.
pub(crate) struct Decided {
    begun: Begun,
}

impl Decided {
    /// How the one who answered gets the result.
    pub(crate) fn mode(&self) -> ResponseMode {
        self.begun.execution.mode
    }

    pub(crate) fn into_begun(self) -> Begun {
        self.begun
    }
}

impl App {
    /// Answers an approval and lets its run go on. Exactly one answer wins.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`]; [`ErrorCode::AlreadyDecided`] with the approval as it stands;
    /// [`ErrorCode::ContentChanged`] if the hash is of another text; [`ErrorCode::Invalid`] for a note that is too
    /// long and for arguments that [`AskedCall::changed`] does not take; [`ErrorCode::RunLost`] if the run cannot go on whatever the answer. In each case nothing was changed. A
    /// note is kept with the decision also where the question did not ask for one.
    pub async fn decide(
        &self,
        id: &str,
        request: DecisionRequest,
        surface: Surface,
        person: Option<String>,
    ) -> Result<ApprovalView, Error> {
        self.ready()?;
        let id = approval_id(id)?;
        let feedback = request.feedback.filter(|text| !text.trim().is_empty());
        let decided = self
            .answer(Answer {
                id,
                outcome: request.outcome,
                raw_feedback: feedback.clone().map(Value::String),
                feedback,
                arguments: request.arguments,
                start_node_id: None,
                content_hash: request.content_hash.map(QuestionHash::from_client),
                surface,
                person,
            })
            .await?;
        self.go_on_behind(decided);
        self.approval(&id.to_string())
    }

    /// Lets a decided run go on without anybody waiting for it.
    pub(crate) fn go_on_behind(&self, decided: Decided) {
        self.spawn(decided.into_begun());
    }

    /// Makes a decision durable: approval, execution and journal line in one commit, under the condition that
    /// the approval still waits.
    pub(crate) async fn answer(&self, answer: Answer) -> Result<Decided, Error> {
        if answer
            .feedback
            .as_ref()
            .is_some_and(|text| text.chars().count() > FEEDBACK_LIMIT)
        {
            return Err(Error::new(
                ErrorCode::Invalid,
                format!(
                    "The note is longer than {FEEDBACK_LIMIT} characters. Shorten it and answer again; nothing was decided."
                ),
            ));
        }
        let now = self.inner.clock.now();
        let approval = self
            .inner
            .store
            .approval(answer.id)
            .map_err(storage)?
            .ok_or_else(|| no_such_approval(answer.id))?;
        if approval.state != ApprovalState::Pending {
            return Err(AlreadyDecided(Box::new(approval)).into());
        }
        if answer
            .content_hash
            .as_ref()
            .is_some_and(|hash| *hash != approval.content_hash)
        {
            return Err(Error::new(
                ErrorCode::ContentChanged,
                "This answer is for another text than the one that waits. Nothing was decided; look at the approval again.",
            ));
        }
        // Equal arguments are no change, for the run and for every record of the decision.
        let arguments = AskedCall::changed(approval.question.call.as_ref(), answer.outcome, answer.arguments)
            .map_err(refused)?;
        let Whole {
            mut execution,
            plan,
            mut run,
        } = match self.inner.run_behind(&approval)? {
            Ok(whole) => whole,
            Err(lost) => {
                self.still_waits(answer.id)?;
                return Err(lost.refuse(&approval));
            }
        };
        let past = self.inner.past_history(execution.flow_id, &execution.chat_id)?;
        let run_answer = RunAnswer {
            outcome: answer.outcome,
            feedback: answer.raw_feedback,
            arguments: arguments.clone(),
            start_node_id: answer.start_node_id,
        };
        let host = RunHost::new(&self.inner, None);
        if let Err(error) = run.answer(&plan, &host, run_answer, past) {
            self.still_waits(answer.id)?;
            let message = "The run does not wait at this step any more. Nothing was changed.";
            return Err(Error::new(ErrorCode::NotWaiting, message).caused_by(error));
        }

        let message_id = self.inner.ids.random();
        run.set_api_message_id(message_id.to_string());

        // An answer by webhook is a call of its own, with the flow's mode; from anywhere else nobody waits on
        // a connection, so the result leaves as a callback.
        execution.mode = match answer.surface {
            Surface::Webhook if execution.caller_callback_url.is_none() => response_mode(&plan),
            _ => ResponseMode::Async,
        };
        execution.state = ExecutionState::InProgress;
        execution.updated_at = now;
        execution.run = raw(&run)?;

        let decision = Decision {
            outcome: answer.outcome,
            feedback: answer.feedback,
            arguments,
            surface: answer.surface,
            person: answer.person,
            decided_at: now,
            content_hash: approval.content_hash.clone(),
        };
        let id = answer.id;
        let made = decision.clone();
        let record = execution.clone();
        let decided = self
            .inner
            .store
            .transact(move |transaction| -> Result<_, Error> {
                // The one compare-and-set: the writer sees every earlier commit.
                let mut approval = transaction
                    .approval(id)
                    .map_err(storage)?
                    .ok_or_else(|| no_such_approval(id))?;
                approval.decide(made)?;
                transaction.put_approval(&approval);
                transaction.put_execution(&record);
                transaction.journal(&JournalEvent::ApprovalDecided {
                    approval: Box::new(approval.clone()),
                });
                Ok(approval)
            })
            .await
            .map_err(storage)??;
        self.inner.events.approval(&decided, Some(answer.surface));
        self.inner.notifications.withdraw(id);
        Ok(Decided {
            begun: Begun {
                execution,
                run,
                plan,
                message_id,
                decision: Some((id, decision)),
                stored: true,
                listener: None,
                claim: None,
            },
        })
    }
}

impl App {
    /// Somebody may have answered between the reads of approval and run; then that is what the second one is told.
    fn still_waits(&self, id: ApprovalId) -> Result<(), Error> {
        let stands = self.inner.store.approval(id).map_err(storage)?;
        match stands.filter(|approval| approval.state != ApprovalState::Pending) {
            Some(approval) => Err(AlreadyDecided(Box::new(approval)).into()),
            None => Ok(()),
        }
    }
}

fn refused(arguments: ArgumentsRefused) -> Error {
    let message = format!("{arguments}. Nothing was decided; the question still waits.");
    Error::invalid(message).caused_by(arguments)
}

pub(crate) fn approval_id(text: &str) -> Result<ApprovalId, Error> {
    text.parse().map_err(|_| no_such_approval(text))
}

/// There is nothing under this id.
pub(crate) fn no_such_approval(id: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::NotFound, format!("Approval {id} does not exist."))
}
