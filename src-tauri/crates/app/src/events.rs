//! What happened, told to every door that listens.

use countersign_domain::{Approval, Callback, Surface};
use tokio::sync::broadcast;

use crate::App;
use crate::view::EventView;

/// How many events a slow listener may be behind before it has to look at everything again.
const CAPACITY: usize = 1024;

/// The hub of events.
#[derive(Debug)]
pub(crate) struct Events(broadcast::Sender<EventView>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::Sender::new(CAPACITY))
    }
}

impl Events {
    pub(crate) fn tell(&self, event: EventView) {
        // An error only says that nobody listens.
        let _ = self.0.send(event);
    }

    pub(crate) fn approval(&self, approval: &Approval, surface: Option<Surface>) {
        self.tell(EventView::Approval {
            id: approval.id.to_string(),
            state: approval.state,
            surface,
        });
    }

    pub(crate) fn callback(&self, callback: &Callback) {
        self.tell(EventView::Callback {
            id: callback.id.to_string(),
            state: callback.state,
        });
    }
}

impl App {
    /// Listens to everything that happens from now on. A listener that falls behind gets `Lagged` and
    /// must look at everything again.
    pub fn subscribe(&self) -> broadcast::Receiver<EventView> {
        self.inner.events.0.subscribe()
    }
}
