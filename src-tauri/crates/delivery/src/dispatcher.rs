//! Sends waiting callbacks: in order within an execution, side by side otherwise, at least once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use countersign_domain::{
    AttemptTrigger, Callback, CallbackId, CallbackState, Clock, ExecutionId, Timestamp,
};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::queue::{Limits, Queue};
use crate::{Client, Message, Outbox, OutboxError, RetryPlan, Sent, Started, attempt};

const LIMITS: Limits = Limits {
    per_origin: 8,
    overall: 32,
};

/// The longest sleep while something waits for its time: the clock of the machine may be set, and sleep of
/// the machine does not count for timers.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// How long a shutdown waits for requests under way.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(3);

/// How long to leave a failing storage alone: the first time, and at most.
const STORAGE_PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Sends what waits in an [`Outbox`]. Lives in a task of its own until it is shut down.
///
/// * The callbacks of one execution go in the order of their ids: the next leaves only once the one before is
///   delivered or abandoned. There is no order between executions.
/// * At most 8 requests are under way to one origin, at most 32 in all.
/// * An attempt is durable before its request leaves. One without an end, which a kill leaves behind, counts
///   as failed, and the plan goes on with the same id.
#[derive(Debug)]
pub struct Dispatcher;

/// The way to a running [`Dispatcher`]. When the last handle is dropped, it stops as after a shutdown.
#[derive(Clone, Debug)]
pub struct DispatcherHandle {
    commands: mpsc::UnboundedSender<Command>,
    wake: Arc<Notify>,
}

/// Why a callback was not sent by hand.
#[derive(Debug, thiserror::Error)]
pub enum SendNowError {
    /// There is no such callback.
    #[error("there is no such callback")]
    NotFound,
    /// An earlier callback of the same execution has to arrive first.
    #[error("an earlier callback of the same run waits: send that one first")]
    BehindEarlier,
    /// The program is closing.
    #[error("the program is closing")]
    ShuttingDown,
    /// A fault of ours ended the attempt; it may have arrived.
    #[error("the attempt was interrupted; the message may have arrived")]
    Interrupted,
    /// The storage failed.
    #[error("the attempt cannot be recorded")]
    Outbox(#[source] OutboxError),
}

#[derive(Debug)]
enum Command {
    Put(Queued),
    SendNow(ByHand),
    Shutdown(oneshot::Sender<()>),
}

/// What the order depends on: a long queue does not hold whole callbacks.
#[derive(Debug)]
struct Queued {
    id: CallbackId,
    execution: ExecutionId,
    origin: String,
    /// Absent if it does not wait.
    due: Option<Timestamp>,
}

impl Queued {
    fn of(callback: &Callback) -> Self {
        let due = callback.next_attempt_at.unwrap_or(callback.created_at);
        Self {
            id: callback.id,
            execution: callback.execution_id,
            origin: origin(&callback.url),
            due: (callback.state == CallbackState::Waiting).then_some(due),
        }
    }
}

impl Queued {
    /// The same, read when the time may be another one: what has happened cannot lie ahead, so if it does, the clock was
    /// set back since, and the wait begins now.
    fn at(callback: &Callback, now: Timestamp) -> Self {
        let moments = callback
            .attempts
            .iter()
            .flat_map(|attempt| [Some(attempt.started_at), attempt.ended_at]);
        let newest = moments.flatten().fold(callback.created_at, Timestamp::max);
        let ahead = i64::try_from(newest.since(now).as_millis()).unwrap_or_default();
        let mut queued = Self::of(callback);
        queued.due = queued
            .due
            .map(|due| Timestamp::from_millis(due.as_millis().saturating_sub(ahead)));
        queued
    }
}

/// A request to send one callback now.
#[derive(Debug)]
struct ByHand {
    id: CallbackId,
    reply: oneshot::Sender<Result<Callback, SendNowError>>,
}

/// How one attempt ended.
enum Ended {
    /// The callback as it is now.
    Recorded(Box<Callback>),
    /// The outbox had no attempt to make.
    NothingToDo,
    /// The storage failed; whether something was sent is unknown.
    NotRecorded(OutboxError),
}

impl Dispatcher {
    /// Starts one on the current runtime. The plan is asked for at each use, so that a changed setting counts from
    /// the next attempt on.
    pub fn start(
        client: Client,
        plan: impl Fn() -> RetryPlan + Send + Sync + 'static,
        outbox: Arc<dyn Outbox>,
        clock: Arc<dyn Clock>,
    ) -> DispatcherHandle {
        let (commands, receiver) = mpsc::unbounded_channel();
        let wake = Arc::new(Notify::new());
        let handle = DispatcherHandle {
            commands,
            wake: wake.clone(),
        };
        let worker = Worker {
            client,
            plan: Arc::new(plan),
            outbox,
            clock,
            queue: Queue::new(LIMITS),
            requests: JoinSet::new(),
            by_task: HashMap::new(),
            by_hand: VecDeque::new(),
            replies: HashMap::new(),
            reload: Some(Instant::now()),
            paused_until: None,
            pause: STORAGE_PAUSE.0,
        };
        tokio::spawn(worker.run(receiver, wake));
        handle
    }
}

impl DispatcherHandle {
    /// Hands over a callback that was stored just now: the outbox is not read again for it. Never blocks.
    pub fn put(&self, callback: &Callback) {
        let queued = Queued::of(callback);
        // An error says that it has stopped: the next start finds the callback in the outbox.
        let _ = self.commands.send(Command::Put(queued));
    }

