//! What an execution did, step by step, and why.

use countersign_flow::{Explained, Record, StepState};
use serde_json::Value;

use crate::executions::read_run;
use crate::host::RunHost;
use crate::redact::Redact;
use crate::view::{StateChangeView, StepStateView, StepView};
use crate::{App, Error};

impl App {
    /// The steps of an execution with the reason why each ran, waits or was passed over.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`](countersign_domain::ErrorCode::NotFound) for an unknown id or one that is none.
    pub fn execution_steps(&self, id: &str) -> Result<Vec<StepView>, Error> {
        let execution = self.stored_execution(id)?;
        let plan = self.inner.plan_of(&execution)?;
        let run = read_run(&execution)?;
        let host = RunHost::new(&self.inner, None);
        let redact = Redact::of(&self.inner);
        let explained = run.explain(&plan, &host);
        Ok(explained.iter().map(|step| redact.step(step)).collect())
    }
}

impl Redact {
    pub(crate) fn step(&self, step: &Explained<'_>) -> StepView {
        let state = match step.state {
            StepState::Finished => StepStateView::Finished,
            StepState::Stopped => StepStateView::Stopped,
            StepState::Failed => StepStateView::Failed,
            StepState::Waiting => StepStateView::Waiting,
            StepState::Skipped => StepStateView::Skipped,
            StepState::NotReached => StepStateView::NotReached,
        };
        let mut view = match step.record {
            Some(record) => self.record(record, step.state_before),
            None => nothing_recorded(),
        };
        let [if_approved, if_rejected] = step.follows.clone().unwrap_or_default();
        view.node_id.clone_from(&step.node_id);
        view.label.clone_from(&step.label);
        view.kind.clone_from(&step.kind);
        view.item = step
            .item
            .map(|index| u32::try_from(index + 1).unwrap_or(u32::MAX));
        view.called = step.called.iter().map(|inner| self.step(inner)).collect();
        view.state = state;
        view.why = self.text(&step.why);
        view.if_approved = if_approved.iter().map(|line| self.text(line)).collect();
        view.if_rejected = if_rejected.iter().map(|line| self.text(line)).collect();
        view
    }

    fn record(&self, record: &Record, before: Option<&Value>) -> StepView {
        let (began, ended) = record.times();
        let took = began
            .zip(ended)
            .map(|(began, ended)| ended.since(began).as_millis());
        StepView {
            input: self.value(&record.input()),
            output: self.value(&record.output()),
            state_changes: if record.error().is_some() {
                Vec::new()
            } else {
                self.changes(before, record.state())
            },
            console: record.console().iter().map(|line| self.text(line)).collect(),
            error: record.error().map(|error| self.text(error)),
            began_at: began.map(|began| began.to_string()),
            duration_ms: took.map(|took| u32::try_from(took).unwrap_or(u32::MAX)),
            ..nothing_recorded()
        }
    }

    fn changes(&self, before: Option<&Value>, after: &Value) -> Vec<StateChangeView> {
        let Value::Object(after) = after else {
            return Vec::new();
        };
        let earlier = |key: &str| before.and_then(|before| before.get(key));
        after
            .iter()
            .filter(|(key, value)| earlier(key) != Some(value))
            .map(|(key, value)| StateChangeView {
                key: key.clone(),
                before: earlier(key).map_or(Value::Null, |value| self.value(value)),
                after: self.value(value),
            })
            .collect()
    }
}

fn nothing_recorded() -> StepView {
    StepView {
        node_id: String::new(),
        label: String::new(),
        kind: String::new(),
        state: StepStateView::Finished,
        why: String::new(),
        input: Value::Null,
        output: Value::Null,
        state_changes: Vec::new(),
        console: Vec::new(),
        error: None,
        began_at: None,
        duration_ms: None,
        item: None,
        called: Vec::new(),
        if_approved: Vec::new(),
        if_rejected: Vec::new(),
    }
}
