//! Records nobody waits for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_domain::{ExecutionState, SystemClock};
use countersign_store::{Changes, Options, Store};

use crate::given::{self, FLOW};

/// Copies the folder as a power cut would leave it: what was not written is not there.
fn crash_copy(dir: &std::path::Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    given::copy_folder(dir, copy.path());
    copy
}

#[tokio::test]
async fn they_are_visible_at_once_and_durable_with_the_next_commit() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        dir: dir.path().to_owned(),
        flush_every: Duration::from_secs(3600),
    };
    let store = Store::open(options, Arc::new(SystemClock)).unwrap();
    let (execution, changes) = given::run("visible", 2_000);
    store.record(changes).unwrap();
    let found = store.execution(execution.id).unwrap().expect("visible at once");
    assert!(given::same(&found, &execution));
    assert_eq!(store.messages(*FLOW, "visible").unwrap(), execution.messages);
    assert!(store.execution_exists_for_chat(*FLOW, "visible").unwrap());

    store.commit(Changes::new()).await.unwrap();
    let copy = crash_copy(dir.path());
    let crashed = given::store(copy.path());
    let found = crashed.execution(execution.id).unwrap().expect("durable");
    assert!(given::same(&found, &execution));
    assert_eq!(crashed.messages(*FLOW, "visible").unwrap(), execution.messages);
}

#[test]
fn they_are_written_within_flush_every() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        dir: dir.path().to_owned(),
        flush_every: Duration::from_millis(50),
    };
    let store = Store::open(options, Arc::new(SystemClock)).unwrap();
    let (execution, changes) = given::run("soon", 100);
    store.record(changes).unwrap();
    let started = Instant::now();
    while given::store(crash_copy(dir.path()).path())
        .execution(execution.id)
        .unwrap()
        .is_none()
    {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "it is still not there"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The last step of an execution that is stored already, and one that began before others ended.
#[tokio::test]
async fn the_newest_state_counts_wherever_the_earlier_one_lies() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let (mut late, _) = given::run("late", 50);
    let mut resumed = given::execution("resumed", ExecutionState::InProgress, 50);
    let mut changes = Changes::new();
    changes.put_execution(&resumed);
    store.commit(changes).await.unwrap();
    for _ in 0..600 {
        store.record(given::run("others", 50).1).unwrap();
    }
    store.close().await;

    let store = given::store(dir.path());
    resumed.state = ExecutionState::Finished;
    late.state = ExecutionState::Error;
    late.error = Some("interrupted".to_owned());
    for execution in [&resumed, &late] {
        let mut changes = Changes::new();
        changes.put_execution(execution);
        store.record(changes).unwrap();
        assert_eq!(
            store.execution(execution.id).unwrap().unwrap().state,
            execution.state,
            "visible at once"
        );
    }
    store.commit(Changes::new()).await.unwrap();
    // Recorded once more, and committed after it was recorded.
    let (mut again, changes) = given::run("again", 50);
    store.record(changes).unwrap();
    again.error = Some("second".to_owned());
    let mut changes = Changes::new();
    changes.put_execution(&again);
    store.record(changes).unwrap();
    let (mut committed, changes) = given::run("committed", 50);
    store.record(changes).unwrap();
    committed.state = ExecutionState::Terminated;
    let mut changes = Changes::new();
    changes.put_execution(&committed);
    store.commit(changes).await.unwrap();

    let check = |store: &Store, when: &str| {
        for wanted in [&resumed, &late, &again, &committed] {
            let found = store.execution(wanted.id).unwrap().expect(when);
            assert!(given::same(&found, wanted), "{when}: {found:?}");
        }
        assert_eq!(store.unfinished_executions().unwrap(), vec![], "{when}");
        assert_eq!(store.messages(*FLOW, "late").unwrap(), late.messages, "{when}");
        let all = store
            .execution_count(&countersign_store::ExecutionQuery::default())
            .unwrap();
        assert_eq!(all, 604, "each counts once, {when}");
    };
    check(&store, "at once");
    store.close().await;
    let store = given::store(dir.path());
    check(&store, "after opening again");
}

