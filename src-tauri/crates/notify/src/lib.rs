//! Desktop notifications with buttons.
//!
//! A notification is a shortcut to the inbox, never the only door: every notification server can hide, drop,
//! expire or strip it. So this crate reports what a person pressed and decides nothing; the store does.
//!
//! - [`Broker`] holds the policy: how many notifications there are at once, what they say, how often they come.
//!   It takes the pending approvals as [`Prompt`]s and tells of answers by [`BrokerEvent`]s.
//! - [`Notifier`] is what a desktop must be able to do: show, withdraw, say what it can, report answers.
//! - Backends: [`XdgNotifier`] for the freedesktop protocol (Linux and the BSDs), [`HeadlessNotifier`] where there
//!   is no desktop, [`FakeNotifier`] for tests. [`for_this_desktop`] chooses.
//!
//! # The rules
//!
//! Comments and tests name them by number. For the freedesktop backend:
//! 1. One connection; subscribe first, then send.
//! 2. Signals count only from the current owner of the service name.
//! 3. Keys of Approve and Reject carry an unguessable token of the presentation; the fixed `default` only opens.
//! 4. A signal that outruns the answer to Notify is not lost.
//! 5. Another server knows none of our ids: forget them, ask anew what it can do, show again what waits, gently.
//! 6. The hint `desktop-entry` names the installed desktop file.
//! 7. Nobody waits for the bus: a bounded queue, a time limit on every call.
//! 8. On a clean end everything is withdrawn; at the start nothing is assumed about the screen.
//!
//! For the broker:
//!
//! 9. The store decides; the notification goes after the decision, from whichever surface it came.
//! 10. No closing answers anything.
//! 11. At most three: up to three one by one, from the fourth on the two most pressing and a roll-up.
//! 12. Texts of any two prompts differ.
//! 13. Importance becomes urgency, capped by a setting.
//! 14. The summary alone says what is asked; a setting hides details.
//! 15. Risky steps have no buttons.
//! 16. A flow that asks too often is held back, and the status says so.

mod broker;
mod fake;
mod headless;
mod notifier;
mod prompt;
mod server;
#[cfg(any(
    target_os = "linux",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
))]
mod xdg;

pub use broker::{Broker, BrokerEvent, BrokerHandle, BrokerOptions};
pub use fake::FakeNotifier;
pub use headless::HeadlessNotifier;
pub use notifier::{BoxFuture, Closed, Notifier, NotifierEvent, PresentError};
pub use prompt::{Answer, Importance, Notice, NoticeKey, Prompt};
pub use server::{Capabilities, ServerState, ServerStatus};
#[cfg(any(
    target_os = "linux",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
))]
pub use xdg::{XdgNotifier, XdgOptions};

/// The backend for the desktop that this program was built for. Must be called inside a tokio runtime.
pub fn for_this_desktop() -> Box<dyn Notifier> {
    #[cfg(any(
        target_os = "linux",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "dragonfly"
    ))]
    return Box::new(XdgNotifier::start(XdgOptions::default()));
    #[cfg(not(any(
        target_os = "linux",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "dragonfly"
    )))]
    return Box::new(HeadlessNotifier::new(
        "Notifications are not available on this system yet. Questions wait in the inbox.",
    ));
}
