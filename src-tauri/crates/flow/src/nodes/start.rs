//! Start (format §5.1): puts what came in, and the initial flow state, at the beginning of the record.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::Ran;
use crate::host::Host;
use crate::record::{Body, empty_state};
use crate::run::RunScope;
use crate::start::{InitialState, StartTrigger};

pub(crate) fn run<H: Host + ?Sized>(scope: &RunScope<'_, H>) -> Result<Ran, String> {
    let settings = scope.plan.start();
    match settings.trigger {
        StartTrigger::WebhookTrigger => {}
        StartTrigger::Unknown => return Err("Start input type not found".to_owned()),
        StartTrigger::ChatInput | StartTrigger::FormInput | StartTrigger::ScheduleInput => {
            return Err("This flow is not configured as a Webhook Trigger".to_owned());
        }
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
    Ok(Ran {
        input: Body::TriggerInput(scope.run.trigger.clone()),
        output: Body::TriggerOutput(scope.run.trigger.clone()),
        state: Some(state),
        said: None,
        taken: None,
    })
}
