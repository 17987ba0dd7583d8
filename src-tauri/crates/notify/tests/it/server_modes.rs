//! The broker over the freedesktop backend, against each bad habit of servers.

use std::time::{Duration, Instant};

use countersign_domain::Outcome;
use countersign_notify::{Broker, BrokerEvent, BrokerHandle, BrokerOptions, XdgNotifier};
use countersign_testkit::{FakeNotificationServer, Mode, PrivateBus};
use tokio::sync::mpsc;

use crate::xdg_rules::options;
use crate::{LIMIT, QUIET, content_hash, id, prompt};

struct House {
    bus: PrivateBus,
    server: FakeNotificationServer,
    broker: BrokerHandle,
    events: mpsc::Receiver<BrokerEvent>,
}

impl House {
    async fn new(mode: Mode) -> Self {
        let bus = PrivateBus::start();
        let server = FakeNotificationServer::start(&bus, mode).await;
        let backend = Box::new(XdgNotifier::start(options(&bus)));
        let (broker, events) = Broker::start(quick(), backend);
        broker.ready().await;
        Self {
            bus,
            server,
            broker,
            events,
        }
    }

    /// The next event that is not about the status.
    async fn next(&mut self) -> BrokerEvent {
        loop {
            let event = tokio::time::timeout(LIMIT, self.events.recv())
                .await
                .expect("an event comes in time");
            match event.expect("the stream goes on") {
                BrokerEvent::StatusChanged(_) => {}
                event => return event,
            }
        }
    }

    async fn nothing(&mut self, why: &str) {
        let end = Instant::now() + QUIET;
        while let Ok(event) =
            tokio::time::timeout(end.saturating_duration_since(Instant::now()), self.events.recv()).await
        {
            assert!(
                matches!(event, Some(BrokerEvent::StatusChanged(_))),
                "{why}, but there was {event:?}"
            );
        }
    }
}

fn quick() -> BrokerOptions {
    BrokerOptions {
        gap: Duration::from_millis(1),
        settle: Duration::from_millis(5),
        pace_limit: 1000,
        flow_limit: 1000,
        roll_up_gap: Duration::from_millis(20),
        retry_after: Duration::from_millis(300),
        ..BrokerOptions::default()
    }
}

fn approved(number: u32) -> BrokerEvent {
    BrokerEvent::Answered {
        id: id(number),
        outcome: Outcome::Approve,
        content_hash: Some(content_hash(number)),
    }
}

#[tokio::test]
async fn normal_a_button_answers_and_the_notification_goes_after_the_decision() {
    let mut house = House::new(Mode::Normal).await;
    house.broker.present(prompt(1));
    house.broker.present(prompt(2));
    let call = house.server.wait_for_summary("item 1", LIMIT).await;
    let other = house.server.wait_for_summary("item 2", LIMIT).await;
    house.server.press(call.id, "Approve").await;
    assert_eq!(house.next().await, approved(1), "the press is told");
    house.broker.withdraw(id(1));
    // Decided in the inbox: the notification goes as well.
    house.broker.withdraw(id(2));
    let gone = house
        .server
        .wait_until(LIMIT, |server| server.closed_by_client().contains(&other.id))
        .await;
    assert!(gone, "a decision from another surface withdraws the notification");
    assert_eq!(house.server.calls().len(), 2, "nothing was shown twice");
    house.nothing("a withdrawal is no answer").await;
}

#[tokio::test]
async fn close_at_once_decides_nothing_and_does_not_flood() {
    let mut house = House::new(Mode::CloseAtOnce).await;
    for number in 1..=20 {
        house.broker.present(prompt(number));
    }
    house.server.wait_for_calls(3, LIMIT).await;
    house.nothing("twenty closings answer nothing").await;
    let calls = house.server.calls().len();
    assert!(
        calls <= 6,
        "a desktop that shows nothing is not flooded: {calls} notifications"
    );
    house.server.set_mode(Mode::Normal);
    let back = house
        .server
        .wait_until(LIMIT, |server| !server.showing().is_empty())
        .await;
    assert!(
        back,
        "it is tried again later, so that the person hears of them when the desktop shows things again"
    );
}

