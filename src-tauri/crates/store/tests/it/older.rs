//! Data folders of older versions: the body inside the callback, no list by execution, no count of failures.

use std::fs;
use std::path::Path;

use countersign_domain::{Callback, CallbackState, ExecutionId};
use countersign_store::{CallbackQuery, Changes, JOURNAL_FILE, Store, verify_journal};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::given;

/// Three that wait, of which the second has failed, and one that was delivered: all of one execution, every second
/// one with a large body.
fn callbacks() -> Vec<(Callback, String)> {
    let execution = given::untried(CallbackState::Waiting).execution_id;
    (0..4)
        .map(|number| {
            let mut callback = match number {
                0 | 2 => given::untried(CallbackState::Waiting),
                1 => given::callback(CallbackState::Waiting),
                _ => given::callback(CallbackState::Delivered),
            };
            callback.execution_id = execution;
            let size = if number % 2 == 1 { 20_000 } else { 10 };
            (callback, format!("{{\"{number}\":\"{}\"}}", "b".repeat(size)))
        })
        .collect()
}

fn older_json(callback: &Callback, body: &str) -> Value {
    let mut older = serde_json::to_value(callback).unwrap();
    older["body"] = json!(body);
    older
}

/// The tree as an older version left it.
fn older_tree(dir: &Path, callbacks: &[(Callback, String)]) {
    fs::create_dir_all(dir.join("blobs")).unwrap();
    given::with_tree(dir, |tree| {
        let mut waiting = 0_u64;
        for (callback, body) in callbacks {
            let key = [&b"C"[..], callback.id.as_bytes()].concat();
            let payload = serde_json::to_vec(&older_json(callback, body)).unwrap();
            let waits = callback.state == CallbackState::Waiting;
            let state = if waits { 1 } else { 2 };
            let value = if payload.len() > 6 * 1024 {
                let hash = Sha256::digest(&payload);
                fs::write(dir.join("blobs").join(hex::encode(hash)), &payload).unwrap();
                let count = [&b"B"[..], &hash].concat();
                tree.insert(&count, given::framed(&count, &1_i64.to_le_bytes(), b""))
                    .unwrap();
                let length = (payload.len() as u64).to_le_bytes();
                given::frame(&key, 2, &[state], &[&hash[..], &length].concat())
            } else {
                given::framed(&key, &[state], &payload)
            };
            tree.insert(&key, value).unwrap();
            if waits {
                waiting += 1;
                let entry = [&b"o"[..], callback.id.as_bytes()].concat();
                tree.insert(&entry, given::framed(&entry, b"", b"")).unwrap();
            }
        }
        let totals = [0, waiting].map(u64::to_le_bytes).concat();
        tree.insert(b"W", given::framed(b"W", &totals, b"")).unwrap();
    });
}

/// The journal as an older version left it.
fn older_journal(dir: &Path, callbacks: &[(Callback, String)]) {
    let mut text = String::new();
    let mut previous = "0".repeat(64);
    let mut number = 0;
    let mut append = |event: &str, callback: Value| {
        number += 1;
        let line = json!({
            "number": number, "at": given::now(), "previous": previous, "event": event, "callback": callback,
        })
        .to_string();
        previous = hex::encode(Sha256::digest(line.as_bytes()));
        text.push_str(&line);
        text.push('\n');
    };
    for (callback, body) in callbacks {
        append("callback-queued", older_json(callback, body));
        if callback.state == CallbackState::Delivered {
            append("callback-delivered", older_json(callback, ""));
        }
    }
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join(JOURNAL_FILE), text).unwrap();
}

fn check(store: &Store, callbacks: &[(Callback, String)], when: &str) {
    for (callback, body) in callbacks {
        assert_eq!(
            store.callback(callback.id).unwrap().as_ref(),
            Some(callback),
            "{when}"
        );
        assert_eq!(
            store.callback_body(callback.id).unwrap().as_ref(),
            Some(body),
            "{when}"
        );
        let bytes = store.callback_body_bytes(callback.id).unwrap();
        assert_eq!(bytes, Some(body.len() as u64), "{when}");
    }
    let all: Vec<_> = callbacks.iter().map(|(callback, _)| callback.clone()).collect();
    let execution: ExecutionId = all[0].execution_id;
    assert_eq!(store.callbacks_of_execution(execution).unwrap(), all, "{when}");
    let newest_first: Vec<_> = all.iter().rev().cloned().collect();
    assert_eq!(
        store.callbacks(&CallbackQuery::default()).unwrap().items,
        newest_first,
        "{when}"
    );
    let waiting: Vec<_> = all
        .iter()
        .filter(|callback| callback.state == CallbackState::Waiting)
        .cloned()
        .collect();
    assert_eq!(store.outbox().unwrap(), waiting, "{when}");
    let failing = waiting.iter().filter(|callback| callback.is_failing()).count();
    assert_eq!(
        (store.outbox_count(), store.failing_count()),
        (waiting.len(), failing),
        "{when}"
    );
}

