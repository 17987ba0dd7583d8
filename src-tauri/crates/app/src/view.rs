//! What the doors show: the wire types of the management API, the window's commands and the CLI's `--json`.
//!
//! One set for all of them, written into `ui/src/bindings` by a test, so that no door can drift.

mod connections;
mod dry_run;
mod runs;
mod schedules;
mod start;
mod steps;
mod variables;

pub use connections::{ConnectionChange, ConnectionKind, ConnectionView};
pub use dry_run::{DryRunOutcome, DryRunQuestion, DryRunRequest, DryRunView};
pub use runs::{FlowStart, RunPage, RunQuery, RunSummary};
pub use schedules::{
    MissedRuns, OverlappingRuns, ScheduleChange, ScheduleMoment, ScheduleOutcome, ScheduleView,
};
pub use start::{FormFieldKind, FormFieldView, FormView, StartView};
pub use steps::{StateChangeView, StepStateView, StepView};
pub use variables::{VariableChange, VariableKind, VariableView};

use countersign_domain::{
    ApprovalState, AskedCall, Attempt, CallbackKind, CallbackState, Decision, ExecutionState, Outcome,
    ResponseMode, Surface, UrlSource,
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use ts_rs::TS;

/// An answer that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct DecisionView {
    /// Yes or no.
    pub outcome: Outcome,
    /// The note that came with it.
    pub feedback: Option<String>,
    /// Whether the person changed what the tool is called with.
    #[serde(default)]
    pub edited: bool,
    /// What the tool is called with in place of what was shown, if the person changed that; absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "unknown")]
    pub arguments: Option<Value>,
    /// Where it came from.
    pub surface: Surface,
    /// Who gave it.
    pub person: Option<String>,
    /// When, RFC 3339.
    pub decided_at: String,
}

impl From<&Decision> for DecisionView {
    fn from(decision: &Decision) -> Self {
        Self {
            outcome: decision.outcome,
            feedback: decision.feedback.clone(),
            edited: decision.arguments.is_some(),
            arguments: decision.arguments.clone(),
            surface: decision.surface,
            person: decision.person.clone(),
            decided_at: decision.decided_at.to_string(),
        }
    }
}

/// What lists show of a question: neither the payload nor a long text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalSummary {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: ApprovalState,
    /// The flow that asks.
    pub flow_id: String,
    /// That flow's name; where a flow that it called asks, that one's name behind it: `Payments › Review`.
    pub flow_name: String,
    /// The execution that waits.
    pub execution_id: String,
    /// The chat it belongs to.
    pub chat_id: String,
    /// The step that waits.
    pub node_id: String,
    /// That step's label.
    pub node_label: String,
    /// The question, one line.
    pub title: String,
    /// The rest of the text, Markdown; in lists its beginning, at most 1,000 characters.
    pub body: String,
    /// Whether `body` is only the beginning.
    pub body_truncated: bool,
    /// Whether a note can be given.
    pub feedback_enabled: bool,
    /// When it was asked, RFC 3339.
    pub created_at: String,
    /// The hash of what is shown; send it back with the decision.
    pub content_hash: String,
    /// How long the payload is as JSON, in bytes.
    #[ts(type = "number")]
    pub payload_bytes: u64,
    /// The answer, once there is one.
    pub decision: Option<DecisionView>,
    /// Whether the call that asked was verified by a signature.
    pub signed: bool,
}

/// A question with everything that belongs to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalView {
    /// Everything that lists show too, with the whole text.
    #[serde(flatten)]
    #[ts(flatten)]
    pub summary: ApprovalSummary,
    /// The call of a tool that is asked about, if it is about one.
    #[serde(default)]
    pub call: Option<AskedCall>,
    /// What the sender had sent, secrets removed: `{"body":…,"headers":…,"query":…}`; null if the execution is gone.
    #[ts(type = "unknown")]
    pub payload: Value,
    /// What follows after yes, one line a step.
    pub if_approved: Vec<String>,
    /// What follows after no, one line a step.
    pub if_rejected: Vec<String>,
    /// Why it cannot be answered although it waits, for people; absent as a rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub problem: Option<String>,
}

/// One page of approvals, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalPage {
    /// The page.
    pub approvals: Vec<ApprovalSummary>,
    /// The cursor of the next page; `null` at the end.
    pub next: Option<String>,
    /// How many wait in all.
    pub pending: u32,
}

