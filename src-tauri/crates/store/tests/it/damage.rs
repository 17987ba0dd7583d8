//! Damage is reported, and never read as absent.

use std::fs;
use std::sync::Arc;

use countersign_domain::{ApprovalState, CallbackState, ExecutionState, SystemClock};
use countersign_store::{ApprovalFilter, ApprovalQuery, Changes, Options, Store, StoreError};

use crate::given::{self, FLOW};

fn is_damaged<T: std::fmt::Debug>(found: Result<T, StoreError>, names: &str) {
    match found {
        Err(StoreError::Damaged { key }) => assert!(key.contains(names), "{key} names {names}"),
        other => panic!("expected damage of {names}, got {other:?}"),
    }
}

#[tokio::test]
async fn a_changed_byte_in_a_stored_value_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let mut approval = given::approval("damage", 10);
    approval.state = ApprovalState::Withdrawn;
    let mut changes = Changes::new();
    changes.put_approval(&approval);
    store.commit(changes).await.unwrap();
    store.close().await;
    let key = [&b"A"[..], approval.id.as_bytes()].concat();
    let with_tree = |work: &dyn Fn(&sled::Db)| given::with_tree(dir.path(), work);
    for at in [0, 1, 4, 5, 6, 30, 39, 60, 200] {
        with_tree(&|db| {
            let mut bytes = db.get(&key).unwrap().unwrap().to_vec();
            bytes[at] ^= 0x10;
            db.insert(&key, bytes).unwrap();
        });
        let store = given::store(dir.path());
        is_damaged(store.approval(approval.id), &approval.id.to_string());
        is_damaged(store.latest_of_chat(*FLOW, "damage"), &approval.id.to_string());
        // It hides nothing else.
        let other = given::approval("beside it", 10);
        let mut changes = Changes::new();
        changes.put_approval(&other);
        store.commit(changes).await.unwrap();
        let listed = store.approvals(&ApprovalQuery::default()).unwrap().items;
        assert!(
            listed.contains(&other) && listed.iter().all(|found| found.id != approval.id),
            "{listed:?}"
        );
        let told = store.damage();
        assert!(
            told.len() == 1 && told[0].contains(&approval.id.to_string()),
            "and it is told, once: {told:?}"
        );
        let id = approval.id;
        let seen = store.transact(move |transaction| Ok::<_, ()>(transaction.approval(id).is_err()));
        assert_eq!(seen.await.unwrap(), Ok(true), "a transaction hears of it too");
        store.close().await;
        with_tree(&|db| {
            let mut bytes = db.get(&key).unwrap().unwrap().to_vec();
            bytes[at] ^= 0x10;
            db.insert(&key, bytes).unwrap();
        });
    }
    // A value under another key is damage too.
    let other = given::approval("damage", 10).id;
    with_tree(&|db| {
        let bytes = db.get(&key).unwrap().unwrap();
        db.insert([&b"A"[..], other.as_bytes()].concat(), bytes).unwrap();
    });
    let store = given::store(dir.path());
    is_damaged(store.approval(other), &other.to_string());
    assert_eq!(
        store.approval(approval.id).unwrap().as_ref(),
        Some(&approval),
        "and the whole one is whole"
    );
}

#[tokio::test]
async fn a_damaged_or_missing_file_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let execution = given::execution("files", ExecutionState::Finished, 40_000);
    let (packed, run) = given::run("files", 2_000);
    let mut changes = Changes::new();
    changes.put_execution(&execution);
    store.commit(changes).await.unwrap();
    store.record(run).unwrap();
    store.close().await;

    let files = |folder: &str| {
        fs::read_dir(dir.path().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
    };
    for (folder, id) in [("blobs", execution.id), ("records", packed.id)] {
        let path = files(folder).next().expect("there is a file");
        let whole = fs::read(&path).unwrap();
        let mut changed = whole.clone();
        let middle = whole.len() / 2;
        changed[middle] ^= 1;
        fs::write(&path, &changed).unwrap();
        let store = given::store(dir.path());
        is_damaged(store.execution(id), &id.to_string());
        store.close().await;
        if folder == "blobs" {
            fs::write(&path, &whole[..middle]).unwrap();
            is_damaged(given::store(dir.path()).execution(id), &id.to_string());
            fs::remove_file(&path).unwrap();
            is_damaged(given::store(dir.path()).execution(id), &id.to_string());
        }
        fs::write(&path, &whole).unwrap();
        let store = given::store(dir.path());
        assert_eq!(store.execution(id).unwrap().expect("whole again").id, id);
        store.close().await;
    }
}

