//! Rules 1 to 8 of the freedesktop backend, each against the fake server.

use std::time::{Duration, Instant};

use countersign_notify::{
    Answer, Capabilities, Closed, Importance, Notice, NoticeKey, Notifier, NotifierEvent, PresentError,
    ServerState, XdgNotifier, XdgOptions,
};
use countersign_testkit::{FakeNotificationServer, Mode, PrivateBus};
use tokio::sync::mpsc;

use crate::{LIMIT, QUIET, key, notice};

pub(crate) struct Desk {
    pub(crate) bus: PrivateBus,
    pub(crate) server: FakeNotificationServer,
    pub(crate) notifier: XdgNotifier,
    pub(crate) events: mpsc::Receiver<NotifierEvent>,
}

impl Desk {
    pub(crate) async fn new(mode: Mode) -> Self {
        let bus = PrivateBus::start();
        let server = FakeNotificationServer::start(&bus, mode).await;
        let notifier = XdgNotifier::start(options(&bus));
        let mut events = notifier.events();
        let first = events.recv().await;
        assert!(
            matches!(first, Some(NotifierEvent::ServerChanged(ServerState::Up { .. }))),
            "it found {first:?}"
        );
        Self {
            bus,
            server,
            notifier,
            events,
        }
    }

    pub(crate) async fn next(&mut self) -> NotifierEvent {
        let event = tokio::time::timeout(LIMIT, self.events.recv()).await;
        event
            .expect("an event comes in time")
            .expect("the stream goes on")
    }

    pub(crate) async fn nothing(&mut self, why: &str) {
        let event = tokio::time::timeout(QUIET, self.events.recv()).await;
        assert!(event.is_err(), "{why}, but there was {event:?}");
    }

    pub(crate) async fn present(&self, number: u32) -> countersign_testkit::NotifyCall {
        self.notifier
            .present(notice(number))
            .await
            .expect("the server takes it");
        self.server.calls().pop().expect("it was recorded")
    }
}

pub(crate) fn options(bus: &PrivateBus) -> XdgOptions {
    XdgOptions {
        address: Some(bus.address().to_owned()),
        call_limit: Duration::from_millis(500),
        reconnect: Duration::from_millis(50),
        ..XdgOptions::default()
    }
}

fn answered(number: u32, answer: Answer) -> NotifierEvent {
    NotifierEvent::Answered {
        key: key(number),
        answer,
        activation_token: None,
    }
}

#[tokio::test]
async fn rule_1_one_connection_that_listens_before_it_sends() {
    let mut desk = Desk::new(Mode::CloseAtOnce).await;
    for number in 1..=20 {
        desk.notifier
            .present(notice(number))
            .await
            .expect("the server takes it");
    }
    for number in 1..=20 {
        let closed = NotifierEvent::Closed {
            key: key(number),
            reason: Closed::Unknown,
        };
        assert_eq!(
            desk.next().await,
            closed,
            "every one of 20 closings that outran the answer is seen"
        );
    }
    let calls = desk.server.calls();
    assert!(
        calls.iter().all(|call| call.sender == calls[0].sender),
        "all come from one connection"
    );
}

#[tokio::test]
async fn rule_2_a_signal_counts_only_from_the_owner_of_the_name() {
    let mut desk = Desk::new(Mode::Normal).await;
    let call = desk.present(1).await;
    let approve = call.key("Approve").expect("there is the button").to_owned();
    desk.server.spoof_action(&desk.bus, call.id, &approve).await;
    desk.nothing("a stranger with the right key approves nothing")
        .await;
    desk.server.press(call.id, "Approve").await;
    assert_eq!(
        desk.next().await,
        answered(1, Answer::Approve),
        "the genuine signal comes through afterwards"
    );
}