    /// Lets it look again at what is due: the clock or the plan has changed. Does not read the outbox. Never blocks.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Makes one attempt now, outside the plan, whatever state the callback is in, and waits for its end. The
    /// plan is not disturbed: a callback that waits goes on waiting if this attempt fails. If an attempt at
    /// the same callback is under way, this one follows it.
    ///
    /// # Errors
    /// [`SendNowError`]. A receiver that refuses is no error: the attempt in the callback says so.
    pub async fn send_now(&self, id: CallbackId) -> Result<Callback, SendNowError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(Command::SendNow(ByHand { id, reply }))
            .map_err(|_| SendNowError::ShuttingDown)?;
        answer.await.unwrap_or(Err(SendNowError::ShuttingDown))
    }

    /// Stops: nothing new is sent, and requests under way have 3 s to end. One that does not make it stays an
    /// attempt without an end.
    pub async fn shutdown(&self) {
        let (reply, done) = oneshot::channel();
        if self.commands.send(Command::Shutdown(reply)).is_ok() {
            // An error says that it has stopped already.
            let _ = done.await;
        }
    }
}

struct Worker {
    client: Client,
    plan: Arc<dyn Fn() -> RetryPlan + Send + Sync>,
    outbox: Arc<dyn Outbox>,
    clock: Arc<dyn Clock>,
    queue: Queue,
    requests: JoinSet<Ended>,
    by_task: HashMap<tokio::task::Id, CallbackId>,
    by_hand: VecDeque<ByHand>,
    replies: HashMap<CallbackId, oneshot::Sender<Result<Callback, SendNowError>>>,
    /// When the outbox is to be read again; absent while the queue is believed to be complete.
    reload: Option<Instant>,
    paused_until: Option<Instant>,
    pause: Duration,
}

