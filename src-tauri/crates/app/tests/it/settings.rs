//! The settings panel's rules.

use countersign_app::ErrorCode;
use countersign_app::view::SettingsChange;

use crate::support::start;

#[tokio::test]
async fn a_change_with_one_mistake_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let before = app.settings().unwrap();
    let good = SettingsChange {
        callback_url: Some("https://ci.example.org/cb".into()),
        ..Default::default()
    };
    let mistakes = [
        SettingsChange {
            callback_url: Some("ftp://x".into()),
            ..Default::default()
        },
        SettingsChange {
            callback_url: Some("http://169.254.169.254/latest".into()),
            ..Default::default()
        },
        SettingsChange {
            listen: Some("0.0.0.0:8420".into()),
            ..good.clone()
        },
        SettingsChange {
            listen: Some("127.0.0.1:0".into()),
            ..good.clone()
        },
        SettingsChange {
            caller_callback_origins: Some(vec!["ci.example.org".into()]),
            ..good.clone()
        },
        SettingsChange {
            caller_callback_origins: Some(vec!["https://ci.example.org/path".into()]),
            ..good.clone()
        },
        SettingsChange {
            retry_plan_seconds: Some(Vec::new()),
            ..good.clone()
        },
        SettingsChange {
            callback_secret: Some("x".repeat(5000)),
            ..good.clone()
        },
        SettingsChange {
            callback_secret: Some("whsec_not base64".into()),
            ..good.clone()
        },
        SettingsChange {
            callback_secret: Some("whsec_".into()),
            ..good.clone()
        },
        SettingsChange {
            callback_url: Some("http://user:pass@127.0.0.1/".into()),
            ..Default::default()
        },
        SettingsChange {
            caller_callback_origins: Some(vec!["http://127.0.0.1:9000".into()]),
            ..good.clone()
        },
        SettingsChange {
            caller_callback_origins: Some(vec!["http://localhost:9000".into()]),
            ..good.clone()
        },
        SettingsChange {
            caller_callback_origins: Some(vec!["http://ci.localhost.:9000".into()]),
            ..good.clone()
        },
        SettingsChange {
            caller_callback_origins: Some(vec!["http://169.254.169.254".into()]),
            ..good.clone()
        },
    ];
    for mistake in mistakes {
        let text = format!("{mistake:?}").chars().take(200).collect::<String>();
        let error = app.change_settings(mistake).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid, "{text}");
        let said = error.to_string();
        assert!(
            said.ends_with(". Nothing was changed.") && !said.contains("..") && !said.contains("Invalid"),
            "{text}: {said}"
        );
        assert_eq!(app.settings().unwrap(), before, "{text}");
    }
}

#[tokio::test]
async fn settings_survive_a_restart_and_a_secret_is_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let change = SettingsChange {
        listen: Some("9000".into()),
        callback_url: Some("http://127.0.0.1:9/cb".into()),
        callback_secret: Some("the-marked-secret".into()),
        accept_caller_callback_url: Some(true),
        caller_callback_origins: Some(vec!["https://CI.example.org".into()]),
        retry_plan_seconds: Some(vec![0, 5]),
        notifications_enabled: Some(false),
        notification_details_hidden: Some(true),
    };
    let changed = app.change_settings(change).await.unwrap();
    assert!(changed.has_callback_secret);
    assert_eq!(changed.listen, "127.0.0.1:9000");
    assert_eq!(changed.caller_callback_origins, ["https://ci.example.org"]);
    app.shutdown().await;

    let app = start(dir.path()).await;
    let again = app.settings().unwrap();
    assert_eq!(
        (&again.callback_url, &again.retry_plan_seconds),
        (&changed.callback_url, &changed.retry_plan_seconds)
    );
    assert_eq!(app.listen_address().to_string(), "127.0.0.1:9000");
    assert!(again.has_callback_secret && !again.notifications_enabled && again.notification_details_hidden);
    assert!(
        !serde_json::to_string(&again)
            .unwrap()
            .contains("the-marked-secret")
    );
    app.shutdown().await;

    let mut found = Vec::new();
    let mut folders = vec![dir.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read(&path)
                .unwrap()
                .windows(17)
                .any(|part| part == b"the-marked-secret")
            {
                found.push(path);
            }
        }
    }
    assert!(found.is_empty(), "the secret lies in the clear in {found:?}");
}

#[tokio::test]
async fn two_changes_at_once_are_both_kept() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    for round in 1..=20_u32 {
        let plan = SettingsChange {
            retry_plan_seconds: Some(vec![0, round]),
            ..Default::default()
        };
        let url = format!("http://127.0.0.1:9/{round}");
        let target = SettingsChange {
            callback_url: Some(url.clone()),
            ..Default::default()
        };
        let (one, other) = tokio::join!(app.change_settings(plan), app.change_settings(target));
        one.unwrap();
        other.unwrap();
        let kept = app.settings().unwrap();
        assert_eq!(
            (kept.retry_plan_seconds, kept.callback_url),
            (vec![0, round], url)
        );
    }
}

#[tokio::test]
async fn why_there_is_no_address_is_noted_for_the_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let note = dir.path().join("address-problem");
    start(dir.path()).await.shutdown().await;
    std::fs::write(&note, "what a kill left behind").unwrap();
    let app = start(dir.path()).await;
    assert!(!note.exists(), "an old note is gone");
    app.set_address(None, Some("Port 18999 is taken by another program.".into()));
    assert_eq!(
        std::fs::read_to_string(&note).unwrap(),
        "Port 18999 is taken by another program."
    );
    assert!(!dir.path().join("address").exists());
    app.set_address(Some("127.0.0.1:18999".parse().unwrap()), None);
    assert!(!note.exists(), "it listens now");
    app.set_address(None, Some("It listens no more.".into()));
    app.shutdown().await;
    assert!(!note.exists() && !dir.path().join("address").exists());
}
