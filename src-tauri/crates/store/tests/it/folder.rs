//! Who may use a data folder.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_domain::{CallbackState, ExecutionState, SystemClock};
use countersign_store::{Changes, FolderState, OpenError, Options, Store, look_at_folder};

use crate::given;

#[tokio::test]
async fn a_second_copy_is_told_within_three_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let first = given::store(dir.path());
    let started = Instant::now();
    let second = Store::open(Options::new(dir.path()), Arc::new(SystemClock));
    let text = second.expect_err("the folder is in use").to_string();
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    assert!(
        text.contains("another copy") && text.contains("--data-dir"),
        "{text}"
    );
    assert!(text.contains(&dir.path().display().to_string()), "{text}");

    // One that is closing at this moment is waited for.
    let closing = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        first.close().await;
    });
    let opened = tokio::task::spawn_blocking({
        let dir = dir.path().to_owned();
        move || Store::open(Options::new(dir), Arc::new(SystemClock))
    });
    opened.await.unwrap().expect("it is free again");
    closing.await.unwrap();
}

/// Nothing is acknowledged that only a file without a name would hold.
#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_is_removed_while_it_is_in_use_takes_no_more_work() {
    for gone in ["db", "journal.jsonl", ""] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let store = given::store(&path);
        let stop = || {
            let approval = given::approval("gone", 10);
            let execution = given::execution("gone", ExecutionState::Stopped, 10);
            given::stop(&approval, &execution, &given::untried(CallbackState::Waiting))
        };
        store.commit(stop()).await.expect("it works");
        let target = path.join(gone);
        match target.is_dir() {
            true => std::fs::remove_dir_all(&target).unwrap(),
            false => std::fs::remove_file(&target).unwrap(),
        }
        let error = store
            .commit(stop())
            .await
            .expect_err("a removed folder keeps nothing");
        assert!(
            gone.is_empty() || error.to_string().contains("removed"),
            "{gone}: {error}"
        );
        assert!(store.failed().is_some(), "{gone}");
    }
}

#[test]
fn what_is_not_a_folder_is_reported_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, "x").unwrap();
    let error = Store::open(Options::new(&path), Arc::new(SystemClock)).expect_err("not a folder");
    assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
}

#[cfg(unix)]
#[test]
fn nobody_else_may_look_into_the_folder() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    std::fs::create_dir(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    drop(given::store(&path));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700, "{mode:o}");
}

#[tokio::test]
async fn ten_thousand_pending_open_fast() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    for _ in 0..20 {
        let mut changes = Changes::new();
        (0..500).for_each(|_| changes.put_approval(&given::approval("many", 300)));
        store.commit(changes).await.unwrap();
    }
    store.close().await;
    let started = Instant::now();
    let store = given::store(dir.path());
    let elapsed = started.elapsed();
    assert_eq!(store.pending_count(), 10_000);
    // Half a second is meant for a release build on a quiet machine.
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
    println!("opened 10,000 pending approvals in {elapsed:?}");
}

#[tokio::test]
async fn an_outbox_of_ten_thousand_opens_and_is_read_fast() {
    let dir = tempfile::tempdir().unwrap();
    let store = given::store(dir.path());
    for _ in 0..20 {
        let mut changes = Changes::new();
        for _ in 0..500 {
            let callback = given::callback(CallbackState::Waiting);
            changes.put_new_callback(&callback, &"b".repeat(1_000));
        }
        store.commit(changes).await.unwrap();
    }
    store.close().await;
    let started = Instant::now();
    let store = given::store(dir.path());
    let opened = started.elapsed();
    assert_eq!((store.outbox_count(), store.failing_count()), (10_000, 10_000));
    let outbox = store.outbox().unwrap();
    let elapsed = started.elapsed();
    assert_eq!(outbox.len(), 10_000);
    // Half a second is meant for a release build on a quiet machine.
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
    println!("opened an outbox of 10,000 in {opened:?}, had read it after {elapsed:?}");
}

#[cfg(unix)]
#[test]
fn a_folder_of_others_is_refused_and_left_as_it_is() {
    use std::os::unix::fs::PermissionsExt as _;

    let parent = tempfile::tempdir().unwrap();
    let open = |name: &str| Store::open(Options::new(parent.path().join(name)), Arc::new(SystemClock));
    let make = |name: &str, mode: u32, file: Option<&str>| {
        let path = parent.path().join(name);
        std::fs::create_dir(&path).unwrap();
        if let Some(file) = file {
            std::fs::write(path.join(file), "").unwrap();
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let mode = |name: &str| {
        std::fs::metadata(parent.path().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777
    };
    make("shared", 0o1777, Some("foreign"));
    make("closed", 0o555, None);
    make("empty", 0o755, None);
    make("configured", 0o755, Some("countersign.toml"));
    make("project", 0o755, Some("db"));
    // An older version has been led there.
    make("temporary", 0o1777, Some("countersign.lock"));
    make("of somebody", 0o755, None);
    let mut refused = vec![
        ("shared", 0o1777),
        ("closed", 0o555),
        ("project", 0o755),
        ("temporary", 0o1777),
    ];
    // Only root can give a folder away, and only root could narrow it then.
    if std::os::unix::fs::chown(parent.path().join("of somebody"), Some(54_321), None).is_ok() {
        refused.push(("of somebody", 0o755));
    }
    for (name, before) in refused {
        let files = || std::fs::read_dir(parent.path().join(name)).unwrap().count();
        let held = files();
        let looked = look_at_folder(&parent.path().join(name));
        assert_eq!((mode(name), files()), (before, held), "{name} was only looked at");
        let opened = open(name);
        let Err(OpenError::Io { source, .. }) = opened else {
            panic!("{name}: {opened:?}")
        };
        assert!(source.to_string().contains("yourself") || source.to_string().contains("folder of its own"));
        assert_eq!((mode(name), files()), (before, held), "{name}");
        let Err(OpenError::Io {
            source: before_that, ..
        }) = looked
        else {
            panic!("{name}: {looked:?}")
        };
        assert_eq!(before_that.to_string(), source.to_string(), "{name}");
    }
    for name in ["empty", "configured"] {
        let look = || look_at_folder(&parent.path().join(name)).unwrap();
        assert_eq!((look(), mode(name)), (FolderState::Open, 0o755), "{name}");
        assert!(open(name).is_ok(), "{name}");
        assert_eq!((look(), mode(name)), (FolderState::Private, 0o700), "{name}");
    }
    let missing = parent.path().join("new/one");
    assert_eq!(look_at_folder(&missing).unwrap(), FolderState::Missing);
    assert!(!missing.exists());
    std::os::unix::fs::symlink(&missing, parent.path().join("astray")).unwrap();
    assert!(look_at_folder(&parent.path().join("astray")).is_err() && open("astray").is_err());
}
