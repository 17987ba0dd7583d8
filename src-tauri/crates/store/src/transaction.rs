//! Changes on top of the tree, before they are stored: what a commit sees and what it leaves behind.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::time::Duration;

use countersign_domain::{
    Approval, ApprovalId, Callback, CallbackId, DocumentHash, Execution, ExecutionId, Flow, FlowId,
    JournalEvent, Timestamp,
};
use serde::de::DeserializeOwned;

use crate::StoreError;
use crate::blob::BlobHash;
use crate::changes::{Change, Changes};
use crate::key::{self, ChatKey, IdBytes};
use crate::shared::Shared;
use crate::value::{APPROVAL_PENDING, CallbackMeta, EXECUTION_IN_PROGRESS, Meta, Slot, Stored, entry_fails};

/// How long calls are remembered at least, unless they are too many: longer than senders repeat them.
const CALLS_KEPT_FOR: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// How many calls are remembered.
const CALLS_MAX: u64 = 16_384;
/// How many calls a new one makes forgotten at most.
const CALLS_FORGOTTEN_AT_ONCE: u64 = 4;

/// Changes that are not in the tree yet. `None` removes a key.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    pub(crate) values: BTreeMap<Vec<u8>, Option<Slot>>,
    pub(crate) events: Vec<Vec<u8>>,
    /// How many more times values name a blob file.
    pub(crate) blobs: HashMap<BlobHash, i64>,
    /// How many more approvals of a flow wait.
    pub(crate) pending: HashMap<IdBytes, i64>,
    /// How many more callbacks have to go out.
    pub(crate) outbox: OutboxChange,
}

/// How many more callbacks have to go out, and how many more of them have failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct OutboxChange {
    pub(crate) waiting: i64,
    pub(crate) failing: i64,
}

impl Overlay {
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty() && self.events.is_empty()
    }

    /// Puts another overlay on top of this one.
    pub(crate) fn absorb(&mut self, other: Self) {
        if self.values.is_empty() {
            self.values = other.values;
        } else {
            self.values.extend(other.values);
        }
        self.events.extend(other.events);
        for (hash, count) in other.blobs {
            *self.blobs.entry(hash).or_default() += count;
        }
        for (flow, count) in other.pending {
            *self.pending.entry(flow).or_default() += count;
        }
        self.outbox.waiting += other.outbox.waiting;
        self.outbox.failing += other.outbox.failing;
    }
}

/// The tree with overlays on top.
pub(crate) struct Layers<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) tree: &'a sled::Tree,
    pub(crate) below: &'a Overlay,
}

/// What counts of a stored value for lists and counts.
struct Old {
    meta: Vec<u8>,
    hashes: Vec<BlobHash>,
}

