//! Dry runs as people see them.

use countersign_domain::Outcome;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::StepView;

/// What a dry run begins with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DryRunRequest {
    /// The body of the call; for a flow that starts with a form its fields, for one that starts with a message its text.
    pub body: Option<Value>,
    /// How each question is answered; by yes if nothing is said.
    pub answer: Option<Outcome>,
}

/// How a dry run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DryRunOutcome {
    /// It came to its end.
    Finished,
    /// A step failed.
    Failed,
}

/// A question that would have been asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DryRunQuestion {
    /// The label of the step that asks.
    pub step: String,
    /// What it asks, references replaced.
    pub text: String,
    /// How it was answered here.
    pub answer: Outcome,
}

/// What a flow would do. Values of secrets are removed from everything in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DryRunView {
    /// How it ended.
    pub outcome: DryRunOutcome,
    /// The text of the answer.
    pub text: String,
    /// Why it failed.
    pub error: Option<String>,
    /// What would have been asked, in order.
    pub questions: Vec<DryRunQuestion>,
    /// What would have left this machine, in order, a line each.
    pub effects: Vec<String>,
    /// The steps with their inputs and outputs.
    pub steps: Vec<StepView>,
}
