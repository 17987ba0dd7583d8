//! Runs that are watched while they run: the events of the webhook spec §8.3.
//!
//! What waits for the reader waits as it was told, and becomes JSON when the reader takes it: for one that is gone
//! nothing is written, and of the records of a run, each of whose states holds the one before, only the newest waits
//! where they are large.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use countersign_flow::{Record, RecordStatus, Run, RunEvent, weight};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout};

use crate::redact::Redact;

/// How many bytes wait for a slow reader: once there are more, whatever comes next loses the stream, not the run.
const WAITING_MAX: usize = 8 << 20;

/// Once so many bytes wait, the run gives the reader time to take them.
const BEHIND: usize = 1 << 20;

/// For how long in all, and for how long without the reader taking anything.
const PATIENCE: Duration = Duration::from_secs(10);
const STALLED: Duration = Duration::from_secs(1);

/// Up to so many bytes all states of the records wait; above that only the newest.
const STATES_MAX: usize = 256 << 10;

/// Larger events become JSON beside the threads that serve everybody, so many at once.
const LARGE: usize = 64 << 10;
static LARGE_AT_ONCE: Semaphore = Semaphore::const_new(2);

/// What an event takes beside its data.
const EVENT: usize = 128;

/// The event with the records.
const STATE: &str = "agentFlowExecutedData";

/// One event, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEvent {
    /// The JSON text `{"event":…,"data":…}`.
    pub json: String,
}

/// The events of a run, in their order. Dropping it leaves the run alone.
#[derive(Debug)]
pub struct RunStream {
    shared: Arc<Shared>,
    /// The event that becomes JSON now.
    writing: Option<JoinHandle<Option<String>>>,
}

impl RunStream {
    /// The next event; `None` after the last one, or where this reader fell too far behind. What was not awaited to its
    /// end is not lost.
    pub async fn next(&mut self) -> Option<StreamEvent> {
        loop {
            if let Some(writing) = &mut self.writing {
                let written = writing.await;
                self.writing = None;
                self.shared.taken.notify_one();
                match written {
                    Ok(Some(json)) => return Some(StreamEvent { json }),
                    Ok(None) => continue,
                    Err(error) => {
                        tracing::error!(%error, "an event of a run could not be written");
                        return None;
                    }
                }
            }
            let event = self.take().await?;
            if event.size <= LARGE {
                if let Some(json) = self.shared.write(&event) {
                    return Some(StreamEvent { json });
                }
                continue;
            }
            let shared = Arc::clone(&self.shared);
            self.writing = Some(tokio::spawn(async move {
                let _permit = LARGE_AT_ONCE.acquire().await.ok()?;
                spawn_blocking(move || shared.write(&event)).await.ok()?
            }));
        }
    }

    async fn take(&self) -> Option<Waiting> {
        loop {
            {
                let mut queue = self.shared.queue();
                if let Some(event) = queue.take() {
                    self.shared.taken.notify_one();
                    return Some(event);
                }
                if queue.ended {
                    return None;
                }
            }
            self.shared.told.notified().await;
        }
    }
}

impl Drop for RunStream {
    fn drop(&mut self) {
        self.shared.leave();
    }
}

/// Hears what happens in a run and passes it on.
#[derive(Debug)]
pub(crate) struct Listener {
    shared: Arc<Shared>,
    /// About how many bytes what began the run takes in its records.
    trigger: OnceLock<usize>,
    /// How many records the newest state had that was told.
    told: Mutex<Option<usize>>,
    /// For how long the run may still wait for the reader.
    patience: Mutex<Duration>,
}

/// A listener and the stream of what it hears. A piece of an answer goes out as it comes, so a secret that a model says
/// in several pieces is not known.
pub(crate) fn listen(redact: Redact) -> (Listener, RunStream) {
    let shared = Arc::new(Shared {
        queue: Mutex::default(),
        told: Notify::new(),
        taken: Notify::new(),
        left: AtomicBool::new(false),
        redact,
    });
    let listener = Listener {
        shared: Arc::clone(&shared),
        trigger: OnceLock::new(),
        told: Mutex::default(),
        patience: Mutex::new(PATIENCE),
    };
    (
        listener,
        RunStream {
            shared,
            writing: None,
        },
    )
}

