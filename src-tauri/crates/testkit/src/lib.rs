//! Helpers for tests: a private message bus with a fake notification server, a receiver for callbacks, the headless
//! host as a child process, flows, a data folder.
//!
//! For tests only, and it shows: whatever does not work panics with a reason.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on must stop"
)]

mod bus;
mod display;
pub mod flows;
mod headless;
mod http;
mod notifications;
mod receiver;
mod temp;

pub use bus::PrivateBus;
pub use display::VirtualDisplay;
pub use headless::Headless;
pub use http::{HttpClient, HttpResponse};
pub use notifications::{FakeNotificationServer, Mode, NotifyCall};
pub use receiver::{CallbackReceiver, Received, ScriptedReply};
pub use temp::TempDataDir;
