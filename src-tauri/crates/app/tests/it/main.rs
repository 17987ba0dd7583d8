//! What the use cases promise, through the public surface of the crate.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what surrounds the test functions may fail like them"
)]

mod bindings;
mod called_flows;
mod clear_text;
mod connections;
mod decisions;
mod dry_runs;
mod errors;
mod lists;
mod lost;
mod notifications;
mod restart;
mod runs;
mod schedules;
mod settings;
mod streams;
mod support;
mod variables;
