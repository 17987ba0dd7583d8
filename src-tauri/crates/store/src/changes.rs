//! What is to be stored, encoded on the caller's thread.

use std::sync::Arc;

use countersign_domain::{
    Approval, Callback, CallbackId, DocumentHash, Execution, ExecutionId, Flow, FlowId, JournalEvent,
    KeyedCall,
};
use serde::Serialize;

use crate::StoreError;
use crate::blob::{BlobHash, Blobs};
use crate::key::{self, IdBytes};
use crate::value::{
    CallbackMeta, EXECUTION_IN_PROGRESS, EXECUTION_STOPPED, Meta, Slot, approval_code, callback_code,
    execution_code,
};

/// One change. Lists and counts follow from it in the writer.
pub(crate) enum Change {
    Put(Vec<u8>, Slot),
    Delete(Vec<u8>),
}

/// Several changes that are stored together or not at all.
///
/// The `put_*` methods encode at once, on the thread of the caller. A value that cannot be encoded makes the
/// commit fail with [`StoreError::Encode`].
#[derive(Default)]
#[must_use = "changes do nothing until they are committed"]
pub struct Changes {
    pub(crate) changes: Vec<Change>,
    /// Journal events as JSON objects.
    pub(crate) events: Vec<Vec<u8>>,
    pub(crate) fault: Option<serde_json::Error>,
}

/// Settings may be secrets, so only numbers are shown.
impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (changes, events) = (self.changes.len(), self.events.len());
        f.debug_struct("Changes")
            .field("changes", &changes)
            .field("events", &events)
            .finish_non_exhaustive()
    }
}

/// A finished run that goes to a pack instead of the tree.
pub(crate) struct RunRecord {
    pub(crate) id: IdBytes,
    pub(crate) meta: Meta,
    /// As JSON.
    pub(crate) execution: Arc<Vec<u8>>,
}