impl Layers<'_> {
    fn slot<'s>(&'s self, own: &'s Overlay, key: &[u8]) -> Option<&'s Option<Slot>> {
        own.values.get(key).or_else(|| self.below.values.get(key))
    }

    fn old(&self, own: &Overlay, key: &[u8]) -> Result<Option<Old>, StoreError> {
        if let Some(slot) = self.slot(own, key) {
            return Ok(slot.as_ref().map(|slot| Old {
                meta: slot.meta.clone(),
                hashes: slot.hashes().collect(),
            }));
        }
        let Some(bytes) = self.tree.get(key)? else {
            return Ok(None);
        };
        let stored = Stored::read(key, bytes)?;
        Ok(Some(Old {
            meta: stored.meta().to_vec(),
            hashes: stored.hashes().to_vec(),
        }))
    }

    fn load<T: DeserializeOwned>(&self, own: &Overlay, key: &[u8]) -> Result<Option<T>, StoreError> {
        let Some(slot) = self.slot(own, key) else {
            return self.shared.load(self.tree, key);
        };
        let Some(slot) = slot else { return Ok(None) };
        serde_json::from_slice(&slot.payload)
            .map(Some)
            .map_err(|_| StoreError::Damaged {
                key: key::describe(key),
            })
    }

    /// The ids of list entries under a prefix, ascending.
    fn ids(&self, own: &Overlay, prefix: &[u8]) -> Result<BTreeSet<IdBytes>, StoreError> {
        let mut ids = BTreeSet::new();
        for found in self.tree.scan_prefix(prefix) {
            ids.extend(key::id_of(&found?.0));
        }
        for overlay in [self.below, own] {
            let from = (Bound::Included(prefix), Bound::Unbounded);
            for (key, slot) in overlay
                .values
                .range::<[u8], _>(from)
                .take_while(|(key, _)| key.starts_with(prefix))
            {
                let Some(id) = key::id_of(key) else { continue };
                if slot.is_some() {
                    ids.insert(id);
                } else {
                    ids.remove(&id);
                }
            }
        }
        Ok(ids)
    }

    /// Adds changes to `own`, with the lists and counts that follow from them.
    pub(crate) fn apply(&self, own: &mut Overlay, changes: Changes) -> Result<(), StoreError> {
        for change in changes.changes {
            match change {
                Change::Put(key, slot) => self.put(own, key, slot)?,
                Change::Delete(key) => self.delete(own, key)?,
            }
        }
        own.events.extend(changes.events);
        Ok(())
    }

    fn delete(&self, own: &mut Overlay, key: Vec<u8>) -> Result<(), StoreError> {
        match self.old(own, &key) {
            Ok(None) => return Ok(()),
            Ok(Some(old)) => count_blobs(own, old.hashes, -1),
            // Whoever takes it away need not be able to read it. If it named a file, that stays.
            Err(StoreError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
        own.values.insert(key, None);
        Ok(())
    }

    fn put(&self, own: &mut Overlay, key: Vec<u8>, mut slot: Slot) -> Result<(), StoreError> {
        slot.take_hashes();
        let old = match self.old(own, &key) {
            // The key is the hash of what is put, so this is what it was.
            Err(StoreError::Damaged { .. }) if key[0] == key::DOCUMENT => None,
            old => old?,
        };
        if key[0] == key::DOCUMENT && old.is_some() {
            return Ok(());
        }
        let old = old.map(|old| {
            count_blobs(own, old.hashes, -1);
            old.meta
        });
        count_blobs(own, slot.hashes(), 1);
        match key[0] {
            key::EXECUTION => list_execution(own, &key, old.as_deref(), &slot.meta),
            key::APPROVAL => list_approval(own, &key, old.as_deref(), &slot.meta),
            key::CALLBACK => list_callback(own, &key, old.as_deref(), &slot.meta),
            key::CALL if old.is_none() => self.list_call(own, &key, &slot.meta)?,
            _ => {}
        }
        own.values.insert(key, Some(slot));
        Ok(())
    }
}

impl Layers<'_> {
    /// Lists a call that is new, and forgets the oldest ones beyond the bounds. Of many of those each new call takes a
    /// few, so that none walks over everything.
    fn list_call(&self, own: &mut Overlay, key: &[u8], execution: &[u8]) -> Result<(), StoreError> {
        let entry = key::with_bytes(key::CALL_OF_EXECUTION, execution);
        own.values
            .insert(entry, Some(Slot::new(key[1..].to_vec(), Vec::new())));
        let count_key = vec![key::CALL_COUNT];
        let counted = match self.old(own, &count_key) {
            // Then more are kept than the bound until they are too old.
            Err(StoreError::Damaged { .. }) => None,
            counted => counted?,
        };
        let counted = counted.and_then(|counted| counted.meta.try_into().ok());
        let count = counted.map_or(0, u64::from_le_bytes) + 1;
        let forgotten = self.forget_calls(own, count)?;
        let count = count.saturating_sub(forgotten).to_le_bytes();
        own.values
            .insert(count_key, Some(Slot::new(count.to_vec(), Vec::new())));
        Ok(())
    }

    /// Answers how many it forgot.
    fn forget_calls(&self, own: &mut Overlay, count: u64) -> Result<u64, StoreError> {
        let all = vec![key::CALL_OF_EXECUTION]..vec![key::CALL_OF_EXECUTION + 1];
        // The oldest go first: what is left of the tree lies behind the last one that went in this group.
        let gone = [self.below, &*own].into_iter().filter_map(|overlay| {
            let mut entries = overlay.values.range(all.clone()).rev();
            entries
                .find(|(_, slot)| slot.is_none())
                .map(|(entry, _)| entry.clone())
        });
        let begin = gone.max().map_or(Bound::Included(all.start), Bound::Excluded);
        let now = self.shared.clock.now();
        let mut forgotten = 0;
        for found in self.tree.range((begin, Bound::Excluded(all.end))) {
            let (entry, value) = found?;
            let is_old = now.since(began(&entry)) > CALLS_KEPT_FOR;
            if forgotten == CALLS_FORGOTTEN_AT_ONCE || !(is_old || count - forgotten > CALLS_MAX) {
                break;
            }
            // An entry that is damaged goes as well; what it named stays.
            if let Ok(stored) = Stored::read(&entry, value) {
                self.delete(own, key::with_bytes(key::CALL, stored.meta()))?;
            }
            own.values.insert(entry.to_vec(), None);
            forgotten += 1;
        }
        Ok(forgotten)
    }
}

