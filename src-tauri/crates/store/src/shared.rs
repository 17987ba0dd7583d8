//! What readers and the writer share, and the reads.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use countersign_domain::{
    Approval, ApprovalId, ApprovalState, Callback, CallbackId, CallbackState, Clock, DocumentHash, Execution,
    ExecutionId, Flow, FlowId, KeyedCall, Message, SenderId,
};
use serde::de::DeserializeOwned;

use crate::StoreError;
use crate::blob::Blobs;
use crate::damage::Damage;
use crate::key::{self, ChatKey, IdBytes};
use crate::pack::{Entry, Packs};
use crate::query::{ApprovalFilter, ApprovalQuery, CallbackQuery, ExecutionQuery, Page};
use crate::queue::Queue;
use crate::recent::{self, Place, Recent, Run};
use crate::transaction::OutboxChange;
use crate::value::{
    APPROVAL_PENDING, CallbackMeta, Meta, Slot, Stored, approval_code, callback_code, execution_code,
};

/// Older versions did not count what has failed.
const OLDER_TOTALS: usize = 16;

/// How many approvals and callbacks wait.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) pending: usize,
    pub(crate) of_flow: HashMap<IdBytes, usize>,
    /// How many callbacks have to go out.
    pub(crate) outbox: usize,
    /// How many of those have failed at least once.
    pub(crate) failing: usize,
}

impl Counts {
    pub(crate) fn change(&mut self, flow: &IdBytes, by: i64) {
        self.pending = add(self.pending, by);
        let count = self.of_flow.entry(*flow).or_default();
        *count = add(*count, by);
        if *count == 0 {
            self.of_flow.remove(flow);
        }
    }

    pub(crate) fn key() -> Vec<u8> {
        vec![key::WAITING]
    }

    /// The totals that the tree has after these changes.
    pub(crate) fn slot_after(&self, pending: i64, outbox: OutboxChange) -> Slot {
        let mut meta = Vec::with_capacity(24);
        meta.extend_from_slice(&(add(self.pending, pending) as u64).to_le_bytes());
        meta.extend_from_slice(&(add(self.outbox, outbox.waiting) as u64).to_le_bytes());
        meta.extend_from_slice(&(add(self.failing, outbox.failing) as u64).to_le_bytes());
        Slot::new(meta, Vec::new())
    }

    /// Whether the tree has the totals that were counted. Nothing was ever counted in a new tree.
    pub(crate) fn agree(&self, tree: &sled::Tree) -> Result<bool, StoreError> {
        let key = Self::key();
        let Some(bytes) = tree.get(&key)? else {
            return Ok(self.pending == 0 && self.outbox == 0);
        };
        let stored = Stored::read(&key, bytes)?;
        let counted = self.slot_after(0, OutboxChange::default()).meta;
        if stored.meta().len() == OLDER_TOTALS {
            return Ok(stored.meta() == &counted[..OLDER_TOTALS]);
        }
        Ok(stored.meta() == counted)
    }

    /// Whether the totals are those of an older version, or there are none.
    pub(crate) fn are_older(tree: &sled::Tree) -> Result<bool, StoreError> {
        let key = Self::key();
        let Some(bytes) = tree.get(&key)? else {
            return Ok(true);
        };
        // Damaged totals are counted anew, see [`count_waiting`].
        Ok(Stored::read(&key, bytes).map_or(true, |stored| stored.meta().len() == OLDER_TOTALS))
    }
}

pub(crate) fn add(count: usize, by: i64) -> usize {
    count.saturating_add_signed(isize::try_from(by).unwrap_or(0))
}

pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) clock: Arc<dyn Clock>,
    /// `None` once closed.
    pub(crate) tree: RwLock<Option<sled::Tree>>,
    pub(crate) blobs: Blobs,
    pub(crate) packs: Packs,
    pub(crate) recent: Mutex<Recent>,
    pub(crate) counts: Mutex<Counts>,
    pub(crate) queue: Queue,
    pub(crate) failed: OnceLock<String>,
    pub(crate) damage: Damage,
}

fn damaged(key: &[u8]) -> StoreError {
    StoreError::Damaged {
        key: key::describe(key),
    }
}