#[tokio::test]
async fn rule_3_action_keys_carry_a_token_of_this_presentation() {
    let mut desk = Desk::new(Mode::Normal).await;
    let first = desk.present(1).await;
    let second = desk.present(1).await;
    assert_eq!(
        second.replaces_id, first.id,
        "a known notification is replaced in place"
    );
    let keys = |call: &countersign_testkit::NotifyCall| {
        ["Approve", "Reject"].map(|label| call.key(label).expect("the button").to_owned())
    };
    let (old, new) = (keys(&first), keys(&second));
    assert_ne!(old, new, "each presentation has a token of its own");
    assert!(
        new[0].starts_with("approve.") && new[0].len() >= "approve.".len() + 32,
        "128 bits at least: {new:?}"
    );

    for wrong in [
        old[0].as_str(),
        "approve",
        "approve.",
        "approve.0",
        "inline-reply",
    ] {
        desk.server.emit_action(second.id, wrong).await;
    }
    desk.server.emit_reply(second.id, "proceed").await;
    desk.nothing("neither an old nor a made-up key nor a typed reply answers")
        .await;

    desk.server.emit_action(second.id, "default").await;
    assert_eq!(
        desk.next().await,
        answered(1, Answer::Open),
        "the fixed key only opens"
    );
    desk.server.emit_action(second.id, &new[1]).await;
    desk.server.emit_action(second.id, &new[0]).await;
    assert_eq!(
        desk.next().await,
        answered(1, Answer::Reject),
        "the right key answers"
    );
    desk.nothing("a second press changes nothing").await;
}

#[tokio::test]
async fn rule_4_a_signal_that_outruns_the_answer_to_notify_is_not_lost() {
    let mut desk = Desk::new(Mode::PressAtOnce("Approve".into())).await;
    for number in 1..=20 {
        desk.notifier
            .present(notice(number))
            .await
            .expect("the server takes it");
        assert_eq!(
            desk.next().await,
            answered(number, Answer::Approve),
            "the press came before the id was known"
        );
        let closed = NotifierEvent::Closed {
            key: key(number),
            reason: Closed::Dismissed,
        };
        assert_eq!(desk.next().await, closed, "its closing follows");
    }
    // The same while a known notification is replaced, whose id is known and whose new token is not.
    desk.server.set_mode(Mode::Normal);
    desk.present(30).await;
    desk.server.set_mode(Mode::PressAtOnce("Reject".into()));
    desk.notifier
        .update(notice(30))
        .await
        .expect("the server takes it");
    assert_eq!(
        desk.next().await,
        answered(30, Answer::Reject),
        "also for an update"
    );
}

#[tokio::test]
async fn rule_5_a_new_owner_knows_nothing_of_the_ids_of_the_old_one() {
    let mut desk = Desk::new(Mode::Normal).await;
    let old = desk.present(1).await;
    let old_key = old.key("Approve").expect("the button").to_owned();
    desk.server.restart().await;
    assert!(
        matches!(
            desk.next().await,
            NotifierEvent::ServerChanged(ServerState::Down { .. })
        ),
        "the loss is reported"
    );
    let NotifierEvent::ServerChanged(ServerState::Up { epoch, .. }) = desk.next().await else {
        panic!("the new server is reported")
    };
    let queries = desk.server.capability_queries();
    assert!(queries >= 2, "the new server was asked what it can do");

    desk.server.emit_action(old.id, &old_key).await;
    desk.nothing("an action on an id of the former server is nobody's")
        .await;
    let new = desk.present(2).await;
    assert_eq!(new.id, old.id, "the new server gives the same numbers");
    assert_eq!(
        new.replaces_id, 0,
        "and is not asked to replace what it does not have"
    );
    desk.server.emit_action(new.id, &old_key).await;
    desk.nothing("the key of the former prompt does not approve the new one")
        .await;
    desk.server.press(new.id, "Approve").await;
    assert_eq!(
        desk.next().await,
        answered(2, Answer::Approve),
        "its own key does"
    );
    let ServerState::Up { epoch: now, .. } = desk.notifier.state().await else {
        panic!("it is up")
    };
    assert_eq!(now, epoch, "it is the same server as it was told of");
}

