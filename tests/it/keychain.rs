//! Where the key of the secrets lies: in a real GNOME Keyring on a bus of its own, or in a file where that does not
//! work (promises 41 and 42).

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use countersign_testkit::{CallbackReceiver, GnomeKeyring, Headless, Installation, PrivateBus, eventually};
use serde_json::{Value, json};

use crate::support::installation;

const SECRET: &str = "a very secret secret";
const SOON: Duration = Duration::from_secs(15);

/// An installation that may use the keychain on this bus.
fn on_bus(address: &str) -> Installation {
    installation()
        .with_environment("COUNTERSIGN_KEYCHAIN", "auto")
        .with_environment("DBUS_SESSION_BUS_ADDRESS", address)
}

fn set_secret(serve: &Headless, receiver: &CallbackReceiver) {
    let change = json!({ "callbackUrl": receiver.url("/test"), "callbackSecret": SECRET });
    serve
        .manage("PATCH", "/api/v1/settings", Some(&change))
        .expect(200, "the secret is taken");
}

/// Whether a callback is signed with the secret, as the one way to see that it can be read.
fn signs(serve: &Headless, receiver: &CallbackReceiver) {
    let before = receiver.received().len();
    serve
        .manage("POST", "/api/v1/settings/test-callback", None)
        .expect(200, "tried");
    receiver.blocking_wait_for(before + 1, SOON)[before].assert_signed(SECRET);
}

fn kept(serve: &Headless) -> Value {
    let settings = serve.get("/api/v1/settings");
    json!([
        settings["secretProtection"],
        settings["secretNote"],
        settings["secretProblem"]
    ])
}

fn doctor(setup: &Installation) -> Value {
    let mut command = setup.bare_command();
    command
        .args(["doctor", "--json", "--data-dir"])
        .arg(setup.data_dir());
    let output = command.output().expect("it runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let checks = report["checks"].as_array().expect("checks").clone();
    let secrets = checks.into_iter().find(|check| check["name"] == "secrets");
    secrets.expect("a check of the secrets")
}

fn mode(path: &Path) -> u32 {
    let found = std::fs::metadata(path).expect("it is there");
    found.permissions().mode() & 0o777
}

#[test]
fn a_real_keyring_keeps_the_key_through_kills_locks_and_sign_ins() {
    let mut keyring = GnomeKeyring::start();
    let setup = on_bus(keyring.address());
    let receiver = CallbackReceiver::new();
    let serve = setup.start();
    assert_eq!(kept(&serve), json!(["keychain", null, null]));
    set_secret(&serve, &receiver);
    signs(&serve, &receiver);
    let dir = setup.data_dir();
    let has_key_file = || dir.join("secret.key").exists();
    assert!(!has_key_file());
    serve.kill();

    let serve = setup.start();
    signs(&serve, &receiver);
    assert_eq!(doctor(&setup)["verdict"], "ok");
    assert!(!has_key_file());
    serve.kill();

    // Locked at the start: the rest works, and the secret comes back with the keyring, without a restart.
    keyring.lock();
    let serve = setup.start();
    let told = kept(&serve);
    assert_eq!(told[0], "keychain");
    let problem = told[2].as_str().expect("a problem");
    assert!(
        problem.starts_with("Cannot read secret") && problem.contains("keychain"),
        "{problem}"
    );
    assert_eq!(doctor(&setup)["verdict"], "problem");
    let refused = serve.manage(
        "PATCH",
        "/api/v1/settings",
        Some(&json!({ "callbackSecret": "another" })),
    );
    assert_eq!(refused.status, 500, "{}", refused.text());
    assert!(refused.text().contains("keychain"), "{}", refused.text());
    keyring.sign_in();
    eventually("the keyring is found open", Duration::from_secs(30), || {
        (kept(&serve)[2] == Value::Null).then_some(())
    });
    signs(&serve, &receiver);
    assert!(!has_key_file(), "no key took the place of the one in the keyring");
    serve.kill();

    // The keyring is forbidden: told, and still no new key.
    let setup = setup.with(&["--keychain", "off"]);
    let serve = setup.start();
    let told = kept(&serve);
    assert!(
        told[2]
            .as_str()
            .is_some_and(|problem| problem.contains("--keychain off")),
        "{told}"
    );
    assert!(!has_key_file());
}

#[test]
fn without_a_keychain_the_key_is_in_a_private_file_and_the_reason_is_told() {
    let bus = PrivateBus::start();
    let folder = tempfile::tempdir().expect("a folder");
    let nowhere = format!("unix:path={}", folder.path().join("bus").display());
    for (address, reason) in [
        (nowhere.as_str(), "no session bus"),
        (bus.address(), "no keychain"),
    ] {
        let setup = on_bus(address);
        let receiver = CallbackReceiver::new();
        let serve = setup.start();
        let dir = setup.data_dir();
        let key = std::fs::read(dir.join("secret.key")).expect("a key file");
        assert_eq!((mode(&dir.join("secret.key")), mode(&dir)), (0o600, 0o700));
        let told = kept(&serve);
        assert_eq!((&told[0], &told[2]), (&json!("file"), &Value::Null));
        assert!(
            told[1].as_str().is_some_and(|note| note.contains(reason)),
            "{told}"
        );
        let check = doctor(&setup);
        assert_eq!(check["verdict"], "note");
        assert!(
            check["advice"]
                .as_str()
                .is_some_and(|advice| advice.contains(reason)),
            "{check}"
        );
        set_secret(&serve, &receiver);
        serve.kill();
        let serve = setup.start();
        signs(&serve, &receiver);
        assert_eq!(std::fs::read(dir.join("secret.key")).ok(), Some(key));
        assert_eq!(kept(&serve), told);
    }
}

#[test]
fn a_folder_with_a_key_file_stays_with_it_when_a_keychain_appears() {
    let keyring = GnomeKeyring::start();
    let receiver = CallbackReceiver::new();
    let setup = installation().with_environment("DBUS_SESSION_BUS_ADDRESS", keyring.address());
    let serve = setup.start();
    assert_eq!(kept(&serve), json!(["file", null, null]), "tests switch it off");
    set_secret(&serve, &receiver);
    serve.kill();
    let setup = setup.with_environment("COUNTERSIGN_KEYCHAIN", "auto");
    let serve = setup.start();
    assert_eq!(kept(&serve), json!(["file", null, null]));
    signs(&serve, &receiver);
    assert!(!setup.data_dir().join("secret.place").exists());
}

#[test]
fn the_word_for_the_keychain_is_checked_wherever_it_is_said() {
    let named = [
        (installation().with(&["--keychain", "maybe"]), "--keychain"),
        (
            installation().with_environment("COUNTERSIGN_KEYCHAIN", "maybe"),
            "COUNTERSIGN_KEYCHAIN",
        ),
    ];
    for (setup, place) in named {
        let output = setup.command().output().expect("it runs");
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(place) && said.contains("off"), "{said}");
    }
    let setup = installation().with_config("keychain = \"maybe\"\n");
    let mut command = setup.command();
    let output = command
        .env_remove("COUNTERSIGN_KEYCHAIN")
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("countersign.toml"), "{said}");
}