/// What is said of damage to the value that a key names, for people.
pub(crate) fn is_damaged(key: &str) -> String {
    format!("the stored {key} is damaged")
}

fn parse<T: DeserializeOwned>(key: &[u8], json: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(json).map_err(|_| damaged(key))
}

/// A value of the tree, as its payload.
fn with_payload<T>(
    blobs: &Blobs,
    tree: &sled::Tree,
    key: &[u8],
    use_payload: impl Fn(&[u8]) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    // The file of a value that was replaced at this moment may be gone: then the new value has another one.
    for _ in 0..3 {
        let Some(bytes) = tree.get(key)? else {
            return Ok(None);
        };
        if let Some(payload) = Stored::read(key, bytes)?.payload(key, blobs)? {
            return use_payload(&payload).map(Some);
        }
    }
    Err(damaged(key))
}

/// Whether a value is there with a right checksum.
pub(crate) fn is_whole(blobs: &Blobs, tree: &sled::Tree, key: &[u8]) -> bool {
    with_payload(blobs, tree, key, |_| Ok(())).is_ok_and(|found| found.is_some())
}

/// Counts what waits, and tells whether all of it is there: every list entry with its record, and as many as the
/// tree has noted.
pub(crate) fn count_waiting(blobs: &Blobs, tree: &sled::Tree) -> Result<(Counts, bool), sled::Error> {
    let mut counts = Counts::default();
    let mut whole = true;
    let named = |tag, entry: &[u8]| {
        key::id_of(entry).is_some_and(|id| is_whole(blobs, tree, &key::with_id(tag, &id)))
    };
    for found in tree.scan_prefix([key::PENDING]) {
        let (entry, value) = found?;
        let meta = Stored::read(&entry, value)
            .ok()
            .and_then(|stored| Meta::read(stored.meta()));
        match meta.filter(|_| named(key::APPROVAL, &entry)) {
            Some(meta) => counts.change(&meta.flow, 1),
            None => whole = false,
        }
    }
    for found in tree.scan_prefix([key::OUTBOX]) {
        let (entry, value) = found?;
        match waiting_callback(blobs, tree, &entry, value) {
            Some(fails) => {
                counts.outbox += 1;
                counts.failing += usize::from(fails);
            }
            None => whole = false,
        }
    }
    whole &= counts.agree(tree).unwrap_or(false);
    Ok((counts, whole))
}

/// Whether a callback of the outbox has failed; `None` if something of it is missing or its lists contradict it.
fn waiting_callback(blobs: &Blobs, tree: &sled::Tree, entry: &[u8], value: sled::IVec) -> Option<bool> {
    let listed = Stored::read(entry, value).ok()?;
    let id = key::id_of(entry)?;
    let key = key::with_id(key::CALLBACK, &id);
    let stored = Stored::read(&key, tree.get(&key).ok()??).ok()?;
    stored.payload(&key, blobs).ok()??;
    if CallbackMeta::is_older(stored.meta()) {
        return Some(false);
    }
    let meta = CallbackMeta::read(stored.meta())?;
    let is_listed = meta.outbox_entry().as_deref() == Some(listed.meta())
        && tree.contains_key(key::of_execution(&meta.execution, &id)).ok()?;
    // Bodies may be large and many. A file whose bytes were changed shows when it is read to be sent.
    let key = key::with_id(key::CALLBACK_BODY, &id);
    let body = Stored::read(&key, tree.get(&key).ok()??).ok()?;
    (is_listed && body.is_there(blobs)).then_some(meta.failing)
}

/// The keys of a tag, or those before an id, to be walked from the end.
fn before(tag: u8, id: Option<&IdBytes>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let end = id.map_or_else(|| vec![tag + 1], |id| key::with_id(tag, id));
    (Bound::Included(vec![tag]), Bound::Excluded(end))
}

/// Takes `limit` items; one more tells that there is a next page.
fn page<T: crate::Listed>(
    limit: usize,
    items: impl Iterator<Item = Result<T, StoreError>>,
    id: impl Fn(&T) -> T::Id,
) -> Result<Page<T>, StoreError> {
    let mut items = items
        .take(limit.saturating_add(1))
        .collect::<Result<Vec<_>, _>>()?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more { items.last().map(id) } else { None };
    Ok(Page { items, next })
}

