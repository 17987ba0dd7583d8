//! Where there is no desktop.

use tokio::sync::mpsc;

use crate::{BoxFuture, Notice, NoticeKey, Notifier, NotifierEvent, PresentError, ServerState};

/// Shows nothing, says why, and logs what it would have shown.
#[derive(Debug, Clone)]
pub struct HeadlessNotifier {
    reason: String,
}

impl HeadlessNotifier {
    /// A backend that is always down for this reason, in plain words for people.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

impl Default for HeadlessNotifier {
    fn default() -> Self {
        Self::new("This host has no desktop, so there are no notifications. Questions wait in the inbox.")
    }
}

impl Notifier for HeadlessNotifier {
    fn present(&self, notice: Notice) -> BoxFuture<'_, Result<(), PresentError>> {
        tracing::debug!(key = ?notice.key, "no desktop: a notification is not shown");
        Box::pin(std::future::ready(Err(PresentError::Down(self.reason.clone()))))
    }

    fn withdraw(&self, _key: NoticeKey) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn state(&self) -> BoxFuture<'_, ServerState> {
        Box::pin(std::future::ready(ServerState::down(self.reason.clone())))
    }

    fn events(&self) -> mpsc::Receiver<NotifierEvent> {
        mpsc::channel(1).1
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