/// Which approvals are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalQuery {
    /// `pending`, `decided` (everything else) or one state; all if absent.
    #[serde(default)]
    #[ts(optional)]
    pub state: Option<String>,
    /// At most this many, 1 to 200; 50 if absent.
    #[serde(default)]
    #[ts(optional)]
    pub limit: Option<u32>,
    /// Where to go on: `next` of the page before.
    #[serde(default)]
    #[ts(optional)]
    pub cursor: Option<String>,
}

/// The body of `POST /api/v1/approvals/{id}/decision`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecisionRequest {
    /// Yes or no.
    pub outcome: Outcome,
    /// A note.
    #[serde(default)]
    #[ts(optional)]
    pub feedback: Option<String>,
    /// What the tool is to be called with in place of what was shown: an object, only together with approve and only for
    /// a question about a call.
    #[serde(default, deserialize_with = "given")]
    #[ts(optional, type = "Record<string, unknown>")]
    pub arguments: Option<Value>,
    /// The hash of what was shown. If it is given and differs from what waits, nothing is decided.
    #[serde(default)]
    #[ts(optional)]
    pub content_hash: Option<String>,
}

/// A value that was named; `null` is one too, and never means that nothing was said.
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(value).map(Some)
}

/// A step of a flow's document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct FlowStepView {
    /// The node's id.
    pub id: String,
    /// Its label.
    pub label: String,
    /// Its kind in words, `Human Input`.
    pub kind: String,
}

/// A flow with what a person needs to know about it: all but its document, which can be megabytes long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct FlowSummary {
    /// Its id, part of the URL.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Always `AGENTFLOW`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where to post.
    pub webhook_url: String,
    /// The method it expects; any if absent.
    pub method: Option<String>,
    /// How the caller gets the result.
    pub response_mode: ResponseMode,
    /// Whether calls must be signed: `hmac-sha256`, `plain-token` or nothing.
    pub signature: Option<String>,
    /// Whether a secret for that is stored.
    pub has_webhook_secret: bool,
    /// Where its callbacks go: the Start node's URL, else the default of the settings; none in sync mode.
    pub callback_url: Option<String>,
    /// The steps in the order of the document, for people: `Human Input: Approve?`.
    pub steps: Vec<String>,
    /// The same steps by their ids, under which settings of single steps are kept.
    pub nodes: Vec<FlowStepView>,
    /// What begins a run.
    pub starts_by: StartView,
    /// The form to be filled in, if that begins a run.
    pub form: Option<FormView>,
    /// When it runs by itself, if that begins a run and can be read.
    pub schedule: Option<ScheduleView>,
    /// What will not work although the flow could be imported, for people.
    pub problems: Vec<String>,
    /// What is good to know: where it goes another way than in Flowise, and secrets that stand in the file.
    pub notes: Vec<String>,
    /// How many secrets stand in its document in clear text and can be moved into the vault.
    pub clear_text_secrets: u32,
    /// How many of its approvals wait.
    pub pending: u32,
    /// When it was imported, RFC 3339.
    pub created_date: String,
    /// When it changed last, RFC 3339.
    pub updated_date: String,
}

/// One flow with its document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct FlowView {
    /// Everything else.
    #[serde(flatten)]
    #[ts(flatten)]
    pub summary: FlowSummary,
    /// The document as it was imported, unchanged but for secrets that were moved into the vault.
    pub flow_data: String,
}

/// A secret that stood in a document and is in the vault now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct MovedSecretView {
    /// The label of its step.
    pub step: String,
    /// What it is there: the name of a header, or `callbackSecret`.
    pub place: String,
    /// The secret variable that holds it, and that the step reads.
    pub variable: String,
}

/// What became of the secrets that stood in a flow's document in clear text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct MovedSecretsView {
    /// Those that were moved into the vault.
    pub moved: Vec<MovedSecretView>,
    /// What is still there, and whom else it concerns, for people.
    pub left: Vec<String>,
}

/// The body that imports or replaces a flow. Also taken: the export itself, `{"nodes":…,"edges":…}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct FlowImport {
    /// Its name.
    pub name: String,
    /// The text of the export.
    pub flow_data: String,
}

