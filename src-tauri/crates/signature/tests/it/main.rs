//! Signatures, by vectors of the makers and by properties.
#![allow(clippy::expect_used, reason = "a helper of tests")]

mod inbound;
mod outbound;
mod secret;
mod standard;

use countersign_signature::Secret;

fn secret(text: &str) -> Secret {
    Secret::new(text).expect("the secret has a key")
}

/// The same bytes with one bit turned.
fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let bit = bit % (bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}