/// What listener and reader have in common.
#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// Something was told.
    told: Notify,
    /// Something was taken.
    taken: Notify,
    /// Whether the reader is gone or too slow.
    left: AtomicBool,
    redact: Redact,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Waiting>,
    /// About how many bytes wait, without states of the records: those are the run's own.
    size: usize,
    /// About how many bytes the states that wait will be.
    states: usize,
    ended: bool,
}

/// An event that waits.
#[derive(Debug)]
struct Waiting {
    event: &'static str,
    data: Data,
    /// What stands beside the data.
    duration: Option<u64>,
    /// About how many bytes it will be.
    size: usize,
}

#[derive(Debug)]
enum Data {
    Value(Value),
    Records(Vec<Record>),
}

#[derive(Serialize)]
struct Event<'a, T: ?Sized> {
    event: &'a str,
    data: &'a T,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<u64>,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody reads any more.
    fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
        *self.queue() = Queue {
            ended: true,
            ..Queue::default()
        };
        self.told.notify_one();
        self.taken.notify_one();
    }

    fn has_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    /// An event as JSON, if there still is somebody to read it.
    fn write(&self, waiting: &Waiting) -> Option<String> {
        fn json<T: Serialize + ?Sized>(
            redact: &Redact,
            waiting: &Waiting,
            data: &T,
        ) -> serde_json::Result<String> {
            redact.json(&Event {
                event: waiting.event,
                data,
                duration: waiting.duration,
            })
        }
        if self.has_left() {
            return None;
        }
        let json = match &waiting.data {
            Data::Value(value) => json(&self.redact, waiting, value),
            Data::Records(records) => json(&self.redact, waiting, records.as_slice()),
        };
        json.ok()
    }
}

impl Waiting {
    fn new(event: &'static str, data: impl Into<Value>) -> Self {
        let data = data.into();
        Self {
            event,
            size: EVENT + weight(&data),
            data: Data::Value(data),
            duration: None,
        }
    }

    fn state(run: &Run, size: usize) -> Self {
        Self {
            event: STATE,
            data: Data::Records(run.records().to_vec()),
            duration: None,
            size,
        }
    }
}

impl Queue {
    fn add(&mut self, event: Waiting) {
        *self.sum(&event) += event.size;
        self.events.push_back(event);
    }

    fn take(&mut self) -> Option<Waiting> {
        let event = self.events.pop_front()?;
        *self.sum(&event) -= event.size;
        Some(event)
    }

    fn sum(&mut self, event: &Waiting) -> &mut usize {
        if event.event == STATE {
            &mut self.states
        } else {
            &mut self.size
        }
    }

    /// Leaves out the states of the records that nobody has read yet.
    fn forget_states(&mut self) {
        self.events.retain(|event| event.event != STATE);
        self.states = 0;
    }
}

impl Listener {
    pub(crate) fn hear(&self, event: &RunEvent<'_>) {
        match event {
            RunEvent::StepBegan { node_id, node_label } => self.tell(
                "nextAgentFlow",
                json!({"nodeId": node_id, "nodeLabel": node_label, "status": "INPROGRESS"}),
            ),
            RunEvent::Token(text) => self.tell("token", *text),
            RunEvent::Thought { text, seconds } => self.send([Waiting {
                duration: *seconds,
                ..Waiting::new("thinking", *text)
            }]),
            RunEvent::Fact { name, data } => self.tell(name, (*data).clone()),
            RunEvent::StepEnded {
                node_id,
                node_label,
                status,
                error,
            } => {
                let mut data = json!({"nodeId": node_id, "nodeLabel": node_label, "status": status});
                if *status == RecordStatus::Error {
                    data["error"] = json!(error);
                }
                self.tell("nextAgentFlow", data);
            }
            _ => {}
        }
    }

