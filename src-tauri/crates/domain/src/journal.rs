//! The journal: the audit log, one line for everything that matters about a question or a callback.

use serde::{Deserialize, Serialize};

use crate::{Approval, Callback, Timestamp};

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
    },
    /// A callback was written to the outbox.
    CallbackQueued {
        /// The callback with its body.
        callback: Box<Callback>,
    },
    /// The receiver took a callback.
    CallbackDelivered {
        /// The callback without its body.
        callback: Box<Callback>,
    },
    /// The plan of a callback is used up.
    CallbackAbandoned {
        /// The callback without its body.
        callback: Box<Callback>,
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
