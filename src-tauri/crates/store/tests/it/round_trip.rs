//! What was stored comes back as it was, now and after opening again.

use countersign_domain::{CallbackState, ExecutionState, Role};
use countersign_store::{Changes, Store};
use serde_json::json;

use crate::given::{self, FLOW};

#[tokio::test]
async fn every_record_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let document = json!({ "nodes": [], "edges": [], "filler": "ä".repeat(6000) }).to_string();
    let flow = given::flow("Deploy gate", &document);
    let mut execution = given::execution("chat-1", ExecutionState::InProgress, 500);
    let approval = given::approval("chat-1", 100);
    let waiting = given::callback(CallbackState::Waiting);
    let delivered = given::callback(CallbackState::Delivered);
    execution.messages = vec![
        given::message(Role::User, "go?"),
        given::message(Role::Assistant, "gone"),
    ];

    let check = |store: &Store, when: &str| {
        assert_eq!(store.flow(flow.id).unwrap().as_ref(), Some(&flow), "{when}");
        assert_eq!(store.flows().unwrap(), vec![flow.clone()], "{when}");
        assert_eq!(
            store.document(&flow.document).unwrap().as_ref(),
            Some(&document),
            "{when}"
        );
        let found = store.execution(execution.id).unwrap().expect(when);
        assert!(given::same(&found, &execution), "{when}: {found:?}");
        assert_eq!(
            store.unfinished_executions().unwrap(),
            vec![execution.id],
            "{when}"
        );
        assert!(
            store.execution_exists_for_chat(*FLOW, "chat-1").unwrap(),
            "{when}"
        );
        assert!(
            !store.execution_exists_for_chat(*FLOW, "chat-2").unwrap(),
            "{when}"
        );
        assert!(
            !store.execution_exists_for_chat(flow.id, "chat-1").unwrap(),
            "another flow, {when}"
        );
        assert_eq!(
            store.approval(approval.id).unwrap().as_ref(),
            Some(&approval),
            "{when}"
        );
        assert_eq!(
            store.latest_of_chat(*FLOW, "chat-1").unwrap().as_ref(),
            Some(&approval),
            "{when}"
        );
        assert_eq!(
            store.pending_of_chat(*FLOW, "chat-1").unwrap(),
            vec![approval.clone()],
            "{when}"
        );
        assert_eq!(
            (store.pending_count(), store.pending_count_of_flow(*FLOW)),
            (1, 1),
            "{when}"
        );
        assert_eq!(store.pending_count_of_flow(flow.id), 0, "{when}");
        assert_eq!(
            store.callback(delivered.id).unwrap().as_ref(),
            Some(&delivered),
            "{when}"
        );
        assert_eq!(store.outbox().unwrap(), vec![waiting.clone()], "{when}");
        assert_eq!(
            store.messages(*FLOW, "chat-1").unwrap(),
            execution.messages,
            "{when}"
        );
        assert_eq!(
            store.messages(flow.id, "chat-1").unwrap(),
            vec![],
            "another flow, {when}"
        );
        assert_eq!(store.setting("port").unwrap(), Some(json!(8420)), "{when}");
        assert_eq!(store.setting("theme").unwrap(), None, "{when}");
        assert_eq!(
            serde_json::Value::Object(store.settings().unwrap()),
            json!({ "port": 8420 }),
            "{when}"
        );
        assert!(store.repairs().is_empty(), "{when}: {:?}", store.repairs());
    };

    let store = given::store(dir.path());
    let mut changes = Changes::new();
    changes.put_flow(&flow);
    assert_eq!(
        changes.put_document(&document),
        flow.document,
        "the hash of the document"
    );
    changes.put_execution(&execution);
    changes.put_approval(&approval);
    changes.put_new_callback(&waiting, &given::body(&waiting));
    changes.put_new_callback(&delivered, &given::body(&delivered));
    changes.put_setting("port", &json!(8420));
    changes.put_setting("theme", &json!("dark"));
    store.commit(changes).await.unwrap();
    let mut changes = Changes::new();
    changes.delete_setting("theme");
    store.commit(changes).await.unwrap();
    check(&store, "after the commit");
    store.close().await;
    assert!(
        store.flow(flow.id).is_err(),
        "a closed store does not say that nothing is there"
    );
    assert!(
        store.commit(Changes::new()).await.is_err(),
        "a closed store takes no work"
    );

    let store = given::store(dir.path());
    check(&store, "after opening again");
    let mut changes = Changes::new();
    changes.delete_flow(flow.id);
    store.commit(changes).await.unwrap();
    assert_eq!(store.flow(flow.id).unwrap(), None, "deleted");
    assert!(
        store.document(&flow.document).unwrap().is_some(),
        "runs still need the document"
    );
}

