//! The whole from webhook to callback, over the headless host `countersign serve` as a process of its own.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on must stop and say why"
)]

mod support;

mod bad_flows;
mod bad_input;
mod cli;
mod decisions;
mod examples;
mod guards;
mod instance;
mod keychain;
mod kill;
mod known_gaps;
mod management;
#[cfg(unix)]
mod packages;
mod payload;
mod race;
mod repeats;
mod restart;
mod tool_calls;
mod webhook;
