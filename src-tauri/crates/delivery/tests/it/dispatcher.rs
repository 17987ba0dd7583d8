use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use countersign_delivery::{
    AddressGuard, BoxFuture, Client, ClientOptions, Dispatcher, DispatcherHandle, LoopbackPolicy, Outbox,
    OutboxError, RetryPlan, SendNowError, Started, attempt,
};
use countersign_domain::{
    AttemptTrigger, Callback, CallbackId, CallbackState, Clock, ExecutionId, Ids as _, ManualClock,
    RandomIds, SequentialIds, SystemClock, Timestamp,
};
use countersign_signature::Secret;
use tokio::sync::Notify;

use crate::receiver::{Receiver, Reply};
use crate::{BODY, quick};

/// An outbox in memory that fails when told to, and knows what it was asked for.
#[derive(Default)]
struct Memory {
    callbacks: Mutex<BTreeMap<CallbackId, Callback>>,
    asked: Mutex<Asked>,
    ids: SequentialIds,
}

#[derive(Debug, Default)]
struct Asked {
    broken: bool,
    /// How often all that wait were asked for.
    reads: usize,
    /// How often it has failed.
    failures: usize,
    /// For which callbacks an attempt was wanted, in order.
    wanted: Vec<CallbackId>,
    /// Whose bodies are lost.
    lost: Vec<CallbackId>,
}

impl Memory {
    fn add(&self, execution: ExecutionId, url: &str) -> CallbackId {
        let mut callback = crate::callback(&self.ids, execution, url, SystemClock.now());
        // The order of the ids is that of the counter inside, not that of the milliseconds.
        callback.id = CallbackId::from_uuid(self.ids.ordered(Timestamp::from_millis(0)));
        self.insert(callback)
    }

    fn insert(&self, callback: Callback) -> CallbackId {
        let id = callback.id;
        self.callbacks.lock().unwrap().insert(id, callback);
        id
    }

    fn execution(&self) -> ExecutionId {
        ExecutionId::from_uuid(self.ids.random())
    }

    fn get(&self, id: CallbackId) -> Callback {
        self.callbacks.lock().unwrap()[&id].clone()
    }

    fn states(&self) -> HashMap<CallbackState, usize> {
        let mut states = HashMap::new();
        for callback in self.callbacks.lock().unwrap().values() {
            *states.entry(callback.state).or_default() += 1;
        }
        states
    }

    fn check(&self) -> Result<(), OutboxError> {
        let mut asked = self.asked();
        if asked.broken {
            asked.failures += 1;
            Err(OutboxError("the disk is full".into()))
        } else {
            Ok(())
        }
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap()
    }

    fn set_broken(&self, broken: bool) {
        self.asked().broken = broken;
    }

    fn attempts(&self) -> usize {
        self.callbacks
            .lock()
            .unwrap()
            .values()
            .map(|c| c.attempts.len())
            .sum()
    }
}

impl Outbox for Memory {
    fn waiting(&self) -> BoxFuture<'_, Result<Vec<Callback>, OutboxError>> {
        Box::pin(async {
            self.asked().reads += 1;
            self.check()?;
            let callbacks = self.callbacks.lock().unwrap();
            Ok(callbacks
                .values()
                .filter(|c| c.state == CallbackState::Waiting)
                .cloned()
                .collect())
        })
    }

    fn callback(&self, id: CallbackId) -> BoxFuture<'_, Result<Option<Callback>, OutboxError>> {
        Box::pin(async move {
            self.check()?;
            Ok(self.callbacks.lock().unwrap().get(&id).cloned())
        })
    }

    fn attempt_started(
        &self,
        id: CallbackId,
        trigger: AttemptTrigger,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Option<Started>, OutboxError>> {
        Box::pin(async move {
            self.check()?;
            self.asked().wanted.push(id);
            let is_lost = self.asked().lost.contains(&id);
            let mut callbacks = self.callbacks.lock().unwrap();
            let Some(callback) = callbacks.get_mut(&id) else {
                return Ok(None);
            };
            if is_lost {
                attempt::give_up(callback, trigger, "The message is lost.", now);
                return Ok(None);
            }
            if !attempt::begin(callback, trigger, now) {
                return Ok(None);
            }
            Ok(Some(Started {
                callback: callback.clone(),
                body: BODY.to_owned(),
                secret: Ok(Secret::new("cb_demo").ok()),
            }))
        })
    }

    fn attempt_ended(&self, callback: Callback) -> BoxFuture<'_, Result<(), OutboxError>> {
        Box::pin(async move {
            self.check()?;
            self.callbacks.lock().unwrap().insert(callback.id, callback);
            Ok(())
        })
    }
}

