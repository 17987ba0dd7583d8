//! Lists and pages.

use countersign_domain::{ApprovalState, CallbackState, ExecutionState, FlowId, Outcome};
use countersign_store::{
    ApprovalFilter, ApprovalQuery, CallbackQuery, Changes, ExecutionQuery, Listed, Page, Store,
};

use crate::given::{self, FLOW};

/// All items by pages of three.
fn all_pages<T: Listed>(read: impl Fn(Option<T::Id>) -> Page<T>) -> Vec<T> {
    let mut items = Vec::new();
    let mut before = None;
    loop {
        let page = read(before);
        assert!(page.items.len() <= 3, "the limit holds");
        assert!(
            page.next.is_none() || page.items.len() == 3,
            "a page before the last is full"
        );
        items.extend(page.items);
        before = page.next;
        if before.is_none() {
            return items;
        }
    }
}

fn approvals(store: &Store, filter: &ApprovalFilter) -> Vec<countersign_domain::ApprovalId> {
    let query = |before| ApprovalQuery {
        filter: filter.clone(),
        limit: 3,
        before,
    };
    let found = all_pages(|before| store.approvals(&query(before)).unwrap());
    found.into_iter().map(|approval| approval.id).collect()
}

/// The ids share their millisecond, so only the rest of the id orders them.
#[tokio::test]
async fn approvals_page_from_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let mut pending = Vec::new();
    let mut decided = Vec::new();
    for number in 0..20 {
        let mut approval = given::approval(if number % 2 == 0 { "even" } else { "odd" }, 10);
        approval.created_at = countersign_domain::Timestamp::from_millis(1_000);
        let mut changes = Changes::new();
        changes.put_approval(&approval);
        store.commit(changes).await.unwrap();
        if number % 3 == 0 {
            given::decide(&store, approval.id, Outcome::Reject, "ada")
                .await
                .unwrap();
            decided.insert(0, approval.id);
        } else {
            pending.insert(0, approval.id);
        }
    }
    let mut all = [pending.clone(), decided.clone()].concat();
    all.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(approvals(&store, &ApprovalFilter::All), all);
    assert_eq!(approvals(&store, &ApprovalFilter::Pending), pending);
    assert_eq!(approvals(&store, &ApprovalFilter::Decided), decided);
    assert_eq!(
        approvals(&store, &ApprovalFilter::States(vec![ApprovalState::Rejected])),
        decided
    );
    assert_eq!(
        approvals(&store, &ApprovalFilter::States(vec![ApprovalState::Pending])),
        pending
    );
    assert_eq!(
        approvals(&store, &ApprovalFilter::States(vec![ApprovalState::Expired])),
        vec![]
    );
    assert_eq!(approvals(&store, &ApprovalFilter::States(vec![])), vec![]);
    assert_eq!(
        (store.pending_count(), store.pending_count_of_flow(*FLOW)),
        (pending.len(), pending.len())
    );

    let even = store.pending_of_chat(*FLOW, "even").unwrap();
    assert!(
        even.windows(2).all(|two| two[0].id > two[1].id),
        "the newest first"
    );
    assert!(
        even.iter().all(|approval| approval.chat_id == "even"),
        "of this chat only"
    );
    // 0, 6, 12 and 18 are decided.
    assert_eq!(even.len(), 6);
    let latest = store.latest_of_chat(*FLOW, "even").unwrap().unwrap();
    assert_eq!(
        (latest.id, latest.state),
        (decided[0], ApprovalState::Rejected),
        "in any state"
    );
}

