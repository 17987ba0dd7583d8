//! One answer per question.

use std::sync::{Arc, Barrier};

use countersign_domain::{ApprovalState, CallbackState, ExecutionState, Outcome};
use countersign_store::{ApprovalFilter, ApprovalQuery, Changes, StoreError};

use crate::given::{self, FLOW};

#[test]
fn of_eight_threads_exactly_one_wins_and_the_others_see_it() {
    const ROUNDS: usize = 500;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let approvals: Vec<_> = (0..ROUNDS).map(|_| given::approval("race", 20)).collect();
    let mut changes = Changes::new();
    approvals
        .iter()
        .for_each(|approval| changes.put_approval(approval));
    runtime.block_on(store.commit(changes)).unwrap();
    assert_eq!(store.pending_count(), ROUNDS);

    let barrier = Arc::new(Barrier::new(8));
    let ids: Vec<_> = approvals.iter().map(|approval| approval.id).collect();
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let (store, barrier, ids) = (store.clone(), Arc::clone(&barrier), ids.clone());
            let handle = runtime.handle().clone();
            let outcome = if number % 2 == 0 {
                Outcome::Approve
            } else {
                Outcome::Reject
            };
            std::thread::spawn(move || {
                let decide = |id| {
                    barrier.wait();
                    handle.block_on(given::decide(&store, id, outcome, &format!("thread {number}")))
                };
                ids.into_iter().map(decide).collect::<Vec<_>>()
            })
        })
        .collect();
    let results: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    for round in 0..ROUNDS {
        let winners: Vec<_> = results
            .iter()
            .filter_map(|result| result[round].as_ref().ok())
            .collect();
        assert_eq!(winners.len(), 1, "round {round}");
        for loser in results.iter().filter_map(|result| result[round].as_ref().err()) {
            assert_eq!(
                &**loser, winners[0],
                "round {round}: a loser is told who was first"
            );
        }
        assert_eq!(
            store.approval(ids[round]).unwrap().as_ref(),
            Some(winners[0]),
            "round {round}"
        );
    }
    assert_eq!(store.pending_count(), 0);
    runtime.block_on(store.close());
}

#[tokio::test]
async fn a_refused_transaction_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let approval = given::approval("refused", 20);
    let mut changes = Changes::new();
    changes.put_approval(&approval);
    store.commit(changes).await.unwrap();

    let (mut changed, large) = (approval.clone(), given::approval("refused", 50_000));
    changed.state = ApprovalState::Withdrawn;
    let refused = store.transact(move |transaction| {
        transaction.put_approval(&changed);
        transaction.put_approval(&large);
        transaction.put_execution(&given::execution("refused", ExecutionState::InProgress, 10));
        transaction.put_new_callback(&given::callback(CallbackState::Waiting), "{}");
        transaction.put_setting("a", &serde_json::json!(1));
        // It does see its own changes.
        assert_eq!(
            transaction.approval(changed.id).unwrap().unwrap().state,
            ApprovalState::Withdrawn
        );
        assert_eq!(
            transaction.pending_of_chat(*FLOW, "refused").unwrap(),
            vec![large.clone()]
        );
        assert_eq!(
            transaction.latest_of_chat(*FLOW, "refused").unwrap().as_ref(),
            Some(&large)
        );
        Err::<(), _>("no")
    });
    assert_eq!(refused.await.unwrap(), Err("no"));

    let everything = ApprovalQuery {
        filter: ApprovalFilter::All,
        ..ApprovalQuery::default()
    };
    assert_eq!(
        store.approvals(&everything).unwrap().items,
        vec![approval.clone()]
    );
    assert_eq!(store.pending_of_chat(*FLOW, "refused").unwrap(), vec![approval]);
    assert_eq!(store.pending_count(), 1);
    assert_eq!(
        (store.outbox().unwrap(), store.unfinished_executions().unwrap()),
        (vec![], vec![])
    );
    assert_eq!((store.outbox_count(), store.failing_count()), (0, 0));
    assert_eq!(store.setting("a").unwrap(), None);
    assert_eq!(
        std::fs::read_dir(dir.path().join("blobs")).unwrap().count(),
        0,
        "no file was written"
    );
}

#[tokio::test]
async fn a_panic_in_a_transaction_is_its_callers_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let panicked = store.transact(|transaction| {
        transaction.put_setting("a", &serde_json::json!(1));
        if transaction.setting("a").unwrap().is_some() {
            panic!("on purpose");
        }
        Ok::<(), ()>(())
    });
    assert!(matches!(panicked.await, Err(StoreError::Unavailable(_))));
    assert_eq!(store.failed(), None, "the store works on");
    let mut changes = Changes::new();
    changes.put_setting("b", &serde_json::json!(2));
    store.commit(changes).await.unwrap();
    assert_eq!(store.setting("a").unwrap(), None);
}