impl Worker {
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>, wake: Arc<Notify>) {
        let stopped = loop {
            if self.paused_until.is_some_and(|until| until <= Instant::now()) {
                self.paused_until = None;
            }
            if self.paused_until.is_none() {
                if self.reload.is_some_and(|at| at <= Instant::now()) {
                    self.reload().await;
                }
                self.start_due();
            }
            // Also while the storage rests: who asks by hand learns at once that it fails.
            self.start_by_hand().await;
            let next_look = self.next_look();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Put(queued)) => self.put_new(&queued),
                    Some(Command::SendNow(by_hand)) => self.by_hand.push_back(by_hand),
                    Some(Command::Shutdown(reply)) => break Some(reply),
                    None => break None,
                },
                () = wake.notified() => {}
                Some(ended) = self.requests.join_next_with_id() => self.after(ended),
                () = sleep(next_look) => {}
            }
        };
        // Requests by hand that have not begun learn from the closed channel that there will be no attempt.
        self.by_hand.clear();
        commands.close();
        let deadline = Instant::now() + SHUTDOWN_PATIENCE;
        while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, self.requests.join_next_with_id()).await
        {
            self.after(ended);
        }
        self.requests.shutdown().await;
        if let Some(reply) = stopped {
            // Nobody waits for it any more: nothing to do.
            let _ = reply.send(());
        }
        // A second shutdown that came meanwhile gets its answer by the channel being dropped.
    }

    /// Reads what waits and settles what a former run, or a storage that failed, left behind.
    async fn reload(&mut self) {
        let waiting = match self.outbox.waiting().await {
            Ok(waiting) => waiting,
            Err(error) => return self.storage_failed(&error),
        };
        self.reload = None;
        let plan = (self.plan)();
        let mut seen = HashSet::with_capacity(waiting.len());
        for mut callback in waiting {
            seen.insert(callback.id);
            if self.queue.is_under_way(callback.id) {
                continue;
            }
            let now = self.clock.now();
            if attempt::recover(&mut callback, &plan, now)
                && let Err(error) = self.outbox.attempt_ended(callback.clone()).await
            {
                return self.storage_failed(&error);
            }
            self.put(&Queued::at(&callback, now));
        }
        for id in self.queue.ids() {
            if !seen.contains(&id) && !self.queue.is_under_way(id) {
                self.queue.remove(id);
            }
        }
        self.pause = STORAGE_PAUSE.0;
    }

    /// Takes a callback that was handed over. One that is known was found in the outbox meanwhile, and may have been
    /// tried since: then it is due later than what was handed over says.
    fn put_new(&mut self, queued: &Queued) {
        if !self.queue.contains(queued.id) && !self.queue.is_under_way(queued.id) {
            self.put(queued);
        }
    }

    fn put(&mut self, queued: &Queued) {
        match queued.due {
            Some(due) => self.queue.put(queued.id, queued.execution, &queued.origin, due),
            None => self.queue.remove(queued.id),
        }
    }

    fn start_due(&mut self) {
        let plan = (self.plan)();
        while let Some(id) = self.queue.next(self.clock.now(), &plan) {
            self.start(id, AttemptTrigger::Scheduled);
        }
    }

    /// Starts what people asked for, as far as the limits allow; the rest keeps its place.
    async fn start_by_hand(&mut self) {
        for by_hand in std::mem::take(&mut self.by_hand) {
            if self.queue.is_under_way(by_hand.id) {
                self.by_hand.push_back(by_hand);
                continue;
            }
            let refused = match self.outbox.callback(by_hand.id).await {
                Ok(Some(callback)) => {
                    if self.queue.is_behind(by_hand.id) {
                        SendNowError::BehindEarlier
                    } else if self.queue.start_by_hand(by_hand.id, &origin(&callback.url)) {
                        self.replies.insert(by_hand.id, by_hand.reply);
                        self.start(by_hand.id, AttemptTrigger::Manual);
                        continue;
                    } else {
                        self.by_hand.push_back(by_hand);
                        continue;
                    }
                }
                Ok(None) => SendNowError::NotFound,
                Err(error) => SendNowError::Outbox(error),
            };
            // Who asked may have gone away.
            let _ = by_hand.reply.send(Err(refused));
        }
    }

    fn start(&mut self, id: CallbackId, trigger: AttemptTrigger) {
        let request = attempt(
            id,
            trigger,
            self.client.clone(),
            self.plan.clone(),
            self.outbox.clone(),
            self.clock.clone(),
        );
        let task = self.requests.spawn(request);
        self.by_task.insert(task.id(), id);
    }

    /// Draws the conclusions from an attempt that is over.
    fn after(&mut self, ended: Result<(tokio::task::Id, Ended), tokio::task::JoinError>) {
        let (task, ended) = match ended {
            Ok((task, ended)) => (task, Some(ended)),
            Err(error) => {
                tracing::error!(%error, "an attempt ended by a fault of ours");
                (error.id(), None)
            }
        };
        let Some(id) = self.by_task.remove(&task) else {
            return;
        };
        let reply = self.replies.remove(&id);
        self.queue.finished(id);
        let answer = match ended {
            Some(Ended::Recorded(callback)) => {
                self.put(&Queued::of(&callback));
                Ok(*callback)
            }
            Some(Ended::NothingToDo) => {
                self.queue.remove(id);
                Err(SendNowError::NotFound)
            }
            Some(Ended::NotRecorded(error)) => {
                self.storage_failed(&error);
                Err(SendNowError::Outbox(error))
            }
            None => {
                // Its attempt has no end; the next look into the outbox settles that.
                self.queue.remove(id);
                self.reload = Some(Instant::now() + STORAGE_PAUSE.0);
                Err(SendNowError::Interrupted)
            }
        };
        if let Some(reply) = reply {
            // Who asked may have gone away.
            let _ = reply.send(answer);
        }
    }

    fn storage_failed(&mut self, error: &OutboxError) {
        let cause = error.0.as_ref();
        tracing::error!(%error, cause, pause = ?self.pause, "no callback is sent until the storage works again");
        self.pause_for_a_while();
    }

    fn pause_for_a_while(&mut self) {
        let until = Instant::now() + self.pause;
        self.paused_until = Some(until);
        self.reload = Some(until);
        self.pause = (self.pause * 2).min(STORAGE_PAUSE.1);
    }

    /// When there is something to do without anybody saying so.
    fn next_look(&self) -> Option<Instant> {
        if let Some(until) = self.paused_until {
            return Some(until);
        }
        let timer = self.queue.has_timers().then(|| {
            let nearest = self.queue.nearest().unwrap_or_default();
            Instant::now() + nearest.since(self.clock.now()).min(LONGEST_SLEEP)
        });
        [self.reload, timer].into_iter().flatten().min()
    }
}

