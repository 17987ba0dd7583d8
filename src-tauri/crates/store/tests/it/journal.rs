//! The journal: a chain, whole after every crash, and enough to rebuild what waits.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use countersign_domain::{
    ApprovalState, CallbackState, ExecutionState, JournalEvent, JournalLine, Outcome, SystemClock,
};
use countersign_store::{
    ApprovalFilter, ApprovalQuery, Changes, JOURNAL_FILE, JournalDamage, JournalFault, OpenError, Options,
    SetAside, Store, acknowledge_damage, verify_journal,
};

use crate::given::{self, FLOW};

/// Three questions, the last one answered, the first callback delivered.
async fn history(
    store: &Store,
) -> (
    Vec<countersign_domain::Approval>,
    Vec<countersign_domain::Callback>,
) {
    let mut approvals = Vec::new();
    let mut callbacks = Vec::new();
    for size in [10, 30_000, 10] {
        let approval = given::approval("journal", size);
        let callback = given::callback(CallbackState::Waiting);
        let execution = given::execution("journal", ExecutionState::Stopped, 10);
        store
            .commit(given::stop(&approval, &execution, &callback))
            .await
            .unwrap();
        approvals.push(approval);
        callbacks.push(callback);
    }
    approvals[2] = given::decide(store, approvals[2].id, Outcome::Approve, "ada")
        .await
        .unwrap();
    callbacks[0].state = CallbackState::Delivered;
    callbacks[0].next_attempt_at = None;
    let mut changes = Changes::new();
    changes.put_callback(&callbacks[0]);
    changes.journal(&JournalEvent::CallbackDelivered {
        callback: Box::new(callbacks[0].clone()),
    });
    store.commit(changes).await.unwrap();
    (approvals, callbacks)
}

fn check(
    store: &Store,
    approvals: &[countersign_domain::Approval],
    callbacks: &[countersign_domain::Callback],
) {
    for approval in approvals {
        assert_eq!(store.approval(approval.id).unwrap().as_ref(), Some(approval));
    }
    for callback in callbacks {
        assert_eq!(store.callback(callback.id).unwrap().as_ref(), Some(callback));
        assert_eq!(
            store.callback_body(callback.id).unwrap(),
            Some(given::body(callback))
        );
    }
    assert_eq!(
        (store.outbox_count(), store.failing_count()),
        (2, 2),
        "both that wait have failed once"
    );
    let pending = ApprovalQuery {
        filter: ApprovalFilter::Pending,
        ..ApprovalQuery::default()
    };
    let pending = store.approvals(&pending).unwrap().items;
    assert_eq!(pending, vec![approvals[1].clone(), approvals[0].clone()]);
    assert_eq!(
        (store.pending_count(), store.pending_count_of_flow(*FLOW)),
        (2, 2)
    );
    assert_eq!(
        store.latest_of_chat(*FLOW, "journal").unwrap().as_ref(),
        Some(&approvals[2])
    );
    assert_eq!(store.outbox().unwrap(), callbacks[1..]);
}

fn lines(dir: &Path) -> Vec<String> {
    fs::read_to_string(dir.join(JOURNAL_FILE))
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn every_change_is_seen_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let (approvals, _) = history(&store).await;
    let parsed: Vec<JournalLine> = lines(dir.path())
        .iter()
        .map(|line| serde_json::from_str(line).expect("a journal line"))
        .collect();
    assert_eq!(parsed.len(), 8);
    assert_eq!(
        parsed.iter().map(|line| line.number).collect::<Vec<_>>(),
        (1..=8).collect::<Vec<_>>()
    );
    assert_eq!(parsed[0].previous, "0".repeat(64));
    let decided = JournalEvent::ApprovalDecided {
        approval: Box::new(approvals[2].clone()),
    };
    assert_eq!(parsed[6].event, decided);
    // Our lines are what the type writes.
    assert_eq!(lines(dir.path())[6], serde_json::to_string(&parsed[6]).unwrap());
    let summary = verify_journal(dir.path()).unwrap();
    assert_eq!(summary.lines, 8);

    // Any change of a line shows.
    let text = fs::read_to_string(dir.path().join(JOURNAL_FILE)).unwrap();
    let forged = tempfile::tempdir().unwrap();
    let verify = |text: &str| {
        fs::write(forged.path().join(JOURNAL_FILE), text).unwrap();
        verify_journal(forged.path())
    };
    assert!(matches!(
        verify(&text.replacen("\"ada\"", "\"eve\"", 1)),
        Err(JournalDamage {
            first: JournalFault::Chain { line: 8 },
            ..
        })
    ));
    let without_third: String = text
        .lines()
        .enumerate()
        .filter(|(n, _)| *n != 2)
        .map(|(_, l)| format!("{l}\n"))
        .collect();
    assert!(matches!(
        verify(&without_third),
        Err(JournalDamage {
            first: JournalFault::Number { line: 3, number: 4 },
            ..
        })
    ));
    let several = text
        .replacen("\"ada\"", "\"eve\"", 1)
        .replacen("{\"number\":3,", "\"number\":3,", 1)
        .replacen("{\"number\":5,", "{\"number\":15,", 1);
    let damage = verify(&several).unwrap_err();
    assert!(
        matches!(damage.first, JournalFault::Unreadable { line: 3 }),
        "{damage:?}"
    );
    // The changed number shows, and the line after it; so does the line after the changed name.
    assert_eq!(
        (damage.places, damage.last, damage.lines),
        (4, 8, 8),
        "how far it goes"
    );
    assert!(matches!(
        verify(&text[..text.len() - 9]),
        Err(JournalDamage {
            first: JournalFault::Unreadable { line: 8 },
            ..
        })
    ));
}

