//! The handle that everybody else uses.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use countersign_domain::{
    Approval, ApprovalId, Callback, CallbackId, Clock, DocumentHash, Execution, ExecutionId, Flow, FlowId,
    KeyedCall, Message, SenderId,
};
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, oneshot};
use uuid::Uuid;

use crate::blob::BlobHash;
use crate::changes::Changes;
use crate::open::Opened;
use crate::queue::{Answer, Job};
use crate::recent::{Place, Run};
use crate::shared::{Shared, is_damaged};
use crate::transaction::Transaction;
use crate::{ApprovalQuery, CallbackQuery, ExecutionQuery, OpenError, Page, StoreError, journal, open};

/// So many commits wait for the writer at most; further callers wait for a place.
const COMMITS_MAX: usize = 1024;

/// After each mebibyte of the journal, the check rests for this long.
const CHECK_PAUSE: Duration = Duration::from_millis(5);

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data folder. It is created if needed.
    pub dir: PathBuf,
    /// How long something that was recorded may stay undurable.
    pub flush_every: Duration,
}

impl Options {
    /// The data folder with the usual 500 ms.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            flush_every: Duration::from_millis(500),
        }
    }
}

/// The storage of one data folder. A cheap handle: clone it freely. Dropping the last one closes the store and
/// waits for that; [`Store::close`] does it without blocking.
#[derive(Debug, Clone)]
pub struct Store {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    commits: Semaphore,
    repairs: Vec<String>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Reads the journal once, beside the work.
    check: Mutex<Option<JoinHandle<()>>>,
    closing: Arc<AtomicBool>,
}

impl Handle {
    fn close(&self) {
        self.shared.queue.close();
        self.closing.store(true, Ordering::Relaxed);
        join(&self.writer);
        join(&self.check);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

fn join(thread: &Mutex<Option<JoinHandle<()>>>) {
    let thread = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(thread) = thread
        && thread.join().is_err()
    {
        tracing::error!("a thread of the storage ended with a panic");
    }
}

/// Checks the journal as far as it went when the store was opened. A large one takes seconds, so nobody waits for it,
/// and it leaves time for others.
fn check_journal(shared: Arc<Shared>, length: u64, closing: &AtomicBool) {
    let go_on = || {
        std::thread::sleep(CHECK_PAUSE);
        !closing.load(Ordering::Relaxed)
    };
    match journal::verify(&shared.dir, length, go_on) {
        Ok(_) => {}
        Err(_) if closing.load(Ordering::Relaxed) => {}
        Err(damage) => shared.damage.note(damage.with_advice()),
    }
}

/// Takes a pin off when the commit is over, however it ends.
struct Pins<'a> {
    shared: &'a Shared,
    hashes: Vec<BlobHash>,
}

impl Drop for Pins<'_> {
    fn drop(&mut self) {
        self.hashes
            .drain(..)
            .for_each(|hash| self.shared.blobs.unpin(hash));
    }
}

