//! How a value lies in the tree: format byte, checksum, metadata, then the payload or a reference to a file.
//!
//! ```text
//! 0      format: 1 payload follows, 2 payload lies in a blob file
//! 1..5   CRC-32 of key, format and everything behind, little endian
//! 5      length m of the metadata
//! 6..    m bytes of metadata (what lists filter by, so that they need not read the payload)
//! ..     the payload, or SHA-256 (32 bytes) and length (8 bytes, little endian) of the blob file
//! ```

use std::borrow::Cow;
use std::ops::Range;

use countersign_domain::{ApprovalState, CallbackState, ExecutionState};
use sled::IVec;

use crate::StoreError;
use crate::blob::{BlobHash, Blobs};
use crate::key::{self, IdBytes};

/// Payloads above this many bytes go to a blob file. sled 0.34.7 keeps up to 17 entries in a page and moves a
/// page above 131,052 bytes to a side file that it neither syncs nor deletes; measured: values of 8,000 bytes
/// that are overwritten do that, values of 7,200 bytes do not.
pub(crate) const INLINE_MAX: usize = 6 * 1024;

const INLINE: u8 = 1;
const BLOB: u8 = 2;
const HEAD: usize = 6;

fn checksum(key: &[u8], format: u8, rest: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(&[format]);
    hasher.update(rest);
    hasher.finalize()
}

fn frame(key: &[u8], format: u8, meta: &[u8], body: &[&[u8]]) -> Vec<u8> {
    let length = HEAD + meta.len() + body.iter().map(|part| part.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(length);
    bytes.push(format);
    bytes.extend_from_slice(&[0; 4]);
    // Metadata is at most 48 bytes (journal head).
    bytes.push(u8::try_from(meta.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(meta);
    for part in body {
        bytes.extend_from_slice(part);
    }
    let sum = checksum(key, format, &bytes[5..]);
    bytes[1..5].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// A value whose payload lies in the tree.
pub(crate) fn inline(key: &[u8], meta: &[u8], payload: &[u8]) -> Vec<u8> {
    frame(key, INLINE, meta, &[payload])
}

/// A value that was not stored yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slot {
    pub(crate) meta: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    /// Set for payloads above [`INLINE_MAX`] once their hash was taken.
    pub(crate) blob: Option<BlobHash>,
    /// Whether the blob file is on the disk already.
    pub(crate) blob_written: bool,
}

impl Slot {
    pub(crate) fn new(meta: Vec<u8>, payload: Vec<u8>) -> Self {
        Self {
            meta,
            payload,
            blob: None,
            blob_written: false,
        }
    }

    pub(crate) fn is_large(&self) -> bool {
        self.payload.len() > INLINE_MAX
    }

    pub(crate) fn take_hash(&mut self) {
        if self.is_large() && self.blob.is_none() {
            self.blob = Some(BlobHash::of(&self.payload));
        }
    }

    pub(crate) fn frame(&self, key: &[u8]) -> Vec<u8> {
        match &self.blob {
            Some(hash) => {
                let length = (self.payload.len() as u64).to_le_bytes();
                frame(key, BLOB, &self.meta, &[&hash.0, &length])
            }
            None => inline(key, &self.meta, &self.payload),
        }
    }
}

#[derive(Debug, Clone)]
enum Body {
    Inline(Range<usize>),
    Blob(BlobHash, u64),
}

/// A value from the tree, whose checksum was right.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    bytes: IVec,
    meta: Range<usize>,
    body: Body,
}

impl Stored {
    /// # Errors
    /// [`StoreError::Damaged`] if the checksum or the form is wrong.
    pub(crate) fn read(key: &[u8], bytes: IVec) -> Result<Self, StoreError> {
        Self::parse(key, &bytes)
            .map(|(meta, body)| Self { bytes, meta, body })
            .ok_or_else(|| StoreError::Damaged {
                key: key::describe(key),
            })
    }

    fn parse(key: &[u8], bytes: &[u8]) -> Option<(Range<usize>, Body)> {
        let sum = u32::from_le_bytes(bytes.get(1..5)?.try_into().ok()?);
        let format = *bytes.first()?;
        if sum != checksum(key, format, bytes.get(5..)?) {
            return None;
        }
        let end = HEAD + usize::from(*bytes.get(5)?);
        let rest = bytes.get(end..)?;
        let body = match format {
            INLINE => Body::Inline(end..bytes.len()),
            BLOB => {
                let hash = BlobHash(rest.get(..32)?.try_into().ok()?);
                Body::Blob(hash, u64::from_le_bytes(rest.get(32..40)?.try_into().ok()?))
            }
            _ => return None,
        };
        Some((HEAD..end, body))
    }

    pub(crate) fn meta(&self) -> &[u8] {
        &self.bytes[self.meta.clone()]
    }

    pub(crate) fn blob(&self) -> Option<BlobHash> {
        match &self.body {
            Body::Inline(_) => None,
            Body::Blob(hash, _) => Some(*hash),
        }
    }

    /// The payload of a value that is never large.
    pub(crate) fn inline_payload(&self) -> &[u8] {
        match &self.body {
            Body::Inline(range) => &self.bytes[range.clone()],
            Body::Blob(..) => &[],
        }
    }

    /// How long the payload is, in bytes.
    pub(crate) fn length(&self) -> u64 {
        match &self.body {
            Body::Inline(range) => range.len() as u64,
            Body::Blob(_, length) => *length,
        }
    }

    /// Whether the payload is there as far as that shows without reading a file.
    pub(crate) fn is_there(&self, blobs: &Blobs) -> bool {
        match &self.body {
            Body::Inline(_) => true,
            Body::Blob(hash, length) => blobs.is_there(hash, *length),
        }
    }

    /// The payload; `None` if its file is not there.
    pub(crate) fn payload(&self, key: &[u8], blobs: &Blobs) -> Result<Option<Cow<'_, [u8]>>, StoreError> {
        match &self.body {
            Body::Inline(range) => Ok(Some(Cow::Borrowed(&self.bytes[range.clone()]))),
            Body::Blob(hash, length) => Ok(blobs.read(key, hash, *length)?.map(Cow::Owned)),
        }
    }
}

/// What lists filter executions and approvals by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) state: u8,
    pub(crate) flow: IdBytes,
    pub(crate) chat: IdBytes,
}