/// One attempt from its durable start to its durable end.
async fn attempt(
    id: CallbackId,
    trigger: AttemptTrigger,
    client: Client,
    plan: Arc<dyn Fn() -> RetryPlan + Send + Sync>,
    outbox: Arc<dyn Outbox>,
    clock: Arc<dyn Clock>,
) -> Ended {
    let Started {
        mut callback,
        body,
        secret,
    } = match outbox.attempt_started(id, trigger, clock.now()).await {
        Ok(Some(started)) => started,
        Ok(None) => return settled(id, &*outbox).await,
        Err(error) => return Ended::NotRecorded(error),
    };
    let sent = match secret {
        Ok(secret) => {
            let message = Message {
                id,
                url: callback.url.clone(),
                source: callback.url_source,
                body: Bytes::from(body),
                secret,
            };
            client.send(&message).await
        }
        Err(why) => Sent::withheld(why),
    };
    let now: Timestamp = clock.now();
    attempt::end(&mut callback, sent, &plan(), now);
    match outbox.attempt_ended(callback.clone()).await {
        Ok(()) => Ended::Recorded(Box::new(callback)),
        Err(error) => Ended::NotRecorded(error),
    }
}

/// How a callback stands for which there is no attempt to make.
async fn settled(id: CallbackId, outbox: &dyn Outbox) -> Ended {
    match outbox.callback(id).await {
        // One that says it waits would be asked for at once and for ever.
        Ok(Some(callback)) if callback.state != CallbackState::Waiting => Ended::Recorded(Box::new(callback)),
        Ok(_) => Ended::NothingToDo,
        Err(error) => Ended::NotRecorded(error),
    }
}

/// What counts as one receiver: scheme, host and port. A text that is no URL is one of its own.
fn origin(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(parsed) if parsed.has_host() => parsed.origin().ascii_serialization(),
        _ => url.to_owned(),
    }
}

/// Sleeps until then, or for ever.
async fn sleep(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