#[tokio::test]
async fn sizes_around_the_borders_come_back_and_replaced_files_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let sizes = [
        0,
        1,
        5_000,
        5_700,
        6_143,
        6_144,
        6_145,
        8_191,
        8_192,
        8_193,
        131_072,
        1 << 20,
        5 << 20,
    ];
    let mut approvals = Vec::new();
    for size in sizes {
        let approval = given::approval("sizes", size);
        let mut changes = Changes::new();
        changes.put_approval(&approval);
        store.commit(changes).await.unwrap();
        approvals.push(approval);
    }
    let mut text = given::callback(CallbackState::Waiting);
    let mut changes = Changes::new();
    changes.put_new_callback(&text, "{}");
    store.commit(changes).await.unwrap();
    let blobs = || std::fs::read_dir(dir.path().join("blobs")).unwrap().count();
    let before = blobs();
    assert!(before >= 5, "large values lie in files: {before}");
    for round in 0..20_usize {
        text.url = format!("{round}{}", "z".repeat(20_000));
        let changed = text.clone();
        let stored = store.transact(move |transaction| {
            transaction.put_callback(&changed);
            Ok::<_, ()>(transaction.callback(changed.id).unwrap() == Some(changed))
        });
        assert_eq!(
            stored.await.unwrap(),
            Ok(true),
            "a transaction sees its own large value"
        );
    }
    assert_eq!(blobs(), before + 1, "the files of replaced values are gone");
    store.close().await;
    let store = given::store(dir.path());
    for (approval, size) in approvals.iter().zip(sizes) {
        assert_eq!(
            store.approval(approval.id).unwrap().as_ref(),
            Some(approval),
            "{size} bytes"
        );
    }
    assert_eq!(store.callback(text.id).unwrap(), Some(text));
}

/// sled puts large pages into files that it never syncs or removes.
#[tokio::test]
async fn sled_makes_no_side_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let mut approvals: Vec<_> = (0..60).map(|_| given::approval("side", 5_200)).collect();
    for round in 0..12 {
        let mut changes = Changes::new();
        for approval in &mut approvals {
            approval.question.title = format!("round {round}");
            changes.put_approval(approval);
        }
        store.commit(changes).await.unwrap();
    }
    store.close().await;
    let count = |folder: &str| std::fs::read_dir(dir.path().join(folder)).unwrap().count();
    assert_eq!(count("blobs"), 0, "these values are meant to lie in the tree");
    assert_eq!(count("db/blobs"), 0, "no page became too large for sled's log");
}

#[tokio::test]
async fn the_same_large_content_is_kept_while_one_value_needs_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let text = json!("w".repeat(50_000));
    for name in ["a", "b"] {
        let mut changes = Changes::new();
        changes.put_setting(name, &text);
        store.commit(changes).await.unwrap();
    }
    let blobs = || std::fs::read_dir(dir.path().join("blobs")).unwrap().count();
    assert_eq!(blobs(), 1, "one file for both");
    let mut changes = Changes::new();
    changes.delete_setting("a");
    store.commit(changes).await.unwrap();
    assert_eq!(
        store.setting("b").unwrap().as_ref(),
        Some(&text),
        "the other one still has it"
    );
    let mut changes = Changes::new();
    changes.put_setting("b", &json!(1));
    store.commit(changes).await.unwrap();
    assert_eq!(blobs(), 0, "nobody needs it");
}

/// A run is written at each checkpoint. What it has recorded once is not written again, although what changes stands
/// before and behind it.
#[tokio::test]
async fn of_a_run_that_grows_only_what_is_new_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let files = || {
        let entries = std::fs::read_dir(dir.path().join("blobs")).unwrap();
        let sizes = entries.map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name(), entry.metadata().unwrap().len())
        });
        sizes.collect::<std::collections::BTreeMap<_, _>>()
    };
    let mut execution = given::execution("grows", ExecutionState::InProgress, 0);
    let mut records = Vec::new();
    let (mut before, mut written, mut whole) = (files(), 0, 0);
    for step in 0..400_u64 {
        // Such records differ, as those of real steps do.
        let text: String = (0..60)
            .map(|part| format!("{:x}-", (step * 61 + part) * 2_654_435_761))
            .collect();
        records.push(json!({ "step": step, "output": text }));
        let run = json!({ "at": step, "records": records, "left": 400 - step }).to_string();
        whole += run.len() as u64;
        execution.run = serde_json::value::RawValue::from_string(run).unwrap();
        let mut changes = Changes::new();
        changes.put_execution(&execution);
        store.commit(changes).await.unwrap();
        let now = files();
        let new = now.iter().filter(|(name, _)| !before.contains_key(*name));
        written += new.map(|(_, size)| size).sum::<u64>();
        before = now;
    }
    assert!(whole > 40_000_000 && written < whole / 4, "{written} of {whole}");
    let length: u64 = before.values().sum();
    assert!(
        length < 2 * execution.run.get().len() as u64,
        "what it was before is gone"
    );
    drop(store);
    let store = given::store(dir.path());
    let found = store.execution(execution.id).unwrap().expect("it is there");
    assert!(given::same(&found, &execution), "it comes back whole");

    // One piece of it is damaged: then it is not whole.
    let (name, _) = before.iter().next().unwrap();
    std::fs::write(dir.path().join("blobs").join(name), "x").unwrap();
    assert!(
        store.execution(execution.id).is_err(),
        "never read as something else"
    );
}