impl Store {
    /// Opens a data folder, and repairs what a crash or a damaged disk left behind (see [`Self::repairs`]).
    /// Blocks: for a folder that another process holds, a second and a half.
    ///
    /// # Errors
    /// [`OpenError::InUse`], [`OpenError::Damaged`], [`OpenError::Io`]. Their texts are for people.
    pub fn open(options: Options, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let Opened {
            writer,
            repairs,
            unchecked,
        } = open::open(&options, clock)?;
        let shared = Arc::clone(&writer.shared);
        let thread = std::thread::Builder::new()
            .name("store writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| OpenError::io("start a thread for", &options.dir, error))?;
        let closing = Arc::new(AtomicBool::new(false));
        let check = std::thread::Builder::new()
            .name("journal check".to_owned())
            .spawn({
                let (shared, closing) = (Arc::clone(&shared), Arc::clone(&closing));
                move || check_journal(shared, unchecked, &closing)
            });
        let handle = Handle {
            shared,
            commits: Semaphore::new(COMMITS_MAX),
            repairs,
            writer: Mutex::new(Some(thread)),
            check: Mutex::new(check.ok()),
            closing,
        };
        Ok(Self {
            handle: Arc::new(handle),
        })
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    /// What had to be repaired when it was opened, for people; empty as a rule.
    pub fn repairs(&self) -> &[String] {
        &self.handle.repairs
    }

    /// What was met damaged since it was opened, for people; empty as a rule. The journal is checked beside the work
    /// after each start, so what is wrong with it may show some seconds later.
    pub fn damage(&self) -> Vec<String> {
        self.shared().damage.list()
    }

    /// The largest time-ordered identifier among executions, approvals and callbacks: those that are given from now
    /// on have to be larger, whatever the clock says.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn newest_id(&self) -> Result<Option<Uuid>, StoreError> {
        self.read(|shared| Ok(shared.newest_id()?.map(Uuid::from_bytes)))
    }

    /// Stores changes. `Ok` means that they are durable. Empty changes make durable what was recorded before.
    ///
    /// A caller that stops waiting leaves it open whether they are stored.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Encode`]; [`StoreError::Damaged`] if a value that would be
    /// replaced is damaged. Nothing is stored then, except that after [`StoreError::Unavailable`] a restart may
    /// find it stored.
    pub async fn commit(&self, mut changes: Changes) -> Result<(), StoreError> {
        changes.check()?;
        let _permit = self.permit().await?;
        let mut pins = Pins {
            shared: self.shared(),
            hashes: Vec::new(),
        };
        if changes.has_large() {
            // Files are written beside the writer, so that many callers sync at once.
            let shared = Arc::clone(&self.handle.shared);
            let written = tokio::task::spawn_blocking(move || {
                let mut hashes = Vec::new();
                let written = changes.write_blobs(&shared.blobs, &mut hashes);
                (changes, hashes, written)
            });
            let Ok((back, hashes, written)) = written.await else {
                return Err(self.shared().unavailable());
            };
            pins.hashes = hashes;
            changes = back;
            if let Err(error) = written {
                self.shared()
                    .fail(&format!("a file could not be written: {error}"));
                return Err(self.shared().unavailable());
            }
        }
        let documents = changes.documents();
        let (answer, answered) = oneshot::channel();
        self.push(Job::Commit(changes, answer))?;
        let stored = answered
            .await
            .unwrap_or_else(|_| Err(self.shared().unavailable()));
        if stored.is_ok() {
            let shared = self.shared();
            documents
                .iter()
                .for_each(|key| shared.damage.mended(&is_damaged(key)));
        }
        stored
    }

    /// Queues changes that nobody waits for: visible at once, durable with the next commit or within
    /// [`Options::flush_every`]. Blocks while sixteen megabytes wait to be written.
    ///
    /// Cheapest for exactly one execution that came to its end: those are appended to a file and never touch the
    /// tree one by one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Encode`].
    pub fn record(&self, mut changes: Changes) -> Result<(), StoreError> {
        changes.check()?;
        let shared = self.shared();
        if shared.failed.get().is_some() {
            return Err(shared.unavailable());
        }
        let size = changes.size();
        let run = match changes.into_run() {
            Ok(run) => run,
            Err(changes) => return self.push_record(Job::Record(changes), size, true),
        };
        let id = run.id;
        {
            let mut recent = shared.recent();
            if recent.get(&id).is_some() {
                drop(recent);
                return self.push_record(Job::Record(run.to_changes()), size, true);
            }
            recent.insert(
                id,
                Run {
                    meta: run.meta,
                    place: Place::Memory(Arc::clone(&run.execution)),
                },
            );
        }
        let pushed = self.push_record(Job::Run(run), size, false);
        if pushed.is_err() {
            shared.recent().remove(&id);
        }
        pushed
    }

    fn push_record(&self, job: Job, size: usize, urgent: bool) -> Result<(), StoreError> {
        self.shared()
            .queue
            .record(job, size, urgent)
            .map_err(|_| self.shared().unavailable())
    }

    /// Runs a closure in the writer, where it sees every earlier commit and nobody else changes anything: the place
    /// for compare-and-set. `Ok(Ok(_))` means that its changes are durable; `Ok(Err(_))` that it changed nothing,
    /// and that what it has seen is durable. Keep it short: everybody waits.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] also if the closure panicked; as [`Self::commit`] otherwise.
    pub async fn transact<T, E>(
        &self,
        f: impl FnOnce(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<Result<T, E>, StoreError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let _permit = self.permit().await?;
        let (answer, answered) = oneshot::channel();
        let evaluate = move |transaction: &mut Transaction<'_>| {
            let result = f(transaction);
            let keep = result.is_ok();
            let answer: Answer = Box::new(move |stored| drop(answer.send(stored.map(|()| result))));
            (keep, answer)
        };
        self.push(Job::Transact(Box::new(evaluate)))?;
        answered
            .await
            .unwrap_or_else(|_| Err(self.shared().unavailable()))
    }

    async fn permit(&self) -> Result<tokio::sync::SemaphorePermit<'_>, StoreError> {
        if self.shared().failed.get().is_some() {
            return Err(self.shared().unavailable());
        }
        self.handle
            .commits
            .acquire()
            .await
            .map_err(|_| self.shared().unavailable())
    }

