//! Flows as they are kept: the document of the export, unchanged, and its settings here.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{FlowId, Timestamp};

/// SHA-256 of a document's bytes, in hexadecimal. Runs and approvals keep their document by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DocumentHash(String);

impl DocumentHash {
    /// The hash of this document.
    pub fn of(document: &str) -> Self {
        Self(hex::encode(Sha256::digest(document.as_bytes())))
    }

    /// The hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A flow. Its document is stored once under its hash; its secrets lie in the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Flow {
    /// Its id, part of the webhook URL.
    pub id: FlowId,
    /// Its name.
    pub name: String,
    /// The document it runs now.
    pub document: DocumentHash,
    /// When it was imported.
    pub created_at: Timestamp,
    /// When its document or settings changed last.
    pub updated_at: Timestamp,
}