fn start_with(
    outbox: &Arc<Memory>,
    waits: &[u64],
    clock: Arc<dyn Clock>,
    total_timeout: Duration,
) -> DispatcherHandle {
    let plan = RetryPlan::new(waits.iter().map(|wait| Duration::from_millis(*wait)).collect());
    let options = ClientOptions {
        total_timeout,
        ..quick()
    };
    let client = Client::with_options(
        AddressGuard::new(LoopbackPolicy::Configured),
        clock.clone(),
        options,
    );
    Dispatcher::start(client, move || plan.clone(), outbox.clone(), clock)
}

fn start(outbox: &Arc<Memory>, waits: &[u64]) -> DispatcherHandle {
    start_with(outbox, waits, Arc::new(SystemClock), Duration::from_secs(5))
}

/// Waits until everything that was due when this was called is under way: what is asked for by hand is looked at after
/// what is due, once in each round. The second round finds the tasks of the first begun.
async fn settled(handle: &DispatcherHandle) {
    for _ in 0..2 {
        let unknown = CallbackId::from_uuid(RandomIds.random());
        assert!(matches!(
            handle.send_now(unknown).await,
            Err(SendNowError::NotFound)
        ));
    }
}

/// Waits until it holds; fails after ten seconds.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "never happened: {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_waits_at_the_start_and_what_comes_later_is_delivered() {
    let receiver = Receiver::always(Reply::status(200)).await;
    let outbox = Arc::new(Memory::default());
    let first = outbox.add(outbox.execution(), &receiver.url("/first"));
    let handle = start(&outbox, &[0]);
    until("the first is delivered", || {
        outbox.get(first).state == CallbackState::Delivered
    })
    .await;

    let second = outbox.add(outbox.execution(), &receiver.url("/second"));
    handle.put(&outbox.get(second));
    until("the second is delivered", || {
        outbox.get(second).state == CallbackState::Delivered
    })
    .await;
    let received = receiver.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[1].header("webhook-id"), second.to_string());
    let attempts = outbox.get(second).attempts;
    assert_eq!(attempts.len(), 1);
    assert_eq!(
        (attempts[0].status, attempts[0].trigger),
        (Some(200), AttemptTrigger::Scheduled)
    );
    handle.shutdown().await;
    assert_eq!(outbox.asked().reads, 1, "the outbox is read at the start only");
}

#[tokio::test]
async fn the_outbox_is_read_at_the_start_and_after_a_failure_only() {
    let receiver = Receiver::always(Reply::status(500)).await;
    let outbox = Arc::new(Memory::default());
    let handle = start(&outbox, &[0, 10, 10]);
    settled(&handle).await;
    assert_eq!(outbox.asked().reads, 1, "at the start");

    // Written by nobody who handed it over: a look into the outbox would find it.
    let unseen = outbox.add(outbox.execution(), &receiver.url("/"));
    for _ in 0..20 {
        let id = outbox.add(outbox.execution(), &receiver.url("/"));
        handle.put(&outbox.get(id));
        handle.wake();
    }
    until("all are abandoned", || {
        outbox.states().get(&CallbackState::Abandoned) == Some(&20)
    })
    .await;
    settled(&handle).await;
    assert_eq!(
        outbox.asked().reads,
        1,
        "neither for a new one, nor for a wake, nor after an attempt"
    );
    assert_eq!(outbox.get(unseen).attempts.len(), 0);

    outbox.set_broken(true);
    let failed = outbox.add(outbox.execution(), &receiver.url("/"));
    handle.put(&outbox.get(failed));
    until("it has failed", || outbox.asked().failures > 0).await;
    // What comes while the storage rests is not lost either.
    let meanwhile = outbox.add(outbox.execution(), &receiver.url("/"));
    handle.put(&outbox.get(meanwhile));
    outbox.set_broken(false);
    until("all are abandoned", || {
        outbox.states().get(&CallbackState::Abandoned) == Some(&23)
    })
    .await;
    handle.shutdown().await;
    assert!(outbox.asked().reads >= 2, "once more after the failure");
    for id in [unseen, failed, meanwhile] {
        assert_eq!(outbox.get(id).attempts.len(), 3, "the whole plan");
    }
}

