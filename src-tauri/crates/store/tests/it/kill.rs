//! Killed at any moment, nothing that was acknowledged is lost.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::mpsc;
use std::time::Duration;

use countersign_domain::{
    ApprovalId, ApprovalState, CallbackId, CallbackState, ExecutionId, ExecutionState, Outcome,
};
use countersign_store::{Changes, Store, verify_journal};

use crate::given::{self, FLOW};

const CHILD: &str = "COUNTERSIGN_STORE_KILL_TEST";
const ROUNDS: u64 = 20;

/// Tells the parent what was acknowledged, one whole line at a time.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes())
        .and_then(|()| out.flush())
        .expect("the parent listens");
}

/// Works until it is killed.
fn child(dir: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let store = given::store(dir);
    // The test harness has begun a line.
    say("\nready");
    runtime.block_on(async {
        let tasks: Vec<_> = (0..8)
            .map(|task| tokio::spawn(work(store.clone(), task)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

async fn work(store: Store, task: usize) {
    for step in 0_usize.. {
        // Every seventh is large enough for files.
        let size = if step % 7 == 3 { 12_000 } else { 300 };
        let chat = format!("task {task}");
        let approval = given::approval(&chat, size);
        let mut callback = given::callback(CallbackState::Waiting);
        callback.execution_id = approval.execution_id;
        let mut execution = given::execution(&chat, ExecutionState::Stopped, size);
        execution.approval_id = Some(approval.id);
        store
            .commit(given::stop(&approval, &execution, &callback))
            .await
            .unwrap();
        say(&format!(
            "opened {} {} {}",
            approval.id, execution.id, callback.id
        ));

        let recorded: Vec<_> = (0..5)
            .map(|_| {
                let (execution, changes) = given::run(&chat, 200);
                store.record(changes).unwrap();
                execution.id
            })
            .collect();
        if step % 3 == 0 {
            let decide = |outcome, person: &'static str| {
                let store = store.clone();
                tokio::spawn(async move { given::decide(&store, approval.id, outcome, person).await })
            };
            let (yes, no) = (decide(Outcome::Approve, "yes"), decide(Outcome::Reject, "no"));
            let (yes, no) = (yes.await.unwrap(), no.await.unwrap());
            assert!(yes.is_ok() != no.is_ok(), "one wins");
            let decided = yes.or(no).expect("one wins");
            say(&format!("decided {} {}", decided.id, decided.state));
        } else {
            store.commit(Changes::new()).await.unwrap();
        }
        for id in recorded {
            say(&format!("recorded {id}"));
        }
    }
}

#[derive(Default)]
struct Acknowledged {
    opened: Vec<(ApprovalId, ExecutionId, CallbackId)>,
    decided: HashMap<ApprovalId, String>,
    recorded: Vec<ExecutionId>,
}

impl Acknowledged {
    fn note(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["opened", approval, execution, callback] => {
                self.opened.push((id(approval), id(execution), id(callback)))
            }
            ["decided", approval, state] => drop(self.decided.insert(id(approval), state.to_owned())),
            ["recorded", execution] => self.recorded.push(id(execution)),
            _ => {}
        }
    }

    fn check(&self, store: &Store, round: u64) {
        for (approval, execution, callback) in &self.opened {
            let found = store
                .approval(*approval)
                .unwrap()
                .unwrap_or_else(|| panic!("{round}: lost {approval}"));
            if let Some(state) = self.decided.get(approval) {
                assert_eq!(
                    found.state.to_string(),
                    *state,
                    "round {round}: a decision stands"
                );
            }
            let stopped = store.execution(*execution).unwrap();
            assert_eq!(
                stopped.map(|found| found.approval_id),
                Some(Some(*approval)),
                "round {round}"
            );
            let sent = store.callback(*callback).unwrap();
            let sent = sent.unwrap_or_else(|| panic!("round {round}: lost {callback}"));
            assert_eq!(
                store.callback_body(*callback).unwrap(),
                Some(given::body(&sent)),
                "round {round}: what {callback} sends"
            );
        }
        for execution in &self.recorded {
            assert!(
                store.execution(*execution).unwrap().is_some(),
                "round {round}: lost {execution}"
            );
        }
    }
}

fn id<T: FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("an id")
}

#[test]
fn nothing_acknowledged_is_lost() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return child(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut all = Acknowledged::default();
    for round in 0..ROUNDS {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "kill::nothing_acknowledged_is_lost",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = process.stdout.take().unwrap();
        let (ready, is_ready) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            let mut lines = BufReader::new(output);
            let mut acknowledged = Acknowledged::default();
            let mut line = String::new();
            // A line that was cut by the kill was not said.
            while lines.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
                if line.trim_end() == "ready" {
                    let _ = ready.send(());
                }
                acknowledged.note(line.trim_end());
                line.clear();
            }
            acknowledged
        });
        let is_ready = is_ready.recv_timeout(Duration::from_secs(30));
        // Spread over the first milliseconds and the first half second.
        let millis = if round % 2 == 0 {
            round * 3
        } else {
            (round * 7919) % 500
        };
        std::thread::sleep(Duration::from_millis(millis));
        process.kill().unwrap();
        process.wait().unwrap();
        is_ready.unwrap_or_else(|_| panic!("round {round}: it did not start"));
        let acknowledged = reader.join().unwrap();

        let store = given::store(dir.path());
        acknowledged.check(&store, round);
        let torn = |repair: &String| repair.contains("last line of the journal was cut");
        assert!(
            store.repairs().iter().all(torn),
            "round {round}: {:?}",
            store.repairs()
        );
        all.opened.extend(acknowledged.opened);
        all.decided.extend(acknowledged.decided);
        all.recorded.extend(acknowledged.recorded);
        runtime_close(&store);
        verify_journal(dir.path()).unwrap_or_else(|fault| panic!("round {round}: {fault}"));
    }
    let store = given::store(dir.path());
    all.check(&store, ROUNDS);
    let pending = (0..8)
        .flat_map(|task| store.pending_of_chat(*FLOW, &format!("task {task}")).unwrap())
        .count();
    assert_eq!(store.pending_count(), pending, "the count is right");
    assert!(
        store.outbox().unwrap().len() >= all.opened.len(),
        "every callback still has to go out"
    );
    let decided = all
        .decided
        .values()
        .filter(|state| **state == ApprovalState::Approved.to_string())
        .count();
    println!(
        "{ROUNDS} kills: {} stops, {} decisions ({decided} approved), {} records",
        all.opened.len(),
        all.decided.len(),
        all.recorded.len()
    );
    assert!(
        all.opened.len() > 50 && all.decided.len() > 10,
        "it did work between the kills"
    );
}

fn runtime_close(store: &Store) {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(store.close());
}
