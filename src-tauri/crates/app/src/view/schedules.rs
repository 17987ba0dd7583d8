//! Schedules as people see them.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What becomes of moments at which the program did not run, or the machine slept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum MissedRuns {
    /// One run for all of them, as soon as it can be.
    #[default]
    Once,
    /// Nothing; they are told.
    Skip,
}

/// What becomes of a moment that comes while the run before is under way or waits for an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum OverlappingRuns {
    /// It is left out and told: nobody is asked the same thing twice at once.
    #[default]
    Skip,
    /// Another run begins beside the first.
    Start,
}

/// What was done about a moment of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleOutcome {
    /// A run began.
    Started,
    /// It passed while the program did not run.
    Missed,
    /// It was left out because the run before was under way or waited.
    Overlapped,
}

/// A moment of a schedule, or several that were left out for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleMoment {
    /// When it was due, RFC 3339; of several the last one.
    pub due: String,
    /// When that was decided, RFC 3339.
    pub at: String,
    /// What was done.
    pub outcome: ScheduleOutcome,
    /// How many moments this stands for; 1,000 stands for that many or more.
    pub count: u32,
    /// The run that began, or the one that was in the way.
    pub execution_id: Option<String>,
}

/// The schedule of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleView {
    /// When it comes round, in words.
    pub when: String,
    /// Whether it counts.
    pub enabled: bool,
    /// What becomes of missed moments.
    pub missed: MissedRuns,
    /// What becomes of moments that come while the last run waits.
    pub overlap: OverlappingRuns,
    /// When the next run begins, RFC 3339; none if it does not count or has ended.
    pub next: Option<String>,
    /// What was done about the last moments, the newest first.
    pub recent: Vec<ScheduleMoment>,
}

/// What is to be different about a schedule; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScheduleChange {
    /// Whether it counts.
    #[ts(optional)]
    pub enabled: Option<bool>,
    /// What becomes of missed moments.
    #[ts(optional)]
    pub missed: Option<MissedRuns>,
    /// What becomes of moments that come while the last run waits.
    #[ts(optional)]
    pub overlap: Option<OverlappingRuns>,
}