/// It was found in the outbox and tried before it was handed over.
#[tokio::test]
async fn one_that_is_handed_over_late_is_not_tried_early() {
    let receiver = Receiver::always(Reply::status(500)).await;
    let outbox = Arc::new(Memory::default());
    let failed = outbox.add(outbox.execution(), &receiver.url("/"));
    let delivered = outbox.add(outbox.execution(), &receiver.url("/"));
    // Not before what was just added is due: this clock stands still.
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let new = [failed, delivered].map(|id| outbox.get(id));
    let handle = start_with(&outbox, &[0, 60_000], clock.clone(), Duration::from_secs(5));
    until("both were tried", || {
        [failed, delivered]
            .iter()
            .all(|id| outbox.get(*id).attempts.iter().any(|a| a.ended_at.is_some()))
    })
    .await;
    // It follows the scheduled one, whose end is known to the dispatcher then.
    for id in [failed, delivered] {
        handle.send_now(id).await.unwrap();
    }
    let mut settled_meanwhile = outbox.get(delivered);
    settled_meanwhile.state = CallbackState::Delivered;
    outbox.insert(settled_meanwhile);
    for callback in &new {
        handle.put(callback);
    }
    settled(&handle).await;
    assert_eq!(
        outbox.asked().wanted.len(),
        4,
        "one scheduled and one by hand for each"
    );
    assert_eq!(receiver.received().len(), 4);
    handle.shutdown().await;
}

#[tokio::test]
async fn one_whose_message_is_lost_keeps_nobody_waiting() {
    let receiver = Receiver::always(Reply::status(200)).await;
    let outbox = Arc::new(Memory::default());
    let execution = outbox.execution();
    let lost = outbox.add(execution, &receiver.url("/"));
    let behind = outbox.add(execution, &receiver.url("/"));
    outbox.asked().lost.push(lost);
    let handle = start(&outbox, &[0, 60_000]);
    until("the one behind it is delivered", || {
        outbox.get(behind).state == CallbackState::Delivered
    })
    .await;
    let callback = outbox.get(lost);
    assert_eq!(
        (callback.state, callback.attempts.len()),
        (CallbackState::Abandoned, 1)
    );
    assert_eq!(
        callback.attempts[0].error.as_deref(),
        Some("The message is lost.")
    );
    let by_hand = handle.send_now(lost).await.unwrap();
    assert_eq!(
        by_hand.attempts.len(),
        2,
        "who sends it by hand learns why it cannot go"
    );
    assert_eq!(by_hand, outbox.get(lost));
    assert_eq!(receiver.received().len(), 1);
    handle.shutdown().await;
}

