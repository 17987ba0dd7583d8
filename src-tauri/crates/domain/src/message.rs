//! Messages of a chat: what earlier runs under the same chat id have said.

use serde::{Deserialize, Serialize};

use crate::MessageId;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The caller.
    User,
    /// The flow.
    Assistant,
}

/// One message, kept with the run that left it. A finished or stopped run leaves one of each role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Its id, by which the messages of several runs are put in order.
    pub id: MessageId,
    /// Who speaks.
    pub role: Role,
    /// The text.
    pub content: String,
}
