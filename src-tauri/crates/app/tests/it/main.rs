//! What the use cases promise, through the public surface of the crate.

mod bindings;
mod decisions;
mod notifications;
mod restart;
mod settings;
mod support;
