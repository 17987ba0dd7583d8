//! Approvals and callbacks from the journal, for a tree that has lost them.

use std::collections::{BTreeMap, BTreeSet};

use countersign_domain::{Approval, ApprovalId, Callback, CallbackId, ExecutionId, JournalEvent};

use crate::changes::{Change, Changes};
use crate::journal::Head;
use crate::key::{self, ChatKey};
use crate::shared::{Counts, count_waiting, is_whole};
use crate::transaction::{OutboxChange, Overlay};
use crate::upgrade;
use crate::value::{APPROVAL_PENDING, CallbackMeta, Slot, Stored};
use crate::writer::{Failure, Writer};

const PART: usize = 500;

/// What the journal says of each approval and callback, and whether the tree may not know that yet.
#[derive(Default)]
pub(crate) struct Past {
    pub(crate) approvals: BTreeMap<ApprovalId, (Approval, bool)>,
    /// With the body, where its line can be read.
    pub(crate) callbacks: BTreeMap<CallbackId, (Callback, Option<String>, bool)>,
}

impl Past {
    /// Takes an event, with the text of its line.
    pub(crate) fn add(&mut self, event: JournalEvent, line: &[u8], is_new: bool) {
        match event {
            JournalEvent::ApprovalOpened { approval }
            | JournalEvent::ApprovalDecided { approval }
            | JournalEvent::ApprovalWithdrawn { approval, .. } => {
                self.approvals.insert(approval.id, (*approval, is_new));
            }
            // What runs again is in the execution; what was set aside was read before.
            JournalEvent::ExecutionContinued { .. } | JournalEvent::DamageAcknowledged { .. } => {}
            JournalEvent::CallbackQueued { callback, body } => {
                // No body is empty: JSON never is.
                let body = if body.is_empty() {
                    upgrade::body_in_line(line)
                } else {
                    Some(body)
                };
                self.callbacks.insert(callback.id, (*callback, body, is_new));
            }
            JournalEvent::CallbackDelivered { callback } | JournalEvent::CallbackAbandoned { callback } => {
                // These lines leave the body out.
                let queued = self.callbacks.remove(&callback.id);
                let body = queued.and_then(|(_, body, _)| body);
                self.callbacks.insert(callback.id, (*callback, body, is_new));
            }
        }
    }
}

/// Writes what is missing in parts. Lists are written whatever the tree says of them, because it cannot be trusted.
pub(crate) struct Restored<'a> {
    pub(crate) writer: &'a mut Writer,
    overlay: Overlay,
    outdated: BTreeSet<ExecutionId>,
}

impl<'a> Restored<'a> {
    pub(crate) fn new(writer: &'a mut Writer) -> Self {
        Self {
            writer,
            overlay: Overlay::default(),
            outdated: BTreeSet::new(),
        }
    }

    /// Answers whether the approval came from the journal.
    pub(crate) fn approval(&mut self, approval: &Approval, is_new: bool) -> Result<bool, Failure> {
        let mut changes = Changes::new();
        changes.put_approval(approval);
        let chat = ChatKey::new(approval.flow_id, &approval.chat_id);
        let id = approval.id.as_bytes();
        let known = self.known(&key::with_id(key::APPROVAL, id))?;
        let (restored, meta) = self.put(changes, is_new)?;
        if is_new && known.as_ref() != Some(&meta) {
            self.is_outdated(approval.execution_id)?;
        }
        let listed = Some(Slot::default());
        self.overlay
            .values
            .insert(key::with_chat(key::APPROVAL_OF_CHAT, &chat, id), listed);
        let waits = meta.first() == Some(&APPROVAL_PENDING);
        let entry = waits.then(|| Slot::new(meta, Vec::new()));
        self.overlay.values.insert(key::with_id(key::PENDING, id), entry);
        self.write_if(PART)?;
        Ok(restored)
    }

    /// How many executions have a record that is older than the journal.
    pub(crate) fn outdated(&self) -> usize {
        self.outdated.len()
    }

    /// Lists the execution as one whose record is older than the journal, if there is a record: it changed in the commit
    /// that the tree does not have.
    fn is_outdated(&mut self, execution: ExecutionId) -> Result<(), Failure> {
        let id = execution.as_bytes();
        if self.writer.tree.contains_key(key::with_id(key::EXECUTION, id))? {
            let listed = key::with_id(key::OUTDATED, id);
            self.overlay.values.insert(listed, Some(Slot::default()));
            self.outdated.insert(execution);
        }
        Ok(())
    }

    /// The metadata of a value that the tree has whole.
    fn known(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        if !is_whole(&self.writer.shared.blobs, &self.writer.tree, key) {
            return Ok(None);
        }
        let Some(bytes) = self.writer.tree.get(key)? else {
            return Ok(None);
        };
        Ok(Some(Stored::read(key, bytes)?.meta().to_vec()))
    }

    /// Answers whether the callback came from the journal.
    pub(crate) fn callback(
        &mut self,
        callback: &Callback,
        body: Option<&str>,
        is_new: bool,
    ) -> Result<bool, Failure> {
        if let Some(body) = body {
            let mut changes = Changes::new();
            changes.put_callback_body(callback.id, body);
            // It never changes, so one that is whole stays.
            self.put(changes, false)?;
        }
        let mut changes = Changes::new();
        changes.put_callback(callback);
        let id = callback.id.as_bytes();
        let known = self.known(&key::with_id(key::CALLBACK, id))?;
        let (restored, meta) = self.put(changes, is_new)?;
        // It was queued in a commit of its execution; its attempts are commits of their own.
        if is_new && known.is_none() {
            self.is_outdated(callback.execution_id)?;
        }
        let entry = CallbackMeta::read(&meta).and_then(CallbackMeta::outbox_entry);
        let entry = entry.map(|meta| Slot::new(meta, Vec::new()));
        let values = &mut self.overlay.values;
        values.insert(key::with_id(key::OUTBOX, id), entry);
        let listed = key::of_execution(callback.execution_id.as_bytes(), id);
        values.insert(listed, Some(Slot::default()));
        self.write_if(PART)?;
        Ok(restored)
    }

    /// Puts the one value unless the tree has it whole. Answers whether, and the metadata that counts.
    fn put(&mut self, mut changes: Changes, is_new: bool) -> Result<(bool, Vec<u8>), Failure> {
        changes.check()?;
        let Some(Change::Put(key, mut slot)) = changes.changes.pop() else {
            return Ok((false, Vec::new()));
        };
        if !is_new && let Some(meta) = self.known(&key)? {
            return Ok((false, meta));
        }
        slot.take_hashes();
        for hash in slot.hashes() {
            *self.overlay.blobs.entry(hash).or_default() += 1;
        }
        let meta = slot.meta.clone();
        self.overlay.values.insert(key, Some(slot));
        Ok((true, meta))
    }

    fn write_if(&mut self, enough: usize) -> Result<(), Failure> {
        if self.overlay.values.len() >= enough {
            self.writer.write(std::mem::take(&mut self.overlay))?;
        }
        Ok(())
    }

    /// Writes the rest, the counts, and at last the line up to which the journal is known now: a crash before that
    /// begins again.
    pub(crate) fn end(mut self, head: Head) -> Result<(), Failure> {
        self.write_if(0)?;
        let (counts, _) = count_waiting(&self.writer.shared.blobs, &self.writer.tree)?;
        let mut last = Overlay::default();
        last.values
            .insert(Counts::key(), Some(counts.slot_after(0, OutboxChange::default())));
        last.values.insert(Head::key(), Some(head.slot()));
        self.writer.write(last)?;
        self.writer.head = head;
        self.writer.sync()
    }
}