/// When the execution at the end of a key began: its id is ordered by time.
fn began(key: &[u8]) -> Timestamp {
    let id = key::id_of(key).unwrap_or_default();
    let millis = id[..6]
        .iter()
        .fold(0, |millis, byte| millis << 8 | i64::from(*byte));
    Timestamp::from_millis(millis)
}

fn count_blobs(own: &mut Overlay, hashes: impl IntoIterator<Item = BlobHash>, by: i64) {
    for hash in hashes {
        *own.blobs.entry(hash).or_default() += by;
    }
}

/// Adds or removes an entry of a list of ids.
fn list(own: &mut Overlay, tag: u8, key: &[u8], was: bool, is: bool, meta: Vec<u8>) {
    if was != is
        && let Some(id) = key::id_of(key)
    {
        own.values
            .insert(key::with_id(tag, &id), is.then(|| Slot::new(meta, Vec::new())));
    }
}

/// Keeps the entry in a list by chat.
fn list_chat(own: &mut Overlay, tag: u8, key: &[u8], old: Option<Meta>, new: Meta) {
    let Some(id) = key::id_of(key) else { return };
    if old.map(Meta::chat_key) == Some(new.chat_key()) {
        return;
    }
    if let Some(old) = old {
        own.values.insert(key::with_chat(tag, &old.chat_key(), &id), None);
    }
    own.values
        .insert(key::with_chat(tag, &new.chat_key(), &id), Some(Slot::default()));
}

fn list_execution(own: &mut Overlay, key: &[u8], old: Option<&[u8]>, new: &[u8]) {
    let (old, Some(new)) = (old.and_then(Meta::read), Meta::read(new)) else {
        return;
    };
    let runs = |meta: Meta| meta.state == EXECUTION_IN_PROGRESS;
    list_chat(own, key::EXECUTION_OF_CHAT, key, old, new);
    list(
        own,
        key::IN_PROGRESS,
        key,
        old.is_some_and(runs),
        runs(new),
        Vec::new(),
    );
}

fn list_approval(own: &mut Overlay, key: &[u8], old: Option<&[u8]>, new: &[u8]) {
    let (old, Some(new)) = (old.and_then(Meta::read), Meta::read(new)) else {
        return;
    };
    let waits = |meta: Meta| meta.state == APPROVAL_PENDING;
    list_chat(own, key::APPROVAL_OF_CHAT, key, old, new);
    list(
        own,
        key::PENDING,
        key,
        old.is_some_and(waits),
        waits(new),
        new.to_vec(),
    );
    if let Some(old) = old.filter(|old| waits(*old)) {
        *own.pending.entry(old.flow).or_default() -= 1;
    }
    if waits(new) {
        *own.pending.entry(new.flow).or_default() += 1;
    }
}

fn list_callback(own: &mut Overlay, key: &[u8], old: Option<&[u8]>, new: &[u8]) {
    let (old, Some(new), Some(id)) = (
        old.and_then(CallbackMeta::read),
        CallbackMeta::read(new),
        key::id_of(key),
    ) else {
        return;
    };
    if old.is_none() {
        let listed = key::of_execution(&new.execution, &id);
        own.values.insert(listed, Some(Slot::default()));
    }
    let (was, is) = (old.and_then(CallbackMeta::outbox_entry), new.outbox_entry());
    if was != is {
        let entry = is.clone().map(|meta| Slot::new(meta, Vec::new()));
        own.values.insert(key::with_id(key::OUTBOX, &id), entry);
    }
    let fails = |entry: &Option<Vec<u8>>| i64::from(entry.as_deref().is_some_and(entry_fails));
    own.outbox.waiting += i64::from(is.is_some()) - i64::from(was.is_some());
    own.outbox.failing += fails(&is) - fails(&was);
}

/// What a closure in [`crate::Store::transact`] works on. Reads see every earlier commit and the closure's own
/// changes; nobody else changes anything meanwhile.
pub struct Transaction<'a> {
    pub(crate) layers: Layers<'a>,
    pub(crate) own: Overlay,
    pub(crate) fault: Option<StoreError>,
}

macro_rules! puts {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*);)*) => {
        $(
            $(#[$doc])*
            pub fn $name(&mut self, $($argument: $type),*) {
                let mut changes = Changes::new();
                changes.$name($($argument),*);
                self.apply(changes);
            }
        )*
    };
}

