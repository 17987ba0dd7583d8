//! The script engine through its public surface.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod limits;
mod requests;
mod results;
mod sandbox;
mod support;
