//! What a desktop must be able to do for us.

use std::pin::Pin;

use tokio::sync::mpsc;

use crate::{Answer, Notice, NoticeKey, ServerState};

/// A future that can be sent between threads, for a trait that can be boxed.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One desktop's notifications. It reports and never decides.
///
/// All calls are cancel-safe: dropping the future does not undo the call and breaks nothing. All end within a
/// few seconds, also when the desktop hangs.
pub trait Notifier: Send + Sync + 'static {
    /// Shows a notification; one with the same key is replaced in place. Ends when the desktop has taken it.
    ///
    /// An `Ok` does not promise that anybody sees it.
    fn present(&self, notice: Notice) -> BoxFuture<'_, Result<(), PresentError>>;

    /// Changes what a notification shows. The same as [`Self::present`] unless a desktop tells the two apart.
    fn update(&self, notice: Notice) -> BoxFuture<'_, Result<(), PresentError>> {
        self.present(notice)
    }

    /// Takes a notification off the screen and out of the history. Unknown keys are fine. No
    /// [`NotifierEvent::Closed`] follows.
    fn withdraw(&self, key: NoticeKey) -> BoxFuture<'_, ()>;

    /// Asks the desktop, now, whether it can show notifications and what it can do. What it says holds for the
    /// batch that is presented next.
    fn state(&self) -> BoxFuture<'_, ServerState>;

    /// The stream of what happens. There is one; a second call gives a stream that has ended.
    fn events(&self) -> mpsc::Receiver<NotifierEvent>;

    /// Withdraws everything and ends. Calls made afterwards say that nothing can be shown.
    fn shutdown(&self) -> BoxFuture<'_, ()>;
}

/// What happened on the desktop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotifierEvent {
    /// A person pressed something.
    Answered {
        /// On which notification.
        key: NoticeKey,
        /// What.
        answer: Answer,
        /// What the compositor wants to see before it lets a window come to the front.
        activation_token: Option<String>,
    },
    /// A notification is gone. Never an answer.
    Closed {
        /// Which one.
        key: NoticeKey,
        /// Why, as the server says.
        reason: Closed,
    },
    /// A server came, went or was replaced. Whatever was on the screen is gone.
    ServerChanged(ServerState),
}

/// Why a notification is gone. None of these answers a question (rule 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Closed {
    /// Its time was over, or the server made room.
    Expired,
    /// A person closed it.
    Dismissed,
    /// A program closed it.
    Withdrawn,
    /// The server gives no reason. Xfce does so under Do Not Disturb, at once.
    Unknown,
}

/// Why a notification could not be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PresentError {
    /// There is no server.
    #[error("there is no notification server: {0}")]
    Down(String),
    /// The server refused it, for instance as a duplicate.
    #[error("the notification server refused it: {0}")]
    Refused(String),
    /// The server took it and threw it away.
    #[error("the notification server discarded it")]
    Discarded,
    /// The server did not answer in time.
    #[error("the notification server did not answer in time")]
    TimedOut,
    /// Too many calls wait already.
    #[error("too many notifications wait to be shown")]
    Busy,
}
