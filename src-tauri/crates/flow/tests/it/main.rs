//! The flow crate through its public surface.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod agents;
mod called_flows;
mod conditions;
mod custom_functions;
mod examples;
mod explanations;
mod gates;
mod html;
mod http;
mod imports;
mod iterations;
mod joins;
mod loops;
mod models;
mod properties;
mod random_flows;
mod reports;
mod retries;
mod schedules;
mod semantics;
mod sizes;
mod starts;
mod steps;
mod support;
mod templates;
mod tools;