#[tokio::test]
async fn burst_every_answer_of_many_at_once_arrives() {
    let bus = PrivateBus::start();
    let server = FakeNotificationServer::start(&bus, Mode::Burst(20, "Approve".into())).await;
    let backend = Box::new(XdgNotifier::start(options(&bus)));
    let (broker, events) = Broker::start(BrokerOptions { slots: 20, ..quick() }, backend);
    let mut house = House {
        bus,
        server,
        broker,
        events,
    };
    house.broker.set_pending((1..=20).map(prompt).collect());
    let mut answered = Vec::new();
    for _ in 0..20 {
        answered.push(house.next().await);
    }
    for number in 1..=20 {
        let times = answered
            .iter()
            .filter(|event| **event == approved(number))
            .count();
        assert_eq!(times, 1, "answer {number} of the burst arrives once");
    }
}

#[tokio::test]
async fn duplicate_refusal_prompts_of_equal_wording_are_all_shown() {
    let house = House::new(Mode::RefuseDuplicates).await;
    for number in 1..=3 {
        let same = countersign_notify::Prompt {
            id: id(number),
            ..prompt(1)
        };
        house.broker.present(same);
    }
    let calls = house.server.wait_for_calls(3, LIMIT).await;
    assert_eq!(
        house.server.showing().len(),
        3,
        "all three are on the screen: {calls:#?}"
    );
}

#[tokio::test]
async fn no_actions_there_are_no_buttons_and_the_text_says_where_to_answer() {
    let mut house = House::new(Mode::Normal).await;
    house.broker.present(prompt(1));
    house.server.wait_for_summary("item 1", LIMIT).await;
    // Do Not Disturb begins while the server runs.
    house.server.set_mode(Mode::NoActions);
    house.broker.present(prompt(2));
    let call = house.server.wait_for_summary("item 2", LIMIT).await;
    assert_eq!(
        call.actions,
        [("default".to_owned(), "Open".to_owned())],
        "only the notification itself"
    );
    assert!(call.body.contains("Open Countersign to answer"), "{}", call.body);
    let status = house.broker.status();
    assert!(status.available && !status.buttons, "{status:?}");
    assert!(
        status.note.is_some_and(|note| note.contains("no buttons")),
        "the settings say so"
    );
    house.server.emit_action(call.id, "default").await;
    let wanted = BrokerEvent::OpenRequested {
        approval: Some(id(2)),
        activation_token: None,
    };
    assert_eq!(house.next().await, wanted, "a click opens that approval");
    house.server.set_mode(Mode::Normal);
    house.broker.present(prompt(3));
    let call = house.server.wait_for_summary("item 3", LIMIT).await;
    assert_eq!(
        call.buttons(),
        ["Approve", "Reject"],
        "capabilities are asked again for each batch"
    );
}

#[tokio::test]
async fn unicast_signals_sent_to_us_alone_arrive() {
    let mut house = House::new(Mode::Unicast).await;
    house.broker.present(prompt(1));
    let call = house.server.wait_for_summary("item 1", LIMIT).await;
    house.server.press(call.id, "Approve").await;
    assert_eq!(
        house.next().await,
        approved(1),
        "the sending connection is the listening one"
    );
}