/// What of an execution the history of its chat needs.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    flow_id: FlowId,
    #[serde(default)]
    messages: Vec<Message>,
}

/// An execution in a list.
struct Listing {
    id: IdBytes,
    meta: Meta,
    source: Source,
}

enum Source {
    Tree(Stored),
    Run(Place),
}

impl Shared {
    pub(crate) fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is damaged hides nothing else in a list: it is left out and noted.
    fn without_damaged<'a, T>(
        &'a self,
        found: impl Iterator<Item = Result<T, StoreError>> + 'a,
    ) -> impl Iterator<Item = Result<T, StoreError>> + 'a {
        found.filter(|found| match found {
            Err(StoreError::Damaged { key }) => {
                self.damage.note(is_damaged(key));
                false
            }
            _ => true,
        })
    }

    /// The largest time-ordered identifier among executions, approvals and callbacks.
    pub(crate) fn newest_id(&self) -> Result<Option<IdBytes>, StoreError> {
        let tree = self.tree()?;
        let mut newest = self.recent().newest();
        for tag in [key::EXECUTION, key::APPROVAL, key::CALLBACK] {
            // Only keys: what is damaged was given too. Other versions are in no order.
            for key in tree.range(before(tag, None)).rev().keys_of() {
                let id = key::id_of(&key?).filter(|id| id[6] >> 4 == 7);
                newest = newest.max(id);
                if id.is_some() {
                    break;
                }
            }
        }
        if let Some(entry) = recent::settled_below(&tree, None).find_map(Result::ok) {
            newest = newest.max(Some(entry.id));
        }
        Ok(newest)
    }

    /// Takes no more work from now on.
    pub(crate) fn fail(&self, text: &str) {
        if self.failed.set(text.to_owned()).is_ok() {
            tracing::error!(dir = %self.dir.display(), "the storage failed and takes no more work: {text}");
        }
    }

    pub(crate) fn unavailable(&self) -> StoreError {
        let reason = self.failed.get().cloned();
        StoreError::Unavailable(reason.unwrap_or_else(|| "it is closed".to_owned()))
    }

    pub(crate) fn tree(&self) -> Result<sled::Tree, StoreError> {
        let tree = self.tree.read().unwrap_or_else(PoisonError::into_inner);
        tree.clone().ok_or_else(|| self.unavailable())
    }

    pub(crate) fn load<T: DeserializeOwned>(
        &self,
        tree: &sled::Tree,
        key: &[u8],
    ) -> Result<Option<T>, StoreError> {
        with_payload(&self.blobs, tree, key, |payload| parse(key, payload))
    }

    fn load_stored<T: DeserializeOwned>(
        &self,
        tree: &sled::Tree,
        key: &[u8],
        stored: &Stored,
    ) -> Result<T, StoreError> {
        match stored.payload(key, &self.blobs)? {
            Some(payload) => parse(key, &payload),
            None => self.load(tree, key)?.ok_or_else(|| damaged(key)),
        }
    }

    /// What a list names, so it must be there.
    fn load_listed<T: DeserializeOwned>(&self, tree: &sled::Tree, key: &[u8]) -> Result<T, StoreError> {
        self.load(tree, key)?.ok_or_else(|| damaged(key))
    }

    pub(crate) fn flow(&self, id: FlowId) -> Result<Option<Flow>, StoreError> {
        self.load(&self.tree()?, &key::with_id(key::FLOW, id.as_bytes()))
    }

    pub(crate) fn flows(&self) -> Result<Vec<Flow>, StoreError> {
        let tree = self.tree()?;
        let found = tree.scan_prefix([key::FLOW]).map(|found| {
            let (key, value) = found?;
            self.load_stored::<Flow>(&tree, &key, &Stored::read(&key, value)?)
        });
        let mut flows = self.without_damaged(found).collect::<Result<Vec<_>, _>>()?;
        flows.sort_by_key(|flow: &Flow| std::cmp::Reverse((flow.created_at, flow.id)));
        Ok(flows)
    }

    pub(crate) fn document(&self, hash: &DocumentHash) -> Result<Option<String>, StoreError> {
        let key = key::with_bytes(key::DOCUMENT, hash.as_str().as_bytes());
        with_payload(&self.blobs, &self.tree()?, &key, |payload| {
            String::from_utf8(payload.to_vec()).map_err(|_| damaged(&key))
        })
    }

    pub(crate) fn execution(&self, tree: &sled::Tree, id: &IdBytes) -> Result<Option<Execution>, StoreError> {
        self.execution_as(tree, id)
    }

    fn execution_as<T: DeserializeOwned>(
        &self,
        tree: &sled::Tree,
        id: &IdBytes,
    ) -> Result<Option<T>, StoreError> {
        let key = key::with_id(key::EXECUTION, id);
        let run = self.recent().get(id).map(|run| run.place.clone());
        if let Some(place @ Place::Memory(_)) = &run {
            return self.load_run(id, place).map(Some);
        }
        if let Some(execution) = self.load(tree, &key)? {
            return Ok(Some(execution));
        }
        let place = match run {
            Some(place) => Some(place),
            None => recent::settled(tree, id)?.map(|entry| Place::Pack(entry.location)),
        };
        place.map(|place| self.load_run(id, &place)).transpose()
    }

    fn load_run<T: DeserializeOwned>(&self, id: &IdBytes, place: &Place) -> Result<T, StoreError> {
        parse(
            &key::with_id(key::EXECUTION, id),
            &recent::load(&self.packs, id, place)?,
        )
    }

    /// All executions below an id, the newest first.
    fn listings<'a>(
        &'a self,
        tree: &sled::Tree,
        below: Option<IdBytes>,
    ) -> impl Iterator<Item = Result<Listing, StoreError>> + use<'a> {
        // Recent runs are copied first: what settles afterwards is found among the settled ones too.
        let recent = self.recent().below(below.as_ref());
        let recent = recent.into_iter().map(|(id, Run { meta, place })| {
            Ok(Listing {
                id,
                meta,
                source: Source::Run(place),
            })
        });
        let committed = tree
            .range(before(key::EXECUTION, below.as_ref()))
            .rev()
            .map(|found| {
                let (key, value) = found?;
                let stored = Stored::read(&key, value)?;
                let listing = key::id_of(&key).zip(Meta::read(stored.meta()));
                let (id, meta) = listing.ok_or_else(|| damaged(&key))?;
                Ok(Listing {
                    id,
                    meta,
                    source: Source::Tree(stored),
                })
            });
        let settled = recent::settled_below(tree, below).map(|entry| {
            entry.map(|Entry { id, meta, location }| Listing {
                id,
                meta,
                source: Source::Run(Place::Pack(location)),
            })
        });
        Merge {
            recent: recent.peekable(),
            committed: committed.peekable(),
            settled: settled.peekable(),
        }
    }

    fn load_listing(&self, tree: &sled::Tree, listing: &Listing) -> Result<Execution, StoreError> {
        match &listing.source {
            Source::Tree(stored) => {
                self.load_stored(tree, &key::with_id(key::EXECUTION, &listing.id), stored)
            }
            Source::Run(place) => self.load_run(&listing.id, place),
        }
    }

    /// The executions of a chat, as the lists by chat have them, ascending.
    fn executions_of_chat(&self, tree: &sled::Tree, chat: &ChatKey) -> Result<BTreeSet<IdBytes>, StoreError> {
        let mut ids: BTreeSet<IdBytes> = self.recent().of_chat(chat).into_iter().collect();
        ids.extend(recent::settled_of_chat(tree, chat)?);
        for found in tree.scan_prefix(key::chat_prefix(key::EXECUTION_OF_CHAT, chat)) {
            ids.extend(key::id_of(&found?.0));
        }
        Ok(ids)
    }

    pub(crate) fn executions(&self, query: &ExecutionQuery) -> Result<Page<Execution>, StoreError> {
        let tree = self.tree()?;
        let state = query.state.map(execution_code);
        let before = query.before.map(|id| *id.as_bytes());
        if let (Some(flow), Some(chat)) = (query.flow, &query.chat_id) {
            let ids = self.executions_of_chat(&tree, &ChatKey::new(flow, chat))?;
            let ids = ids
                .into_iter()
                .rev()
                .filter(|id| before.is_none_or(|before| *id < before));
            let found = ids
                .filter_map(|id| self.execution(&tree, &id).transpose())
                .filter(|execution| {
                    execution.as_ref().map_or(true, |execution| {
                        execution.flow_id == flow
                            && state.is_none_or(|state| state == execution_code(execution.state))
                    })
                });
            let found = self.without_damaged(found).skip(query.skip);
            return page(query.limit, found, |execution| execution.id);
        }
        let found = self.matching(&tree, query).skip(query.skip);
        let loaded = found.map(|listing| self.load_listing(&tree, &listing?));
        page(query.limit, self.without_damaged(loaded), |execution| {
            execution.id
        })
    }

    fn matching<'a>(
        &'a self,
        tree: &sled::Tree,
        query: &ExecutionQuery,
    ) -> impl Iterator<Item = Result<Listing, StoreError>> + use<'a> {
        let state = query.state.map(execution_code);
        let flow = query.flow.map(|flow| *flow.as_bytes());
        let chat = query.chat_id.as_deref().map(key::chat_hash);
        self.listings(tree, query.before.map(|id| *id.as_bytes()))
            .filter(move |listing| {
                listing.as_ref().map_or(true, |Listing { meta, .. }| {
                    state.is_none_or(|state| state == meta.state)
                        && flow.is_none_or(|flow| flow == meta.flow)
                        && chat.is_none_or(|chat| chat == meta.chat)
                })
            })
    }

    pub(crate) fn execution_count(&self, query: &ExecutionQuery) -> Result<usize, StoreError> {
        let tree = self.tree()?;
        let mut count = 0;
        for listing in self.without_damaged(self.matching(&tree, query)) {
            listing?;
            count += 1;
        }
        Ok(count)
    }

    pub(crate) fn execution_exists_for_chat(&self, flow: FlowId, chat_id: &str) -> Result<bool, StoreError> {
        let tree = self.tree()?;
        let chat = ChatKey::new(flow, chat_id);
        if !self.recent().of_chat(&chat).is_empty() {
            return Ok(true);
        }
        if tree
            .scan_prefix(key::chat_prefix(key::EXECUTION_OF_CHAT, &chat))
            .next()
            .transpose()?
            .is_some()
        {
            return Ok(true);
        }
        Ok(!self.settled_of_chat(&tree, &chat)?.is_empty())
    }

    /// The settled runs of a chat. Their list does not tell flows apart that use the same chat id.
    fn settled_of_chat(&self, tree: &sled::Tree, chat: &ChatKey) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        for id in recent::settled_of_chat(tree, chat)? {
            entries.extend(recent::settled(tree, &id)?.filter(|entry| entry.meta.flow == chat.flow));
        }
        Ok(entries)
    }

    pub(crate) fn unfinished_executions(&self) -> Result<Vec<ExecutionId>, StoreError> {
        self.listed_executions(key::IN_PROGRESS)
    }

    pub(crate) fn outdated_executions(&self) -> Result<Vec<ExecutionId>, StoreError> {
        self.listed_executions(key::OUTDATED)
    }

    /// The executions that a list of nothing but their keys holds.
    fn listed_executions(&self, tag: u8) -> Result<Vec<ExecutionId>, StoreError> {
        let ids = self.tree()?.scan_prefix([tag]).keys();
        ids.map(|key| {
            let key = key?;
            let id = key::id_of(&key).ok_or_else(|| damaged(&key))?;
            Ok(ExecutionId::from_uuid(uuid::Uuid::from_bytes(id)))
        })
        .collect()
    }

    pub(crate) fn approval(&self, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
        self.load(&self.tree()?, &key::with_id(key::APPROVAL, id.as_bytes()))
    }

    pub(crate) fn approvals(&self, query: &ApprovalQuery) -> Result<Page<Approval>, StoreError> {
        let tree = self.tree()?;
        let from = query.before.map(|id| *id.as_bytes());
        let codes = match &query.filter {
            ApprovalFilter::Pending => return self.pending(&tree, query.limit, from.as_ref()),
            ApprovalFilter::States(states) if states == &[ApprovalState::Pending] => {
                return self.pending(&tree, query.limit, from.as_ref());
            }
            ApprovalFilter::All => Vec::new(),
            ApprovalFilter::Decided => vec![2, 3, 4, 5],
            ApprovalFilter::States(states) => states.iter().map(|state| approval_code(*state)).collect(),
        };
        if codes.is_empty() && query.filter != ApprovalFilter::All {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        }
        let found = tree
            .range(before(key::APPROVAL, from.as_ref()))
            .rev()
            .filter_map(|found| {
                let load = |(key, value): (sled::IVec, sled::IVec)| {
                    let stored = Stored::read(&key, value)?;
                    let meta = Meta::read(stored.meta()).ok_or_else(|| damaged(&key))?;
                    if codes.is_empty() || codes.contains(&meta.state) {
                        self.load_stored(&tree, &key, &stored).map(Some)
                    } else {
                        Ok(None)
                    }
                };
                found.map_err(StoreError::from).and_then(load).transpose()
            });
        page(query.limit, self.without_damaged(found), |approval: &Approval| {
            approval.id
        })
    }

    fn pending(
        &self,
        tree: &sled::Tree,
        limit: usize,
        from: Option<&IdBytes>,
    ) -> Result<Page<Approval>, StoreError> {
        let found = tree.range(before(key::PENDING, from)).rev().keys_of().map(|key| {
            let key = key?;
            let id = key::id_of(&key).ok_or_else(|| damaged(&key))?;
            self.load_listed::<Approval>(tree, &key::with_id(key::APPROVAL, &id))
        });
        // Decided between the two lookups: it does not wait any more.
        let waiting = |found: &Result<Approval, _>| {
            found
                .as_ref()
                .map_or(true, |approval| approval.state == ApprovalState::Pending)
        };
        let found = self.without_damaged(found.filter(waiting));
        page(limit, found, |approval| approval.id)
    }

    pub(crate) fn pending_of_chat(&self, flow: FlowId, chat_id: &str) -> Result<Vec<Approval>, StoreError> {
        let tree = self.tree()?;
        let prefix = key::chat_prefix(key::APPROVAL_OF_CHAT, &ChatKey::new(flow, chat_id));
        let mut approvals = Vec::new();
        for key in tree.scan_prefix(prefix).rev().keys_of() {
            let listed = key?;
            let id = key::id_of(&listed).ok_or_else(|| damaged(&listed))?;
            let key = key::with_id(key::APPROVAL, &id);
            let stored = Stored::read(&key, tree.get(&key)?.ok_or_else(|| damaged(&key))?)?;
            if Meta::read(stored.meta()).is_none_or(|meta| meta.state == APPROVAL_PENDING) {
                approvals.push(self.load_stored(&tree, &key, &stored)?);
            }
        }
        Ok(approvals)
    }

    pub(crate) fn latest_of_chat(&self, flow: FlowId, chat_id: &str) -> Result<Option<Approval>, StoreError> {
        let tree = self.tree()?;
        let prefix = key::chat_prefix(key::APPROVAL_OF_CHAT, &ChatKey::new(flow, chat_id));
        let Some(listed) = tree.scan_prefix(prefix).rev().keys_of().next().transpose()? else {
            return Ok(None);
        };
        let id = key::id_of(&listed).ok_or_else(|| damaged(&listed))?;
        self.load_listed(&tree, &key::with_id(key::APPROVAL, &id))
            .map(Some)
    }

    pub(crate) fn callback(&self, id: CallbackId) -> Result<Option<Callback>, StoreError> {
        self.load(&self.tree()?, &key::with_id(key::CALLBACK, id.as_bytes()))
    }

    pub(crate) fn callback_body(&self, id: CallbackId) -> Result<Option<String>, StoreError> {
        let key = key::with_id(key::CALLBACK_BODY, id.as_bytes());
        with_payload(&self.blobs, &self.tree()?, &key, |payload| {
            String::from_utf8(payload.to_vec()).map_err(|_| damaged(&key))
        })
    }

    pub(crate) fn callback_body_bytes(&self, id: CallbackId) -> Result<Option<u64>, StoreError> {
        let key = key::with_id(key::CALLBACK_BODY, id.as_bytes());
        let Some(bytes) = self.tree()?.get(&key)? else {
            return Ok(None);
        };
        Ok(Some(Stored::read(&key, bytes)?.length()))
    }

    pub(crate) fn callbacks_of_execution(&self, execution: ExecutionId) -> Result<Vec<Callback>, StoreError> {
        let query = CallbackQuery {
            execution: Some(execution),
            limit: usize::MAX,
            ..CallbackQuery::default()
        };
        let mut callbacks = self.page_of_execution(&self.tree()?, execution, &query)?.items;
        callbacks.reverse();
        Ok(callbacks)
    }

    fn page_of_execution(
        &self,
        tree: &sled::Tree,
        execution: ExecutionId,
        query: &CallbackQuery,
    ) -> Result<Page<Callback>, StoreError> {
        let first = key::with_id(key::CALLBACK_OF_EXECUTION, execution.as_bytes());
        let end = match query.before {
            Some(id) => key::of_execution(execution.as_bytes(), id.as_bytes()),
            None => key::of_execution(execution.as_bytes(), &[0xFF; 16]),
        };
        let listed = tree.range(first..end).rev().keys_of();
        let found = listed.filter_map(|key| {
            let load = |key: sled::IVec| {
                let id = key::id_of(&key).ok_or_else(|| damaged(&key))?;
                // A run in a loop may have thousands behind it: only those that wait are read.
                if query.state == Some(CallbackState::Waiting)
                    && !tree.contains_key(key::with_id(key::OUTBOX, &id))?
                {
                    return Ok(None);
                }
                let callback: Callback = self.load_listed(tree, &key::with_id(key::CALLBACK, &id))?;
                let wanted = query.state.is_none_or(|state| state == callback.state);
                Ok(wanted.then_some(callback))
            };
            key.map_err(StoreError::from).and_then(load).transpose()
        });
        page(query.limit, self.without_damaged(found), |callback| callback.id)
    }

    pub(crate) fn callbacks(&self, query: &CallbackQuery) -> Result<Page<Callback>, StoreError> {
        let tree = self.tree()?;
        if let Some(execution) = query.execution {
            return self.page_of_execution(&tree, execution, query);
        }
        let state = query.state.map(callback_code);
        let from = query.before.map(|id| *id.as_bytes());
        if query.state == Some(CallbackState::Waiting) {
            let found = tree.range(before(key::OUTBOX, from.as_ref())).rev().keys_of();
            let found = found
                .map(|key| self.load_outbox(&tree, key))
                .filter_map(Result::transpose);
            return page(query.limit, self.without_damaged(found), |callback| callback.id);
        }
        let found = tree
            .range(before(key::CALLBACK, from.as_ref()))
            .rev()
            .filter_map(|found| {
                let load = |(key, value): (sled::IVec, sled::IVec)| {
                    let stored = Stored::read(&key, value)?;
                    if state.is_none_or(|state| stored.meta().first() == Some(&state)) {
                        self.load_stored(&tree, &key, &stored).map(Some)
                    } else {
                        Ok(None)
                    }
                };
                found.map_err(StoreError::from).and_then(load).transpose()
            });
        page(query.limit, self.without_damaged(found), |callback: &Callback| {
            callback.id
        })
    }

    fn load_outbox(
        &self,
        tree: &sled::Tree,
        listed: Result<sled::IVec, sled::Error>,
    ) -> Result<Option<Callback>, StoreError> {
        let listed = listed?;
        let id = key::id_of(&listed).ok_or_else(|| damaged(&listed))?;
        let callback: Callback = self.load_listed(tree, &key::with_id(key::CALLBACK, &id))?;
        Ok((callback.state == CallbackState::Waiting).then_some(callback))
    }

    pub(crate) fn outbox(&self) -> Result<Vec<Callback>, StoreError> {
        let tree = self.tree()?;
        let keys = tree.scan_prefix([key::OUTBOX]).keys_of();
        self.without_damaged(keys.filter_map(|key| self.load_outbox(&tree, key).transpose()))
            .collect()
    }

    pub(crate) fn messages(&self, flow: FlowId, chat_id: &str) -> Result<Vec<Message>, StoreError> {
        let tree = self.tree()?;
        let mut messages = Vec::new();
        for id in self.executions_of_chat(&tree, &ChatKey::new(flow, chat_id))? {
            let said = self.execution_as::<Said>(&tree, &id)?;
            messages.extend(
                said.filter(|said| said.flow_id == flow)
                    .into_iter()
                    .flat_map(|said| said.messages),
            );
        }
        messages.sort_by_key(|message: &Message| message.id);
        Ok(messages)
    }

    pub(crate) fn call(&self, flow: FlowId, sender_id: &SenderId) -> Result<Option<KeyedCall>, StoreError> {
        self.load(&self.tree()?, &key::call(flow, sender_id))
    }

    pub(crate) fn call_of_execution(&self, id: &IdBytes) -> Result<Option<KeyedCall>, StoreError> {
        let tree = self.tree()?;
        let entry = key::with_id(key::CALL_OF_EXECUTION, id);
        let Some(bytes) = tree.get(&entry)? else {
            return Ok(None);
        };
        let key = key::with_bytes(key::CALL, Stored::read(&entry, bytes)?.meta());
        self.load(&tree, &key)
    }

    pub(crate) fn setting(&self, name: &str) -> Result<Option<serde_json::Value>, StoreError> {
        self.load(&self.tree()?, &key::with_bytes(key::SETTING, name.as_bytes()))
    }

    pub(crate) fn settings(&self) -> Result<serde_json::Map<String, serde_json::Value>, StoreError> {
        let tree = self.tree()?;
        let mut settings = serde_json::Map::new();
        for found in tree.scan_prefix([key::SETTING]) {
            let (key, value) = found?;
            let name = String::from_utf8(key[1..].to_vec()).map_err(|_| damaged(&key))?;
            settings.insert(name, self.load_stored(&tree, &key, &Stored::read(&key, value)?)?);
        }
        Ok(settings)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("dir", &self.dir)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

/// Only the keys of a walk in any direction.
trait KeysOf: Sized {
    fn keys_of(self) -> impl Iterator<Item = Result<sled::IVec, sled::Error>>;
}

impl<I: Iterator<Item = Result<(sled::IVec, sled::IVec), sled::Error>>> KeysOf for I {
    fn keys_of(self) -> impl Iterator<Item = Result<sled::IVec, sled::Error>> {
        self.map(|found| found.map(|(key, _)| key))
    }
}

/// Three lists in descending order of ids as one. Where an id is in several, see [`crate::recent`].
struct Merge<R: Iterator, C: Iterator, S: Iterator> {
    recent: std::iter::Peekable<R>,
    committed: std::iter::Peekable<C>,
    settled: std::iter::Peekable<S>,
}

type ListingResult = Result<Listing, StoreError>;

impl<R, C, S> Iterator for Merge<R, C, S>
where
    R: Iterator<Item = ListingResult>,
    C: Iterator<Item = ListingResult>,
    S: Iterator<Item = ListingResult>,
{
    type Item = ListingResult;

    fn next(&mut self) -> Option<ListingResult> {
        // An error comes first, so that it is not lost.
        let rank = |found: Option<&ListingResult>| {
            found.map(|found| {
                found
                    .as_ref()
                    .map_or([0xFF; 17], |listing| below_errors(&listing.id))
            })
        };
        let newest = [
            rank(self.recent.peek()),
            rank(self.committed.peek()),
            rank(self.settled.peek()),
        ];
        let newest = newest.into_iter().flatten().max()?;
        let at = |found: Option<&ListingResult>| rank(found) == Some(newest);
        let recent = if at(self.recent.peek()) {
            self.recent.next()
        } else {
            None
        };
        let committed = if at(self.committed.peek()) {
            self.committed.next()
        } else {
            None
        };
        let settled = if at(self.settled.peek()) {
            self.settled.next()
        } else {
            None
        };
        match recent {
            Some(Ok(listing)) if matches!(listing.source, Source::Run(Place::Memory(_))) => Some(Ok(listing)),
            recent => committed.or(recent).or(settled),
        }
    }
}

/// Sorts ids below the mark for errors.
fn below_errors(id: &IdBytes) -> [u8; 17] {
    let mut rank = [0; 17];
    rank[1..].copy_from_slice(id);
    rank
}
