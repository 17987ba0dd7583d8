//! Webhook calls that carry an id of their sender, so that the same call twice begins one run.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::{ExecutionId, FlowId};

/// The id that a sender gives a call, the same each time it sends that call again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SenderId {
    /// The header that carries it, in lower case: ids of two headers are never the same one.
    pub header: String,
    /// The id.
    pub value: String,
}

impl fmt::Display for SenderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.header, self.value)
    }
}

/// SHA-256 of what a call says, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentHash(String);

impl ContentHash {
    /// The hash of these parts in this order.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            // The length in front keeps two parts from passing for others by moving a border.
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self(hex::encode(digest.finalize()))
    }
}

/// What a call was answered first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FirstAnswer {
    /// The run goes on by itself.
    Accepted,
    /// The run came to its end or waits for a person: the JSON text of the answer.
    Done(Box<RawValue>),
    /// The run failed: the message.
    Failed(String),
}

/// What is remembered of a call that carried an id of its sender.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyedCall {
    /// The flow that was called: ids of two flows are never the same one.
    pub flow_id: FlowId,
    /// The id.
    pub sender_id: SenderId,
    /// What it said.
    pub content: ContentHash,
    /// The run that it began.
    pub execution_id: ExecutionId,
    /// The chat of that run.
    pub chat_id: String,
    /// The answer; absent until there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<FirstAnswer>,
}