/// Changes a line that says nothing that a later one does not say too: the third question as it was asked.
fn damage(dir: &Path) -> Vec<u8> {
    let text = fs::read_to_string(dir.join(JOURNAL_FILE)).unwrap();
    let changed = text.replacen("{\"number\":5,", "\"number\":5,", 1);
    assert_ne!(text, changed);
    fs::write(dir.join(JOURNAL_FILE), &changed).unwrap();
    changed.into_bytes()
}

fn acknowledge(dir: &Path) -> Result<Option<SetAside>, OpenError> {
    acknowledge_damage(&Options::new(dir), Arc::new(SystemClock)).map(|done| done.set_aside)
}

#[tokio::test]
async fn acknowledged_damage_is_set_aside_and_the_chain_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let (approvals, callbacks) = history(&store).await;
    let missing = dir.path().join("missing");
    assert_eq!((acknowledge(&missing).unwrap(), missing.exists()), (None, false));
    assert!(
        matches!(acknowledge(dir.path()), Err(OpenError::InUse { .. })),
        "somebody works on it"
    );
    store.close().await;
    assert_eq!(
        acknowledge(dir.path()).unwrap(),
        None,
        "there is nothing to acknowledge"
    );
    let last_hash = verify_journal(dir.path()).unwrap().last_hash;
    let damaged = damage(dir.path());
    let before = tempfile::tempdir().unwrap();
    given::copy_folder(dir.path(), before.path());

    let done = acknowledge(dir.path()).unwrap().unwrap();
    assert!(
        done.damage.contains("line 5 of the journal is not readable"),
        "{done:?}"
    );
    assert_eq!(
        fs::read(dir.path().join(&done.file)).unwrap(),
        damaged,
        "what was set aside is kept as it was"
    );
    let [first] = &lines(dir.path())[..] else {
        panic!("one line")
    };
    let first: JournalLine = serde_json::from_str(first).unwrap();
    assert_eq!(
        (first.number, &first.previous),
        (9, &last_hash),
        "it goes on where the other ends"
    );
    let expected = JournalEvent::DamageAcknowledged {
        file: done.file.clone(),
        sha256: hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&damaged)),
        lines: 8,
        damage: done.damage.clone(),
    };
    assert_eq!(first.event, expected);
    verify_journal(dir.path()).unwrap();
    assert_eq!(acknowledge(dir.path()).unwrap(), None, "once is enough");

    // A crash before the database knew of it.
    fs::remove_dir_all(dir.path().join("db")).unwrap();
    given::copy_folder(&before.path().join("db"), &dir.path().join("db"));
    let store = given::store(dir.path());
    check(&store, &approvals, &callbacks);
    store.close().await;
    let store = given::store(dir.path());
    assert!(store.repairs().is_empty(), "{:?}", store.repairs());
    given::decide(&store, approvals[0].id, Outcome::Reject, "ada")
        .await
        .unwrap();
    store.close().await;
    assert!(store.damage().is_empty(), "{:?}", store.damage());
    assert_eq!(verify_journal(dir.path()).unwrap().lines, 2);
    // Only the first line may begin like that.
    let again = lines(dir.path()).join("\n") + "\n" + &lines(dir.path())[0] + "\n";
    let forged = tempfile::tempdir().unwrap();
    fs::write(forged.path().join(JOURNAL_FILE), again).unwrap();
    assert_eq!(verify_journal(forged.path()).unwrap_err().last, 3);
}

