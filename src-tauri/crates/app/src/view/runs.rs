//! Runs in lists: what a person needs to tell one from another, without what their steps did.

use countersign_domain::ExecutionState;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ts_rs::TS;

/// What lists show of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// The id of the execution.
    pub id: String,
    /// Where it stands.
    pub state: ExecutionState,
    /// Whether a restart ended it while its caller waited, so that it can go on from there.
    pub interrupted: bool,
    /// The label of the step that failed it, if the run can go on there: the step is then tried again.
    pub failed_step: Option<String>,
    /// The flow.
    pub flow_id: String,
    /// That flow's name when the run began.
    pub flow_name: String,
    /// The chat it belongs to.
    pub chat_id: String,
    /// The approval that it waits for, or has waited for last.
    pub approval_id: Option<String>,
    /// Why it failed, for people; at most 1,000 characters.
    pub error: Option<String>,
    /// When it began, RFC 3339.
    pub created_at: String,
    /// When it changed last, RFC 3339.
    pub updated_at: String,
}

/// One page of runs, newest first. They are not counted: that would read the list to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct RunPage {
    /// The page.
    pub runs: Vec<RunSummary>,
    /// The cursor of the next page; `null` at the end.
    pub next: Option<String>,
}

/// Which runs are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunQuery {
    /// Only those of this flow.
    #[serde(default)]
    #[ts(optional)]
    pub flow: Option<String>,
    /// Only those in this state, `STOPPED` for instance.
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

/// What a person starts a flow with: the one of the two that the flow asks for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FlowStart {
    /// The fields of its form by their names.
    #[serde(default)]
    #[ts(optional, type = "{ [key in string]: string | number | boolean }")]
    pub form: Option<Map<String, Value>>,
    /// A message.
    #[serde(default)]
    #[ts(optional)]
    pub question: Option<String>,
}