impl Changes {
    /// No changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.events.is_empty() && self.fault.is_none()
    }

    fn json(&mut self, value: &impl Serialize) -> Vec<u8> {
        serde_json::to_vec(value).unwrap_or_else(|error| {
            self.fault.get_or_insert(error);
            Vec::new()
        })
    }

    fn put(&mut self, key: Vec<u8>, meta: Vec<u8>, payload: Vec<u8>) {
        self.changes.push(Change::Put(key, Slot::new(meta, payload)));
    }

    /// Stores a flow. Its document is stored with [`Self::put_document`].
    pub fn put_flow(&mut self, flow: &Flow) {
        let payload = self.json(flow);
        self.put(key::with_id(key::FLOW, flow.id.as_bytes()), Vec::new(), payload);
    }

    /// Removes a flow. Its executions, approvals, callbacks and documents stay.
    pub fn delete_flow(&mut self, id: FlowId) {
        self.changes
            .push(Change::Delete(key::with_id(key::FLOW, id.as_bytes())));
    }

    /// Takes an execution off the list of [`crate::Store::outdated_executions`].
    pub fn settle_outdated(&mut self, id: ExecutionId) {
        self.changes
            .push(Change::Delete(key::with_id(key::OUTDATED, id.as_bytes())));
    }

    /// Stores a document under its hash, unless it is there already.
    pub fn put_document(&mut self, document: &str) -> DocumentHash {
        let hash = DocumentHash::of(document);
        self.put(
            key::with_bytes(key::DOCUMENT, hash.as_str().as_bytes()),
            Vec::new(),
            document.as_bytes().to_vec(),
        );
        hash
    }

    /// Removes a document. Whoever names it does not find it any more.
    pub fn delete_document(&mut self, hash: &DocumentHash) {
        let key = key::with_bytes(key::DOCUMENT, hash.as_str().as_bytes());
        self.changes.push(Change::Delete(key));
    }

    /// Stores an execution.
    pub fn put_execution(&mut self, execution: &Execution) {
        let payload = self.json(execution);
        let meta = Meta {
            state: execution_code(execution.state),
            flow: *execution.flow_id.as_bytes(),
            chat: key::chat_hash(&execution.chat_id),
        };
        let mut slot = Slot::new(meta.to_vec(), payload);
        slot.grows = true;
        let key = key::with_id(key::EXECUTION, execution.id.as_bytes());
        self.changes.push(Change::Put(key, slot));
    }

    /// Stores an approval.
    pub fn put_approval(&mut self, approval: &Approval) {
        let payload = self.json(approval);
        let meta = Meta {
            state: approval_code(approval.state),
            flow: *approval.flow_id.as_bytes(),
            chat: key::chat_hash(&approval.chat_id),
        };
        self.put(
            key::with_id(key::APPROVAL, approval.id.as_bytes()),
            meta.to_vec(),
            payload,
        );
    }

    /// Stores a callback that is new, with what it sends. That is written this once, however often it is tried.
    pub fn put_new_callback(&mut self, callback: &Callback, body: &str) {
        self.put_callback(callback);
        self.put_callback_body(callback.id, body);
    }

    /// Stores what has changed of a callback. What it sends stays as [`Self::put_new_callback`] has stored it.
    pub fn put_callback(&mut self, callback: &Callback) {
        let payload = self.json(callback);
        let meta = CallbackMeta {
            state: callback_code(callback.state),
            failing: callback.is_failing(),
            execution: *callback.execution_id.as_bytes(),
        };
        let key = key::with_id(key::CALLBACK, callback.id.as_bytes());
        self.put(key, meta.to_vec(), payload);
    }

    pub(crate) fn put_callback_body(&mut self, id: CallbackId, body: &str) {
        let key = key::with_id(key::CALLBACK_BODY, id.as_bytes());
        self.put(key, Vec::new(), body.as_bytes().to_vec());
    }

    /// Stores what is remembered of a call that carried an id of its sender, and forgets calls that are too old or too
    /// many (see [`crate::Store::call`]).
    pub fn put_call(&mut self, call: &KeyedCall) {
        let payload = self.json(call);
        let key = key::call(call.flow_id, &call.sender_id);
        self.put(key, call.execution_id.as_bytes().to_vec(), payload);
    }

    /// Stores a setting.
    pub fn put_setting(&mut self, name: &str, value: &serde_json::Value) {
        let payload = self.json(value);
        self.put(
            key::with_bytes(key::SETTING, name.as_bytes()),
            Vec::new(),
            payload,
        );
    }

    /// Removes a setting.
    pub fn delete_setting(&mut self, name: &str) {
        self.changes
            .push(Change::Delete(key::with_bytes(key::SETTING, name.as_bytes())));
    }

    /// Writes a line into the journal. Lines are written in the order of the commits.
    pub fn journal(&mut self, event: &JournalEvent) {
        let payload = self.json(event);
        self.events.push(payload);
    }

    /// About how much memory this takes.
    pub(crate) fn size(&self) -> usize {
        let changes = self.changes.iter().map(|change| match change {
            Change::Put(key, slot) => key.len() + slot.payload.len() + 128,
            Change::Delete(key) => key.len(),
        });
        changes.sum::<usize>() + self.events.iter().map(Vec::len).sum::<usize>()
    }

    /// # Errors
    /// [`StoreError::Encode`] if a value could not be encoded.
    pub(crate) fn check(&mut self) -> Result<(), StoreError> {
        self.fault
            .take()
            .map_or(Ok(()), |error| Err(StoreError::Encode(error)))
    }

    /// Writes large values to their files, and answers which. They are pinned before.
    pub(crate) fn write_blobs(&mut self, blobs: &Blobs, pinned: &mut Vec<BlobHash>) -> std::io::Result<()> {
        for change in &mut self.changes {
            if let Change::Put(_, slot) = change
                && slot.is_large()
            {
                slot.take_hashes();
                for hash in slot.hashes() {
                    blobs.pin(hash);
                    pinned.push(hash);
                }
                slot.write_blobs(blobs)?;
                slot.blobs_written = true;
            }
        }
        if pinned.is_empty() { Ok(()) } else { blobs.sync() }
    }

    /// The documents among them.
    pub(crate) fn documents(&self) -> Vec<String> {
        let documents = self.changes.iter().filter_map(|change| match change {
            Change::Put(key, _) if key[0] == key::DOCUMENT => Some(key::describe(key)),
            _ => None,
        });
        documents.collect()
    }

    pub(crate) fn has_large(&self) -> bool {
        self.changes
            .iter()
            .any(|change| matches!(change, Change::Put(_, slot) if slot.is_large()))
    }

    /// Takes these changes as a recorded run if they are exactly one execution that came to its end.
    pub(crate) fn into_run(mut self) -> Result<RunRecord, Self> {
        let run = match &self.changes[..] {
            [Change::Put(key, slot)] if key[0] == key::EXECUTION && self.events.is_empty() => {
                key::id_of(key).zip(Meta::read(&slot.meta))
            }
            _ => None,
        };
        let run = run.filter(|(_, meta)| !matches!(meta.state, EXECUTION_IN_PROGRESS | EXECUTION_STOPPED));
        match (run, self.changes.pop()) {
            (Some((id, meta)), Some(Change::Put(_, slot))) => Ok(RunRecord {
                id,
                meta,
                execution: Arc::new(slot.payload),
            }),
            (_, last) => {
                self.changes.extend(last);
                Err(self)
            }
        }
    }
}

impl RunRecord {
    /// The same as changes of the tree.
    pub(crate) fn to_changes(&self) -> Changes {
        let mut changes = Changes::new();
        let key = key::with_id(key::EXECUTION, &self.id);
        changes.put(key, self.meta.to_vec(), self.execution.to_vec());
        changes
    }
}
