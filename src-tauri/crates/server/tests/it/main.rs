//! The server over a real application on a temporary data folder.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by panicking that it failed"
)]

mod bodies;
mod guards;
mod management;
mod sockets;
mod support;
mod ui;
mod webhooks;
