//! Calls that carried an id of their sender.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign_domain::{
    ContentHash, ExecutionId, ExecutionState, FirstAnswer, FlowId, KeyedCall, ManualClock, SenderId,
    Timestamp,
};
use countersign_store::{Changes, Options, Store};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::given::{FLOW, execution, store, store_again};

const MAX: u32 = 16_384;
const BEGIN: i64 = 1_800_000_000_000;

fn sender_id(header: &str, value: &str) -> SenderId {
    SenderId {
        header: header.to_owned(),
        value: value.to_owned(),
    }
}

fn call(number: u32, millis: i64, answer: Option<FirstAnswer>) -> KeyedCall {
    let id = u128::from(millis.unsigned_abs()) << 80 | 7 << 76 | 2 << 62 | u128::from(number);
    KeyedCall {
        flow_id: *FLOW,
        sender_id: sender_id("webhook-id", &number.to_string()),
        content: ContentHash::of(&[b"body"]),
        execution_id: ExecutionId::from_uuid(Uuid::from_u128(id)),
        chat_id: format!("chat {number}"),
        answer,
    }
}

/// An answer that lies in a file.
fn large(number: u32) -> Option<FirstAnswer> {
    let text = format!("{{\"text\":\"{}\"}}", format!("{number} ").repeat(4000));
    Some(FirstAnswer::Done(RawValue::from_string(text).expect("JSON")))
}

async fn put(store: &Store, calls: impl IntoIterator<Item = KeyedCall>) {
    let mut changes = Changes::new();
    calls.into_iter().for_each(|call| changes.put_call(&call));
    store.commit(changes).await.expect("stored");
}

fn remembered(store: &Store, number: u32) -> bool {
    let known = store.call(*FLOW, &sender_id("webhook-id", &number.to_string()));
    known.expect("readable").is_some()
}

fn files(dir: &Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        count += if path.is_dir() { files(&path) } else { 1 };
    }
    count
}

#[tokio::test]
async fn a_call_is_known_by_flow_and_id_and_by_its_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let before = store(dir.path());
    let run = execution("chat", ExecutionState::InProgress, 10);
    let mut call = call(1, BEGIN, None);
    call.execution_id = run.id;
    let mut changes = Changes::new();
    changes.put_execution(&run);
    changes.put_call(&call);
    before.commit(changes).await.expect("stored");
    call.answer = large(1);
    put(&before, [call.clone()]).await;

    let store = store_again(&before, dir.path()).await;
    let known = store
        .call(*FLOW, &call.sender_id)
        .expect("readable")
        .expect("known");
    assert_eq!((known.execution_id, &known.chat_id), (run.id, &call.chat_id));
    let (Some(FirstAnswer::Done(is)), Some(FirstAnswer::Done(was))) = (known.answer, call.answer) else {
        panic!("the answer is kept");
    };
    assert_eq!(is.get(), was.get(), "byte for byte");
    let by_run = store.call_of_execution(run.id).expect("readable");
    assert_eq!(by_run.expect("known").sender_id, call.sender_id);
    let other_flow = FlowId::from_uuid(Uuid::from_u128(1));
    let other_header = sender_id("idempotency-key", &call.sender_id.value);
    for (flow, id) in [(other_flow, &call.sender_id), (*FLOW, &other_header)] {
        assert!(store.call(flow, id).expect("readable").is_none(), "{flow} {id}");
    }
}

#[tokio::test]
async fn of_too_many_calls_the_oldest_are_forgotten_with_their_files() {
    let dir = tempfile::tempdir().expect("a folder");
    let before = store_at(
        dir.path(),
        &Arc::new(ManualClock::new(Timestamp::from_millis(BEGIN))),
    );
    put(&before, (0..3).map(|number| call(number, BEGIN, large(number)))).await;
    let blobs = dir.path().join("blobs");
    assert_eq!(files(&blobs), 3);
    for part in (3..MAX).collect::<Vec<_>>().chunks(2000) {
        put(&before, part.iter().map(|number| call(*number, BEGIN, None))).await;
    }
    assert!(remembered(&before, 0), "as many as the bound are kept");
    // Answered once more, they are not counted once more.
    put(&before, (0..3).map(|number| call(number, BEGIN, large(number)))).await;
    assert!(remembered(&before, 0));

    // Opened again it goes on counting.
    before.close().await;
    let store = store_at(
        dir.path(),
        &Arc::new(ManualClock::new(Timestamp::from_millis(BEGIN))),
    );
    // Many at the same time are one group of the writer.
    let many = (MAX..MAX + 100).map(|number| {
        let store = store.clone();
        tokio::spawn(async move { put(&store, [call(number, BEGIN, None)]).await })
    });
    for one in many.collect::<Vec<_>>() {
        one.await.expect("stored");
    }
    put(
        &store,
        (MAX + 100..MAX + 110).map(|number| call(number, BEGIN, None)),
    )
    .await;
    for number in 0..MAX + 110 {
        assert_eq!(remembered(&store, number), number >= 110, "call {number}");
    }
    assert_eq!(files(&blobs), 0, "nothing names them any more");
}

fn store_at(dir: &Path, clock: &Arc<ManualClock>) -> Store {
    Store::open(Options::new(dir), clock.clone()).expect("the store opens")
}

#[tokio::test]
async fn calls_are_forgotten_after_three_days_by_and_by() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(BEGIN)));
    let store = store_at(dir.path(), &clock);
    put(&store, (0..10).map(|number| call(number, BEGIN, None))).await;
    let days = Duration::from_secs(3 * 24 * 60 * 60);
    clock.advance(days);
    let then = BEGIN + i64::try_from(days.as_millis()).expect("small");
    put(&store, [call(100, then, None)]).await;
    assert!((0..10).all(|number| remembered(&store, number)), "not yet");
    clock.advance(Duration::from_millis(1));
    put(&store, [call(101, then, None)]).await;
    let left = (0..10).filter(|number| remembered(&store, *number)).count();
    assert!((1..10).contains(&left), "some of them: {left}");
    put(&store, (102..105).map(|number| call(number, then, None))).await;
    assert!((0..10).all(|number| !remembered(&store, number)), "all of them");
    assert!(
        (100..105).all(|number| remembered(&store, number)),
        "and none else"
    );
}
