//! The journal: the audit log, one line for everything that matters about a question or a callback.

use serde::{Deserialize, Serialize};

use crate::{Approval, Callback, ExecutionId, Timestamp};

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum JournalEvent {
    /// A question was asked. Carries the whole approval and callback, so that both can be rebuilt from here.
    ApprovalOpened {
        /// The approval.
        approval: Box<Approval>,
    },
    /// A question was answered.
    ApprovalDecided {
        /// The approval with its decision.
        approval: Box<Approval>,
    },
    /// A question was taken back.
    ApprovalWithdrawn {
        /// The approval.
        approval: Box<Approval>,
        /// Who took it back, as far as it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        person: Option<String>,
    },
    /// An execution that a restart had ended goes on.
    ExecutionContinued {
        /// The execution.
        execution_id: ExecutionId,
        /// Who wanted it, as far as it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        person: Option<String>,
    },
    /// A callback was written to the outbox.
    CallbackQueued {
        /// The callback.
        callback: Box<Callback>,
        /// The JSON text that is sent, so that the outbox can be rebuilt from here. Empty in a line of an older
        /// version, which has it inside the callback.
        #[serde(default)]
        body: String,
    },
    /// The receiver took a callback.
    CallbackDelivered {
        /// The callback.
        callback: Box<Callback>,
    },
    /// The plan of a callback is used up.
    CallbackAbandoned {
        /// The callback.
        callback: Box<Callback>,
    },
    /// Somebody has taken note that the journal up to here was damaged. It was set aside as it is, and this is the first
    /// line of the one that goes on: its number and its hash of the line before join it to the other.
    DamageAcknowledged {
        /// The name of the file that was set aside, in the data folder.
        file: String,
        /// SHA-256 of that file, in hexadecimal.
        sha256: String,
        /// How many lines it has.
        lines: u64,
        /// What is wrong with it, for people.
        damage: String,
    },
}

/// One line of the journal file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalLine {
    /// 1 for the first line; no number is left out.
    pub number: u64,
    /// When it was written.
    pub at: Timestamp,
    /// SHA-256 of the line before, in hexadecimal; 64 zeros for the first.
    pub previous: String,
    /// What happened.
    #[serde(flatten)]
    pub event: JournalEvent,
}