    fn push(&self, job: Job) -> Result<(), StoreError> {
        self.shared()
            .queue
            .push(job)
            .map_err(|_| self.shared().unavailable())
    }

    /// Why no more work is taken, once a storage error has happened. Opening the store again is the way out.
    pub fn failed(&self) -> Option<String> {
        self.shared().failed.get().cloned()
    }

    /// Stores what is queued, ends the writer and releases the folder. Later calls get
    /// [`StoreError::Unavailable`].
    pub async fn close(&self) {
        self.shared().queue.close();
        let handle = Arc::clone(&self.handle);
        let joined = tokio::task::spawn_blocking(move || handle.close()).await;
        if joined.is_err() {
            tracing::error!("the storage did not close");
        }
    }

    /// sled may panic on a damaged page (anchors: webhook security §3.3); its readers must not.
    fn read<T>(&self, read: impl FnOnce(&Shared) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let read = catch_unwind(AssertUnwindSafe(|| read(self.shared())))
            .unwrap_or_else(|_| Err(StoreError::Read("the database stopped while it was read".into())));
        if let Err(StoreError::Damaged { key }) = &read {
            self.shared().damage.note(is_damaged(key));
        }
        read
    }

    /// A flow.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Read`], [`StoreError::Unavailable`], as in all reads below.
    pub fn flow(&self, id: FlowId) -> Result<Option<Flow>, StoreError> {
        self.read(|shared| shared.flow(id))
    }

