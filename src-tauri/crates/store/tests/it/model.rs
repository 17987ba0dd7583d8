//! Random work against a map, with closing, crashing and opening again in between.

use std::collections::BTreeMap;

use countersign_domain::{
    Approval, ApprovalId, ApprovalState, Callback, CallbackId, CallbackState, Execution, ExecutionId,
    ExecutionState, JournalEvent, Message, Outcome,
};
use countersign_store::{ApprovalFilter, ApprovalQuery, Changes, ExecutionQuery, Store};
use proptest::prelude::*;

use crate::given::{self, FLOW};

#[derive(Debug, Clone)]
enum Step {
    Open { chat: u8, size: usize },
    Decide { which: usize, approve: bool },
    Refuse { which: usize },
    Deliver { which: usize },
    Try { which: usize },
    Record { chat: u8, count: u8 },
    Commit { chat: u8, state: u8 },
    Change { which: usize, state: u8, recorded: bool },
    Setting { name: u8, size: Option<usize> },
    Close,
    Crash,
    LoseDatabase,
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![4 => 0_usize..300, 1 => 5_800_usize..6_400, 1 => 8_100_usize..30_000];
    prop_oneof![
        4 => (0..4_u8, size.clone()).prop_map(|(chat, size)| Step::Open { chat, size }),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(which, approve)| Step::Decide { which, approve }),
        1 => any::<usize>().prop_map(|which| Step::Refuse { which }),
        2 => any::<usize>().prop_map(|which| Step::Deliver { which }),
        2 => any::<usize>().prop_map(|which| Step::Try { which }),
        4 => (0..4_u8, 1..90_u8).prop_map(|(chat, count)| Step::Record { chat, count }),
        2 => (0..4_u8, 0..6_u8).prop_map(|(chat, state)| Step::Commit { chat, state }),
        2 => (any::<usize>(), 0..6_u8, any::<bool>())
            .prop_map(|(which, state, recorded)| Step::Change { which, state, recorded }),
        2 => (0..3_u8, proptest::option::of(size)).prop_map(|(name, size)| Step::Setting { name, size }),
        1 => Just(Step::Close),
        1 => Just(Step::Crash),
        1 => Just(Step::LoseDatabase),
    ]
}

fn state(number: u8) -> ExecutionState {
    use ExecutionState::{Error, Finished, InProgress, Stopped, Terminated, Timeout};
    [InProgress, Stopped, Finished, Error, Terminated, Timeout][usize::from(number)]
}

#[derive(Default)]
struct Model {
    approvals: BTreeMap<ApprovalId, Approval>,
    callbacks: BTreeMap<CallbackId, Callback>,
    executions: BTreeMap<ExecutionId, Execution>,
    /// Those that only the database has.
    committed: Vec<ExecutionId>,
    settings: BTreeMap<String, serde_json::Value>,
}

fn pick<K: Ord + Copy, V>(map: &BTreeMap<K, V>, which: usize) -> Option<K> {
    if map.is_empty() {
        None
    } else {
        map.keys().nth(which % map.len()).copied()
    }
}

