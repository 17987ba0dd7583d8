//! A disk that takes no more: the store says so, takes no more work, and what it acknowledged stays.

#![cfg(unix)]

use std::path::Path;
use std::process::Command;

use countersign_store::{Changes, StoreError};

use crate::given::{self, FLOW};

const CHILD: &str = "COUNTERSIGN_STORE_FULL_TEST";

/// Runs under a limit on the size of files, which makes writes fail like a full disk does.
fn child(dir: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let store = given::store(dir);
    runtime.block_on(async {
        let mut last = None;
        for _ in 0..100_000 {
            let approval = given::approval("full", 1_000);
            let mut changes = Changes::new();
            changes.put_approval(&approval);
            match store.commit(changes).await {
                Ok(()) => {
                    println!("stored {}", approval.id);
                    last = Some(approval);
                }
                Err(error) => {
                    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
                    break;
                }
            }
        }
        let text = store.failed().expect("the store says why");
        assert!(text.contains("File too large"), "the cause is in it: {text}");
        let mut changes = Changes::new();
        changes.put_setting("a", &serde_json::json!(1));
        assert!(
            matches!(store.commit(changes).await, Err(StoreError::Unavailable(_))),
            "no more work"
        );
        assert!(
            matches!(
                store.record(given::run("full", 10).1),
                Err(StoreError::Unavailable(_))
            ),
            "no records"
        );
        let refused = store.transact(|_| Ok::<(), ()>(())).await;
        assert!(
            matches!(refused, Err(StoreError::Unavailable(_))),
            "no transactions"
        );
        let last = last.expect("some were stored before");
        assert_eq!(
            store.approval(last.id).unwrap().as_ref(),
            Some(&last),
            "reads go on"
        );
        store.close().await;
    });
    println!("ended");
}

#[test]
fn it_stops_and_keeps_what_it_acknowledged() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return child(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let exe = std::env::current_exe().unwrap();
    let script = format!(
        "trap '' XFSZ; ulimit -f 8192; exec '{}' --exact disk_full::it_stops_and_keeps_what_it_acknowledged \
         --nocapture --test-threads=1",
        exe.display()
    );
    let output = Command::new("sh")
        .args(["-c", &script])
        .env(CHILD, dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("ended"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let stored: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("stored "))
        .collect();
    assert!(stored.len() > 100, "it worked before: {}", stored.len());
    let store = given::store(dir.path());
    for id in &stored {
        assert!(
            store.approval(id.parse().unwrap()).unwrap().is_some(),
            "lost {id}"
        );
    }
    assert!(store.pending_of_chat(*FLOW, "full").unwrap().len() >= stored.len());
}