impl Meta {
    pub(crate) fn to_vec(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(33);
        bytes.push(self.state);
        bytes.extend_from_slice(&self.flow);
        bytes.extend_from_slice(&self.chat);
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            state: *bytes.first()?,
            flow: bytes.get(1..17)?.try_into().ok()?,
            chat: bytes.get(17..33)?.try_into().ok()?,
        })
    }

    pub(crate) fn chat_key(self) -> key::ChatKey {
        key::ChatKey {
            flow: self.flow,
            chat: self.chat,
        }
    }
}

/// What lists need of a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallbackMeta {
    pub(crate) state: u8,
    /// Whether it waits and at least one attempt has failed.
    pub(crate) failing: bool,
    pub(crate) execution: IdBytes,
}

impl CallbackMeta {
    pub(crate) fn to_vec(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(18);
        bytes.push(self.state);
        bytes.push(u8::from(self.failing));
        bytes.extend_from_slice(&self.execution);
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            state: *bytes.first()?,
            failing: *bytes.get(1)? == 1,
            execution: bytes.get(2..18)?.try_into().ok()?,
        })
    }

    /// Whether this is the metadata of a callback as older versions stored it: the state alone. See
    /// [`crate::upgrade`].
    pub(crate) const fn is_older(bytes: &[u8]) -> bool {
        bytes.len() == 1
    }

    /// The metadata of its entry among those that have to go out; `None` if it is not one of them.
    pub(crate) fn outbox_entry(self) -> Option<Vec<u8>> {
        (self.state == CALLBACK_WAITING).then(|| vec![u8::from(self.failing)])
    }
}

/// Whether an entry among those that have to go out is of one that has failed.
pub(crate) fn entry_fails(meta: &[u8]) -> bool {
    meta.first() == Some(&1)
}

pub(crate) const EXECUTION_IN_PROGRESS: u8 = 1;
pub(crate) const EXECUTION_STOPPED: u8 = 2;

pub(crate) const fn execution_code(state: ExecutionState) -> u8 {
    match state {
        ExecutionState::InProgress => EXECUTION_IN_PROGRESS,
        ExecutionState::Stopped => EXECUTION_STOPPED,
        ExecutionState::Finished => 3,
        ExecutionState::Error => 4,
        ExecutionState::Terminated => 5,
        ExecutionState::Timeout => 6,
    }
}

pub(crate) const APPROVAL_PENDING: u8 = 1;

pub(crate) const fn approval_code(state: ApprovalState) -> u8 {
    match state {
        ApprovalState::Pending => APPROVAL_PENDING,
        ApprovalState::Approved => 2,
        ApprovalState::Rejected => 3,
        ApprovalState::Expired => 4,
        ApprovalState::Withdrawn => 5,
    }
}

pub(crate) const CALLBACK_WAITING: u8 = 1;

pub(crate) const fn callback_code(state: CallbackState) -> u8 {
    match state {
        CallbackState::Waiting => CALLBACK_WAITING,
        CallbackState::Delivered => 2,
        CallbackState::Abandoned => 3,
    }
}
