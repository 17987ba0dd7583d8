//! Runs side by side, each on a thread of its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::console::Console;
use crate::error::ScriptError;
use crate::fetch::Fetch;
use crate::limits::Limits;
use crate::machine::{self, Happened, Task};

/// What a thread needs besides the stack that a script may take.
const STACK_OF_OURS: usize = 1 << 20;

/// Where limits end that the engine and the clock can keep.
const LONGEST_TIME: Duration = Duration::from_secs(24 * 60 * 60);
const SMALLEST_STACK: usize = 64 << 10;
const LARGEST_STACK: usize = 8 << 20;

/// How long a script may go on after its time is over. The engine looks at the clock between operations and inside most
/// long ones, but not in all: searching a huge text for another one, for example.
const GRACE: Duration = Duration::from_secs(2);

/// How many scripts may be stuck past [`GRACE`]. Each takes a processor and cannot be ended, so there is a point where
/// taking more on would harm everything else.
const STUCK_LIMIT: usize = 4;

type Outcome = Result<Option<Value>, ScriptError>;

/// Runs scripts. Cheap to clone; the clones share the limit of runs side by side.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    limits: Limits,
    fetch: Arc<dyn Fetch>,
    turns: Arc<Semaphore>,
    /// The turns of each group that has runs now.
    shares: Mutex<HashMap<String, Weak<Semaphore>>>,
    stuck: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("limits", &self.0.limits)
            .field("stuck", &self.0.stuck)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine whose scripts make their requests through `fetch`.
    pub fn new(limits: Limits, fetch: Arc<dyn Fetch>) -> Self {
        let turns = limits.side_by_side.clamp(1, Semaphore::MAX_PERMITS);
        let limits = Limits {
            time: limits.time.min(LONGEST_TIME),
            // To the engine, nothing means no limit in both.
            memory: limits.memory.max(1),
            stack: limits.stack.clamp(SMALLEST_STACK, LARGEST_STACK),
            ..limits
        };
        Self(Arc::new(Inner {
            limits,
            fetch,
            turns: Arc::new(Semaphore::new(turns)),
            shares: Mutex::default(),
            stuck: Arc::default(),
        }))
    }

    /// As [`Self::run`], for one of several groups of callers: a group has at most a quarter of the turns at once, so that
    /// the scripts of one leave turns for those of others. `console` hears what it writes, whatever comes of it.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_for(
        &self,
        group: &str,
        code: &str,
        globals: Map<String, Value>,
        idempotency_key: &str,
        console: &Console,
    ) -> Result<Option<Value>, ScriptError> {
        let share = self.share(group);
        let closed = |_| ScriptError::Engine("it was shut down".to_owned());
        let _turn = share.acquire().await.map_err(closed)?;
        self.run_telling(code, globals, idempotency_key, console.clone())
            .await
    }

    fn share(&self, group: &str) -> Arc<Semaphore> {
        let mut shares = self.0.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(group).and_then(Weak::upgrade) {
            return share;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let turns = (self.0.limits.side_by_side / 4).clamp(1, Semaphore::MAX_PERMITS);
        let share = Arc::new(Semaphore::new(turns));
        shares.insert(group.to_owned(), Arc::downgrade(&share));
        share
    }

    /// Runs code with the values of `globals` as global variables and gives what it returned; `None` is `undefined`.
    /// An object whose JSON is a text, such as a `Date`, comes back as that JSON with its quotes, as Flowise has it.
    ///
    /// Has to be called within a Tokio runtime. Dropping the future ends the script.
    ///
    /// # Errors
    /// What the code threw, or which limit it went beyond.
    pub async fn run(
        &self,
        code: &str,
        globals: Map<String, Value>,
        idempotency_key: &str,
    ) -> Result<Option<Value>, ScriptError> {
        self.run_telling(code, globals, idempotency_key, Console::default())
            .await
    }

    async fn run_telling(
        &self,
        code: &str,
        globals: Map<String, Value>,
        idempotency_key: &str,
        console: Console,
    ) -> Result<Option<Value>, ScriptError> {
        let stuck = self.0.stuck.load(Ordering::Relaxed);
        if stuck >= STUCK_LIMIT {
            return Err(ScriptError::Exhausted(stuck));
        }
        let closed = |_| ScriptError::Engine("it was shut down".to_owned());
        let turn = self.0.turns.clone().acquire_owned().await.map_err(closed)?;
        let (happened, happens) = mpsc::channel();
        let cancelled = Cancelled {
            flag: Arc::default(),
            happened: happened.clone(),
        };
        let (done, outcome) = oneshot::channel();
        let task = Task {
            code: code.to_owned(),
            globals,
            idempotency_key: idempotency_key.to_owned(),
            limits: self.0.limits.clone(),
            fetch: self.0.fetch.clone(),
            console,
            handle: Handle::current(),
            happened,
            happens,
            cancelled: cancelled.flag.clone(),
        };
        let stuck = self.0.stuck.clone();
        thread::Builder::new()
            .name("script".to_owned())
            .stack_size(self.0.limits.stack + STACK_OF_OURS)
            .spawn(move || {
                let result = machine::run(task);
                if done.send(result).is_err() {
                    // It had been given up, and came to its end after all.
                    stuck.fetch_sub(1, Ordering::Relaxed);
                }
            })
            .map_err(|error| ScriptError::Engine(error.to_string()))?;
        // A task of its own: it has to see the end of the thread also when this future is dropped.
        let watch = tokio::spawn(watch(
            outcome,
            self.0.limits.time,
            self.0.stuck.clone(),
            idempotency_key.to_owned(),
            turn,
        ));
        let outcome = watch
            .await
            .unwrap_or_else(|error| Err(ScriptError::Engine(error.to_string())));
        drop(cancelled);
        outcome
    }
}

/// Waits for the end of a run and keeps its turn until then. A run that does not end is given up.
async fn watch(
    mut outcome: oneshot::Receiver<Outcome>,
    limit: Duration,
    stuck: Arc<AtomicUsize>,
    idempotency_key: String,
    turn: OwnedSemaphorePermit,
) -> Outcome {
    let ended = tokio::time::timeout(limit + GRACE, &mut outcome).await;
    let outcome = ended.unwrap_or_else(|_| {
        stuck.fetch_add(1, Ordering::Relaxed);
        outcome.close();
        match outcome.try_recv() {
            // It came in at the last moment.
            Ok(outcome) => {
                stuck.fetch_sub(1, Ordering::Relaxed);
                Ok(outcome)
            }
            Err(_) => {
                tracing::error!(
                    idempotency_key,
                    "a script is stuck in an operation that cannot be interrupted"
                );
                Ok(Err(ScriptError::TimeLimit(limit)))
            }
        }
    });
    drop(turn);
    outcome.unwrap_or_else(|_| Err(ScriptError::Engine("its thread broke down".to_owned())))
}

/// Ends the run when it is dropped.
struct Cancelled {
    flag: Arc<AtomicBool>,
    happened: mpsc::Sender<Happened>,
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        self.flag.store(true, Ordering::Relaxed);
        // Wakes the thread where it waits; one that has ended needs no waking.
        let _ = self.happened.send(Happened::Cancelled);
    }
}
