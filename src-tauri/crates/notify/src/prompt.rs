//! What is asked, and what can be answered.

use countersign_domain::{ApprovalId, QuestionHash};

/// One pending approval, as the broker takes it. Its texts may come from strangers: the broker cleans and cuts
/// them before they reach a desktop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The approval that waits.
    pub id: ApprovalId,
    /// The hash of what it asks; an answer carries it back, so that it counts for this text only.
    pub content_hash: QuestionHash,
    /// One line that alone says what is asked and for what: "Deploy billing 2.4 to production?"
    pub title: String,
    /// More of the request, plain text or Markdown shown as it is written.
    pub body: String,
    /// The flow that asks. The rate limit counts by it.
    pub flow_name: String,
    /// Whether Approve and Reject may be given on the notification. `false` for risky steps, which are answered
    /// in the inbox where the whole request is visible.
    pub buttons: bool,
    /// How pressing it is.
    pub importance: Importance,
}

/// How pressing a notification is. Servers let [`Self::Critical`] pierce Do Not Disturb, so it is for a near
/// deadline or for a flow that asks for it; [`crate::BrokerOptions::most_important`] caps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Importance {
    /// For information.
    Low,
    /// An ordinary question.
    #[default]
    Normal,
    /// It cannot wait.
    Critical,
}

/// What a person pressed. A typed reply is not among them: nothing but a button with an unguessable key answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The button for yes.
    Approve,
    /// The button for no.
    Reject,
    /// The notification itself: show it in the inbox.
    Open,
}

/// Names one notification on the screen. Presenting a key again replaces what it showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoticeKey {
    /// The notification of one approval.
    Approval(ApprovalId),
    /// "5 more approvals waiting".
    RollUp,
    /// The test prompt of the settings panel.
    Test,
    /// A short message to the person, such as "already answered".
    Message,
}

/// A notification ready to be shown: the texts are final (plain, clean, cut), only the escaping that a server
/// may need is left to the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Which notification this is.
    pub key: NoticeKey,
    /// One line of plain text.
    pub summary: String,
    /// Some lines of plain text.
    pub body: String,
    /// Whether it has the buttons Approve and Reject. It can be opened in any case.
    pub buttons: bool,
    /// How pressing it is.
    pub importance: Importance,
}
