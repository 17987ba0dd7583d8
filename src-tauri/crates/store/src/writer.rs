//! The writer: one thread that owns every commit.
//!
//! It takes all that waits, evaluates one after the other on top of what came before, and stores the group at
//! once: packs, blob files, one batch of the tree, flush, sync of sled's file, journal. Then it answers all.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::blob::BlobHash;
use crate::changes::{Changes, RunRecord};
use crate::error::error_chain;
use crate::journal::{self, Head, Journal};
use crate::key;
use crate::pack::PackEnd;
use crate::queue::{Answer, Batch, Job};
use crate::recent::{self, Mark, SETTLE_AT, SETTLE_AT_CLOSE};
use crate::shared::{Counts, Shared, add};
use crate::transaction::{Layers, OutboxChange, Overlay, Transaction};
use crate::value::{Stored, inline};
use crate::{StoreError, disk};

/// What stops the store.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The state of the writer.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tree: sled::Tree,
    /// A second handle on sled's file. Its lock belongs to the first, so closing this one does not drop it.
    pub(crate) engine: File,
    pub(crate) journal: Journal,
    pub(crate) head: Head,
    pub(crate) pack: PackEnd,
    pub(crate) mark: Mark,
    pub(crate) flush_every: Duration,
    /// Since when something lies in the tree or a pack that was not synced.
    pub(crate) unsynced: Option<Instant>,
    pub(crate) tree_unsynced: bool,
    pub(crate) pack_unsynced: bool,
    /// Held until the writer ends.
    pub(crate) lock: File,
}

/// What a group of jobs comes to.
#[derive(Default)]
struct Group {
    overlay: Overlay,
    runs: Vec<RunRecord>,
    /// Recorded runs that go to the tree.
    late: Vec<key::IdBytes>,
    answers: Vec<Answer>,
    /// Whether somebody waits until it is durable.
    awaited: bool,
}

impl Writer {
    /// Works until the queue is closed.
    pub(crate) fn run(mut self) {
        loop {
            let due = self.unsynced.map(|since| since + self.flush_every);
            let Batch { jobs, oldest, last } = self.shared.queue.take(self.flush_every, due);
            let done = catch_unwind(AssertUnwindSafe(|| self.work(jobs, oldest, last)));
            if done.is_err() {
                self.shared.fail("a fault in the program stopped the writer");
            }
            if last {
                break;
            }
        }
        self.end();
    }

    fn work(&mut self, jobs: Vec<Job>, oldest: Option<Instant>, last: bool) {
        if self.shared.failed.get().is_some() {
            self.unsynced = None;
            for job in jobs {
                if let Job::Commit(_, answer) = job {
                    let _ = answer.send(Err(self.shared.unavailable()));
                }
            }
            return;
        }
        let mut group = Group::default();
        for job in jobs {
            self.evaluate(&mut group, job);
        }
        // What was written before was queued before.
        self.unsynced = self.unsynced.or(oldest);
        let due = self
            .unsynced
            .is_some_and(|since| since.elapsed() >= self.flush_every);
        let stored = self.store(&mut group, due || last);
        if let Err(error) = &stored {
            self.shared.fail(&error_chain(error.as_ref()));
        }
        for answer in group.answers {
            answer(if stored.is_ok() {
                Ok(())
            } else {
                Err(self.shared.unavailable())
            });
        }
        if stored.is_ok() {
            let enough = if last { SETTLE_AT_CLOSE } else { SETTLE_AT };
            let settled = self
                .settle(enough)
                .and_then(|()| if last { self.sync() } else { Ok(()) });
            if let Err(error) = settled {
                self.shared.fail(&error_chain(error.as_ref()));
            }
        }
    }