/// An attempt at each that waits, then the first is delivered.
async fn go_on(store: &Store, callbacks: &mut [(Callback, String)]) {
    for number in 0..callbacks.len() {
        if callbacks[number].0.state == CallbackState::Waiting {
            let callback = &mut callbacks[number].0;
            given::fail(callback);
            let mut changes = Changes::new();
            changes.put_callback(callback);
            store.commit(changes).await.unwrap();
            check(store, callbacks, "after an attempt");
        }
    }
    callbacks[0].0.state = CallbackState::Delivered;
    let mut changes = Changes::new();
    changes.put_callback(&callbacks[0].0);
    store.commit(changes).await.unwrap();
    check(store, callbacks, "after a delivery");
}

#[tokio::test]
async fn the_callbacks_of_an_older_database_are_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut callbacks = callbacks();
    older_tree(dir.path(), &callbacks);
    let store = given::store(dir.path());
    assert!(
        store.repairs().is_empty(),
        "nothing is damaged: {:?}",
        store.repairs()
    );
    check(&store, &callbacks, "at the first start");
    let files = fs::read_dir(dir.path().join("blobs")).unwrap().count();
    assert_eq!(files, 2, "the files of the older form are gone");
    go_on(&store, &mut callbacks).await;
    store.close().await;
    let store = given::store(dir.path());
    assert!(store.repairs().is_empty(), "{:?}", store.repairs());
    check(&store, &callbacks, "at the second start");
}

/// A crash on the way leaves some of them in the older form.
#[tokio::test]
async fn a_database_that_was_taken_over_in_part_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let callbacks = callbacks();
    older_tree(dir.path(), &callbacks);
    let whole = tempfile::tempdir().unwrap();
    given::copy_folder(dir.path(), whole.path());
    given::store(whole.path()).close().await;
    let (callback, _) = &callbacks[0];
    let done = [
        [&b"C"[..], callback.id.as_bytes()].concat(),
        [&b"c"[..], callback.id.as_bytes()].concat(),
        [&b"o"[..], callback.id.as_bytes()].concat(),
        [
            &b"e"[..],
            callback.execution_id.as_bytes(),
            callback.id.as_bytes(),
        ]
        .concat(),
    ];
    let values = given::with_tree(whole.path(), |tree| {
        done.clone()
            .map(|key| tree.get(key).unwrap().expect("it was taken over"))
    });
    given::with_tree(dir.path(), |tree| {
        for (key, value) in done.iter().zip(values) {
            tree.insert(key, value).unwrap();
        }
    });
    let store = given::store(dir.path());
    assert!(store.repairs().is_empty(), "{:?}", store.repairs());
    check(&store, &callbacks, "after the second half");
}

#[tokio::test]
async fn an_older_journal_rebuilds_the_outbox_with_its_bodies() {
    let callbacks = callbacks();
    // Without a database, and with an older one that has lost a callback and the newest lines.
    for lost in [callbacks.len(), 1] {
        let dir = tempfile::tempdir().unwrap();
        older_journal(dir.path(), &callbacks);
        if lost < callbacks.len() {
            older_tree(dir.path(), &callbacks[lost..]);
        }
        let lines = verify_journal(dir.path()).unwrap().lines;
        let store = given::store(dir.path());
        assert!(
            store.repairs().iter().any(|text| text.contains("restored")),
            "{:?}",
            store.repairs()
        );
        check(&store, &callbacks, "restored");
        let mut gone_on = callbacks.clone();
        go_on(&store, &mut gone_on).await;
        store.close().await;
        let store = given::store(dir.path());
        assert!(
            store.repairs().is_empty(),
            "once is enough: {:?}",
            store.repairs()
        );
        check(&store, &gone_on, "after opening again");
        assert_eq!(
            verify_journal(dir.path()).unwrap().lines,
            lines,
            "the chain is left as it is"
        );
    }
}