impl Model {
    fn check(&self, store: &Store) {
        let newest = |id: &ApprovalId| *id;
        let all = ApprovalQuery {
            limit: 10_000,
            ..ApprovalQuery::default()
        };
        let found = store.approvals(&all).unwrap().items;
        let wanted: Vec<_> = self.approvals.values().rev().cloned().collect();
        assert_eq!(found, wanted, "approvals");
        let pending: Vec<_> = wanted
            .iter()
            .filter(|a| a.state == ApprovalState::Pending)
            .cloned()
            .collect();
        let found = store
            .approvals(&ApprovalQuery {
                filter: ApprovalFilter::Pending,
                ..all
            })
            .unwrap()
            .items;
        assert_eq!(found, pending, "pending");
        assert_eq!(
            (store.pending_count(), store.pending_count_of_flow(*FLOW)),
            (pending.len(), pending.len())
        );
        let waiting: Vec<_> = self
            .callbacks
            .values()
            .filter(|callback| callback.state == CallbackState::Waiting)
            .cloned()
            .collect();
        assert_eq!(store.outbox().unwrap(), waiting, "outbox");
        for chat in 0..4 {
            let chat = format!("chat {chat}");
            let of_chat: Vec<_> = pending.iter().filter(|a| a.chat_id == chat).cloned().collect();
            assert_eq!(
                store.pending_of_chat(*FLOW, &chat).unwrap(),
                of_chat,
                "pending of {chat}"
            );
            let latest = wanted.iter().find(|a| a.chat_id == chat).map(|a| newest(&a.id));
            assert_eq!(
                store.latest_of_chat(*FLOW, &chat).unwrap().map(|a| a.id),
                latest,
                "latest of {chat}"
            );
            let runs = self
                .executions
                .values()
                .filter(|execution| execution.chat_id == chat);
            let mut messages: Vec<Message> = runs.flat_map(|execution| execution.messages.clone()).collect();
            messages.sort_by_key(|message| message.id);
            assert_eq!(
                store.messages(*FLOW, &chat).unwrap(),
                messages,
                "messages of {chat}"
            );
            let exists = self
                .executions
                .values()
                .any(|execution| execution.chat_id == chat);
            assert_eq!(
                store.execution_exists_for_chat(*FLOW, &chat).unwrap(),
                exists,
                "{chat}"
            );
        }
        for callback in self.callbacks.values() {
            assert_eq!(
                store.callback_body(callback.id).unwrap(),
                Some(given::body(callback)),
                "body"
            );
            assert_eq!(
                store.callbacks_of_execution(callback.execution_id).unwrap(),
                std::slice::from_ref(callback),
                "callbacks of an execution"
            );
        }
        let failing = waiting.iter().filter(|callback| callback.is_failing()).count();
        assert_eq!(
            (store.outbox_count(), store.failing_count()),
            (waiting.len(), failing),
            "how many wait and have failed"
        );
        let query = ExecutionQuery {
            limit: 10_000,
            ..ExecutionQuery::default()
        };
        let found = store.executions(&query).unwrap().items;
        let json = |execution: &Execution| serde_json::to_string(execution).unwrap();
        let wanted: Vec<_> = self.executions.values().rev().map(json).collect();
        assert_eq!(found.iter().map(json).collect::<Vec<_>>(), wanted, "executions");
        assert_eq!(store.execution_count(&query).unwrap(), wanted.len(), "executions");
        let running = |execution: &&Execution| execution.state == ExecutionState::InProgress;
        let running: Vec<_> = self.executions.values().filter(running).map(|e| e.id).collect();
        assert_eq!(store.unfinished_executions().unwrap(), running, "unfinished");
        let settings: BTreeMap<_, _> = store.settings().unwrap().into_iter().collect();
        assert_eq!(settings, self.settings, "settings");
    }
}

