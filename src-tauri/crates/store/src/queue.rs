//! What waits for the writer.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::StoreError;
use crate::changes::{Changes, RunRecord};
use crate::transaction::Transaction;

/// Records above this many bytes make [`Queue::record`] wait: memory stays bounded, and callers slow down to what
/// the disk takes.
const RECORDS_MAX: usize = 16 << 20;
/// The writer is woken for records alone when so many bytes have come together.
const RECORDS_WAKE: usize = 512 << 10;

/// Tells a caller how its commit ended.
pub(crate) type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// A closure that runs in the writer. Answers whether its changes are to be kept, and how to tell its caller.
pub(crate) type Evaluation = Box<dyn FnOnce(&mut Transaction<'_>) -> (bool, Answer) + Send>;

/// One piece of work.
pub(crate) enum Job {
    /// Changes whose caller waits until they are durable.
    Commit(Changes, oneshot::Sender<Result<(), StoreError>>),
    /// A closure whose caller waits until what it has seen and changed is durable. Dropped, it tells its caller
    /// that it did not run.
    Transact(Evaluation),
    /// A run for a pack.
    Run(RunRecord),
    /// Changes nobody waits for.
    Record(Changes),
}

#[derive(Default)]
struct Waiting {
    jobs: Vec<Job>,
    /// Bytes of records among the jobs.
    records: usize,
    /// When the oldest of those was queued.
    oldest: Option<Instant>,
    /// Whether a job is there for which the writer does not wait any longer.
    urgent: bool,
    closing: bool,
}

/// A queue with one reader.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    work: Condvar,
    room: Condvar,
}

/// Why the writer was woken.
pub(crate) struct Batch {
    pub(crate) jobs: Vec<Job>,
    /// When the oldest record among them was queued.
    pub(crate) oldest: Option<Instant>,
    /// Nothing will follow.
    pub(crate) last: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a commit. The number of those is bounded by the permits that callers take before.
    pub(crate) fn push(&self, job: Job) -> Result<(), Job> {
        let mut waiting = self.lock();
        if waiting.closing {
            return Err(job);
        }
        waiting.jobs.push(job);
        let wake = !std::mem::replace(&mut waiting.urgent, true);
        drop(waiting);
        if wake {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Queues a record; waits while too many wait already.
    pub(crate) fn record(&self, job: Job, size: usize, urgent: bool) -> Result<(), Job> {
        let mut waiting = self.lock();
        while waiting.records >= RECORDS_MAX && !waiting.closing {
            waiting = self.room.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.closing {
            return Err(job);
        }
        let first = waiting.jobs.is_empty();
        let few = waiting.records < RECORDS_WAKE;
        waiting.jobs.push(job);
        waiting.oldest.get_or_insert_with(Instant::now);
        waiting.records += size;
        let wake = first || (few && waiting.records >= RECORDS_WAKE) || (urgent && !waiting.urgent);
        waiting.urgent |= urgent;
        drop(waiting);
        if wake {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Takes no more work; the writer ends after what is queued.
    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.work.notify_one();
        self.room.notify_all();
    }

    /// Waits for work. Records alone are left until there are many of them, until `flush_every` has passed, or
    /// `due`, when earlier records have to be synced.
    pub(crate) fn take(&self, flush_every: Duration, due: Option<Instant>) -> Batch {
        let mut waiting = self.lock();
        loop {
            let now = Instant::now();
            let due = due.or_else(|| waiting.oldest.map(|oldest| oldest + flush_every));
            if waiting.urgent
                || waiting.closing
                || waiting.records >= RECORDS_WAKE
                || due.is_some_and(|due| due <= now)
            {
                break;
            }
            waiting = match due {
                Some(due) => {
                    self.work
                        .wait_timeout(waiting, due - now)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                None => self.work.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
        }
        let jobs = std::mem::take(&mut waiting.jobs);
        let oldest = waiting.oldest.take();
        waiting.records = 0;
        waiting.urgent = false;
        let last = waiting.closing;
        drop(waiting);
        self.room.notify_all();
        Batch { jobs, oldest, last }
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue")
            .field("jobs", &self.lock().jobs.len())
            .finish_non_exhaustive()
    }
}