#[tokio::test]
async fn what_waits_is_rebuilt_from_what_was_set_aside_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let (approvals, callbacks) = history(&store).await;
    store.close().await;
    for _ in 0..2 {
        let text = fs::read_to_string(dir.path().join(JOURNAL_FILE)).unwrap();
        match text.lines().count() {
            8 => drop(damage(dir.path())),
            // It is damaged again, behind its first line.
            _ => fs::write(dir.path().join(JOURNAL_FILE), text + "nothing\n").unwrap(),
        }
        acknowledge(dir.path()).unwrap().unwrap();
    }
    fs::remove_dir_all(dir.path().join("db")).unwrap();
    let store = given::store(dir.path());
    check(&store, &approvals, &callbacks);
    given::decide(&store, approvals[0].id, Outcome::Reject, "ada")
        .await
        .unwrap();
    store.close().await;
    verify_journal(dir.path()).unwrap();
}

#[tokio::test]
async fn a_torn_or_missing_tail_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let approval = given::approval("tail", 20_000);
    let callback = given::callback(CallbackState::Waiting);
    let execution = given::execution("tail", ExecutionState::Stopped, 10);
    store
        .commit(given::stop(&given::approval("tail", 10), &execution, &callback))
        .await
        .unwrap();
    store
        .commit(given::stop(&approval, &execution, &callback))
        .await
        .unwrap();
    store.close().await;
    let path = dir.path().join(JOURNAL_FILE);
    let whole = fs::read(&path).unwrap();
    let feeds: Vec<_> = (0..whole.len()).filter(|at| whole[*at] == b'\n').collect();
    // The second commit wrote lines 3 and 4: none, parts, or one of them got into the file.
    for length in [
        feeds[1] + 1,
        feeds[1] + 2,
        feeds[1] + 9_000,
        feeds[2],
        feeds[2] + 1,
        feeds[3] - 1,
        feeds[3],
    ] {
        fs::write(&path, &whole[..length]).unwrap();
        let store = given::store(dir.path());
        assert_eq!(fs::read(&path).unwrap(), whole, "cut at {length}");
        assert_eq!(verify_journal(dir.path()).unwrap().lines, 4, "cut at {length}");
        let torn = whole[..length].last() != Some(&b'\n');
        assert_eq!(
            store.repairs().len(),
            usize::from(torn),
            "cut at {length}: {:?}",
            store.repairs()
        );
        assert_eq!(store.pending_count(), 2, "cut at {length}");
        store.close().await;
    }
    let aside = fs::read_dir(dir.path()).unwrap().filter(|entry| {
        entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains(".torn-")
    });
    assert_eq!(aside.count(), 5, "what was cut off is kept");

    // More is missing than the last commit wrote: it is said, and the chain goes on.
    fs::write(&path, &whole[..=feeds[0]]).unwrap();
    let store = given::store(dir.path());
    assert!(
        store.repairs()[0].contains("lost its lines 2 to 2"),
        "{:?}",
        store.repairs()
    );
    given::decide(&store, approval.id, Outcome::Reject, "ada")
        .await
        .unwrap();
    assert!(matches!(
        verify_journal(dir.path()),
        Err(JournalDamage {
            first: JournalFault::Number { line: 2, number: 3 },
            ..
        })
    ));
    assert_eq!(lines(dir.path()).len(), 4);
}

