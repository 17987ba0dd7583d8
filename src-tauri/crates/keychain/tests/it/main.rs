//! Questions to keychains: a real GNOME Keyring on a bus of its own, buses where something is missing, and one in
//! memory that hangs.
#![cfg(all(unix, not(target_os = "macos")))]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_keychain::{
    Dialog, InMemory, Keychain, LIMIT, Mood, Unavailable, ask, keep_and_read_back, on_bus,
};
use countersign_testkit::{GnomeKeyring, PrivateBus};

/// How long a refusal may take: it must not slow a start down.
const AT_ONCE: Duration = Duration::from_millis(500);

fn read(keychain: &Arc<dyn Keychain>, entry: &str) -> Result<Option<Vec<u8>>, Unavailable> {
    let found = keychain.read(entry, Dialog::Never)?;
    Ok(found.map(|text| text.to_vec()))
}

#[test]
fn a_real_keyring_keeps_what_is_put_into_it_and_is_never_overwritten() {
    let keyring = GnomeKeyring::start();
    let keychain = on_bus(keyring.address());
    assert_eq!(read(&keychain, "a"), Ok(None), "no entry is a healthy answer");
    keep_and_read_back(keychain.as_ref(), "a", b"0123456789abcdef").unwrap();
    assert_eq!(
        keep_and_read_back(keychain.as_ref(), "a", b"other"),
        Err(Unavailable::Taken)
    );
    assert_eq!(read(&keychain, "a"), Ok(Some(b"0123456789abcdef".to_vec())));
    assert_eq!(read(&keychain, "b"), Ok(None));
}

#[test]
fn a_locked_keyring_is_told_without_a_dialog_and_read_after_the_next_sign_in() {
    let mut keyring = GnomeKeyring::start();
    let keychain = on_bus(keyring.address());
    keep_and_read_back(keychain.as_ref(), "a", b"text").unwrap();
    keyring.lock();
    let begun = Instant::now();
    assert_eq!(read(&keychain, "a"), Err(Unavailable::Locked));
    assert_eq!(keychain.write("b", b"text"), Err(Unavailable::Locked));
    assert!(begun.elapsed() < 2 * AT_ONCE + AT_ONCE, "{:?}", begun.elapsed());
    // Here is nothing that could show the dialog.
    let answer = ask(keychain.clone(), |keychain| keychain.read("a", Dialog::Allowed)).wait(LIMIT);
    assert!(
        !matches!(answer, Some(Ok(_))),
        "nobody has unlocked it: {answer:?}"
    );
    keyring.sign_in();
    assert_eq!(read(&keychain, "a"), Ok(Some(b"text".to_vec())));
    assert_eq!(read(&keychain, "b"), Ok(None), "nothing was written meanwhile");
    keyring.stop();
    assert_eq!(read(&keychain, "a"), Err(Unavailable::NoProvider));
}

#[test]
fn without_a_bus_or_a_keyring_the_answer_comes_at_once() {
    let bus = PrivateBus::start();
    for (address, why) in [
        ("unix:path=/nonexistent/bus", Unavailable::NoBus),
        ("nonsense", Unavailable::NoBus),
        (bus.address(), Unavailable::NoProvider),
    ] {
        let keychain = on_bus(address);
        let begun = Instant::now();
        assert_eq!(read(&keychain, "a"), Err(why.clone()), "{address}");
        assert_eq!(keychain.write("a", b"text"), Err(why), "{address}");
        assert!(begun.elapsed() < AT_ONCE, "{address}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_keyring_that_never_answers_is_given_up() {
    let bus = PrivateBus::start();
    let runtime = tokio_runtime();
    // Has the name, and reads nothing.
    let _silent = runtime.block_on(async {
        let connection = bus.connect().await;
        connection
            .request_name("org.freedesktop.secrets")
            .await
            .expect("the name is free");
        connection
    });
    let keychain = on_bus(bus.address());
    for dialog in [Dialog::Never, Dialog::Allowed] {
        let begun = Instant::now();
        let answer = keychain.read("a", dialog).map(|found| found.is_some());
        assert_eq!(answer, Err(Unavailable::Hanging));
        assert!(begun.elapsed() < LIMIT + AT_ONCE, "{:?}", begun.elapsed());
    }
}

fn tokio_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
}

#[test]
fn a_question_is_waited_for_within_its_limit_and_answered_once() {
    let memory = Arc::new(InMemory::in_mood(Mood::Hangs));
    let keychain: Arc<dyn Keychain> = memory.clone();
    let asked = ask(keychain, |keychain| keychain.write("a", b"text"));
    assert_eq!(asked.wait(Duration::from_millis(50)), None);
    memory.change_mood(Mood::Works);
    assert_eq!(asked.wait(LIMIT), Some(Ok(())));
    assert!(matches!(asked.wait(LIMIT), Some(Err(Unavailable::Failed(_)))));
}

#[test]
fn reading_back_tells_a_keychain_that_keeps_something_else() {
    let memory = InMemory::in_mood(Mood::Garbles);
    assert_eq!(
        keep_and_read_back(&memory, "a", b"text"),
        Err(Unavailable::Forgetful)
    );
    for why in [Unavailable::Locked, Unavailable::NoDefault] {
        memory.change_mood(Mood::Fails(why.clone()));
        assert_eq!(keep_and_read_back(&memory, "b", b"text"), Err(why));
    }
}
