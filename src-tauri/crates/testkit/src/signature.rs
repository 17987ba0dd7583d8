//! What a receiver checks, computed with libraries that are not ours.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// HMAC-SHA256.
///
/// # Panics
/// Never: a key may have any length.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// The value of `X-Flowise-Signature`.
pub(crate) fn flowise(secret: &str, body: &[u8]) -> String {
    format!("sha256={}", hex::encode(hmac_sha256(secret.as_bytes(), body)))
}

/// One entry of `webhook-signature` (Standard Webhooks): `v1,<base64>`. The key is what follows `whsec_`, decoded, else
/// the secret's own bytes.
pub(crate) fn standard_webhooks(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> String {
    let key = match secret.strip_prefix("whsec_") {
        Some(coded) => STANDARD.decode(coded).expect("a whsec_ secret is base64"),
        None => secret.as_bytes().to_vec(),
    };
    let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
    format!("v1,{}", STANDARD.encode(hmac_sha256(&key, &signed)))
}
