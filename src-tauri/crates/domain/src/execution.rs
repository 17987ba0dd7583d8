//! Executions: one run of a flow.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{ApprovalId, DocumentHash, ExecutionId, FlowId, Message, Timestamp};

/// Where an execution stands. The words are those of Flowise (execution semantics §10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "UPPERCASE")]
pub enum ExecutionState {
    /// It runs.
    InProgress,
    /// It waits for a person.
    Stopped,
    /// It came to its end.
    Finished,
    /// A step failed, or a restart interrupted it.
    Error,
    /// It was cancelled.
    Terminated,
    /// It ran out of time.
    Timeout,
}

impl std::fmt::Display for ExecutionState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::InProgress => "INPROGRESS",
            Self::Stopped => "STOPPED",
            Self::Finished => "FINISHED",
            Self::Error => "ERROR",
            Self::Terminated => "TERMINATED",
            Self::Timeout => "TIMEOUT",
        })
    }
}

/// How the caller gets the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum ResponseMode {
    /// In the HTTP answer.
    Sync,
    /// By callback, after a 202.
    Async,
}

/// One run of a flow.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Execution {
    /// Its id; the same before and after a stop.
    pub id: ExecutionId,
    /// The flow.
    pub flow_id: FlowId,
    /// The flow's name when the run began.
    pub flow_name: String,
    /// The document as it was when the run began; later edits do not change a run.
    pub document: DocumentHash,
    /// The chat it belongs to.
    pub chat_id: String,
    /// Where it stands.
    pub state: ExecutionState,
    /// How the current caller gets the result.
    pub mode: ResponseMode,
    /// A callback URL that the caller supplied, if the flow allows that (webhook spec §11).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller_callback_url: Option<String>,
    /// The approval it waits for or has waited for last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<ApprovalId>,
    /// The runner's state (`countersign_flow::Run`), opaque here.
    pub run: Box<serde_json::value::RawValue>,
    /// What it has said so far, oldest first; later runs of the same chat read it (execution semantics §9).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    /// Whether the call that began it was verified by a signature.
    #[serde(default)]
    pub signed: bool,
    /// Whether a restart ended it while its caller waited. Then it can go on from the step that was interrupted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// The label of the step that failed it, if that step can be tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_step: Option<String>,
    /// Whether the journal knows more of it than this record does: the data folder was damaged, or an older copy was put
    /// back. Then it neither goes on nor is answered, for it would ask or do a second time what was done already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outdated: bool,
    /// What went wrong, in the words that the caller got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
    /// When it last stopped for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<Timestamp>,
}

impl Execution {
    /// Whether it ended at a step from which it can go on: a restart interrupted it there, or the step failed.
    pub fn can_go_on(&self) -> bool {
        !self.outdated && (self.interrupted || self.failed_step.is_some())
    }

    /// Marks it as under way again, with nobody who waits for the result on a connection.
    pub fn go_on(&mut self, now: Timestamp) {
        self.state = ExecutionState::InProgress;
        self.mode = ResponseMode::Async;
        self.interrupted = false;
        self.failed_step = None;
        self.error = None;
        self.updated_at = now;
    }
}
