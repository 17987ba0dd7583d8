//! Callbacks: their bodies lie beside them, what waits is counted, and each execution has a list of its own.

use std::fs;
use std::path::Path;

use countersign_domain::{Callback, CallbackState, ExecutionId, JournalEvent};
use countersign_store::{CallbackQuery, Changes, Store, StoreError};

use crate::given;

async fn put(store: &Store, callback: &Callback, body: &str) {
    let mut changes = Changes::new();
    changes.put_new_callback(callback, body);
    changes.journal(&JournalEvent::CallbackQueued {
        callback: Box::new(callback.clone()),
        body: body.to_owned(),
    });
    store.commit(changes).await.unwrap();
}

async fn change(store: &Store, callback: &Callback) {
    let mut changes = Changes::new();
    changes.put_callback(callback);
    store.commit(changes).await.unwrap();
}

fn blobs(dir: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(dir.join("blobs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

fn counts(store: &Store) -> (usize, usize) {
    (store.outbox_count(), store.failing_count())
}

fn page(store: &Store, state: Option<CallbackState>, execution: Option<ExecutionId>) -> Vec<Callback> {
    let query = CallbackQuery {
        state,
        execution,
        limit: 200,
        before: None,
    };
    store.callbacks(&query).unwrap().items
}

#[tokio::test]
async fn a_body_is_written_once_however_often_it_is_tried() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let (mut large, mut small) = (
        given::untried(CallbackState::Waiting),
        given::untried(CallbackState::Waiting),
    );
    let text = format!("{{\"text\":\"{}\"}}", "ä".repeat(5 << 20));
    put(&store, &large, &text).await;
    put(&store, &small, "{}").await;
    let [file] = &blobs(dir.path())[..] else {
        panic!("one file for the large body: {:?}", blobs(dir.path()));
    };
    let aside = dir.path().join("aside");
    fs::rename(file, &aside).unwrap();
    // Without the file nobody can read it, and nobody has the bytes to write it again.
    for _ in 0..20 {
        for callback in [&mut large, &mut small] {
            given::fail(callback);
            change(&store, callback).await;
        }
    }
    assert!(blobs(dir.path()).is_empty(), "attempts write no body");
    assert!(
        matches!(store.callback_body(large.id), Err(StoreError::Damaged { .. })),
        "a body that is missing is no empty one"
    );
    fs::rename(&aside, file).unwrap();
    assert_eq!(store.callback_body(large.id).unwrap().as_ref(), Some(&text));
    assert_eq!(store.callback_body(small.id).unwrap().as_deref(), Some("{}"));
    assert_eq!(
        store.callback_body_bytes(large.id).unwrap(),
        Some(text.len() as u64)
    );
    assert_eq!(store.callback_body_bytes(small.id).unwrap(), Some(2));
    let unknown = given::untried(CallbackState::Waiting).id;
    assert_eq!(store.callback_body(unknown).unwrap(), None);
    assert_eq!(store.callback_body_bytes(unknown).unwrap(), None);
    let found = store.callback(large.id).unwrap().unwrap();
    assert_eq!(found.attempts.len(), 20);
    assert_eq!(found, large);
}

/// The files hold other bytes of the same length, so that whoever reads one hears of damage.
#[tokio::test]
async fn lists_counts_and_the_start_read_no_large_body() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let execution = given::untried(CallbackState::Waiting).execution_id;
    let mut callbacks = Vec::new();
    for number in 0..200 {
        let mut callback = given::callback(CallbackState::Waiting);
        if number % 2 == 0 {
            callback.execution_id = execution;
        }
        // One is as large as the largest that is accepted.
        let size = if number == 0 { 10 << 20 } else { 7_000 };
        put(
            &store,
            &callback,
            &format!("{{\"{number}\":\"{}\"}}", "b".repeat(size)),
        )
        .await;
        callbacks.insert(0, callback);
    }
    store.close().await;
    assert_eq!(blobs(dir.path()).len(), 200);
    for file in blobs(dir.path()) {
        let length = fs::metadata(&file).unwrap().len();
        fs::write(&file, vec![b'?'; usize::try_from(length).unwrap()]).unwrap();
    }

    let store = given::store(dir.path());
    assert!(store.repairs().is_empty(), "{:?}", store.repairs());
    assert_eq!(counts(&store), (200, 200));
    assert_eq!(page(&store, None, None), callbacks);
    assert_eq!(page(&store, Some(CallbackState::Waiting), None), callbacks);
    assert_eq!(page(&store, None, Some(execution)).len(), 100);
    assert_eq!(store.outbox().unwrap().len(), 200);
    let bytes = callbacks
        .iter()
        .map(|callback| store.callback_body_bytes(callback.id).unwrap().unwrap());
    assert_eq!(bytes.max(), Some((10 << 20) + 8), "their lengths are known");
    for callback in &mut callbacks {
        given::fail(callback);
        change(&store, callback).await;
    }
    assert!(
        matches!(
            store.callback_body(callbacks[0].id),
            Err(StoreError::Damaged { .. })
        ),
        "who sends one hears of it"
    );
}

#[tokio::test]
async fn what_waits_and_what_fails_is_counted_through_every_change() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = given::store(dir.path());
    assert_eq!(counts(&store), (0, 0));
    let mut callback = given::untried(CallbackState::Waiting);
    let other = given::callback(CallbackState::Waiting);
    let done = given::callback(CallbackState::Abandoned);
    let mut changes = Changes::new();
    for new in [&callback, &other, &done] {
        changes.put_new_callback(new, &given::body(new));
    }
    store.commit(changes).await.unwrap();
    assert_eq!(counts(&store), (2, 1), "two wait, one of them has failed");

    // An attempt that is under way has not failed.
    given::fail(&mut callback);
    let end = callback.attempts[0].ended_at.take();
    let steps: [(&str, CallbackState, Option<_>, (usize, usize)); 6] = [
        ("under way", CallbackState::Waiting, None, (2, 1)),
        ("failed", CallbackState::Waiting, end, (2, 2)),
        ("the same once more", CallbackState::Waiting, end, (2, 2)),
        ("abandoned", CallbackState::Abandoned, end, (1, 1)),
        ("waiting again", CallbackState::Waiting, end, (2, 2)),
        ("delivered", CallbackState::Delivered, end, (1, 1)),
    ];
    for (number, (what, state, ended_at, wanted)) in steps.into_iter().enumerate() {
        callback.state = state;
        callback.attempts[0].ended_at = ended_at;
        if number % 2 == 0 {
            change(&store, &callback).await;
        } else {
            let callback = callback.clone();
            let stored = store.transact(move |transaction| {
                transaction.put_callback(&callback);
                Ok::<_, ()>(())
            });
            stored.await.unwrap().unwrap();
        }
        assert_eq!(counts(&store), wanted, "{what}");
        store.close().await;
        store = given::store(dir.path());
        assert!(store.repairs().is_empty(), "{what}: {:?}", store.repairs());
        assert_eq!(counts(&store), wanted, "{what}, after opening again");
    }
}