/// What lists show of a callback: all but its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct CallbackSummary {
    /// Its id: the `webhook-id` of every attempt.
    pub id: String,
    /// The execution it reports on.
    pub execution_id: String,
    /// The flow.
    pub flow_id: String,
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
    /// Where it stands.
    pub state: CallbackState,
    /// The attempts so far, oldest first.
    pub attempts: Vec<Attempt>,
    /// When it was written, RFC 3339.
    pub created_at: String,
    /// When the next attempt is due, RFC 3339.
    pub next_attempt_at: Option<String>,
    /// Whether it waits for an earlier callback of the same execution.
    pub behind_earlier: bool,
    /// How long what it sends is, in bytes.
    #[ts(type = "number")]
    pub body_bytes: u64,
}

/// One callback with its attempts and its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct CallbackView {
    /// Everything else.
    #[serde(flatten)]
    #[ts(flatten)]
    pub summary: CallbackSummary,
    /// The JSON text that is sent.
    pub body: String,
}

/// One page of callbacks, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct CallbackPage {
    /// The page.
    pub callbacks: Vec<CallbackSummary>,
    /// The cursor of the next page; `null` at the end.
    pub next: Option<String>,
    /// How many are neither delivered nor abandoned.
    pub waiting: u32,
    /// How many of those have failed at least once.
    pub failing: u32,
}

/// Which callbacks are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CallbackQuery {
    /// `waiting`, `delivered` or `abandoned`; all if absent.
    #[serde(default)]
    #[ts(optional)]
    pub state: Option<String>,
    /// Only those that report on this execution.
    #[serde(default)]
    #[ts(optional)]
    pub execution: Option<String>,
    /// At most this many, 1 to 200; 50 if absent.
    #[serde(default)]
    #[ts(optional)]
    pub limit: Option<u32>,
    /// Where to go on: `next` of the page before.
    #[serde(default)]
    #[ts(optional)]
    pub cursor: Option<String>,
}

/// An execution, in the shape of Flowise's records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionView {
    /// Its id.
    pub id: String,
    /// What ran, as JSON text: a list of step records.
    pub execution_data: String,
    /// Where it stands.
    pub state: ExecutionState,
    /// The flow.
    pub agentflow_id: String,
    /// The chat.
    pub session_id: String,
    /// When it began, RFC 3339.
    pub created_date: String,
    /// When it changed last, RFC 3339.
    pub updated_date: String,
    /// When it last stopped for a person, RFC 3339.
    pub stopped_date: Option<String>,
    /// Whether a restart ended it while its caller waited, so that it can go on from there. Left out if not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(optional, as = "Option<bool>")]
    pub interrupted: bool,
    /// Whether `executionData` was left out of this list because it is large. Left out if not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(optional, as = "Option<bool>")]
    pub execution_data_omitted: bool,
}

/// What the notification server of this desktop can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct NotificationView {
    /// Whether a server answers.
    pub available: bool,
    /// Its name, for instance `Xfce Notify Daemon`.
    pub server: Option<String>,
    /// Whether it draws buttons.
    pub buttons: bool,
    /// Whether a note can be typed into a notification.
    pub reply: bool,
    /// Why none answers, for people, or what the user should know.
    pub note: Option<String>,
}

/// Everything the settings panel shows. Secrets are never part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct SettingsView {
    /// The address that is configured, `127.0.0.1:8420`. A change takes effect at the next start.
    pub listen: String,
    /// The address it listens on now.
    pub address: Option<String>,
    /// Whether a flag or the environment set the address, so that `listen` counts only at a start without it.
    pub listen_forced: bool,
    /// Where callbacks go when the flow names no URL; empty for nowhere.
    pub callback_url: String,
    /// Whether a default callback secret is stored.
    pub has_callback_secret: bool,
    /// Whether a caller may name a callback URL by the header `x-callback-url`.
    pub accept_caller_callback_url: bool,
    /// To which origins such a URL may point, `https://ci.example.org`.
    pub caller_callback_origins: Vec<String>,
    /// Seconds between attempts: the first entry is before the first attempt.
    pub retry_plan_seconds: Vec<u32>,
    /// Whether notifications are shown.
    pub notifications_enabled: bool,
    /// Whether a notification says only that something waits, not what.
    pub notification_details_hidden: bool,
    /// What this desktop can do.
    pub notifications: NotificationView,
    /// How secrets are kept: `keychain` or `file`.
    pub secret_protection: String,
    /// Why they are kept with a file and not with the keychain, if that is known: a clause for people, about the
    /// moment when the data folder was made.
    pub secret_note: Option<String>,
    /// Why stored secrets cannot be read, for people; absent while all is well.
    pub secret_problem: Option<String>,
    /// The data folder.
    pub data_dir: String,
    /// The version of this program.
    pub version: String,
}