#[tokio::test]
async fn many_are_found_by_id_and_chat() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let mut runs = Vec::new();
    for number in 0..20_000 {
        let (execution, changes) = given::run(&format!("chat {}", number % 5_000), 20);
        store.record(changes).unwrap();
        if number % 997 == 0 {
            runs.push(execution);
        }
    }
    store.commit(Changes::new()).await.unwrap();
    let check = |store: &Store, when: &str| {
        for execution in &runs {
            assert!(
                given::same(&store.execution(execution.id).unwrap().expect(when), execution),
                "{when}"
            );
            let found = store.messages(*FLOW, &execution.chat_id).unwrap();
            assert_eq!(found.len(), 8, "four runs of two messages, {when}");
            assert!(
                execution.messages.iter().all(|message| found.contains(message)),
                "{when}"
            );
            assert!(
                found.windows(2).all(|two| two[0].id < two[1].id),
                "the oldest first, {when}"
            );
        }
        assert!(
            !store.execution_exists_for_chat(*FLOW, "chat 5000").unwrap(),
            "{when}"
        );
    };
    check(&store, "before closing");
    let copy = crash_copy(dir.path());
    check(&given::store(copy.path()), "after a crash");
    store.close().await;
    let store = given::store(dir.path());
    check(&store, "after closing");
}

#[tokio::test]
async fn a_cut_chunk_hides_nothing_that_came_before() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let (first, changes) = given::run("cut", 500);
    store.record(changes).unwrap();
    store.commit(Changes::new()).await.unwrap();
    let (second, changes) = given::run("cut", 500);
    store.record(changes).unwrap();
    store.close().await;
    let pack = std::fs::read_dir(dir.path().join("records"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let file = std::fs::OpenOptions::new().write(true).open(&pack).unwrap();
    file.set_len(file.metadata().unwrap().len() - 3).unwrap();
    let store = given::store(dir.path());
    assert!(
        store.execution(first.id).unwrap().is_some(),
        "it was acknowledged"
    );
    assert!(
        store.execution(second.id).unwrap().is_none(),
        "cut, so never acknowledged"
    );
    let (third, changes) = given::run("cut", 500);
    store.record(changes).unwrap();
    store.close().await;
    let store = given::store(dir.path());
    assert!(store.execution(first.id).unwrap().is_some() && store.execution(third.id).unwrap().is_some());
}

#[tokio::test]
async fn other_changes_can_be_recorded_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let flow = given::flow("recorded", "{}");
    let mut changes = Changes::new();
    changes.put_setting("seen", &serde_json::json!(true));
    changes.put_flow(&flow);
    store.record(changes).unwrap();
    store.close().await;
    let store = given::store(dir.path());
    assert_eq!(store.setting("seen").unwrap(), Some(serde_json::json!(true)));
    assert_eq!(store.flow(flow.id).unwrap(), Some(flow));
}

#[tokio::test]
async fn runs_are_kept_after_their_packs_were_lost() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    for _ in 0..300 {
        let (_, changes) = given::run("lost", 30);
        store.record(changes).unwrap();
    }
    store.close().await;
    for cut in [true, false] {
        let pack = std::fs::read_dir(dir.path().join("records"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .min()
            .unwrap();
        if cut {
            std::fs::File::options()
                .write(true)
                .open(&pack)
                .unwrap()
                .set_len(100)
                .unwrap();
        } else {
            std::fs::remove_dir_all(dir.path().join("records")).unwrap();
        }
        let store = given::store(dir.path());
        assert!(
            store.repairs().iter().any(|text| text.contains("pack 0")),
            "{:?}",
            store.repairs()
        );
        let (execution, changes) = given::run("kept", 30);
        store.record(changes).unwrap();
        store.close().await;
        let store = given::store(dir.path());
        let found = store.execution(execution.id).unwrap().expect("it is there");
        assert!(given::same(&found, &execution), "cut {cut}");
        store.close().await;
    }
}

#[tokio::test]
async fn the_newest_identifier_is_known_wherever_it_lies() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    assert_eq!(store.newest_id().unwrap(), None);
    let callback = given::callback(countersign_domain::CallbackState::Waiting);
    let approval = given::approval("newest", 10);
    let execution = given::execution("newest", countersign_domain::ExecutionState::Stopped, 10);
    for (changes, newest) in [
        (given::new_callback(&callback), callback.id.uuid()),
        (
            {
                let mut changes = Changes::new();
                changes.put_approval(&approval);
                changes
            },
            approval.id.uuid(),
        ),
        (
            {
                let mut changes = Changes::new();
                changes.put_execution(&execution);
                changes
            },
            execution.id.uuid(),
        ),
    ] {
        store.commit(changes).await.unwrap();
        assert_eq!(store.newest_id().unwrap(), Some(newest));
    }
    // Few stay in the packs, many settle in pages.
    for count in [3, 300] {
        let store = given::store_again(&store, dir.path()).await;
        let mut newest = None;
        for _ in 0..count {
            let (execution, changes) = given::run("newest", 10);
            store.record(changes).unwrap();
            newest = Some(execution.id.uuid());
        }
        assert_eq!(store.newest_id().unwrap(), newest, "in memory");
        store.close().await;
        let store = given::store(dir.path());
        assert_eq!(store.newest_id().unwrap(), newest, "{count} recorded");
        store.close().await;
    }
}
