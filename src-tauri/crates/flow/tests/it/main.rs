//! The flow crate through its public surface.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod conditions;
mod custom_functions;
mod examples;
mod gates;
mod html;
mod imports;
mod joins;
mod properties;
mod starts;
mod support;
mod templates;