impl Transaction<'_> {
    /// Makes these changes part of the transaction. If they cannot be applied, the whole transaction fails.
    pub fn apply(&mut self, mut changes: Changes) {
        if self.fault.is_some() {
            return;
        }
        let applied = changes
            .check()
            .and_then(|()| self.layers.apply(&mut self.own, changes));
        self.fault = applied.err();
    }

    puts! {
        /// Stores a flow.
        put_flow(flow: &Flow);
        /// Removes a flow.
        delete_flow(id: FlowId);
        /// Stores an execution.
        put_execution(execution: &Execution);
        /// Stores an approval.
        put_approval(approval: &Approval);
        /// Stores a callback that is new, with what it sends.
        put_new_callback(callback: &Callback, body: &str);
        /// Stores what has changed of a callback.
        put_callback(callback: &Callback);
        /// Stores a setting.
        put_setting(name: &str, value: &serde_json::Value);
        /// Removes a setting.
        delete_setting(name: &str);
        /// Writes a line into the journal.
        journal(event: &JournalEvent);
    }

    /// Stores a document under its hash, unless it is there already.
    pub fn put_document(&mut self, document: &str) -> DocumentHash {
        let mut changes = Changes::new();
        let hash = changes.put_document(document);
        self.apply(changes);
        hash
    }

    /// A flow.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Read`].
    pub fn flow(&self, id: FlowId) -> Result<Option<Flow>, StoreError> {
        self.layers
            .load(&self.own, &key::with_id(key::FLOW, id.as_bytes()))
    }

    /// An execution.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Read`].
    pub fn execution(&self, id: ExecutionId) -> Result<Option<Execution>, StoreError> {
        let key = key::with_id(key::EXECUTION, id.as_bytes());
        if self.layers.slot(&self.own, &key).is_some() {
            return self.layers.load(&self.own, &key);
        }
        self.layers.shared.execution(self.layers.tree, id.as_bytes())
    }

    /// An approval.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Read`].
    pub fn approval(&self, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
        self.layers
            .load(&self.own, &key::with_id(key::APPROVAL, id.as_bytes()))
    }

    /// A callback.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Read`].
    pub fn callback(&self, id: CallbackId) -> Result<Option<Callback>, StoreError> {
        self.layers
            .load(&self.own, &key::with_id(key::CALLBACK, id.as_bytes()))
    }

    /// A setting.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Read`].
    pub fn setting(&self, name: &str) -> Result<Option<serde_json::Value>, StoreError> {
        self.layers
            .load(&self.own, &key::with_bytes(key::SETTING, name.as_bytes()))
    }

    /// The approvals of a chat that wait, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Read`].
    pub fn pending_of_chat(&self, flow: FlowId, chat_id: &str) -> Result<Vec<Approval>, StoreError> {
        let mut approvals = Vec::new();
        for id in self.approvals_of_chat(flow, chat_id)? {
            let key = key::with_id(key::APPROVAL, &id);
            let meta = self
                .layers
                .old(&self.own, &key)?
                .and_then(|old| Meta::read(&old.meta));
            if meta.is_none_or(|meta| meta.state == APPROVAL_PENDING) {
                approvals.push(self.listed(&key)?);
            }
        }
        Ok(approvals)
    }

    /// The newest approval of a chat, in any state.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Read`].
    pub fn latest_of_chat(&self, flow: FlowId, chat_id: &str) -> Result<Option<Approval>, StoreError> {
        let newest = self.approvals_of_chat(flow, chat_id)?.into_iter().next();
        newest
            .map(|id| self.listed(&key::with_id(key::APPROVAL, &id)))
            .transpose()
    }

    fn approvals_of_chat(&self, flow: FlowId, chat_id: &str) -> Result<Vec<IdBytes>, StoreError> {
        let prefix = key::chat_prefix(key::APPROVAL_OF_CHAT, &ChatKey::new(flow, chat_id));
        Ok(self.layers.ids(&self.own, &prefix)?.into_iter().rev().collect())
    }

    fn listed<T: DeserializeOwned>(&self, key: &[u8]) -> Result<T, StoreError> {
        // A list names it, so it must be there.
        self.layers
            .load(&self.own, key)?
            .ok_or_else(|| StoreError::Damaged {
                key: key::describe(key),
            })
    }
}

impl std::fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction")
            .field("changes", &self.own.values.len())
            .finish_non_exhaustive()
    }
}