#[tokio::test]
async fn restart_what_is_pending_is_shown_again_gently() {
    let bus = PrivateBus::start();
    let server = FakeNotificationServer::start(&bus, Mode::Normal).await;
    let gap = Duration::from_millis(120);
    let backend = Box::new(XdgNotifier::start(options(&bus)));
    let (broker, events) = Broker::start(BrokerOptions { gap, ..quick() }, backend);
    let mut house = House {
        bus,
        server,
        broker,
        events,
    };
    house.broker.set_pending((1..=3).map(prompt).collect());
    house.server.wait_for_calls(3, LIMIT).await;
    house.broker.withdraw(id(2));
    house
        .server
        .wait_until(LIMIT, |server| server.showing().len() == 2)
        .await;
    house.server.restart().await;
    let calls = house.server.wait_for_calls(5, LIMIT).await;
    let again = [&calls[3], &calls[4]];
    assert!(
        again.iter().all(|call| !call.summary.contains("item 2")),
        "what was settled stays away: {calls:#?}"
    );
    // The clock runs between the sending and the recording, so a little less than the gap is fine.
    assert!(
        again[1].at - again[0].at > gap / 2,
        "one after the other: {:?}",
        again[1].at - again[0].at
    );
    house.server.press(again[0].id, "Approve").await;
    assert_eq!(house.next().await, approved(1), "the new notification answers");

    house.server.stop().await;
    let down = tokio::time::timeout(LIMIT, async {
        while house.broker.status().available {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(down.await.is_ok(), "a server that goes is noticed");
    assert!(
        house
            .broker
            .status()
            .note
            .is_some_and(|note| note.contains("inbox")),
        "with a word of advice"
    );
}

#[tokio::test]
async fn id_reuse_an_old_key_does_not_answer_a_new_prompt() {
    let mut house = House::new(Mode::ReuseIds).await;
    house.broker.present(prompt(1));
    let old = house.server.wait_for_summary("item 1", LIMIT).await;
    house.server.close(old.id, 1).await;
    house.broker.present(prompt(2));
    let new = house.server.wait_for_summary("item 2", LIMIT).await;
    assert_eq!(new.id, old.id, "the id was given away again");
    house
        .server
        .emit_action(old.id, old.key("Approve").expect("the button"))
        .await;
    house
        .nothing("the key of the first prompt approves nothing")
        .await;
    house.server.press(new.id, "Approve").await;
    assert_eq!(house.next().await, approved(2), "the second prompt has its own");
}

#[tokio::test]
async fn slow_answer_nobody_waits_for_the_bus() {
    let mut house = House::new(Mode::Silent).await;
    let begin = Instant::now();
    for number in 1..=1000 {
        house.broker.present(prompt(number));
        house.broker.withdraw(id(number));
    }
    house.broker.present(prompt(2000));
    house.broker.test_prompt();
    let _ = house.broker.status();
    assert!(
        begin.elapsed() < Duration::from_millis(400),
        "2000 calls took {:?}",
        begin.elapsed()
    );
    house
        .server
        .set_mode(Mode::SlowAnswer(Duration::from_millis(200)));
    let call = house.server.wait_for_summary("item 2000", LIMIT).await;
    tokio::time::sleep(Duration::from_millis(250)).await;
    house.server.press(call.id, "Approve").await;
    assert_eq!(
        house.next().await,
        approved(2000),
        "a slow server works all the same"
    );
    assert!(
        house.server.calls().len() <= 4,
        "what was settled meanwhile is never shown"
    );
}

#[tokio::test]
async fn spoof_a_stranger_answers_nothing() {
    let mut house = House::new(Mode::Normal).await;
    house.broker.present(prompt(1));
    let call = house.server.wait_for_summary("item 1", LIMIT).await;
    house
        .server
        .spoof_action(&house.bus, call.id, call.key("Approve").expect("the button"))
        .await;
    house
        .nothing("a forged signal with the right key is ignored")
        .await;
}

#[tokio::test]
async fn discard_a_server_that_takes_and_shows_nothing_is_not_flooded() {
    let mut house = House::new(Mode::Discard).await;
    house.broker.present(prompt(1));
    house.server.wait_for_calls(1, LIMIT).await;
    house.nothing("a discarded notification answers nothing").await;
    assert_eq!(house.server.calls().len(), 1, "it is not sent again at once");
    house.server.wait_for_calls(2, LIMIT).await;
}