#[tokio::test]
async fn what_waits_is_rebuilt_when_the_database_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let (approvals, callbacks) = history(&store).await;
    let mut runs = Vec::new();
    for _ in 0..400 {
        let (execution, changes) = given::run("rebuilt", 30);
        store.record(changes).unwrap();
        runs.push(execution);
    }
    store.close().await;
    fs::remove_dir_all(dir.path().join("db")).unwrap();

    let store = given::store(dir.path());
    assert!(
        store.repairs().iter().any(|text| text.contains("restored")),
        "{:?}",
        store.repairs()
    );
    let told = |texts: &[String]| {
        let texts = texts.join("\n");
        ["gone", "flows", "settings", "variables", "secrets", "lost"]
            .iter()
            .all(|word| texts.contains(word))
    };
    assert!(told(store.repairs()), "{:?}", store.repairs());
    check(&store, &approvals, &callbacks);
    let messages: Vec<_> = runs.iter().flat_map(|run| run.messages.clone()).collect();
    assert_eq!(
        store.messages(*FLOW, "rebuilt").unwrap(),
        messages,
        "finished runs come from their packs"
    );
    // The chain goes on.
    given::decide(&store, approvals[0].id, Outcome::Reject, "ada")
        .await
        .unwrap();
    assert_eq!(
        store.approval(approvals[0].id).unwrap().unwrap().state,
        ApprovalState::Rejected
    );
    assert_eq!(verify_journal(dir.path()).unwrap().lines, 9);
    store.close().await;

    let store = given::store(dir.path());
    assert!(store.repairs().is_empty(), "{:?}", store.repairs());
    assert_eq!(store.pending_count(), 1);
    let loss = store.damage();
    assert!(
        told(&loss) && loss.len() == 1,
        "it is told at each start: {loss:?}"
    );
    assert!(
        loss[0].contains("countersign doctor --acknowledge-damage"),
        "{loss:?}"
    );
    store.close().await;
    let acknowledge = || acknowledge_damage(&Options::new(dir.path()), Arc::new(SystemClock)).unwrap();
    let done = acknowledge();
    assert!(
        done.set_aside.is_none() && done.loss.is_some_and(|loss| told(&[loss])),
        "until somebody has seen it"
    );
    assert_eq!(acknowledge().loss, None, "once is enough");
    let store = given::store(dir.path());
    assert!(store.damage().is_empty(), "{:?}", store.damage());
    check_pending(&store);
    store.close().await;

    // The next loss is a new one.
    fs::remove_dir_all(dir.path().join("db")).unwrap();
    let store = given::store(dir.path());
    assert!(
        told(store.repairs()) && told(&store.damage()),
        "{:?}",
        store.damage()
    );
    check_pending(&store);
}

fn check_pending(store: &Store) {
    assert_eq!(store.pending_count(), 1, "what waits is there");
}

#[tokio::test]
async fn a_database_that_lost_its_newest_commits_gets_them_back() {
    let dir = tempfile::tempdir().unwrap();
    let old = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let first = given::approval("journal-old", 10);
    let callback = given::callback(CallbackState::Delivered);
    let execution = given::execution("journal-old", ExecutionState::Stopped, 10);
    store
        .commit(given::stop(&first, &execution, &callback))
        .await
        .unwrap();
    given::decide(&store, first.id, Outcome::Approve, "ada")
        .await
        .unwrap();
    store.close().await;
    given::copy_folder(&dir.path().join("db"), old.path());
    let store = given::store(dir.path());
    let (approvals, callbacks) = history(&store).await;
    store.close().await;
    fs::remove_dir_all(dir.path().join("db")).unwrap();
    given::copy_folder(old.path(), &dir.path().join("db"));

    let store = given::store(dir.path());
    check(&store, &approvals, &callbacks);
    assert_eq!(
        store.approval(first.id).unwrap().unwrap().state,
        ApprovalState::Approved
    );
    drop(store);
    assert!(given::store(dir.path()).repairs().is_empty(), "once is enough");
}

#[tokio::test]
async fn garbage_behind_the_last_line_does_not_stop_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    let (approvals, callbacks) = history(&store).await;
    store.close().await;
    let mut file = OpenOptions::new()
        .append(true)
        .open(dir.path().join(JOURNAL_FILE))
        .unwrap();
    file.write_all(&[0; 5_000]).unwrap();
    drop(file);
    let store = given::store(dir.path());
    check(&store, &approvals, &callbacks);
    assert_eq!(verify_journal(dir.path()).unwrap().lines, 8);
}

/// What is told of damage, once something is.
fn told(store: &Store) -> Vec<String> {
    for _ in 0..1_000 {
        if !store.damage().is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    store.damage()
}

#[tokio::test]
async fn a_change_in_the_middle_is_told_after_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    history(&store).await;
    store.close().await;
    let store = given::store(dir.path());
    // What is written while it is read is no damage.
    history(&store).await;
    store.close().await;
    assert!(store.damage().is_empty(), "{:?}", store.damage());

    let path = dir.path().join(JOURNAL_FILE);
    let mut bytes = fs::read(&path).unwrap();
    let title = bytes.windows(7).position(|found| found == b"Release").unwrap();
    bytes[title] ^= 1;
    fs::write(&path, &bytes).unwrap();
    for without_database in [false, true] {
        if without_database {
            fs::remove_dir_all(dir.path().join("db")).unwrap();
        }
        let store = given::store(dir.path());
        let mut told = told(&store);
        // What is lost with the database is told besides.
        told.retain(|text| !(without_database && text.starts_with("the database was gone")));
        assert!(
            told.len() == 1 && told[0].starts_with("the line before line 2 of the journal was changed"),
            "without the database {without_database}: {told:?}"
        );
        assert_eq!(store.pending_count(), 4, "and what waits is there");
        store.close().await;
    }
}
