//! The store alone: the commits of a stop, without a server around them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_domain::{
    Approval, ApprovalId, Clock as _, Execution, ExecutionId, Ids as _, JournalEvent, RandomIds, SystemClock,
};
use countersign_store::{ApprovalQuery, Changes, ExecutionQuery, Options, Store};

/// What a host has stored for one stop.
pub(crate) struct Sample {
    execution: Execution,
    approval: Approval,
}

impl Sample {
    /// Reads the one stop that lies in a data folder.
    pub(crate) fn read(data_dir: &Path) -> Self {
        let store = Store::open(Options::new(data_dir), Arc::new(SystemClock)).expect("the store opens");
        let execution = store
            .executions(&ExecutionQuery::default())
            .expect("executions")
            .items
            .remove(0);
        let approval = store
            .approvals(&ApprovalQuery::default())
            .expect("approvals")
            .items
            .remove(0);
        Self { execution, approval }
    }

    /// Commits the same over and over under new ids; commits per second.
    pub(crate) async fn commits_per_second(&self, data_dir: &Path, writers: usize, time: Duration) -> f64 {
        let store = Store::open(Options::new(data_dir), Arc::new(SystemClock)).expect("the store opens");
        let started = Instant::now();
        let until = started + time;
        let mut tasks = Vec::new();
        for _ in 0..writers {
            let (store, mut execution, mut approval) =
                (store.clone(), self.execution.clone(), self.approval.clone());
            tasks.push(tokio::spawn(async move {
                let mut commits = 0_u64;
                while Instant::now() < until {
                    execution.id = ExecutionId::from_uuid(RandomIds.ordered(SystemClock.now()));
                    approval.id = ApprovalId::from_uuid(RandomIds.ordered(SystemClock.now()));
                    approval.execution_id = execution.id;
                    let mut changes = Changes::new();
                    changes.put_execution(&execution);
                    changes.put_approval(&approval);
                    changes.journal(&JournalEvent::ApprovalOpened {
                        approval: Box::new(approval.clone()),
                    });
                    store.commit(changes).await.expect("a commit");
                    commits += 1;
                }
                commits
            }));
        }
        let mut commits = 0;
        for task in tasks {
            commits += task.await.expect("a writer ends well");
        }
        let rate = commits as f64 / started.elapsed().as_secs_f64();
        store.close().await;
        rate
    }
}
