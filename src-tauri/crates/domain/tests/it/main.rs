//! The promises of the domain, and the dependency rule of the whole workspace.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on must stop and say why"
)]

mod approval;
mod dependency_rule;
mod identity;
mod text;
mod time;
