//! Start (format §5.1): puts what came in, and the initial flow state, at the beginning of the record.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{At, Node, Outcome, Ran, Step};
use crate::document::DocumentNode;
use crate::record::{Body, empty_state};
use crate::refusal::Problem;
use crate::run::RunScope;
use crate::start::{InitialState, StartTrigger};
use crate::template::Scope;

/// A Start. Its settings are those of the plan.
#[derive(Debug)]
struct Start;

pub(super) fn read(_node: &DocumentNode) -> Result<Box<dyn Node>, Problem> {
    Ok(Box::new(Start))
}

impl Node for Start {
    fn in_words(&self, _label: &str, _scope: &dyn Scope) -> String {
        "Start".to_owned()
    }

    fn run<'a>(&'a self, at: At<'a>) -> Step<'a> {
        Step::Done(begin(&at.scope).map(Outcome::Ran))
    }
}

fn begin(scope: &RunScope<'_>) -> Result<Ran, String> {
    let settings = scope.plan.start();
    let trigger = &scope.run.trigger;
    let by_webhook = !trigger.webhook.is_null();
    match settings.trigger {
        StartTrigger::Unknown => return Err("Start input type not found".to_owned()),
        StartTrigger::WebhookTrigger if !by_webhook => {
            return Err("This flow is configured as a Webhook Trigger".to_owned());
        }
        StartTrigger::ChatInput | StartTrigger::FormInput | StartTrigger::ScheduleInput if by_webhook => {
            return Err("This flow is not configured as a Webhook Trigger".to_owned());
        }
        _ => {}
    }
    let asked = trigger
        .question
        .as_ref()
        .is_some_and(|question| !question.is_empty());
    if asked
        && trigger
            .form
            .as_ref()
            .and_then(Value::as_object)
            .is_some_and(|form| !form.is_empty())
    {
        return Err("Question and form cannot be provided at the same time".to_owned());
    }
    let InitialState::Rows(rows) = &settings.state else {
        return Err("Invalid Flow State".to_owned());
    };
    let mut state: Map<String, Value> = rows.iter().cloned().collect();
    if settings.persist_state
        && let Value::Object(earlier) = &*scope.run.state
    {
        state.extend(earlier.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    let state = if state.is_empty() {
        empty_state()
    } else {
        Arc::new(Value::Object(state))
    };
    let input = match (&trigger.form, settings.trigger) {
        (Some(_), _) | (None, StartTrigger::FormInput) => Body::json(json!({"form": settings.form})),
        _ => Body::TriggerInput(trigger.clone()),
    };
    Ok(Ran {
        state: Some(state),
        ..Ran::new(input, Body::TriggerOutput(trigger.clone()))
    })
}
