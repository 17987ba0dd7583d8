//! Callbacks: outgoing messages and the attempts to deliver them.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{CallbackId, ExecutionId, FlowId, Timestamp};

/// What a callback reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "UPPERCASE")]
pub enum CallbackKind {
    /// The run waits for a person.
    Stopped,
    /// The run came to its end.
    Success,
    /// The run failed.
    Error,
}

/// Where a callback stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum CallbackState {
    /// It has to go out, at [`Callback::next_attempt_at`] and after those before it.
    Waiting,
    /// The receiver answered 2xx.
    Delivered,
    /// Every planned attempt failed. It is kept and can be sent again by hand.
    Abandoned,
}

/// Who named the URL. The address guard trusts an operator with loopback, a caller never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum UrlSource {
    /// The flow's Start node or the settings panel.
    Operator,
    /// The header `x-callback-url` of a webhook call.
    Caller,
}

/// Why an attempt was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum AttemptTrigger {
    /// The retry plan.
    Scheduled,
    /// A person pressed "send again".
    Manual,
}

/// One attempt. Its start is durable before the request leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    /// Why it was made.
    pub trigger: AttemptTrigger,
    /// When it started.
    #[ts(type = "string")]
    pub started_at: Timestamp,
    /// When it ended; absent while it is under way, or if the program was killed meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "string | null")]
    pub ended_at: Option<Timestamp>,
    /// The receiver's HTTP status, if it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it failed, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The beginning of the receiver's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
}

impl Attempt {
    /// Whether the receiver took the message.
    pub fn delivered(&self) -> bool {
        matches!(self.status, Some(200..=299)) && self.error.is_none()
    }
}

/// One outgoing message, without its body: that is written once beside it and never changes, so that every attempt
/// carries the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Callback {
    /// Its id, sent as `webhook-id`.
    pub id: CallbackId,
    /// The execution it reports on. Callbacks of one execution leave in the order of their ids.
    pub execution_id: ExecutionId,
    /// The flow.
    pub flow_id: FlowId,
    /// The flow's name.
    pub flow_name: String,
    /// The chat.
    pub chat_id: String,
    /// What it reports.
    pub kind: CallbackKind,
    /// Where it goes.
    pub url: String,
    /// Who named that URL.
    pub url_source: UrlSource,
    /// Whether there was a secret for it when it was written. Then it does not leave without a signature.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub signed: bool,
    /// Where it stands.
    pub state: CallbackState,
    /// The attempts so far, oldest first.
    pub attempts: Vec<Attempt>,
    /// When it was written.
    pub created_at: Timestamp,
    /// When the next attempt is due; absent once delivered or abandoned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
}

impl Callback {
    /// Whether it has to go out and at least one attempt has failed.
    pub fn is_failing(&self) -> bool {
        self.state == CallbackState::Waiting && self.attempts.iter().any(|attempt| attempt.ended_at.is_some())
    }
}