#[tokio::test]
async fn failures_are_tried_again_as_planned_and_then_abandoned() {
    let receiver = Receiver::always(Reply::with(500, &[], r#"{"err":1}"#)).await;
    let outbox = Arc::new(Memory::default());
    let id = outbox.add(outbox.execution(), &receiver.url("/"));
    let handle = start(&outbox, &[0, 120, 240]);
    until("it is abandoned", || {
        outbox.get(id).state == CallbackState::Abandoned
    })
    .await;
    handle.shutdown().await;

    let received = receiver.received();
    assert_eq!(received.len(), 3);
    let gaps: Vec<_> = received.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    for (gap, planned) in gaps.iter().zip([120, 240]) {
        assert!(*gap >= Duration::from_millis(planned), "{gaps:?}");
    }
    for request in &received {
        assert_eq!(request.header("webhook-id"), id.to_string(), "the id stays");
        assert_eq!(request.body, received[0].body, "the body stays");
    }
    let callback = outbox.get(id);
    assert_eq!(callback.attempts.len(), 3);
    assert_eq!(callback.attempts[2].response.as_deref(), Some(r#"{"err":1}"#));
    assert_eq!(callback.next_attempt_at, None);
}

#[tokio::test]
async fn gone_is_not_asked_again() {
    let receiver = Receiver::always(Reply::status(410)).await;
    let outbox = Arc::new(Memory::default());
    let id = outbox.add(outbox.execution(), &receiver.url("/"));
    let handle = start(&outbox, &[0, 10, 10]);
    until("it is abandoned", || {
        outbox.get(id).state == CallbackState::Abandoned
    })
    .await;
    // One that is due later than the second attempt would be, and arrives.
    let mut later = outbox.get(outbox.add(outbox.execution(), &receiver.url("/")));
    later.next_attempt_at = Some(SystemClock.now().plus(Duration::from_millis(50)));
    outbox.insert(later.clone());
    handle.put(&later);
    until("the later one is abandoned", || {
        outbox.get(later.id).state == CallbackState::Abandoned
    })
    .await;
    handle.shutdown().await;
    assert_eq!(outbox.asked().wanted, [id, later.id], "one attempt each");
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn the_callbacks_of_an_execution_arrive_in_order() {
    // The first attempt at each second callback fails.
    let receiver = Receiver::start(|number, _| Reply::status(if number % 4 == 1 { 500 } else { 200 })).await;
    let outbox = Arc::new(Memory::default());
    let mut lines = Vec::new();
    for _ in 0..40 {
        let execution = outbox.execution();
        lines.push([0; 3].map(|_| outbox.add(execution, &receiver.url("/")).to_string()));
    }
    let handle = start(&outbox, &[0, 5, 10, 10, 10, 10, 10]);
    until("all are delivered", || {
        outbox.states().get(&CallbackState::Delivered) == Some(&120)
    })
    .await;
    handle.shutdown().await;

    let order: Vec<_> = receiver
        .received()
        .iter()
        .map(|r| r.header("webhook-id").to_owned())
        .collect();
    for line in lines {
        let mut last = 0;
        for id in line {
            let first = order.iter().position(|other| *other == id).unwrap();
            assert!(
                first >= last,
                "a callback arrived before the end of the one in front of it"
            );
            last = order.iter().rposition(|other| *other == id).unwrap();
        }
    }
}

#[tokio::test]
async fn an_abandoned_callback_lets_the_next_one_pass() {
    let receiver = Receiver::start(|number, _| Reply::status(if number < 2 { 500 } else { 200 })).await;
    let outbox = Arc::new(Memory::default());
    let execution = outbox.execution();
    let stopped = outbox.add(execution, &receiver.url("/"));
    let success = outbox.add(execution, &receiver.url("/"));
    let handle = start(&outbox, &[0, 50]);
    until("the second is delivered", || {
        outbox.get(success).state == CallbackState::Delivered
    })
    .await;
    assert_eq!(outbox.get(stopped).state, CallbackState::Abandoned);
    let order: Vec<_> = receiver
        .received()
        .iter()
        .map(|r| r.header("webhook-id").to_owned())
        .collect();
    assert_eq!(
        order,
        [stopped.to_string(), stopped.to_string(), success.to_string()]
    );
    handle.shutdown().await;
}

#[tokio::test]
async fn a_slow_receiver_delays_nobody_else_and_gets_eight_at_a_time() {
    let slow = Receiver::always(Reply::Hang).await;
    let quick = Receiver::always(Reply::status(200)).await;
    let outbox = Arc::new(Memory::default());
    for _ in 0..50 {
        outbox.add(outbox.execution(), &slow.url("/"));
    }
    let healthy: Vec<_> = (0..20)
        .map(|_| outbox.add(outbox.execution(), &quick.url("/")))
        .collect();
    let began = Instant::now();
    let _handle = start(&outbox, &[0, 60_000]);
    until("the healthy ones are delivered", || {
        healthy
            .iter()
            .all(|id| outbox.get(*id).state == CallbackState::Delivered)
    })
    .await;
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "before the first of the slow ones was given up"
    );
    until("the slow one got its share", || slow.received().len() >= 8).await;
    assert_eq!(slow.received().len(), 8, "no more than eight at a time");
}

#[tokio::test]
async fn no_more_than_thirty_two_requests_are_under_way() {
    let mut receivers = Vec::new();
    let outbox = Arc::new(Memory::default());
    for _ in 0..6 {
        let receiver = Receiver::always(Reply::Hang).await;
        for _ in 0..8 {
            outbox.add(outbox.execution(), &receiver.url("/"));
        }
        receivers.push(receiver);
    }
    let handle = start_with(
        &outbox,
        &[0, 60_000],
        Arc::new(SystemClock),
        Duration::from_millis(1_500),
    );
    let arrived = || receivers.iter().map(|r| r.received().len()).sum::<usize>();
    until("the first ones arrived", || arrived() >= 32).await;
    settled(&handle).await;
    assert_eq!((arrived(), outbox.attempts()), (32, 32), "nobody else was let go");
    assert!(
        receivers.iter().all(|r| r.received().len() >= 5),
        "every receiver got its share"
    );
    until("the rest followed", || arrived() == 48).await;
}

#[tokio::test]
async fn an_attempt_that_a_kill_cut_off_counts_as_failed_and_the_plan_goes_on() {
    let receiver = Receiver::always(Reply::status(200)).await;
    let outbox = Arc::new(Memory::default());
    let execution = outbox.execution();
    let id = outbox.add(execution, &receiver.url("/"));
    let behind = outbox.add(execution, &receiver.url("/"));
    let mut callback = outbox.get(id);
    attempt::begin(&mut callback, AttemptTrigger::Scheduled, SystemClock.now());
    outbox.insert(callback);

    let began = Instant::now();
    let handle = start(&outbox, &[0, 150, 1_000]);
    until("both are delivered", || {
        outbox.get(behind).state == CallbackState::Delivered
    })
    .await;
    assert!(
        began.elapsed() >= Duration::from_millis(140),
        "the plan's wait was kept"
    );
    let callback = outbox.get(id);
    assert_eq!(callback.state, CallbackState::Delivered);
    assert_eq!(callback.attempts.len(), 2);
    assert!(callback.attempts[0].error.is_some() && callback.attempts[0].ended_at.is_some());
    assert_eq!(receiver.received()[0].header("webhook-id"), id.to_string());
    assert_eq!(receiver.received().len(), 2);
    handle.shutdown().await;
}

#[tokio::test]
async fn the_start_is_recorded_before_the_request_leaves_and_the_end_before_the_next() {
    let outbox = Arc::new(Memory::default());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let receiver = {
        let (outbox, seen) = (outbox.clone(), seen.clone());
        Receiver::start(move |number, request| {
            let id = request.header("webhook-id").parse().unwrap();
            seen.lock().unwrap().push(outbox.get(id).attempts);
            Reply::status(if number == 0 { 500 } else { 200 })
        })
        .await
    };
    let id = outbox.add(outbox.execution(), &receiver.url("/"));
    let handle = start(&outbox, &[0, 10]);
    until("it is delivered", || {
        outbox.get(id).state == CallbackState::Delivered
    })
    .await;
    let seen = seen.lock().unwrap().clone();
    assert_eq!(
        (seen[0].len(), seen[0][0].ended_at),
        (1, None),
        "the first has begun"
    );
    assert_eq!(seen[1].len(), 2);
    assert!(seen[1][0].ended_at.is_some() && seen[1][1].ended_at.is_none());
    handle.shutdown().await;
}

#[tokio::test]
async fn sending_by_hand_makes_one_attempt_in_any_state() {
    let receiver = Receiver::start(|number, _| Reply::status(if number == 0 { 410 } else { 200 })).await;
    let outbox = Arc::new(Memory::default());
    let id = outbox.add(outbox.execution(), &receiver.url("/"));
    let handle = start(&outbox, &[0, 10]);
    until("it is abandoned", || {
        outbox.get(id).state == CallbackState::Abandoned
    })
    .await;

    let callback = handle.send_now(id).await.unwrap();
    assert_eq!(
        (callback.state, callback.attempts.len()),
        (CallbackState::Delivered, 2)
    );
    assert_eq!(callback.attempts[1].trigger, AttemptTrigger::Manual);
    assert_eq!(callback, outbox.get(id), "what it gives back is what is stored");
    let callback = handle.send_now(id).await.unwrap();
    assert_eq!(
        (callback.state, callback.attempts.len()),
        (CallbackState::Delivered, 3)
    );
    assert_eq!(receiver.received().len(), 3);

    let unknown = CallbackId::from_uuid(RandomIds.random());
    assert!(matches!(
        handle.send_now(unknown).await,
        Err(SendNowError::NotFound)
    ));
    handle.shutdown().await;
    assert!(matches!(
        handle.send_now(id).await,
        Err(SendNowError::ShuttingDown)
    ));
    assert_eq!(receiver.received().len(), 3);
}

#[tokio::test]
async fn sending_by_hand_does_not_disturb_the_plan() {
    let receiver = Receiver::always(Reply::status(500)).await;
    let outbox = Arc::new(Memory::default());
    let execution = outbox.execution();
    let id = outbox.add(execution, &receiver.url("/"));
    let behind = outbox.add(execution, &receiver.url("/"));
    let handle = start(&outbox, &[0, 60_000]);
    until("the first attempt failed", || {
        outbox.get(id).attempts.iter().any(|a| a.ended_at.is_some())
    })
    .await;
    let due = outbox.get(id).next_attempt_at;

    let callback = handle.send_now(id).await.unwrap();
    assert_eq!(
        (callback.state, callback.next_attempt_at),
        (CallbackState::Waiting, due)
    );
    assert_eq!(callback.attempts.len(), 2);
    assert!(
        matches!(handle.send_now(behind).await, Err(SendNowError::BehindEarlier)),
        "the order within an execution is kept"
    );
    assert_eq!(receiver.received().len(), 2);
    handle.shutdown().await;
}

#[tokio::test]
async fn sending_by_hand_follows_an_attempt_that_is_under_way() {
    let receiver = Receiver::always(Reply::Late(
        Duration::from_millis(150),
        Box::new(Reply::status(200)),
    ))
    .await;
    let outbox = Arc::new(Memory::default());
    let id = outbox.add(outbox.execution(), &receiver.url("/"));
    let handle = start(&outbox, &[0]);
    until("it is under way", || receiver.received().len() == 1).await;
    let callback = handle.send_now(id).await.unwrap();
    assert_eq!(callback.attempts.len(), 2);
    assert!(
        callback.attempts[1].started_at >= callback.attempts[0].ended_at.unwrap(),
        "one after the other"
    );
    handle.shutdown().await;
}

#[tokio::test]
async fn shutdown_waits_for_what_is_under_way_and_starts_nothing() {
    let receiver = Receiver::always(Reply::Late(
        Duration::from_millis(200),
        Box::new(Reply::status(200)),
    ))
    .await;
    let outbox = Arc::new(Memory::default());
    let execution = outbox.execution();
    let under_way = outbox.add(execution, &receiver.url("/"));
    let next = outbox.add(execution, &receiver.url("/"));
    let handle = start(&outbox, &[0]);
    until("it is under way", || receiver.received().len() == 1).await;
    handle.shutdown().await;
    assert_eq!(
        outbox.get(under_way).state,
        CallbackState::Delivered,
        "its end was recorded"
    );
    assert_eq!(
        (outbox.get(next).state, outbox.get(next).attempts.len()),
        (CallbackState::Waiting, 0)
    );
    handle.shutdown().await;
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let receiver = Receiver::always(Reply::Hang).await;
    let outbox = Arc::new(Memory::default());
    let id = outbox.add(outbox.execution(), &receiver.url("/"));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let client = Client::new(AddressGuard::default(), clock.clone());
    let handle = Dispatcher::start(client, RetryPlan::default, outbox.clone(), clock);
    until("it is under way", || receiver.received().len() == 1).await;
    let began = Instant::now();
    handle.shutdown().await;
    let took = began.elapsed();
    assert!(
        took > Duration::from_millis(2_500) && took < Duration::from_millis(3_800),
        "it took {took:?}"
    );
    let callback = outbox.get(id);
    assert_eq!(
        (callback.state, callback.attempts[0].ended_at),
        (CallbackState::Waiting, None)
    );
}

#[tokio::test]
async fn a_storage_that_fails_stops_sending_until_it_works_again() {
    let receiver = Receiver::always(Reply::status(200)).await;
    let outbox = Arc::new(Memory::default());
    let id = outbox.add(outbox.execution(), &receiver.url("/"));
    outbox.set_broken(true);
    let handle = start(&outbox, &[0, 10]);
    assert!(matches!(handle.send_now(id).await, Err(SendNowError::Outbox(_))));
    handle.put(&outbox.get(id));
    until("the storage was asked again", || outbox.asked().reads >= 2).await;
    assert!(matches!(handle.send_now(id).await, Err(SendNowError::Outbox(_))));
    assert_eq!(
        (receiver.connections(), outbox.attempts()),
        (0, 0),
        "nothing leaves without a record of it"
    );
    outbox.set_broken(false);
    until("it is delivered", || {
        outbox.get(id).state == CallbackState::Delivered
    })
    .await;
    assert_eq!(receiver.received().len(), 1);
    handle.shutdown().await;
}

#[tokio::test]
async fn an_end_that_cannot_be_recorded_is_followed_by_another_attempt_with_the_same_id() {
    let outbox = Arc::new(Memory::default());
    let receiver = {
        let outbox = outbox.clone();
        Receiver::start(move |number, _| {
            outbox.set_broken(number == 0);
            Reply::status(200)
        })
        .await
    };
    let id = outbox.add(outbox.execution(), &receiver.url("/"));
    let handle = start(&outbox, &[0, 10, 10]);
    until("its end was not recorded", || outbox.asked().failures > 0).await;
    outbox.set_broken(false);
    until("it is delivered", || {
        outbox.get(id).state == CallbackState::Delivered
    })
    .await;
    let ids: Vec<_> = receiver
        .received()
        .iter()
        .map(|r| r.header("webhook-id").to_owned())
        .collect();
    assert_eq!(
        ids,
        [id.to_string(), id.to_string()],
        "twice, as at-least-once means"
    );
    assert_eq!(outbox.get(id).attempts.len(), 2);
    handle.shutdown().await;
}

#[tokio::test]
async fn times_are_those_of_the_clock_also_when_it_jumps() {
    let receiver = Receiver::always(Reply::status(500)).await;
    let outbox = Arc::new(Memory::default());
    let now = SystemClock.now();
    let clock = Arc::new(ManualClock::new(now));
    let id = outbox.add(outbox.execution(), &receiver.url("/"));
    let mut callback = outbox.get(id);
    callback.next_attempt_at = Some(now.plus(Duration::from_secs(30)));
    outbox.insert(callback);
    let handle = start_with(
        &outbox,
        &[0, 60_000, 60_000, 60_000],
        clock.clone(),
        Duration::from_secs(5),
    );
    let attempts = |count: usize| {
        let outbox = outbox.clone();
        move || {
            outbox
                .get(id)
                .attempts
                .iter()
                .filter(|a| a.ended_at.is_some())
                .count()
                == count
        }
    };
    settled(&handle).await;
    assert_eq!((receiver.connections(), outbox.attempts()), (0, 0), "not due yet");

    clock.advance(Duration::from_secs(30));
    let first = clock.now();
    // Without a word: the clock is looked at every second.
    until("the first attempt", attempts(1)).await;
    // A day ahead: one attempt, and the next one a whole wait later.
    clock.advance(Duration::from_secs(86_400));
    let second = clock.now();
    handle.wake();
    until("the second attempt", attempts(2)).await;
    // Two days back: the due time lies further ahead than the plan is long.
    clock.set(Timestamp::from_millis(clock.now().as_millis() - 2 * 86_400_000));
    handle.wake();
    until("the third attempt", attempts(3)).await;
    handle.shutdown().await;
    let started: Vec<_> = outbox.get(id).attempts.iter().map(|a| a.started_at).collect();
    assert_eq!(
        started,
        [first, second, clock.now()],
        "one attempt at each time: a jump ahead costs one attempt"
    );
    assert_eq!(receiver.received().len(), 3);
}

/// The plan is longer than the jump, so the due time alone does not show it.
#[tokio::test]
async fn a_clock_that_was_set_back_while_nothing_ran_costs_no_more_than_the_wait() {
    let receiver = Receiver::always(Reply::status(200)).await;
    let outbox = Arc::new(Memory::default());
    let tomorrow = SystemClock.now().plus(Duration::from_secs(86_400));
    let id = outbox.add(outbox.execution(), &receiver.url("/"));
    let mut callback = outbox.get(id);
    callback.created_at = tomorrow;
    let plan = [0, 3_000, 6_000, 100_000_000];
    let times = RetryPlan::new(plan.map(Duration::from_millis).to_vec());
    assert!(attempt::begin(&mut callback, AttemptTrigger::Scheduled, tomorrow));
    // A kill came before its end.
    assert!(attempt::recover(&mut callback, &times, tomorrow));
    assert_eq!(
        callback.next_attempt_at,
        Some(tomorrow.plus(Duration::from_secs(3)))
    );
    outbox.insert(callback);

    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let handle = start_with(&outbox, &plan, clock.clone(), Duration::from_secs(5));
    settled(&handle).await;
    assert_eq!(receiver.connections(), 0, "the wait is kept");
    clock.advance(Duration::from_secs(3));
    handle.wake();
    until("it is delivered", || {
        outbox.get(id).state == CallbackState::Delivered
    })
    .await;
    handle.shutdown().await;
}

#[tokio::test]
async fn what_left_the_outbox_is_not_sent() {
    let receiver = Receiver::always(Reply::status(200)).await;
    let outbox = Arc::new(Memory::default());
    let now = SystemClock.now();
    let clock = Arc::new(ManualClock::new(now));
    let id = outbox.add(outbox.execution(), &receiver.url("/"));
    let mut callback = outbox.get(id);
    callback.next_attempt_at = Some(now.plus(Duration::from_secs(30)));
    outbox.insert(callback.clone());
    let handle = start_with(&outbox, &[0, 60_000], clock.clone(), Duration::from_secs(5));
    settled(&handle).await;
    callback.state = CallbackState::Abandoned;
    outbox.insert(callback);
    clock.advance(Duration::from_secs(30));
    handle.wake();
    until("its turn came", || outbox.asked().wanted == [id]).await;
    handle.shutdown().await;
    assert_eq!(receiver.connections(), 0);
    assert_eq!(outbox.attempts(), 0);
}

#[tokio::test]
async fn a_look_into_the_outbox_during_an_attempt_does_not_take_it_for_a_broken_one() {
    let go = Arc::new(Notify::new());
    let held = Reply::Held(go.clone(), Box::new(Reply::status(200)));
    let receiver = Receiver::always(held).await;
    let outbox = Arc::new(Memory::default());
    let id = outbox.add(outbox.execution(), &receiver.url("/"));
    let handle = start(&outbox, &[0, 1, 1]);
    until("it is under way", || receiver.received().len() == 1).await;
    // The storage fails at another one, so that everything is looked at again.
    let gone = CallbackId::from_uuid(outbox.ids.random());
    let mut other = outbox.get(id);
    (other.id, other.execution_id) = (gone, outbox.execution());
    outbox.set_broken(true);
    handle.put(&other);
    until("the storage has failed", || outbox.asked().failures > 0).await;
    outbox.set_broken(false);
    until("the outbox was read again", || outbox.asked().reads >= 2).await;
    handle.wake();
    settled(&handle).await;
    assert_eq!(outbox.get(id).attempts[0].ended_at, None, "it is still under way");
    go.notify_one();
    until("it is delivered", || {
        outbox.get(id).state == CallbackState::Delivered
    })
    .await;
    assert_eq!((receiver.received().len(), outbox.get(id).attempts.len()), (1, 1));
    assert_eq!(outbox.get(id).attempts[0].error, None);
    handle.shutdown().await;
}
