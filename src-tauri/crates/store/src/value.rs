//! How a value lies in the tree: format byte, checksum, metadata, then the payload or a reference to a file.
//!
//! ```text
//! 0      format: 1 payload follows, 2 payload lies in a blob file, 3 in several
//! 1..5   CRC-32 of key, format and everything behind, little endian
//! 5      length m of the metadata
//! 6..    m bytes of metadata (what lists filter by, so that they need not read the payload)
//! ..     the payload, or SHA-256 (32 bytes) and length (8 bytes, little endian) of the blob file, or length of the
//!        payload and the SHA-256 of each file in order
//! ```

use std::borrow::Cow;
use std::io;
use std::ops::Range;

use countersign_domain::{ApprovalState, CallbackState, ExecutionState};
use sled::IVec;

use crate::blob::{BlobHash, Blobs};
use crate::key::{self, IdBytes};
use crate::{StoreError, pieces};

/// Payloads above this many bytes go to a blob file. sled 0.34.7 keeps up to 17 entries in a page and moves a
/// page above 131,052 bytes to a side file that it neither syncs nor deletes; measured: values of 8,000 bytes
/// that are overwritten do that, values of 7,200 bytes do not.
pub(crate) const INLINE_MAX: usize = 6 * 1024;

const INLINE: u8 = 1;
const BLOB: u8 = 2;
const BLOBS: u8 = 3;
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
    /// Whether it is written again and again while it grows.
    pub(crate) grows: bool,
    /// The blob files of a payload above [`INLINE_MAX`] once their hashes were taken.
    pub(crate) blobs: Vec<(BlobHash, Range<usize>)>,
    /// Whether the blob files are on the disk already.
    pub(crate) blobs_written: bool,
}

impl Slot {
    pub(crate) fn new(meta: Vec<u8>, payload: Vec<u8>) -> Self {
        Self {
            meta,
            payload,
            grows: false,
            blobs: Vec::new(),
            blobs_written: false,
        }
    }

    pub(crate) fn is_large(&self) -> bool {
        self.payload.len() > INLINE_MAX
    }

    pub(crate) fn take_hashes(&mut self) {
        if self.is_large() && self.blobs.is_empty() {
            let pieces = match self.grows {
                true => pieces::cut(&self.payload),
                false => pieces::whole(&self.payload),
            };
            let hash = |piece: Range<usize>| (BlobHash::of(&self.payload[piece.clone()]), piece);
            self.blobs = pieces.into_iter().map(hash).collect();
        }
    }

    /// The names of its blob files; one that is in it twice is there twice.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = BlobHash> {
        self.blobs.iter().map(|(hash, _)| *hash)
    }

    /// Writes its blob files.
    pub(crate) fn write_blobs(&self, blobs: &Blobs) -> io::Result<()> {
        for (hash, piece) in &self.blobs {
            blobs.write(hash, &self.payload[piece.clone()])?;
        }
        Ok(())
    }

    pub(crate) fn frame(&self, key: &[u8]) -> Vec<u8> {
        let length = (self.payload.len() as u64).to_le_bytes();
        match &self.blobs[..] {
            [] => inline(key, &self.meta, &self.payload),
            [(hash, _)] => frame(key, BLOB, &self.meta, &[&hash.0, &length]),
            pieces => {
                let mut body: Vec<&[u8]> = vec![&length];
                body.extend(pieces.iter().map(|(hash, _)| &hash.0[..]));
                frame(key, BLOBS, &self.meta, &body)
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Body {
    Inline(Range<usize>),
    /// The files in order, and the length of all together.
    Blobs(Vec<BlobHash>, u64),
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
                Body::Blobs(vec![hash], u64::from_le_bytes(rest.get(32..40)?.try_into().ok()?))
            }
            BLOBS => {
                let (length, hashes) = rest.split_first_chunk()?;
                let (hashes, over) = hashes.as_chunks();
                let hashes = over.is_empty().then(|| hashes.iter().copied().map(BlobHash))?;
                Body::Blobs(hashes.collect(), u64::from_le_bytes(*length))
            }
            _ => return None,
        };
        Some((HEAD..end, body))
    }

    pub(crate) fn meta(&self) -> &[u8] {
        &self.bytes[self.meta.clone()]
    }

    /// The names of its blob files.
    pub(crate) fn hashes(&self) -> &[BlobHash] {
        match &self.body {
            Body::Inline(_) => &[],
            Body::Blobs(hashes, _) => hashes,
        }
    }

    /// The payload of a value that is never large.
    pub(crate) fn inline_payload(&self) -> &[u8] {
        match &self.body {
            Body::Inline(range) => &self.bytes[range.clone()],
            Body::Blobs(..) => &[],
        }
    }

    /// How long the payload is, in bytes.
    pub(crate) fn length(&self) -> u64 {
        match &self.body {
            Body::Inline(range) => range.len() as u64,
            Body::Blobs(_, length) => *length,
        }
    }

    /// Whether the payload is there as far as that shows without reading a file.
    pub(crate) fn is_there(&self, blobs: &Blobs) -> bool {
        match &self.body {
            Body::Inline(_) => true,
            Body::Blobs(hashes, length) => blobs.are_there(hashes, *length),
        }
    }

    /// The payload; `None` if a file of it is not there.
    pub(crate) fn payload(&self, key: &[u8], blobs: &Blobs) -> Result<Option<Cow<'_, [u8]>>, StoreError> {
        match &self.body {
            Body::Inline(range) => Ok(Some(Cow::Borrowed(&self.bytes[range.clone()]))),
            Body::Blobs(hashes, length) => Ok(blobs.read(key, hashes, *length)?.map(Cow::Owned)),
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