/// sled opens many damaged files with records missing and no error. What waits is counted and is in the journal.
#[tokio::test]
async fn nothing_that_waits_is_lost_to_a_damaged_database() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let mut approvals = Vec::new();
    let mut callbacks = Vec::new();
    for _ in 0..200 {
        let approval = given::approval("flips", 700);
        let callback = given::callback(CallbackState::Waiting);
        let execution = given::execution("flips", ExecutionState::Stopped, 100);
        store
            .commit(given::stop(&approval, &execution, &callback))
            .await
            .unwrap();
        approvals.insert(0, approval);
        callbacks.push(callback);
    }
    store.close().await;
    let size = fs::metadata(dir.path().join("db/db")).unwrap().len();
    let used = fs::read(dir.path().join("db/db")).unwrap();
    let mut seed = 0x9E37_79B9_u64;
    let mut next = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let mut repaired = 0;
    for round in 0..40 {
        let copy = tempfile::tempdir().unwrap();
        given::copy_folder(dir.path(), copy.path());
        let file = copy.path().join("db/db");
        let mut bytes = used.clone();
        match round {
            0 => bytes.clear(),
            1 => bytes.truncate(usize::try_from(size / 2).unwrap()),
            2 => bytes.truncate(bytes.len() - 1),
            3 => fs::read_dir(copy.path().join("db"))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("snap."))
                .for_each(|path| fs::write(path, "").unwrap()),
            4 => {
                let path = copy.path().join("db/conf");
                let mut conf = fs::read(&path).unwrap();
                conf[9] ^= 1;
                fs::write(path, conf).unwrap();
            }
            _ => {
                let at = usize::try_from(next(size)).unwrap();
                bytes[at] ^= 1 << next(8);
            }
        }
        fs::write(&file, &bytes).unwrap();
        let store = Store::open(Options::new(copy.path()), Arc::new(SystemClock))
            .unwrap_or_else(|error| panic!("round {round}: {error}"));
        let pending = ApprovalQuery {
            filter: ApprovalFilter::Pending,
            limit: 1_000,
            before: None,
        };
        let found = store
            .approvals(&pending)
            .unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(found.items.len(), 200, "round {round}: {:?}", store.repairs());
        assert!(found.items == approvals, "round {round}: {:?}", store.repairs());
        assert_eq!(store.pending_count(), 200, "round {round}");
        let outbox = store.outbox().unwrap();
        assert_eq!(
            outbox.len(),
            callbacks.len(),
            "round {round}: {:?}",
            store.repairs()
        );
        assert!(outbox == callbacks, "round {round}: {:?}", store.repairs());
        assert_eq!(
            (store.outbox_count(), store.failing_count()),
            (200, 200),
            "round {round}: {:?}",
            store.repairs()
        );
        for callback in &callbacks {
            let body = store.callback_body(callback.id).unwrap();
            assert!(
                body == Some(given::body(callback)),
                "round {round}: {:?}",
                store.repairs()
            );
        }
        repaired += usize::from(!store.repairs().is_empty());
        for text in store.repairs() {
            let jargon = [
                "backtrace",
                "None",
                "Some(",
                "Err(",
                "Corruption",
                "offset",
                "Os {",
            ];
            assert!(
                jargon.iter().all(|word| !text.contains(word)),
                "round {round}: for people: {text}"
            );
            println!("round {round}: {text}");
        }
    }
    assert!(
        repaired >= 3,
        "the damage was real: {repaired} rounds needed a repair"
    );
    println!("{repaired} of 40 rounds needed a repair");
}

#[tokio::test]
async fn what_is_damaged_hides_nothing_else_and_a_document_can_be_put_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let (small, large) = ("{}".to_owned(), format!("{{\"text\":\"{}\"}}", "d".repeat(9_000)));
    let mut changes = Changes::new();
    let flows: Vec<_> = [&small, &large]
        .map(|document| given::flow("gate", document))
        .into_iter()
        .collect();
    flows.iter().for_each(|flow| changes.put_flow(flow));
    let hashes = [&small, &large].map(|document| changes.put_document(document));
    let stopped = given::execution("list", ExecutionState::Stopped, 9_000);
    let light = given::execution("list", ExecutionState::Stopped, 10);
    changes.put_execution(&stopped);
    changes.put_execution(&light);
    store.commit(changes).await.unwrap();
    let (packed, run) = given::run("list", 10);
    store.record(run).unwrap();
    store.close().await;

    fs::remove_dir_all(dir.path().join("blobs")).unwrap();
    let key = [&b"D"[..], hashes[0].as_str().as_bytes()].concat();
    let flow = [&b"F"[..], flows[0].id.as_bytes()].concat();
    given::with_tree(dir.path(), |db| {
        for key in [&key, &flow] {
            let mut bytes = db.get(key).unwrap().unwrap().to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            db.insert(key, bytes).unwrap();
        }
    });
    let store = given::store(dir.path());
    let listed = store.flows().unwrap();
    assert_eq!(listed, [flows[1].clone()], "one flow is damaged");
    let query = countersign_store::ExecutionQuery::default();
    let ids: Vec<_> = store
        .executions(&query)
        .unwrap()
        .items
        .iter()
        .map(|found| found.id)
        .collect();
    assert_eq!(ids, [packed.id, light.id]);
    for hash in &hashes {
        is_damaged(store.document(hash), hash.as_str());
    }
    assert_eq!(store.damage().len(), 4, "{:?}", store.damage());

    let mut changes = Changes::new();
    changes.put_document(&small);
    changes.put_document(&large);
    changes.delete_flow(flows[0].id);
    store.commit(changes).await.unwrap();
    assert_eq!(store.document(&hashes[0]).unwrap(), Some(small));
    assert_eq!(store.document(&hashes[1]).unwrap(), Some(large));
    assert_eq!(
        store.flow(flows[0].id).unwrap(),
        None,
        "what cannot be read can be deleted"
    );
    let told = store.damage();
    assert!(
        told.iter().all(|damage| !damage.contains("document")),
        "what was mended is not told any more: {told:?}"
    );
}