#[tokio::test]
async fn executions_page_by_flow_chat_and_state_wherever_they_lie() {
    let dir = tempfile::tempdir().unwrap();
    let other = FlowId::from_uuid(uuid::Uuid::from_u128(9 << 76));
    let mut expected = Vec::new();
    // Four rounds of opening, so that runs lie in the tree, in packs, and in the list in memory.
    for round in 0..4 {
        let store = given::store(dir.path());
        for number in 0..300 {
            let chat = format!("chat-{}", number % 7);
            let (mut execution, _) = given::run(&chat, 30);
            if number % 5 == 0 {
                execution.flow_id = other;
            }
            let mut changes = Changes::new();
            if number % 50 == round {
                execution.state = ExecutionState::Stopped;
                changes.put_execution(&execution);
                store.commit(changes).await.unwrap();
            } else {
                changes.put_execution(&execution);
                store.record(changes).unwrap();
            }
            expected.insert(0, execution);
        }
        if round < 3 {
            store.close().await;
        } else {
            check(&store, &expected, other);
            store.commit(Changes::new()).await.unwrap();
            check(&store, &expected, other);
        }
    }

    fn check(store: &Store, expected: &[countersign_domain::Execution], other: FlowId) {
        let chat = Some("chat-3".to_owned());
        let base = || ExecutionQuery {
            limit: 3,
            ..ExecutionQuery::default()
        };
        let queries = [
            base(),
            ExecutionQuery {
                flow: Some(other),
                ..base()
            },
            ExecutionQuery {
                chat_id: chat.clone(),
                ..base()
            },
            ExecutionQuery {
                flow: Some(*FLOW),
                chat_id: chat.clone(),
                ..base()
            },
            ExecutionQuery {
                state: Some(ExecutionState::Stopped),
                ..base()
            },
            ExecutionQuery {
                flow: Some(other),
                chat_id: chat,
                state: Some(ExecutionState::Finished),
                ..base()
            },
        ];
        for query in queries {
            let wanted: Vec<_> = expected
                .iter()
                .filter(|execution| query.flow.is_none_or(|flow| flow == execution.flow_id))
                .filter(|execution| {
                    query
                        .chat_id
                        .as_ref()
                        .is_none_or(|chat| *chat == execution.chat_id)
                })
                .filter(|execution| query.state.is_none_or(|state| state == execution.state))
                .map(|execution| execution.id)
                .collect();
            assert!(!wanted.is_empty(), "the query is worth asking: {query:?}");
            let read = |before| {
                store
                    .executions(&ExecutionQuery {
                        before,
                        ..query.clone()
                    })
                    .unwrap()
            };
            let found: Vec<_> = all_pages(read)
                .into_iter()
                .map(|execution| execution.id)
                .collect();
            assert_eq!(found, wanted, "{query:?}");
            assert_eq!(store.execution_count(&query).unwrap(), wanted.len(), "{query:?}");
            let skipped = store
                .executions(&ExecutionQuery {
                    skip: 4,
                    limit: 2,
                    ..query.clone()
                })
                .unwrap();
            let ids: Vec<_> = skipped.items.iter().map(|execution| execution.id).collect();
            assert_eq!(ids, wanted[4.min(wanted.len())..6.min(wanted.len())], "{query:?}");
        }
        for execution in expected.iter().step_by(17) {
            let found = store.execution(execution.id).unwrap().expect("it is there");
            assert!(given::same(&found, execution), "unchanged");
        }
    }
}

#[tokio::test]
async fn callbacks_page_and_the_outbox_keeps_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let states = [
        CallbackState::Waiting,
        CallbackState::Delivered,
        CallbackState::Abandoned,
    ];
    let mut callbacks: Vec<_> = (0..18)
        .map(|number| given::callback(states[number % 3]))
        .collect();
    for callback in &callbacks {
        store.commit(given::new_callback(callback)).await.unwrap();
    }
    // One is delivered, one is sent again by hand.
    callbacks[0].state = CallbackState::Delivered;
    callbacks[2].state = CallbackState::Waiting;
    let mut changes = Changes::new();
    changes.put_callback(&callbacks[0]);
    changes.put_callback(&callbacks[2]);
    store.commit(changes).await.unwrap();

    let waiting: Vec<_> = callbacks
        .iter()
        .filter(|callback| callback.state == CallbackState::Waiting)
        .cloned()
        .collect();
    assert_eq!(store.outbox().unwrap(), waiting, "in the order of the ids");
    for state in [None, Some(states[0]), Some(states[1]), Some(states[2])] {
        let wanted: Vec<_> = callbacks
            .iter()
            .rev()
            .filter(|callback| state.is_none_or(|state| state == callback.state))
            .cloned()
            .collect();
        let read = |before| {
            store
                .callbacks(&CallbackQuery {
                    state,
                    execution: None,
                    limit: 3,
                    before,
                })
                .unwrap()
        };
        assert_eq!(all_pages(read), wanted, "{state:?}");
    }
}