    fn evaluate(&self, group: &mut Group, job: Job) {
        match job {
            Job::Commit(changes, answer) => match self.apply(&group.overlay, changes) {
                Ok(own) => {
                    group.overlay.absorb(own);
                    group.awaited = true;
                    group.answers.push(Box::new(|stored| drop(answer.send(stored))));
                }
                Err(error) => drop(answer.send(Err(error))),
            },
            Job::Transact(evaluate) => {
                let layers = Layers {
                    shared: &self.shared,
                    tree: &self.tree,
                    below: &group.overlay,
                };
                let mut transaction = Transaction {
                    layers,
                    own: Overlay::default(),
                    fault: None,
                };
                // A panic in the closure is its caller's fault: the caller hears of it when the answer is
                // dropped, and nothing was changed.
                let evaluated = catch_unwind(AssertUnwindSafe(|| evaluate(&mut transaction)));
                let Ok((keep, answer)) = evaluated else { return };
                let Transaction { own, fault, .. } = transaction;
                if let Some(fault) = fault {
                    answer(Err(fault));
                    return;
                }
                if keep && !own.is_empty() {
                    group.overlay.absorb(own);
                    group.awaited = true;
                }
                group.answers.push(answer);
            }
            Job::Run(run) => {
                let key = key::with_id(key::EXECUTION, &run.id);
                let settled = self.mark.newest.is_some_and(|newest| run.id <= newest);
                let committed =
                    group.overlay.values.contains_key(&key) || self.tree.contains_key(&key).unwrap_or(true);
                if !settled && !committed {
                    group.runs.push(run);
                    return;
                }
                group.late.push(run.id);
                match self.apply(&group.overlay, run.to_changes()) {
                    Ok(own) => group.overlay.absorb(own),
                    Err(error) => tracing::error!("a finished run could not be recorded: {error}"),
                }
            }
            Job::Record(changes) => match self.apply(&group.overlay, changes) {
                Ok(own) => {
                    group.awaited |= !own.events.is_empty();
                    group.overlay.absorb(own);
                }
                Err(error) => tracing::error!("a record could not be stored: {error}"),
            },
        }
    }

    fn apply(&self, below: &Overlay, changes: Changes) -> Result<Overlay, StoreError> {
        let mut own = Overlay::default();
        Layers {
            shared: &self.shared,
            tree: &self.tree,
            below,
        }
        .apply(&mut own, changes)?;
        Ok(own)
    }

    fn store(&mut self, group: &mut Group, due: bool) -> Result<(), Failure> {
        if !group.runs.is_empty() {
            let runs = std::mem::take(&mut group.runs);
            let runs: Vec<_> = runs
                .into_iter()
                .map(|run| (run.id, run.meta, run.execution))
                .collect();
            let entries = self.pack.append(&self.shared.packs, &runs)?;
            let mut recent = self.shared.recent();
            entries.iter().for_each(|entry| recent.written(entry));
            drop(recent);
            self.pack_unsynced = true;
        }
        let overlay = std::mem::take(&mut group.overlay);
        let (lines, head) = self.write(overlay)?;
        if !group.late.is_empty() {
            let mut recent = self.shared.recent();
            group.late.iter().for_each(|id| recent.remove(id));
        }
        if group.awaited || due {
            self.sync()?;
        } else if self.pack_unsynced || self.tree_unsynced {
            self.unsynced.get_or_insert_with(Instant::now);
        }
        if !lines.is_empty() {
            self.journal.append(&lines)?;
            self.head = head;
        }
        Ok(())
    }

