//! What an execution did, step by step, and why.

use countersign_flow::{Explained, Record, StepState};
use serde_json::{Map, Value};

use crate::app::Inner;
use crate::executions::read_run;
use crate::host::RunHost;
use crate::view::{StateChangeView, StepStateView, StepView};
use crate::{App, Error};

/// What stands in the place of a secret.
const REDACTED: &str = "[REDACTED]";

/// Secrets shorter than this would blank out ordinary words, so they are not looked for.
const SHORTEST_SECRET: usize = 4;

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

/// Removes the values of secrets.
pub(crate) struct Redact(Vec<String>);

impl Redact {
    pub(crate) fn of(inner: &Inner) -> Self {
        let mut secrets = inner.secret_values();
        secrets.extend(inner.connection_keys());
        secrets.retain(|secret| secret.chars().count() >= SHORTEST_SECRET);
        // A secret that contains another one goes first, so that nothing of it stays.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(secrets)
    }

    pub(crate) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), REDACTED);
            }
        }
        text
    }

    fn value(&self, value: &Value) -> Value {
        if self.0.is_empty() {
            return value.clone();
        }
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(object) => object
                .iter()
                .map(|(key, value)| (self.text(key), self.value(value)))
                .collect::<Map<_, _>>()
                .into(),
            other => other.clone(),
        }
    }

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
        view.node_id = step.node_id.to_owned();
        view.label = step.label.to_owned();
        view.kind = step.kind.to_owned();
        view.state = state;
        view.why.clone_from(&step.why);
        view.if_approved = if_approved.iter().map(|line| self.text(line)).collect();
        view.if_rejected = if_rejected.iter().map(|line| self.text(line)).collect();
        view
    }

    fn record(&self, record: &Record, before: Option<&Value>) -> StepView {
        let (began, ended) = record.times();
        let took = began
            .zip(ended)
            .map(|(began, ended)| ended.since(began).as_millis());
        let mut inner_before = None;
        let mut called = Vec::with_capacity(record.called().len());
        for inner in record.called() {
            let mut view = self.record(inner, inner_before);
            view.node_id = inner.node_id().to_owned();
            view.label = inner.node_label().to_owned();
            view.kind = countersign_flow::kind_in_words(inner.kind()).to_owned();
            inner_before = Some(inner.state());
            called.push(view);
        }
        StepView {
            input: self.value(&record.input()),
            output: self.value(&record.output()),
            state_changes: if record.error().is_some() {
                Vec::new()
            } else {
                self.changes(before, record.state())
            },
            error: record.error().map(|error| self.text(error)),
            began_at: began.map(|began| began.to_string()),
            duration_ms: took.map(|took| u32::try_from(took).unwrap_or(u32::MAX)),
            item: record
                .item()
                .map(|(index, _)| u32::try_from(index + 1).unwrap_or(u32::MAX)),
            called,
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
        error: None,
        began_at: None,
        duration_ms: None,
        item: None,
        called: Vec::new(),
        if_approved: Vec::new(),
        if_rejected: Vec::new(),
    }
}
