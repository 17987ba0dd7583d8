//! Helpers for tests: a private message bus with a fake notification server, a receiver for callbacks, an HTTP
//! client, the headless host as a child process, flows, a data folder.
//!
//! Receiver, client and host work on threads of their own, so that plain tests and tests on tokio use the same ones;
//! methods that block are called `blocking_…` where an asynchronous one has the short name.
//!
//! For tests only, and it shows: whatever does not work panics with a reason.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on must stop"
)]

mod bus;
mod checkout;
mod display;
mod eventually;
pub mod flows;
mod headless;
mod http;
#[cfg(unix)]
mod keyring;
mod model;
mod notifications;
mod receiver;
mod signature;
mod temp;
mod tray_host;
mod wire;

pub use bus::PrivateBus;
pub use checkout::checkout;
pub use display::VirtualDisplay;
pub use eventually::eventually;
pub use headless::{Headless, Installation, wait_for_end};
pub use http::{Connection, HttpClient, HttpResponse};
#[cfg(unix)]
pub use keyring::GnomeKeyring;
pub use model::{Asked, ModelAnswer, ModelServer};
pub use notifications::{FakeNotificationServer, Mode, NotifyCall};
pub use receiver::{CallbackReceiver, Received, ScriptedReply};
pub use signature::hmac_sha256;
pub use temp::TempDataDir;
pub use tray_host::{Entry, TrayHost};