    /// Applies an overlay to the tree as one batch, without syncing it. Answers the journal lines that have to be
    /// appended after the sync.
    pub(crate) fn write(&mut self, mut overlay: Overlay) -> Result<(Vec<u8>, Head), Failure> {
        let mut lines = Vec::new();
        let mut head = self.head;
        if !overlay.events.is_empty() {
            let composed = journal::compose(head, self.shared.clock.now(), &overlay.events);
            (lines, head) = (composed.text, composed.head);
            let pieces = composed.pieces;
            overlay
                .values
                .extend(pieces.into_iter().map(|(key, slot)| (key, Some(slot))));
            overlay.values.insert(Head::key(), Some(head.slot()));
        }
        if !overlay.pending.is_empty() || overlay.outbox != OutboxChange::default() {
            let pending = overlay.pending.values().sum();
            let slot = self.shared.counts().slot_after(pending, overlay.outbox);
            overlay.values.insert(Counts::key(), Some(slot));
        }
        if overlay.values.is_empty() {
            return Ok((lines, head));
        }
        let mut batch = sled::Batch::default();
        let mut blobs_written = false;
        for (key, slot) in &overlay.values {
            let Some(slot) = slot else {
                batch.remove(&key[..]);
                continue;
            };
            if !slot.blobs.is_empty() && !slot.blobs_written {
                slot.write_blobs(&self.shared.blobs)?;
                blobs_written = true;
            }
            batch.insert(&key[..], slot.frame(key));
        }
        if blobs_written {
            self.shared.blobs.sync()?;
        }
        let unused = self.count_blobs(&overlay, &mut batch)?;
        self.tree.apply_batch(batch)?;
        self.tree_unsynced = true;
        let mut counts = self.shared.counts();
        overlay
            .pending
            .iter()
            .for_each(|(flow, by)| counts.change(flow, *by));
        counts.outbox = add(counts.outbox, overlay.outbox.waiting);
        counts.failing = add(counts.failing, overlay.outbox.failing);
        drop(counts);
        if !unused.is_empty() {
            // The values that named them must be gone for good before the files go.
            self.sync()?;
            for hash in unused {
                self.shared.blobs.remove(&hash)?;
            }
        }
        Ok((lines, head))
    }

    /// Counts how often values name each blob file; answers the files that none names any more.
    fn count_blobs(&self, overlay: &Overlay, batch: &mut sled::Batch) -> Result<Vec<BlobHash>, Failure> {
        let mut unused = Vec::new();
        for (hash, by) in overlay.blobs.iter().filter(|(_, by)| **by != 0) {
            let key = key::with_bytes(key::BLOB_COUNT, &hash.0);
            let count = match self.tree.get(&key)? {
                // A file whose count is damaged is never removed.
                Some(bytes) => Stored::read(&key, bytes)
                    .ok()
                    .and_then(|stored| stored.meta().try_into().ok())
                    .map_or(i64::MAX / 2, i64::from_le_bytes),
                None => 0,
            };
            if count + by > 0 {
                batch.insert(&key[..], inline(&key, &(count + by).to_le_bytes(), &[]));
            } else if count > 0 {
                batch.remove(&key[..]);
                unused.push(*hash);
            }
        }
        Ok(unused)
    }

    /// Makes everything durable that was written. `flush` alone does not flush the disk's cache on Linux
    /// (sled#1452), hence the sync of its file.
    pub(crate) fn sync(&mut self) -> Result<(), Failure> {
        if self.pack_unsynced {
            self.pack.sync()?;
            self.pack_unsynced = false;
        }
        if self.tree_unsynced {
            self.tree.flush()?;
            disk::sync_data(&self.engine)?;
            self.tree_unsynced = false;
        }
        self.unsynced = None;
        Ok(())
    }

    /// Moves the list of recorded runs to the tree if it has this length.
    pub(crate) fn settle(&mut self, enough: usize) -> Result<(), Failure> {
        if self.shared.recent().in_packs() < enough {
            return Ok(());
        }
        self.sync()?;
        let (batch, mark, ids) = recent::settle(&self.shared.recent(), self.mark, self.pack.position());
        self.tree.apply_batch(batch)?;
        self.tree_unsynced = true;
        self.unsynced.get_or_insert_with(Instant::now);
        self.mark = mark;
        let mut recent = self.shared.recent();
        ids.iter().for_each(|id| recent.remove(id));
        Ok(())
    }

    /// Lets go of the tree and the locks. Readers get [`StoreError::Unavailable`] from now on.
    pub(crate) fn end(self) {
        let Self {
            shared,
            tree,
            engine,
            lock,
            ..
        } = self;
        *shared
            .tree
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = None;
        // The last handle: stops sled's own thread and drops its lock. It may panic if the disk failed.
        if catch_unwind(AssertUnwindSafe(move || drop(tree))).is_err() {
            tracing::error!("the database panicked while closing");
        }
        drop(engine);
        drop(lock);
    }
}