#[tokio::test]
async fn rule_6_and_13_names_and_urgency() {
    let desk = Desk::new(Mode::Normal).await;
    for (number, importance, urgency) in [
        (1, Importance::Low, 0),
        (2, Importance::Normal, 1),
        (3, Importance::Critical, 2),
    ] {
        let notice = Notice {
            importance,
            ..notice(number)
        };
        desk.notifier.present(notice).await.expect("the server takes it");
        let call = desk.server.calls().pop().expect("recorded");
        assert_eq!(call.app_name, "Countersign", "the name that people see");
        assert_eq!(
            call.desktop_entry.as_deref(),
            Some("Countersign"),
            "the name of the desktop file"
        );
        assert_eq!(call.urgency, Some(urgency), "{importance:?}");
        assert_eq!(
            call.hints,
            ["desktop-entry", "urgency"],
            "neither resident nor transient: history is wanted"
        );
        assert_eq!(call.buttons(), ["Approve", "Reject"], "the same order everywhere");
        assert_eq!(call.key("Open"), Some("default"), "the notification itself opens");
    }
}

#[tokio::test]
async fn rule_7_every_call_has_a_time_limit_and_a_late_answer_leaves_nothing_behind() {
    let mut desk = Desk::new(Mode::SlowAnswer(Duration::from_millis(900))).await;
    let begin = Instant::now();
    let result = desk.notifier.present(notice(1)).await;
    assert_eq!(result, Err(PresentError::TimedOut), "it gives up");
    assert!(
        begin.elapsed() < Duration::from_millis(850),
        "after the limit, not when the server pleases"
    );
    let closed = desk
        .server
        .wait_until(LIMIT, |server| server.closed_by_client() == [1])
        .await;
    assert!(
        closed,
        "what the server showed in the end is taken off the screen again"
    );

    desk.server.set_mode(Mode::Silent);
    let state = desk.notifier.state().await;
    assert!(
        matches!(&state, ServerState::Down { reason } if reason.contains("does not answer")),
        "{state:?}"
    );
    desk.server.set_mode(Mode::Normal);
    let back = desk.next().await;
    assert!(
        matches!(back, NotifierEvent::ServerChanged(ServerState::Up { .. })),
        "a server that recovers is noticed without anybody asking: {back:?}"
    );
}

#[tokio::test]
async fn rule_8_shutting_down_withdraws_everything() {
    let desk = Desk::new(Mode::Normal).await;
    for number in 1..=3 {
        desk.present(number).await;
    }
    desk.notifier.shutdown().await;
    assert_eq!(desk.server.showing().len(), 0, "the screen is empty");
    let mut closed = desk.server.closed_by_client();
    closed.sort_unstable();
    assert_eq!(closed, [1, 2, 3], "each was closed by us");
    let after = desk.notifier.present(notice(4)).await;
    assert!(
        matches!(after, Err(PresentError::Down(_))),
        "nothing is shown afterwards: {after:?}"
    );
}

#[tokio::test]
async fn withdrawing_closes_one_and_reports_nothing() {
    let mut desk = Desk::new(Mode::Normal).await;
    desk.present(1).await;
    desk.present(2).await;
    desk.notifier.withdraw(key(1)).await;
    desk.notifier.withdraw(NoticeKey::RollUp).await;
    assert_eq!(
        desk.server.closed_by_client(),
        [1],
        "only the one that is on the screen"
    );
    desk.nothing("what we close ourselves is no news").await;
}

#[tokio::test]
async fn markup_is_escaped_only_where_it_is_read() {
    let desk = Desk::new(Mode::Normal).await;
    let hostile = Notice {
        summary: "<i>1 & 2</i>".into(),
        body: "<b>3 & 4</b> &amp;".into(),
        ..notice(1)
    };
    desk.notifier.present(hostile.clone()).await.expect("shown");
    desk.server.set_capabilities(&["actions", "body"]);
    desk.notifier.state().await;
    desk.notifier.present(hostile).await.expect("shown");
    let calls = desk.server.calls();
    assert_eq!(
        calls[0].body, "&lt;b&gt;3 &amp; 4&lt;/b&gt; &amp;amp;",
        "escaped for a server that parses"
    );
    assert_eq!(
        calls[1].body, "<b>3 & 4</b> &amp;",
        "as it is for one that does not"
    );
    assert!(
        calls.iter().all(|call| call.summary == "<i>1 & 2</i>"),
        "the summary is never markup"
    );
}

