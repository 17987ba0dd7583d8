//! The steps of an execution, explained.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
pub enum StepStateView {
    /// It ran.
    Finished,
    /// It waits for a person.
    Stopped,
    /// It failed.
    Failed,
    /// It comes as soon as what it waits for is there.
    Waiting,
    /// The way to it was not taken.
    Skipped,
    /// The run ended before it came to it.
    NotReached,
}

/// A part of the flow state that a step changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct StateChangeView {
    /// The key.
    pub key: String,
    /// What it was; null if it was not there.
    #[ts(type = "unknown")]
    pub before: Value,
    /// What it is.
    #[ts(type = "unknown")]
    pub after: Value,
}

/// One step, explained. Values of secret variables are removed from everything in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct StepView {
    /// The node.
    pub node_id: String,
    /// Its label.
    pub label: String,
    /// Its kind in words, `Human Input`.
    pub kind: String,
    /// Where it stands.
    pub state: StepStateView,
    /// Why, in a sentence.
    pub why: String,
    /// What it worked on, references replaced; null if it did not run.
    #[ts(type = "unknown")]
    pub input: Value,
    /// What it made; null if it did not run.
    #[ts(type = "unknown")]
    pub output: Value,
    /// What it changed of the flow state.
    pub state_changes: Vec<StateChangeView>,
    /// The last lines that its code wrote to its console, the oldest first.
    pub console: Vec<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// When it began, RFC 3339.
    pub began_at: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u32>,
    /// Which item of an Iteration it ran for, from 1.
    pub item: Option<u32>,
    /// The steps of the flow that it called.
    pub called: Vec<StepView>,
    /// What follows after yes, one line a step, for a step that waits.
    pub if_approved: Vec<String>,
    /// What follows after no.
    pub if_rejected: Vec<String>,
}
