//! Outgoing HTTP: address guard, signed callbacks and their retry plan.
//!
//! * [`AddressGuard`] says where a request may go, for a URL and for each address that its name has.
//! * [`Client`] sends one message once, signed, and says what came of it.
//! * [`Client::request`] makes the requests of flows, under the same guard; [`Client::open`] gives their answers in pieces.
//! * [`RetryPlan`] and the functions of [`attempt`] say what an attempt does to a callback. They are pure.
//! * [`Dispatcher`] takes waiting callbacks from an [`Outbox`] and sends them: in order within an execution,
//!   side by side otherwise, at least once.

pub mod attempt;
mod client;
mod dispatcher;
mod guard;
mod outbox;
mod plan;
mod queue;
mod request;

pub use client::{Client, ClientOptions, Lookup, Message, Sent, SystemLookup};
pub use dispatcher::{Dispatcher, DispatcherHandle, SendNowError};
pub use guard::{AddressGuard, AddressKind, AddressRefused, LoopbackPolicy, UnknownLoopbackPolicy};
pub use outbox::{BoxFuture, Outbox, OutboxError, Started};
pub use plan::RetryPlan;
pub use request::{OpenResponse, Request, Response};