    /// All flows, the newest first.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn flows(&self) -> Result<Vec<Flow>, StoreError> {
        self.read(|shared| shared.flows())
    }

    /// A document by its hash.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn document(&self, hash: &DocumentHash) -> Result<Option<String>, StoreError> {
        self.read(|shared| shared.document(hash))
    }

    /// An execution.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn execution(&self, id: ExecutionId) -> Result<Option<Execution>, StoreError> {
        self.read(|shared| shared.execution(&shared.tree()?, id.as_bytes()))
    }

    /// Executions, the newest first.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn executions(&self, query: &ExecutionQuery) -> Result<Page<Execution>, StoreError> {
        self.read(|shared| shared.executions(query))
    }

    /// How many executions match, whatever `skip` and `limit` say. Walks the list entries of all executions.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn execution_count(&self, query: &ExecutionQuery) -> Result<usize, StoreError> {
        self.read(|shared| shared.execution_count(query))
    }

    /// The executions that run (INPROGRESS), the oldest first: after a restart, those that were interrupted.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn unfinished_executions(&self) -> Result<Vec<ExecutionId>, StoreError> {
        self.read(|shared| shared.unfinished_executions())
    }

    /// Executions whose record is older than the journal, which was found when the store was opened. They are listed
    /// until [`Changes::settle_outdated`].
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn outdated_executions(&self) -> Result<Vec<ExecutionId>, StoreError> {
        self.read(|shared| shared.outdated_executions())
    }

    /// Whether this chat of this flow has an execution in any state.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn execution_exists_for_chat(&self, flow: FlowId, chat_id: &str) -> Result<bool, StoreError> {
        self.read(|shared| shared.execution_exists_for_chat(flow, chat_id))
    }

    /// An approval.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn approval(&self, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
        self.read(|shared| shared.approval(id))
    }

    /// Approvals, the newest first.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn approvals(&self, query: &ApprovalQuery) -> Result<Page<Approval>, StoreError> {
        self.read(|shared| shared.approvals(query))
    }

    /// How many approvals wait. Costs nothing.
    pub fn pending_count(&self) -> usize {
        self.shared().counts().pending
    }

    /// How many approvals of this flow wait. Costs nothing.
    pub fn pending_count_of_flow(&self, flow: FlowId) -> usize {
        self.shared()
            .counts()
            .of_flow
            .get(flow.as_bytes())
            .copied()
            .unwrap_or_default()
    }

    /// The approvals of a chat that wait, the newest first.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn pending_of_chat(&self, flow: FlowId, chat_id: &str) -> Result<Vec<Approval>, StoreError> {
        self.read(|shared| shared.pending_of_chat(flow, chat_id))
    }

    /// The newest approval of a chat, in any state.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn latest_of_chat(&self, flow: FlowId, chat_id: &str) -> Result<Option<Approval>, StoreError> {
        self.read(|shared| shared.latest_of_chat(flow, chat_id))
    }

    /// A callback.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn callback(&self, id: CallbackId) -> Result<Option<Callback>, StoreError> {
        self.read(|shared| shared.callback(id))
    }

    /// Callbacks, the newest first.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn callbacks(&self, query: &CallbackQuery) -> Result<Page<Callback>, StoreError> {
        self.read(|shared| shared.callbacks(query))
    }

    /// All callbacks that report on an execution, the oldest first.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn callbacks_of_execution(&self, id: ExecutionId) -> Result<Vec<Callback>, StoreError> {
        self.read(|shared| shared.callbacks_of_execution(id))
    }

    /// How long what a callback sends is, in bytes. Does not read it.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn callback_body_bytes(&self, id: CallbackId) -> Result<Option<u64>, StoreError> {
        self.read(|shared| shared.callback_body_bytes(id))
    }

    /// What a callback sends.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn callback_body(&self, id: CallbackId) -> Result<Option<String>, StoreError> {
        self.read(|shared| shared.callback_body(id))
    }

    /// How many callbacks have to go out. Costs nothing.
    pub fn outbox_count(&self) -> usize {
        self.shared().counts().outbox
    }

    /// How many of those have failed at least once. Costs nothing.
    pub fn failing_count(&self) -> usize {
        self.shared().counts().failing
    }

    /// The callbacks that have to go out, in the order of their ids.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn outbox(&self) -> Result<Vec<Callback>, StoreError> {
        self.read(|shared| shared.outbox())
    }

    /// What the executions of a chat have said, the oldest first.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn messages(&self, flow: FlowId, chat_id: &str) -> Result<Vec<Message>, StoreError> {
        self.read(|shared| shared.messages(flow, chat_id))
    }

    /// What is remembered of the call of a flow with this id of its sender: the newest 16,384 calls, and each for three
    /// days. Those that are older or more are forgotten by and by as new ones come.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn call(&self, flow: FlowId, sender_id: &SenderId) -> Result<Option<KeyedCall>, StoreError> {
        self.read(|shared| shared.call(flow, sender_id))
    }

    /// What is remembered of the call that began this execution, if it carried an id of its sender.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn call_of_execution(&self, id: ExecutionId) -> Result<Option<KeyedCall>, StoreError> {
        self.read(|shared| shared.call_of_execution(id.as_bytes()))
    }

    /// A setting.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn setting(&self, name: &str) -> Result<Option<Value>, StoreError> {
        self.read(|shared| shared.setting(name))
    }

    /// All settings.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn settings(&self) -> Result<Map<String, Value>, StoreError> {
        self.read(|shared| shared.settings())
    }
}
