//! The lists of recorded runs.
//!
//! Runs in packs are listed in memory until [`SETTLE_AT`] of them have come together. Then they settle: sled
//! gets pages of eighty entries in the order of their ids, and for lookups by chat up to [`BUCKETS`] values with
//! some thirty entries each, instead of three keys a run. After a kill the entries that have not settled
//! are read from the chunks in the packs.
//!
//! Pages never overlap: a run whose id is not above the newest settled one is stored like a committed execution.
//! Where an execution exists in several places, this one counts: not written yet, tree, pack.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::StoreError;
use crate::key::{self, ChatKey, IdBytes};
use crate::pack::{self, ENTRY, Entry, Location, Packs, Position};
use crate::value::{INLINE_MAX, Meta, Stored, inline};

/// So many written runs are listed in memory (about 250 bytes each) before they settle.
pub(crate) const SETTLE_AT: usize = 16_384;
/// When closing, fewer than this stay for the next start to read from the packs.
pub(crate) const SETTLE_AT_CLOSE: usize = 256;
/// Groups of chats.
const BUCKETS: u16 = 512;
const PAGE_ENTRIES: usize = INLINE_MAX / ENTRY - 1;
const BUCKET_ENTRY: usize = 32;
const BUCKET_ENTRIES: usize = INLINE_MAX / BUCKET_ENTRY - 1;

/// Where a recent run lies.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// It waits for the writer.
    Memory(Arc<Vec<u8>>),
    /// It was appended to a pack.
    Pack(Location),
}

/// A recent run.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) meta: Meta,
    pub(crate) place: Place,
}

/// The runs that are listed in memory.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    by_id: BTreeMap<IdBytes, Run>,
    by_chat: BTreeSet<(ChatKey, IdBytes)>,
    in_packs: usize,
}

impl Recent {
    /// How many of them could settle.
    pub(crate) const fn in_packs(&self) -> usize {
        self.in_packs
    }

    pub(crate) fn get(&self, id: &IdBytes) -> Option<&Run> {
        self.by_id.get(id)
    }

    /// The largest identifier.
    pub(crate) fn newest(&self) -> Option<IdBytes> {
        self.by_id.last_key_value().map(|(id, _)| *id)
    }

    pub(crate) fn insert(&mut self, id: IdBytes, run: Run) {
        self.remove(&id);
        self.by_chat.insert((run.meta.chat_key(), id));
        self.in_packs += usize::from(matches!(run.place, Place::Pack(_)));
        self.by_id.insert(id, run);
    }

    pub(crate) fn remove(&mut self, id: &IdBytes) {
        if let Some(run) = self.by_id.remove(id) {
            self.by_chat.remove(&(run.meta.chat_key(), *id));
            self.in_packs -= usize::from(matches!(run.place, Place::Pack(_)));
        }
    }

    pub(crate) fn written(&mut self, entry: &Entry) {
        if let Some(run) = self.by_id.get_mut(&entry.id)
            && matches!(run.place, Place::Memory(_))
        {
            run.place = Place::Pack(entry.location);
            self.in_packs += 1;
        }
    }

    /// The runs below an id, the newest first.
    pub(crate) fn below(&self, before: Option<&IdBytes>) -> Vec<(IdBytes, Run)> {
        let newest_first = |(id, run): (&IdBytes, &Run)| (*id, run.clone());
        match before {
            Some(before) => self.by_id.range(..*before).rev().map(newest_first).collect(),
            None => self.by_id.iter().rev().map(newest_first).collect(),
        }
    }

    pub(crate) fn of_chat(&self, chat: &ChatKey) -> Vec<IdBytes> {
        self.by_chat
            .range((*chat, [0; 16])..=(*chat, [0xFF; 16]))
            .map(|(_, id)| *id)
            .collect()
    }

    fn entries(&self) -> Vec<Entry> {
        let entry = |(id, run): (&IdBytes, &Run)| match run.place {
            Place::Pack(location) => Some(Entry {
                id: *id,
                meta: run.meta,
                location,
            }),
            Place::Memory(_) => None,
        };
        self.by_id.iter().filter_map(entry).collect()
    }
}

/// How far runs have settled. Stored with the pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Everything before this position is in pages.
    pub(crate) position: Position,
    /// The newest id in a page.
    pub(crate) newest: Option<IdBytes>,
    /// How often runs have settled.
    pub(crate) sequence: u64,
}

impl Mark {
    fn key() -> Vec<u8> {
        vec![key::RUN_MARK]
    }

    pub(crate) fn load(tree: &sled::Tree) -> Result<Self, StoreError> {
        let key = Self::key();
        let Some(bytes) = tree.get(&key)? else {
            return Ok(Self::default());
        };
        let stored = Stored::read(&key, bytes)?;
        let parse = || {
            let bytes = stored.meta();
            Some(Self {
                position: Position {
                    pack: u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?),
                    offset: u64::from_le_bytes(bytes.get(4..12)?.try_into().ok()?),
                },
                sequence: u64::from_le_bytes(bytes.get(12..20)?.try_into().ok()?),
                newest: bytes.get(20..36).and_then(|id| id.try_into().ok()),
            })
        };
        parse().ok_or_else(|| StoreError::Damaged {
            key: key::describe(&key),
        })
    }

    fn to_vec(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(36);
        bytes.extend_from_slice(&self.position.pack.to_le_bytes());
        bytes.extend_from_slice(&self.position.offset.to_le_bytes());
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        if let Some(newest) = self.newest {
            bytes.extend_from_slice(&newest);
        }
        bytes
    }
}

