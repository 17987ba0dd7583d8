//! What the operator says about single steps. The export stays untouched; this is kept beside it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What happens when a step fails for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// The run fails.
    #[default]
    Fail,
    /// The run goes on; `{{ <node id>.output.error }}` holds the message. After a step that decides where the run goes it
    /// cannot.
    Continue,
}

/// Time limit, retries and the like of one step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StepPolicy {
    /// Seconds that one attempt may take; the kind's own limit if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    /// How often it is tried again after a failure.
    pub retries: u32,
    /// Seconds between attempts.
    pub retry_delay_seconds: u32,
    /// What happens when the last attempt failed.
    pub on_error: OnError,
    /// Whether an HTTP status outside 200 to 299 counts as a failure.
    pub fail_on_status: bool,
    /// Whether an Iteration fails with its first item that fails, instead of noting it among the results.
    pub stop_on_item_error: bool,
}

impl StepPolicy {
    /// Nothing was said.
    pub(crate) const NOTHING_SAID: Self = Self {
        timeout_seconds: None,
        retries: 0,
        retry_delay_seconds: 0,
        on_error: OnError::Fail,
        fail_on_status: false,
        stop_on_item_error: false,
    };

    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout_seconds
            .map(|seconds| Duration::from_secs(seconds.into()))
    }

    pub(crate) fn retry_delay(&self) -> Duration {
        Duration::from_secs(self.retry_delay_seconds.into())
    }
}

/// What the operator says about a flow's run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RunPolicy {
    /// Whether a reference without a value fails its step, instead of staying in the text as it is written.
    pub strict: bool,
    /// By node id.
    pub steps: BTreeMap<String, StepPolicy>,
}
