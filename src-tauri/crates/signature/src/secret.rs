//! Shared secrets.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// What a secret in the text form of Standard Webhooks begins with.
const PREFIX: &str = "whsec_";

/// A secret without a single byte of key: the empty text, or `whsec_` alone. A MAC under it proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret is empty")]
pub struct EmptySecret;

/// A secret shared with a sender or a receiver. Never empty, hidden in `Debug`, wiped when dropped.
///
/// It is a text, and the schemes take their key from it in two ways:
/// * the Flowise schemes use the UTF-8 bytes of the whole text, also if it begins with `whsec_`
///   (webhook spec §7 and §9);
/// * Standard Webhooks decodes what follows `whsec_` as standard base64; any other text, also one that
///   begins with `whsec_` and goes on with something else than base64, is used as its UTF-8 bytes.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a secret as a person or a store gives it.
    ///
    /// # Errors
    /// [`EmptySecret`] if it holds no key: the empty text or `whsec_` alone.
    pub fn new(text: impl Into<String>) -> Result<Self, EmptySecret> {
        let text = Zeroizing::new(text.into());
        if text.is_empty() || *text == PREFIX {
            Err(EmptySecret)
        } else {
            Ok(Self(text))
        }
    }

    /// The text itself, to be stored or shown once. Everything else asks for a signature instead.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The key of the Flowise schemes.
    pub(crate) fn text_key(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The key of Standard Webhooks.
    pub(crate) fn standard_key(&self) -> Zeroizing<Vec<u8>> {
        let decoded = self
            .0
            .strip_prefix(PREFIX)
            .and_then(|text| STANDARD.decode(text).ok());
        Zeroizing::new(decoded.unwrap_or_else(|| self.0.as_bytes().to_vec()))
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Always the same number of stars: the length is part of the secret.
        f.write_str("Secret(****)")
    }
}