    /// The run begins, or goes on.
    pub(crate) fn began(&self, run: &Run) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(run.recorded());
        self.tell("agentFlowEvent", "INPROGRESS");
    }

    /// The run waits for a person.
    pub(crate) fn stopped(&self, metadata: &Value) {
        self.send([
            Waiting::new("agentFlowEvent", "STOPPED"),
            Waiting::new("action", metadata["action"].clone()),
            Waiting::new("agentFlowEvent", "STOPPED"),
            Waiting::new("metadata", metadata.clone()),
        ]);
    }

    /// The run came to its end.
    pub(crate) fn finished(&self, metadata: &Value) {
        self.send([
            Waiting::new("agentFlowEvent", "FINISHED"),
            Waiting::new("metadata", metadata.clone()),
        ]);
    }

    /// A step failed.
    pub(crate) fn failed(&self, message: &str) {
        self.send([
            Waiting::new("agentFlowEvent", "ERROR"),
            Waiting::new("error", message),
        ]);
    }

    /// Nothing follows.
    pub(crate) fn ended(&self) {
        if !self.shared.has_left() {
            self.shared.queue().add(Waiting::new("end", "[DONE]"));
            self.shared.told.notify_one();
        }
    }

    /// What has run so far, if something ran since that was told last. Where much of it waits already, a newer state is
    /// told once the reader has taken that.
    pub(crate) fn executed(&self, run: &Run) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told == Some(run.recorded()) || self.shared.has_left() {
            return;
        }
        let size = self.size_of(run);
        let mut queue = self.shared.queue();
        if queue.states > 0 && queue.states + size > STATES_MAX {
            return;
        }
        *told = Some(run.recorded());
        queue.add(Waiting::state(run, size));
        drop(queue);
        self.shared.told.notify_one();
    }

    /// What has run, now that the run rests, in place of what the reader has not taken yet of it.
    pub(crate) fn rested(&self, run: &Run) {
        if self.shared.has_left() {
            return;
        }
        let size = self.size_of(run);
        let mut queue = self.shared.queue();
        if queue.states + size > STATES_MAX {
            queue.forget_states();
        }
        queue.add(Waiting::state(run, size));
        drop(queue);
        self.shared.told.notify_one();
    }

    /// The same where the run may rest after a step that was told.
    pub(crate) fn ran_to_its_end(&self, run: &Run) {
        let told = *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told != Some(run.recorded()) {
            self.rested(run);
        }
    }

    fn size_of(&self, run: &Run) -> usize {
        let trigger = self.trigger.get_or_init(|| 2 * run.trigger_weight());
        EVENT + trigger + run.records_weight()
    }

    /// Sends one event. A reader that does not keep up is left.
    pub(crate) fn tell(&self, event: &'static str, data: impl Into<Value>) {
        self.send([Waiting::new(event, data)]);
    }

    /// Sends what belongs together.
    fn send<const N: usize>(&self, events: [Waiting; N]) {
        if self.shared.has_left() {
            return;
        }
        let mut queue = self.shared.queue();
        if queue.size > WAITING_MAX {
            drop(queue);
            self.shared.leave();
            tracing::info!("whoever watched a run fell too far behind; the run goes on");
            return;
        }
        events.into_iter().for_each(|event| queue.add(event));
        drop(queue);
        self.shared.told.notify_one();
    }

    /// Gives a reader that reads time to take what waits; one that does not is waited for only once, and briefly.
    pub(crate) async fn pace(&self) {
        // A run of steps that wait for nothing would keep its thread from everybody else, its reader too.
        tokio::task::yield_now().await;
        while !self.shared.has_left() && self.shared.queue().size > BEHIND {
            let left = *self.patience.lock().unwrap_or_else(PoisonError::into_inner);
            if left.is_zero() {
                return;
            }
            let began = Instant::now();
            let taken = timeout(left.min(STALLED), self.shared.taken.notified()).await;
            let left = match taken {
                Ok(()) => left.saturating_sub(began.elapsed()),
                Err(_) => Duration::ZERO,
            };
            *self.patience.lock().unwrap_or_else(PoisonError::into_inner) = left;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.queue().ended = true;
        self.shared.told.notify_one();
    }
}
