//! What the operator says about the steps of a flow: time limits, retries, strictness. Kept beside the flow, whose
//! document stays as it was imported.

use countersign_domain::{ErrorCode, Execution, FlowId};
use countersign_flow::{OnError, Plan, RunPolicy};
use countersign_store::{Changes, Store, StoreError};

use crate::app::{Inner, storage};
use crate::view::EventView;
use crate::{App, Error};

/// The longest time limit and pause: a day.
const SECONDS_MAX: u32 = 86_400;
const RETRIES_MAX: u32 = 20;

/// Under which name a flow's policy lies in the store.
pub(crate) fn policy_key(id: FlowId) -> String {
    format!("flow-policy/{id}")
}

/// What is kept for a flow; nothing special if nothing is.
pub(crate) fn stored_policy(store: &Store, id: FlowId) -> Result<RunPolicy, StoreError> {
    let Some(value) = store.setting(&policy_key(id))? else {
        return Ok(RunPolicy::default());
    };
    Ok(serde_json::from_value(value).unwrap_or_else(|error| {
        tracing::error!(flow = %id, %error, "the settings of a flow's steps cannot be read; they count as not set");
        RunPolicy::default()
    }))
}

impl Inner {
    /// The plan that a run goes on with: its own document under what is said now about the flow's steps.
    pub(crate) fn plan_of(&self, execution: &Execution) -> Result<Plan, Error> {
        let plan = self.plan(&execution.document)?;
        let policy = stored_policy(&self.store, execution.flow_id).map_err(storage)?;
        Ok(plan.with_policy(policy))
    }
}

impl App {
    /// What is said about the steps of a flow.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] for an unknown flow.
    pub fn flow_policy(&self, id: &str) -> Result<RunPolicy, Error> {
        let flow = self.stored_flow(id)?;
        stored_policy(&self.inner.store, flow.id).map_err(storage)
    }

    /// Says something else about the steps of a flow. Steps that the document does not have are refused.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`]; [`ErrorCode::Invalid`] naming the step and what would be right.
    pub async fn set_flow_policy(&self, id: &str, policy: RunPolicy) -> Result<RunPolicy, Error> {
        self.ready()?;
        let _alone = self.inner.changing.lock().await;
        let flow = self.stored_flow(id)?;
        let plan = self.inner.plan(&flow.document)?;
        check(&policy, &plan)?;
        let value = serde_json::to_value(&policy).map_err(crate::execute::not_json)?;
        let mut changes = Changes::new();
        changes.put_setting(&policy_key(flow.id), &value);
        self.inner.store.commit(changes).await.map_err(storage)?;
        self.inner.flows.put(flow, plan.with_policy(policy.clone()));
        self.inner.events.tell(EventView::Flows);
        Ok(policy)
    }
}

fn check(policy: &RunPolicy, plan: &Plan) -> Result<(), Error> {
    let steps = plan.steps();
    for (id, step) in &policy.steps {
        let wrong = |what: &str| {
            let id = countersign_domain::display_line(id, 100);
            Err(Error::new(
                ErrorCode::Invalid,
                format!("Step {id}: {what} Nothing was changed."),
            ))
        };
        let Some(known) = steps.iter().find(|known| known.id == *id) else {
            return wrong("the flow has no such step.");
        };
        if known.decides && step.on_error == OnError::Continue {
            return wrong("it decides where the run goes, so the run cannot go on without what it decides.");
        }
        if step
            .timeout_seconds
            .is_some_and(|seconds| seconds == 0 || seconds > SECONDS_MAX)
        {
            return wrong("its time limit must lie between 1 and 86,400 seconds.");
        }
        if step.retries > RETRIES_MAX {
            return wrong("it can be tried again at most 20 times.");
        }
        if step.retry_delay_seconds > SECONDS_MAX {
            return wrong("the pause between attempts is at most 86,400 seconds.");
        }
    }
    Ok(())
}
