//! Verifies signatures of senders and signs outgoing callbacks. Pure: no I/O, no clock, no randomness.
//!
//! Three schemes, all over the raw bytes of a body:
//! * what a webhook sender may use towards us ([`verify_inbound`], webhook spec §7),
//! * the header of a Flowise callback ([`flowise_signature`], webhook spec §9),
//! * the headers of Standard Webhooks 1.0.0 ([`StandardWebhook`]), which add an id and a time.
//!
//! Every comparison with a secret or a digest takes the same time whatever differs.

mod inbound;
mod mac;
mod outbound;
mod secret;
mod standard;

pub use inbound::{InboundKind, verify_inbound};
pub use outbound::flowise_signature;
pub use secret::{EmptySecret, Secret};
pub use standard::{StandardWebhook, TOLERANCE};

/// Why a signature does not count. The variants are for logs and tests: a caller gets the same words for
/// all of them, because a difference would tell a forger how far he came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Invalid {
    /// The value is not written as the scheme demands.
    #[error("the signature is not written as the scheme demands")]
    Malformed,
    /// The scheme signs a body, and the request has none.
    #[error("there is no body that the signature could cover")]
    NoBody,
    /// The value is well formed, and another one.
    #[error("the signature does not match")]
    Mismatch,
    /// The signed time is more than [`TOLERANCE`] away from now.
    #[error("the signed time is too far from the present")]
    OutOfTime,
}
