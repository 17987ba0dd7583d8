//! Approvals: one question, and at most one answer to it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use ts_rs::TS;

use crate::{ApprovalId, AskedCall, ExecutionId, FlowId, Timestamp};

/// What the person says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Go on with the branch for yes.
    Approve,
    /// Go on with the branch for no.
    Reject,
}

impl Outcome {
    /// The word that a Flowise client uses in `humanInput.type`.
    pub const fn human_input_type(self) -> &'static str {
        match self {
            Self::Approve => "proceed",
            Self::Reject => "reject",
        }
    }

    /// The state that an approval has after this answer.
    pub const fn state(self) -> ApprovalState {
        match self {
            Self::Approve => ApprovalState::Approved,
            Self::Reject => ApprovalState::Rejected,
        }
    }
}

/// Where a decision came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum Surface {
    /// A button on a desktop notification.
    Notification,
    /// The inbox in the window or in a browser.
    Inbox,
    /// The command line.
    Cli,
    /// The management API, called by another program.
    Api,
    /// A webhook client that sent `humanInput`.
    Webhook,
    /// A rule of the flow, such as an expiry.
    Policy,
}

impl std::fmt::Display for Surface {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Notification => "the notification",
            Self::Inbox => "the inbox",
            Self::Cli => "the command line",
            Self::Api => "the API",
            Self::Webhook => "a webhook call",
            Self::Policy => "a rule of the flow",
        })
    }
}

/// Where an approval stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum ApprovalState {
    /// It waits for an answer.
    Pending,
    /// Somebody approved it.
    Approved,
    /// Somebody rejected it.
    Rejected,
    /// Its time ran out.
    Expired,
    /// The question was taken back.
    Withdrawn,
}

impl std::fmt::Display for ApprovalState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        })
    }
}

/// SHA-256 of everything that was shown with a question, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(transparent)]
pub struct QuestionHash(String);

impl QuestionHash {
    /// Takes a hash that a client sends back. It is only ever compared.
    pub fn from_client(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is asked, as people see it. The texts may come from strangers: show them as plain text or
/// through a sanitiser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// One line, fit for a notification: control and direction characters removed, at most 200 characters.
    pub title: String,
    /// The rest of the text of the flow, Markdown.
    pub body: String,
    /// Whether a note can be given with the answer.
    pub feedback_enabled: bool,
    /// The call of a tool that is asked about, if it is about one. It is not repeated in the texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<AskedCall>,
    /// SHA-256 of what the sender had sent, in hexadecimal. The payload itself lies in the execution, once: it can be
    /// large, and lists and the journal carry questions.
    #[serde(default)]
    pub payload_hash: String,
    /// How long the payload is as JSON, in bytes.
    #[serde(default)]
    pub payload_bytes: u64,
    /// What follows after yes, one line a step.
    pub if_approved: Vec<String>,
    /// What follows after no, one line a step.
    pub if_rejected: Vec<String>,
}

/// The hash and the length of a payload, for [`Question::payload_hash`] and [`Question::payload_bytes`].
pub fn payload_facts(payload: &serde_json::Value) -> (String, u64) {
    let text = payload.to_string();
    (hex::encode(Sha256::digest(text.as_bytes())), text.len() as u64)
}

impl Question {
    /// The hash of everything above, bound to the approval that asks it.
    pub fn hash(&self, id: ApprovalId) -> QuestionHash {
        let mut digest = Sha256::new();
        digest.update(id.as_bytes());
        let parts = [
            self.title.as_str(),
            self.body.as_str(),
            if self.feedback_enabled { "1" } else { "0" },
            self.payload_hash.as_str(),
            &self.if_approved.join("\n"),
            &self.if_rejected.join("\n"),
        ];
        // They come last and only where there is a call, so that every other question keeps the hash that it had before
        // questions carried calls.
        let call = self.call.as_ref();
        let call = call.map(|call| (call.tool.as_str(), call.arguments.to_string()));
        let call = call.as_ref().map(|(tool, arguments)| [tool, arguments.as_str()]);
        for part in parts.into_iter().chain(call.into_iter().flatten()) {
            // The length in front keeps two texts from passing for one another by moving a border.
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
        QuestionHash(hex::encode(digest.finalize()))
    }
}

/// The answer to one approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Yes or no.
    pub outcome: Outcome,
    /// The note that came with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<String>,
    /// What the tool is called with in place of what was shown, if the person changed that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Value>,
    /// Where it came from.
    pub surface: Surface,
    /// Who gave it, as far as it is known: the account name on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// When it was given.
    pub decided_at: Timestamp,
    /// The hash of what was shown.
    pub content_hash: QuestionHash,
}

/// A question raised by an execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// Its id, which is also the `action.id` in answers to webhook clients.
    pub id: ApprovalId,
    /// Where it stands.
    pub state: ApprovalState,
    /// The flow that asks.
    pub flow_id: FlowId,
    /// The flow's name when it asked.
    pub flow_name: String,
    /// The names of the flows that it called on the way to the step that asks, the first one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub called_flows: Vec<String>,
    /// The execution that waits.
    pub execution_id: ExecutionId,
    /// The chat under which a webhook client can answer.
    pub chat_id: String,
    /// The step that waits.
    pub node_id: String,
    /// That step's label.
    pub node_label: String,
    /// What is asked.
    pub question: Question,
    /// The hash of [`Self::question`].
    pub content_hash: QuestionHash,
    /// Whether the call that asked was verified by a signature.
    pub signed: bool,
    /// When it was asked.
    pub created_at: Timestamp,
    /// The answer, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
}

/// The approval has an answer already; the second one changes nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}", describe(.0))]
pub struct AlreadyDecided(pub Box<Approval>);

fn describe(approval: &Approval) -> String {
    let mut text = format!("Approval already {}", approval.state);
    if let Some(decision) = &approval.decision {
        if let Some(person) = &decision.person {
            text.push_str(&format!(" by {person}"));
        }
        text.push_str(&format!(" at {} from {}", decision.decided_at, decision.surface));
    }
    text
}

impl Approval {
    /// The flow's name for people; where a flow that it called asks, that one's name as well: `Payments › Review`.
    pub fn asked_in(&self) -> String {
        let called = self.called_flows.iter().map(String::as_str);
        let names: Vec<&str> = std::iter::once(self.flow_name.as_str()).chain(called).collect();
        names.join(" › ")
    }

    /// Gives the answer. This is the only place where an approval stops being pending by a decision.
    ///
    /// # Errors
    /// [`AlreadyDecided`] with the approval as it stands, if it does not wait any more.
    pub fn decide(&mut self, decision: Decision) -> Result<(), AlreadyDecided> {
        if self.state != ApprovalState::Pending {
            return Err(AlreadyDecided(Box::new(self.clone())));
        }
        self.state = decision.outcome.state();
        self.decision = Some(decision);
        Ok(())
    }

    /// Takes the question back. Nobody can answer it any more.
    ///
    /// # Errors
    /// [`AlreadyDecided`] with the approval as it stands, if it does not wait any more.
    pub fn withdraw(&mut self) -> Result<(), AlreadyDecided> {
        if self.state != ApprovalState::Pending {
            return Err(AlreadyDecided(Box::new(self.clone())));
        }
        self.state = ApprovalState::Withdrawn;
        Ok(())
    }
}