fn bucket_of(chat: &ChatKey) -> u16 {
    u16::from_be_bytes([chat.chat[0], chat.chat[1]]) % BUCKETS
}

fn bucket_key(bucket: u16, sequence: u64, part: u16) -> Vec<u8> {
    let mut key = vec![key::RUN_BUCKET];
    key.extend_from_slice(&bucket.to_be_bytes());
    key.extend_from_slice(&sequence.to_be_bytes());
    key.extend_from_slice(&part.to_be_bytes());
    key
}

/// What has to be written so that the runs in packs settle: the batch, the new mark, and the runs to take off the
/// list afterwards. `end` is where the packs end; all runs listed as written must be synced.
pub(crate) fn settle(recent: &Recent, mark: Mark, end: Position) -> (sled::Batch, Mark, Vec<IdBytes>) {
    let entries = recent.entries();
    let mark = Mark {
        position: end,
        newest: entries.last().map(|e| e.id).or(mark.newest),
        sequence: mark.sequence + 1,
    };
    let mut batch = sled::Batch::default();
    for page in entries.chunks(PAGE_ENTRIES) {
        let mut bytes = Vec::with_capacity(page.len() * ENTRY);
        page.iter().for_each(|entry| entry.write(&mut bytes));
        let key = key::with_id(key::RUN_PAGE, &page[0].id);
        batch.insert(&key[..], inline(&key, &[], &bytes));
    }
    let mut buckets: BTreeMap<u16, Vec<(ChatKey, IdBytes)>> = BTreeMap::new();
    for entry in &entries {
        let chat = entry.meta.chat_key();
        buckets
            .entry(bucket_of(&chat))
            .or_default()
            .push((chat, entry.id));
    }
    for (bucket, chats) in buckets {
        // Thirty-two entries on average; a busy chat has more and needs several parts.
        for (number, part) in chats.chunks(BUCKET_ENTRIES).enumerate() {
            let mut bytes = Vec::with_capacity(part.len() * BUCKET_ENTRY);
            for (chat, id) in part {
                bytes.extend_from_slice(&chat.chat);
                bytes.extend_from_slice(id);
            }
            let part = u16::try_from(number).unwrap_or(u16::MAX);
            let key = bucket_key(bucket, mark.sequence, part);
            batch.insert(&key[..], inline(&key, &[], &bytes));
        }
    }
    let key = Mark::key();
    batch.insert(&key[..], inline(&key, &mark.to_vec(), &[]));
    (batch, mark, entries.into_iter().map(|entry| entry.id).collect())
}

fn page(key: &[u8], value: sled::IVec) -> Result<Vec<Entry>, StoreError> {
    Ok(pack::read_entries(Stored::read(key, value)?.inline_payload()).collect())
}

/// The settled run with this id.
pub(crate) fn settled(tree: &sled::Tree, id: &IdBytes) -> Result<Option<Entry>, StoreError> {
    let from = vec![key::RUN_PAGE];
    let Some(found) = tree.range(from..=key::with_id(key::RUN_PAGE, id)).next_back() else {
        return Ok(None);
    };
    let (key, value) = found?;
    let entries = page(&key, value)?;
    Ok(entries
        .binary_search_by(|entry| entry.id.cmp(id))
        .ok()
        .map(|at| entries[at]))
}

/// The settled runs below an id, the newest first.
pub(crate) fn settled_below(
    tree: &sled::Tree,
    before: Option<IdBytes>,
) -> impl Iterator<Item = Result<Entry, StoreError>> + use<> {
    let end = before.map_or_else(
        || vec![key::RUN_PAGE + 1],
        |before| key::with_id(key::RUN_PAGE, &before),
    );
    tree.range(vec![key::RUN_PAGE]..end).rev().flat_map(move |found| {
        let entries = found
            .map_err(StoreError::from)
            .and_then(|(key, value)| page(&key, value));
        let (entries, fault) = match entries {
            Ok(entries) => (entries, None),
            Err(error) => (Vec::new(), Some(Err(error))),
        };
        let wanted = entries
            .into_iter()
            .rev()
            .filter(move |entry| before.is_none_or(|before| entry.id < before));
        fault.into_iter().chain(wanted.map(Ok))
    })
}

/// The settled runs of a chat.
pub(crate) fn settled_of_chat(tree: &sled::Tree, chat: &ChatKey) -> Result<Vec<IdBytes>, StoreError> {
    let mut prefix = vec![key::RUN_BUCKET];
    prefix.extend_from_slice(&bucket_of(chat).to_be_bytes());
    let mut ids = Vec::new();
    for found in tree.scan_prefix(prefix) {
        let (key, value) = found?;
        let stored = Stored::read(&key, value)?;
        for entry in stored.inline_payload().chunks_exact(BUCKET_ENTRY) {
            if entry[..16] == chat.chat
                && let Ok(id) = IdBytes::try_from(&entry[16..])
            {
                ids.push(id);
            }
        }
    }
    Ok(ids)
}

/// The execution, as JSON.
pub(crate) fn load(packs: &Packs, id: &IdBytes, place: &Place) -> Result<Arc<Vec<u8>>, StoreError> {
    match place {
        Place::Memory(execution) => Ok(Arc::clone(execution)),
        Place::Pack(location) => packs.read(id, location).map(Arc::new),
    }
}
