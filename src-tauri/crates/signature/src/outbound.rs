//! The signature header of a Flowise callback (webhook spec §9).

use crate::{Secret, mac};

/// The value of `X-Flowise-Signature`: `sha256=` and the HMAC-SHA256 of the body under the secret's UTF-8
/// bytes, in lower-case hexadecimal.
pub fn flowise_signature(secret: &Secret, body: &[u8]) -> String {
    format!("sha256={}", hex::encode(mac::sha256(secret.text_key(), &[body])))
}