/// A change of settings; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SettingsChange {
    /// See [`SettingsView::listen`].
    #[serde(default)]
    #[ts(optional)]
    pub listen: Option<String>,
    /// See [`SettingsView::callback_url`].
    #[serde(default)]
    #[ts(optional)]
    pub callback_url: Option<String>,
    /// A new default callback secret; empty removes it. Write-only.
    #[serde(default)]
    #[ts(optional)]
    pub callback_secret: Option<String>,
    /// See [`SettingsView::accept_caller_callback_url`].
    #[serde(default)]
    #[ts(optional)]
    pub accept_caller_callback_url: Option<bool>,
    /// See [`SettingsView::caller_callback_origins`].
    #[serde(default)]
    #[ts(optional)]
    pub caller_callback_origins: Option<Vec<String>>,
    /// See [`SettingsView::retry_plan_seconds`].
    #[serde(default)]
    #[ts(optional)]
    pub retry_plan_seconds: Option<Vec<u32>>,
    /// See [`SettingsView::notifications_enabled`].
    #[serde(default)]
    #[ts(optional)]
    pub notifications_enabled: Option<bool>,
    /// See [`SettingsView::notification_details_hidden`].
    #[serde(default)]
    #[ts(optional)]
    pub notification_details_hidden: Option<bool>,
}

/// What a test callback came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct TestCallbackView {
    /// Whether the receiver answered 2xx.
    pub delivered: bool,
    /// Where it was sent.
    pub url: String,
    /// Whether it was signed.
    pub signed: bool,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub duration_ms: u32,
    /// What went wrong, for people.
    pub error: Option<String>,
    /// The beginning of the answer.
    pub response: Option<String>,
}

/// How the program is doing, for the foot of the side bar and for `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct StatusView {
    /// The address it listens on; absent while the port is taken.
    pub address: Option<String>,
    /// Why it does not listen, for people.
    pub address_problem: Option<String>,
    /// How many approvals wait.
    pub pending: u32,
    /// How many callbacks have failed at least once and wait.
    pub failing_callbacks: u32,
    /// What the notification server can do.
    pub notifications: NotificationView,
    /// Why the storage takes no work, for people; absent while all is well.
    pub storage_problem: Option<String>,
    /// What of the storage had to be repaired at the start, for people; empty as a rule.
    pub storage_repairs: Vec<String>,
    /// What of the storage was met damaged since then, for people; empty as a rule.
    #[serde(default)]
    pub storage_damage: Vec<String>,
    /// Whether this desktop shows tray icons; absent for a host without a tray.
    pub tray_host: Option<bool>,
    /// The version of this program.
    pub version: String,
    /// Whether this is the first start: no flow was ever imported by the operator.
    pub has_flows: bool,
}

/// Something changed; look again at what it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum EventView {
    /// A question was asked, answered or taken back.
    Approval {
        /// The approval.
        id: String,
        /// Where it stands now.
        state: ApprovalState,
        /// The surface that changed it, so that a window can ignore its own echo.
        surface: Option<Surface>,
    },
    /// A callback was written, tried, delivered or abandoned.
    Callback {
        /// The callback.
        id: String,
        /// Where it stands now.
        state: CallbackState,
    },
    /// A flow was imported, replaced or deleted.
    Flows,
    /// A setting changed.
    Settings,
    /// The test notification was answered. Nothing was decided by it.
    NotificationTest {
        /// Whether it was the button for yes.
        approved: bool,
    },
    /// The notification server, the address or the storage changed.
    Status,
}

/// An error at a door: what happened, what was kept, what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct ErrorView {
    /// For programs.
    pub code: countersign_domain::ErrorCode,
    /// For people.
    pub message: String,
}
