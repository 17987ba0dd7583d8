//! An error's text never repeats its source: whoever prints the whole chain says nothing twice.

use std::error::Error;
use std::sync::Arc;

use countersign_app::{
    App, CONFIG_FILE, Config, Flags, Options, RandomIds, SystemClock, headless_notifier,
    keychain_of_this_system,
};

fn says_nothing_twice(error: &(dyn Error + 'static)) {
    let mut parts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        parts.push(error.to_string());
        source = error.source();
    }
    assert!(parts.len() > 1, "it has a cause: {parts:?}");
    for pair in parts.windows(2) {
        assert!(!pair[0].contains(&pair[1]), "{parts:?}");
    }
}

fn flags(dir: &std::path::Path) -> Flags {
    Flags {
        data_dir: Some(dir.to_owned()),
        keychain: Some("off".to_owned()),
        ..Flags::default()
    }
}

#[test]
fn of_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(CONFIG_FILE);
    std::fs::write(&file, "retry-plan-seconds = []\n").unwrap();
    says_nothing_twice(&Config::load(&flags(dir.path()), |_| None).unwrap_err());
    // A file in the way to the folder.
    says_nothing_twice(&Config::load(&flags(&file.join("data")), |_| None).unwrap_err());
}

/// Rights would help in one case only.
#[test]
fn the_configuration_file_says_what_is_wrong_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(CONFIG_FILE);
    let said = || {
        let error = Config::load(&flags(dir.path()), |_| None).unwrap_err();
        assert!(
            error.to_string().starts_with(&file.display().to_string()),
            "{error}"
        );
        assert!(!error.to_string().contains("permissions"), "{error}");
        error.to_string()
    };
    let latin1: &[u8] = b"# f\xfcr mich\nlog = \"info\"\n";
    let utf16: &[u8] = b"\xff\xfel\0o\0g\0";
    for bytes in [latin1, utf16] {
        std::fs::write(&file, bytes).unwrap();
        let text = said();
        assert!(text.contains("is not text in UTF-8. Save it as UTF-8"), "{text}");
    }
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let text = said();
    assert!(text.contains("is a folder, not a file. Move it away"), "{text}");
    #[cfg(unix)]
    {
        // Reading it would wait for ever.
        std::fs::remove_dir(&file).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&file).status();
        assert!(made.is_ok_and(|status| status.success()), "a pipe is made");
        let text = said();
        assert!(text.contains("is a device or a pipe"), "{text}");
    }
}

#[tokio::test]
async fn of_the_start() {
    let dir = tempfile::tempdir().unwrap();
    // A file where a folder has to be.
    for name in [None, Some("blobs"), Some("db"), Some("api-token")] {
        let data = tempfile::tempdir_in(dir.path()).unwrap();
        let path = match name {
            None => data.path().join("data"),
            Some(_) => data.path().to_owned(),
        };
        let taken = name.map_or_else(|| path.clone(), |name| path.join(name));
        let config = Config::load(&flags(&path), |_| None).unwrap();
        if name == Some("api-token") {
            // And a folder where a file has to be.
            std::fs::create_dir(taken).unwrap();
        } else {
            std::fs::write(taken, "").unwrap();
        }
        let started = App::start(Options {
            config,
            notifier: headless_notifier(),
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
            keychain: keychain_of_this_system(),
        });
        match started.await {
            Ok(_) => panic!("it starts with {name:?} in the way"),
            Err(error) => says_nothing_twice(&error),
        }
    }
}