#[tokio::test]
async fn the_activation_token_comes_along_with_the_wish_to_open() {
    let mut desk = Desk::new(Mode::Normal).await;
    let call = desk.present(1).await;
    desk.server.emit_activation_token(call.id, "token-7").await;
    desk.server.emit_action(call.id, "default").await;
    let event = desk.next().await;
    let wanted = NotifierEvent::Answered {
        key: key(1),
        answer: Answer::Open,
        activation_token: Some("token-7".into()),
    };
    assert_eq!(event, wanted, "the window needs it to come to the front");
}

#[tokio::test]
async fn without_a_server_it_says_so_and_finds_one_that_comes_later() {
    let bus = PrivateBus::start();
    let notifier = XdgNotifier::start(options(&bus));
    let mut events = notifier.events();
    let state = notifier.state().await;
    let ServerState::Down { reason } = &state else {
        panic!("there is no server: {state:?}")
    };
    assert!(
        reason.contains("No notification server") && reason.contains("inbox"),
        "in plain words: {reason}"
    );
    let result = notifier.present(notice(1)).await;
    assert!(
        matches!(result, Err(PresentError::Down(_))),
        "nothing can be shown: {result:?}"
    );

    let _server = FakeNotificationServer::start(&bus, Mode::Normal).await;
    let event = tokio::time::timeout(LIMIT, events.recv())
        .await
        .expect("it is noticed");
    let Some(NotifierEvent::ServerChanged(ServerState::Up {
        name,
        version,
        capabilities,
        ..
    })) = event
    else {
        panic!("it came up: {event:?}")
    };
    assert_eq!(
        (name.as_str(), version.as_str()),
        ("Fake notification server", "1.0"),
        "it says who it is"
    );
    let can = Capabilities {
        buttons: true,
        markup: true,
        reply: false,
        keeps: true,
    };
    assert_eq!(capabilities, can, "it says what it can");
}

#[tokio::test]
async fn without_a_bus_it_says_so_and_connects_when_there_is_one() {
    let folder = countersign_testkit::TempDataDir::new();
    let socket = folder.join("bus");
    let address = format!("unix:path={}", socket.display());
    let notifier = XdgNotifier::start(XdgOptions {
        address: Some(address),
        reconnect: Duration::from_millis(50),
        ..XdgOptions::default()
    });
    let mut events = notifier.events();
    let state = notifier.state().await;
    let ServerState::Down { reason } = &state else {
        panic!("there is no bus: {state:?}")
    };
    assert!(reason.contains("No desktop session"), "in plain words: {reason}");
    let result = notifier.present(notice(1)).await;
    assert!(
        matches!(result, Err(PresentError::Down(_))),
        "nothing can be shown: {result:?}"
    );
    let told = events.recv().await;
    assert!(
        matches!(told, Some(NotifierEvent::ServerChanged(ServerState::Down { .. }))),
        "told once: {told:?}"
    );

    let bus = PrivateBus::start_at(&socket);
    let server = FakeNotificationServer::start(&bus, Mode::Normal).await;
    let event = tokio::time::timeout(LIMIT, events.recv())
        .await
        .expect("it is noticed");
    assert!(
        matches!(event, Some(NotifierEvent::ServerChanged(ServerState::Up { .. }))),
        "it came up: {event:?}"
    );
    notifier.present(notice(1)).await.expect("now it is shown");

    drop((server, bus));
    let event = tokio::time::timeout(LIMIT, events.recv())
        .await
        .expect("the loss is noticed");
    assert!(
        matches!(
            event,
            Some(NotifierEvent::ServerChanged(ServerState::Down { .. }))
        ),
        "it is gone: {event:?}"
    );
    std::fs::remove_file(&socket).ok();
    let bus = PrivateBus::start_at(&socket);
    let _server = FakeNotificationServer::start(&bus, Mode::Normal).await;
    loop {
        let event = tokio::time::timeout(LIMIT, events.recv())
            .await
            .expect("it connects again");
        if matches!(event, Some(NotifierEvent::ServerChanged(ServerState::Up { .. }))) {
            break;
        }
    }
}
