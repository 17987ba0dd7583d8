//! The world as a run sees it: what the flow crate's `Host` asks for, answered by this application.

use std::time::Duration;

use countersign_domain::{DocumentHash, FlowId, Timestamp};
use countersign_flow::{CalledFlow, Host, HostFuture, Plan, RunEvent};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::app::Inner;
use crate::stream::Listener;

/// What a run may ask of the world.
pub(crate) struct RunHost<'a> {
    inner: &'a Inner,
    listener: Option<&'a Listener>,
}

impl<'a> RunHost<'a> {
    pub(crate) const fn new(inner: &'a Inner, listener: Option<&'a Listener>) -> Self {
        Self { inner, listener }
    }
}

impl Host for RunHost<'_> {
    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    fn new_id(&self) -> Uuid {
        // A stop's id is also the approval's, and approvals are listed by the time in their ids.
        self.inner.ids.ordered(self.inner.clock.now())
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.inner.variable(name)
    }

    fn variables(&self) -> Map<String, Value> {
        let values = self.inner.variable_values().into_iter();
        values.map(|(name, value)| (name, value.into())).collect()
    }

    fn event(&self, event: RunEvent<'_>) {
        if let Some(listener) = self.listener {
            listener.hear(&event);
        }
    }

    fn sleep(&self, duration: Duration) -> HostFuture<'_, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn called_flow(&self, id: &str) -> Option<CalledFlow> {
        let live = self.inner.flows.get(FlowId::from_url(id).ok()?)?;
        Some(CalledFlow {
            name: live.flow.name.clone(),
            document: live.flow.document.clone(),
            plan: live.plan.clone(),
        })
    }

    fn plan(&self, document: &DocumentHash) -> Option<Plan> {
        match self.inner.flows.plan(&self.inner.store, document) {
            Ok(plan) => Some(plan),
            Err(error) => {
                tracing::error!(document = document.as_str(), %error, "the document of a called flow cannot be read");
                None
            }
        }
    }
}