async fn apply(model: &mut Model, store: &Store, step: Step) {
    match step {
        Step::Open { chat, size } => {
            let approval = given::approval(&format!("chat {chat}"), size);
            let callback = given::untried(CallbackState::Waiting);
            let execution = given::execution(&approval.chat_id, ExecutionState::Stopped, size);
            store
                .commit(given::stop(&approval, &execution, &callback))
                .await
                .unwrap();
            model.committed.push(execution.id);
            model.executions.insert(execution.id, execution);
            model.approvals.insert(approval.id, approval);
            model.callbacks.insert(callback.id, callback);
        }
        Step::Decide { which, approve } => {
            let Some(id) = pick(&model.approvals, which) else {
                return;
            };
            let outcome = if approve {
                Outcome::Approve
            } else {
                Outcome::Reject
            };
            let was_pending = model.approvals[&id].state == ApprovalState::Pending;
            match given::decide(store, id, outcome, "ada").await {
                Ok(decided) => {
                    assert!(was_pending, "decided twice");
                    model.approvals.insert(id, decided);
                }
                Err(standing) => {
                    assert_eq!(*standing, model.approvals[&id], "the first answer stands");
                    assert!(!was_pending, "refused without reason");
                }
            }
        }
        Step::Refuse { which } => {
            let Some(id) = pick(&model.approvals, which) else {
                return;
            };
            let mut approval = model.approvals[&id].clone();
            approval.state = ApprovalState::Expired;
            let refused = store.transact(move |transaction| {
                transaction.put_approval(&approval);
                Err::<(), _>(7)
            });
            assert_eq!(refused.await.unwrap(), Err(7));
        }
        Step::Deliver { which } => {
            let Some(id) = pick(&model.callbacks, which) else {
                return;
            };
            let callback = model.callbacks.get_mut(&id).unwrap();
            callback.state = CallbackState::Delivered;
            let mut changes = Changes::new();
            changes.put_callback(callback);
            changes.journal(&JournalEvent::CallbackDelivered {
                callback: Box::new(callback.clone()),
            });
            store.commit(changes).await.unwrap();
        }
        Step::Try { which } => {
            let Some(id) = pick(&model.callbacks, which) else {
                return;
            };
            let callback = model.callbacks.get_mut(&id).unwrap();
            given::fail(callback);
            let mut changes = Changes::new();
            changes.put_callback(callback);
            store.commit(changes).await.unwrap();
        }
        Step::Record { chat, count } => {
            for _ in 0..count {
                let (execution, changes) = given::run(&format!("chat {chat}"), 40);
                store.record(changes).unwrap();
                model.executions.insert(execution.id, execution);
            }
        }
        Step::Commit { chat, state: number } => {
            let execution = given::execution(&format!("chat {chat}"), state(number), 40);
            let mut changes = Changes::new();
            changes.put_execution(&execution);
            store.commit(changes).await.unwrap();
            model.committed.push(execution.id);
            model.executions.insert(execution.id, execution);
        }
        Step::Change {
            which,
            state: number,
            recorded,
        } => {
            let Some(id) = pick(&model.executions, which) else {
                return;
            };
            let execution = model.executions.get_mut(&id).unwrap();
            execution.state = state(number);
            execution.error = Some(format!("changed to {:?}", execution.state));
            let mut changes = Changes::new();
            changes.put_execution(execution);
            if recorded {
                store.record(changes).unwrap();
                changes = Changes::new();
            }
            store.commit(changes).await.unwrap();
            model.committed.push(id);
        }
        Step::Setting { name, size } => {
            let name = format!("name {name}");
            let mut changes = Changes::new();
            match size {
                Some(size) => {
                    let value = serde_json::json!("s".repeat(size));
                    changes.put_setting(&name, &value);
                    model.settings.insert(name, value);
                }
                None => {
                    changes.delete_setting(&name);
                    model.settings.remove(&name);
                }
            }
            store.commit(changes).await.unwrap();
        }
        Step::Close | Step::Crash | Step::LoseDatabase => unreachable!("done by the caller"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_the_map_that_it_seems(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.block_on(async move {
            let mut dir = tempfile::tempdir().unwrap();
            let mut store = given::store(dir.path());
            let mut model = Model::default();
            for step in steps {
                match step {
                    Step::Close => {
                        store.close().await;
                        store = given::store(dir.path());
                        assert!(store.repairs().is_empty(), "{:?}", store.repairs());
                        model.check(&store);
                    }
                    Step::Crash => {
                        // Everything is synced now; what is on the disk is what a killed process leaves.
                        store.commit(Changes::new()).await.unwrap();
                        let copy = tempfile::tempdir().unwrap();
                        given::copy_folder(dir.path(), copy.path());
                        store.close().await;
                        dir = copy;
                        store = given::store(dir.path());
                        assert!(store.repairs().is_empty(), "{:?}", store.repairs());
                        model.check(&store);
                    }
                    Step::LoseDatabase => {
                        store.close().await;
                        std::fs::remove_dir_all(dir.path().join("db")).unwrap();
                        store = given::store(dir.path());
                        // Attempts that settled nothing are in no line of the journal.
                        for callback in model.callbacks.values_mut() {
                            *callback = store.callback(callback.id).unwrap().expect("it is in the journal");
                        }
                        // Settings and executions of the database are gone; what waits and what was recorded is not.
                        model.settings.clear();
                        for id in model.committed.drain(..) {
                            model.executions.remove(&id);
                        }
                        let packed = store
                            .executions(&ExecutionQuery { limit: 10_000, ..ExecutionQuery::default() })
                            .unwrap()
                            .items;
                        for execution in packed {
                            // A recorded run that was changed later is back as it was recorded.
                            model.executions.entry(execution.id).or_insert(execution);
                        }
                        model.check(&store);
                    }
                    step => apply(&mut model, &store, step).await,
                }
            }
            model.check(&store);
            store.close().await;
        });
    }
}