#[tokio::test]
async fn the_callbacks_of_an_execution_have_a_list() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let execution = given::untried(CallbackState::Waiting).execution_id;
    let states = [
        CallbackState::Delivered,
        CallbackState::Waiting,
        CallbackState::Abandoned,
    ];
    let mut callbacks = Vec::new();
    for number in 0..9 {
        let mut callback = given::callback(states[number % 3]);
        callback.execution_id = execution;
        store.commit(given::new_callback(&callback)).await.unwrap();
        store
            .commit(given::new_callback(&given::callback(states[0])))
            .await
            .unwrap();
        callbacks.push(callback);
    }
    assert_eq!(
        store.callbacks_of_execution(execution).unwrap(),
        callbacks,
        "the oldest first"
    );
    callbacks.reverse();
    for state in [None, Some(states[0]), Some(states[1]), Some(states[2])] {
        let wanted: Vec<_> = callbacks
            .iter()
            .filter(|callback| state.is_none_or(|state| state == callback.state))
            .collect();
        let query = |before| CallbackQuery {
            state,
            execution: Some(execution),
            limit: 2,
            before,
        };
        let mut found = Vec::new();
        let mut before = None;
        loop {
            let page = store.callbacks(&query(before)).unwrap();
            assert!(page.items.len() <= 2, "the limit holds");
            found.extend(page.items);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(found.iter().collect::<Vec<_>>(), wanted, "{state:?}");
    }
    let nobody = given::untried(CallbackState::Waiting).execution_id;
    assert_eq!(store.callbacks_of_execution(nobody).unwrap(), vec![]);
}

/// Whatever single value of a waiting callback the database has lost, the start notices and the journal has it.
#[tokio::test]
async fn a_value_that_a_waiting_callback_has_lost_comes_back_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let mut callbacks = Vec::new();
    for size in [10, 20_000, 10, 20_000] {
        let callback = given::callback(CallbackState::Waiting);
        put(&store, &callback, &"b".repeat(size)).await;
        callbacks.push(callback);
    }
    store.close().await;
    let (small, large) = (&callbacks[0], &callbacks[1]);
    let key = |tag: &[u8], callback: &Callback| [tag, callback.id.as_bytes()].concat();
    let of_execution = [&b"e"[..], small.execution_id.as_bytes(), small.id.as_bytes()].concat();
    let lost = [
        ("the callback", key(b"C", small)),
        ("its body", key(b"c", small)),
        ("its large body", key(b"c", large)),
        ("its place in the outbox", key(b"o", small)),
        ("its place in the list of its execution", of_execution),
    ];
    let check = |store: &Store, what: &str| {
        assert!(!store.repairs().is_empty(), "{what}: it is said");
        assert_eq!(store.outbox().unwrap(), callbacks, "{what}");
        assert_eq!(counts(store), (4, 4), "{what}");
        for callback in &callbacks {
            let body = store.callback_body(callback.id).unwrap().expect(what);
            assert!(body.starts_with("bbb"), "{what}");
            let listed = store.callbacks_of_execution(callback.execution_id).unwrap();
            assert_eq!(listed, std::slice::from_ref(callback), "{what}");
        }
    };
    for (what, key) in lost {
        let copy = tempfile::tempdir().unwrap();
        given::copy_folder(dir.path(), copy.path());
        given::with_tree(copy.path(), |tree| {
            assert!(tree.remove(&key).unwrap().is_some(), "{what} was there");
        });
        check(&given::store(copy.path()), what);
        let again = given::store(copy.path());
        assert!(
            again.repairs().is_empty(),
            "{what}: once is enough: {:?}",
            again.repairs()
        );
    }
    for cut in [false, true] {
        let copy = tempfile::tempdir().unwrap();
        given::copy_folder(dir.path(), copy.path());
        let file = blobs(copy.path()).remove(0);
        if cut {
            fs::write(file, "bbb").unwrap();
        } else {
            fs::remove_file(file).unwrap();
        }
        check(&given::store(copy.path()), "the file of its body");
    }
    // An entry of the outbox that says it has not failed.
    let copy = tempfile::tempdir().unwrap();
    given::copy_folder(dir.path(), copy.path());
    given::with_tree(copy.path(), |tree| {
        let key = key(b"o", small);
        tree.insert(&key, given::framed(&key, &[0], b"")).unwrap();
    });
    check(&given::store(copy.path()), "how it stands");
    // Totals that do not fit.
    let copy = tempfile::tempdir().unwrap();
    given::copy_folder(dir.path(), copy.path());
    given::with_tree(copy.path(), |tree| {
        let totals = |failing: u64| {
            let numbers = [0, 4, failing].map(u64::to_le_bytes).concat();
            given::framed(b"W", &numbers, b"")
        };
        assert_eq!(
            tree.insert(b"W", totals(3)).unwrap().unwrap(),
            totals(4),
            "no approval, four callbacks, all of them have failed"
        );
    });
    check(&given::store(copy.path()), "how many have failed");
}
