//! The policy of the broker (rules 9 to 16), over the fake backend.

use std::time::{Duration, Instant};

use countersign_domain::Outcome;
use countersign_notify::{
    Answer, Broker, BrokerEvent, BrokerHandle, BrokerOptions, Capabilities, Closed, FakeNotifier,
    HeadlessNotifier, Importance, Notice, NoticeKey, NotifierEvent, PresentError, Prompt, ServerState,
    ServerStatus,
};
use tokio::sync::mpsc;

use crate::{LIMIT, QUIET, content_hash, id, key, prompt};

struct House {
    screen: FakeNotifier,
    broker: BrokerHandle,
    events: mpsc::Receiver<BrokerEvent>,
}

fn quick() -> BrokerOptions {
    BrokerOptions {
        gap: Duration::from_millis(1),
        settle: Duration::from_millis(5),
        pace_limit: 1000,
        flow_limit: 1000,
        roll_up_gap: Duration::from_millis(1),
        retry_after: Duration::from_millis(100),
        ..BrokerOptions::default()
    }
}

fn all_can() -> ServerState {
    FakeNotifier::up(Capabilities {
        buttons: true,
        markup: true,
        reply: false,
        keeps: true,
    })
}

fn no_buttons() -> ServerState {
    FakeNotifier::up(Capabilities {
        buttons: false,
        markup: true,
        reply: false,
        keeps: true,
    })
}

impl House {
    async fn new(options: BrokerOptions) -> Self {
        let screen = FakeNotifier::new();
        let (broker, events) = Broker::start(options, Box::new(screen.clone()));
        broker.ready().await;
        Self {
            screen,
            broker,
            events,
        }
    }

    async fn shows(&self, what: &str, condition: impl Fn(&[Notice]) -> bool) {
        let came = self.screen.wait_for(LIMIT, condition).await;
        assert!(came, "{what}; on the screen: {:#?}", self.screen.showing());
    }

    /// The keys on the screen, sorted.
    fn keys(&self) -> Vec<NoticeKey> {
        let mut keys: Vec<NoticeKey> = self.screen.showing().iter().map(|notice| notice.key).collect();
        keys.sort();
        keys
    }

    /// Waits until exactly these are on the screen.
    async fn shows_exactly(&self, what: &str, keys: &[NoticeKey]) {
        self.shows(what, |notices| {
            let mut shown: Vec<NoticeKey> = notices.iter().map(|notice| notice.key).collect();
            shown.sort();
            shown == keys
        })
        .await;
    }

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

    async fn status_with(&self, what: &str, condition: impl Fn(&ServerStatus) -> bool) -> ServerStatus {
        let wait = async {
            while !condition(&self.broker.status()) {
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        };
        let came = tokio::time::timeout(LIMIT, wait).await;
        assert!(came.is_ok(), "{what}: {:?}", self.broker.status());
        self.broker.status()
    }
}

#[tokio::test]
async fn rule_9_one_answer_is_told_once_and_a_repeated_question_is_shown_again() {
    let mut house = House::new(quick()).await;
    house.broker.present(prompt(1));
    house.shows("it comes", |notices| notices.len() == 1).await;
    assert!(house.screen.answer(id(1), Answer::Reject), "there is the button");
    assert_eq!(
        house.next().await,
        BrokerEvent::Answered {
            id: id(1),
            outcome: Outcome::Reject,
            content_hash: Some(content_hash(1)),
        },
        "it is told"
    );
    house.screen.emit(NotifierEvent::Answered {
        key: key(1),
        answer: Answer::Approve,
        activation_token: None,
    });
    house
        .nothing("a second press before the decision is confirmed is nothing new")
        .await;
    assert_eq!(
        house.screen.history().len(),
        1,
        "the answered one is not shown again by itself"
    );
    // The store could not take the decision, so the application asks again.
    house.broker.present(prompt(1));
    house.shows("it comes again", |notices| notices.len() == 1).await;
    // Decided elsewhere; a press that comes too late is passed on, so that the person can be told.
    house.broker.withdraw(id(1));
    house.shows("it goes", |notices| notices.is_empty()).await;
    house.screen.emit(NotifierEvent::Answered {
        key: key(1),
        answer: Answer::Approve,
        activation_token: None,
    });
    let late = BrokerEvent::Answered {
        id: id(1),
        outcome: Outcome::Approve,
        content_hash: None,
    };
    assert_eq!(
        house.next().await,
        late,
        "the store decides what a late press is worth"
    );
    house
        .broker
        .tell("Already answered", "Rejected a moment ago from the inbox.");
    house
        .shows("the person is told", |notices| {
            notices.iter().any(|n| n.summary == "Already answered")
        })
        .await;
}

#[tokio::test]
async fn rule_10_no_closing_answers_anything_and_a_dismissed_one_stays_away() {
    let mut house = House::new(quick()).await;
    for reason in [Closed::Expired, Closed::Dismissed, Closed::Withdrawn] {
        house.broker.present(prompt(1));
        house.shows("it is there", |notices| notices.len() == 1).await;
        assert!(house.screen.close(key(1), reason), "it can be closed");
        house.nothing("closing is no answer").await;
        assert!(
            house.screen.showing().is_empty(),
            "{reason:?}: it does not come back by itself"
        );
    }
    let before = house.screen.history().len();
    house.broker.present(prompt(2));
    house
        .shows("new ones are shown", |notices| {
            notices.len() == 1 && notices[0].key == key(2)
        })
        .await;
    assert!(
        house.screen.close(key(2), Closed::Unknown),
        "the desktop swallows it"
    );
    house
        .shows("and it is tried again", |notices| {
            notices.len() == 1 && notices[0].key == key(2)
        })
        .await;
    assert!(
        house.screen.close(key(2), Closed::Unknown),
        "the desktop swallows it again"
    );
    tokio::time::sleep(Duration::from_millis(120)).await;
    assert!(house.screen.showing().is_empty(), "the second try takes longer");
    house.shows("but it comes", |notices| notices.len() == 1).await;
    assert_eq!(house.screen.history().len(), before + 3, "three times in all");
    house.nothing("nothing of all this answers").await;
}

#[tokio::test]
async fn rule_11_three_one_by_one_from_the_fourth_on_two_and_a_roll_up() {
    let mut house = House::new(quick()).await;
    for number in 1..=3 {
        house.broker.present(prompt(number));
    }
    house
        .shows_exactly("three one by one", &[key(1), key(2), key(3)])
        .await;
    house.broker.present(prompt(4));
    house
        .shows_exactly("two and the rest", &[key(1), key(2), NoticeKey::RollUp])
        .await;
    for number in 5..=7 {
        house.broker.present(prompt(number));
    }
    house
        .shows("it counts", |notices| {
            notices.iter().any(|n| n.summary == "5 more approvals waiting")
        })
        .await;
    let roll_up = house.screen.find(NoticeKey::RollUp).expect("it is there");
    assert!(!roll_up.buttons, "it can only be opened");
    house.screen.emit(NotifierEvent::Answered {
        key: NoticeKey::RollUp,
        answer: Answer::Approve,
        activation_token: None,
    });
    house.nothing("nobody approves five at once").await;
    assert!(
        house.screen.answer_key(NoticeKey::RollUp, Answer::Open),
        "it can be opened"
    );
    let open = BrokerEvent::OpenRequested {
        approval: None,
        activation_token: None,
    };
    assert_eq!(house.next().await, open, "that opens the inbox");
    house.nothing("and no more").await;
    assert_eq!(
        house.keys(),
        [key(1), key(2)],
        "once seen, the roll-up stays away until something new comes"
    );
    house.broker.present(prompt(8));
    house
        .shows_exactly("then it is back", &[key(1), key(2), NoticeKey::RollUp])
        .await;
    for number in [1, 4, 5, 6, 7] {
        house.broker.withdraw(id(number));
    }
    house
        .shows_exactly(
            "with three left they are shown one by one",
            &[key(2), key(3), key(8)],
        )
        .await;
}

#[tokio::test]
async fn rule_11_a_storm_never_needs_more_than_three_places() {
    let house = House::new(quick()).await;
    for burst in 0..10 {
        for number in 1..=20 {
            house.broker.present(prompt(burst * 20 + number));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(
            house.screen.showing().len() <= 3,
            "three at most: {:?}",
            house.keys()
        );
    }
    house
        .shows("all are counted", |n| {
            n.iter().any(|n| n.summary == "198 more approvals waiting")
        })
        .await;
    let one_by_one = house
        .screen
        .history()
        .iter()
        .filter(|n| n.key != NoticeKey::RollUp)
        .count();
    assert!(
        one_by_one <= 3,
        "200 questions, {one_by_one} of them shown one by one"
    );
}

#[tokio::test]
async fn rule_11_dismissing_one_does_not_bring_up_the_next_of_those_that_wait() {
    let house = House::new(quick()).await;
    house.broker.set_pending((1..=6).map(prompt).collect());
    house
        .shows_exactly("two and the rest", &[key(1), key(2), NoticeKey::RollUp])
        .await;
    assert!(
        house.screen.close(key(1), Closed::Dismissed),
        "a person closes one"
    );
    tokio::time::sleep(QUIET).await;
    assert_eq!(
        house.keys(),
        [key(2), NoticeKey::RollUp],
        "no other takes its place"
    );
    house.broker.withdraw(id(2));
    house
        .shows_exactly("a decision makes room", &[key(3), NoticeKey::RollUp])
        .await;
}

#[tokio::test]
async fn rule_12_texts_of_any_two_prompts_differ() {
    let house = House::new(BrokerOptions { slots: 20, ..quick() }).await;
    house.broker.set_pending(
        (1..=20)
            .map(|number| Prompt {
                id: id(number),
                ..prompt(1)
            })
            .collect(),
    );
    house.shows("all are shown", |notices| notices.len() == 20).await;
    let showing = house.screen.showing();
    let texts: std::collections::HashSet<_> = showing.iter().map(|n| (&n.summary, &n.body)).collect();
    assert_eq!(texts.len(), 20, "equal questions have notifications that differ");
}

#[tokio::test]
async fn rule_13_the_most_pressing_come_first_and_a_setting_caps_them() {
    let house = House::new(quick()).await;
    let critical = |number| Prompt {
        importance: Importance::Critical,
        ..prompt(number)
    };
    house
        .broker
        .set_pending(vec![prompt(1), prompt(2), prompt(3), critical(4), prompt(5)]);
    house
        .shows_exactly(
            "the critical one and the oldest",
            &[key(1), key(4), NoticeKey::RollUp],
        )
        .await;
    let importance = house.screen.find(key(4)).map(|notice| notice.importance);
    assert_eq!(importance, Some(Importance::Critical), "it is marked so");

    let house = House::new(BrokerOptions {
        most_important: Importance::Normal,
        ..quick()
    })
    .await;
    house.broker.present(critical(1));
    house.shows("it comes", |notices| notices.len() == 1).await;
    assert_eq!(
        house.screen.showing()[0].importance,
        Importance::Normal,
        "the setting caps it"
    );
}

#[tokio::test]
async fn rule_14_the_summary_says_what_is_asked_and_details_can_be_hidden() {
    let house = House::new(quick()).await;
    house.broker.present(prompt(1));
    house.shows("it comes", |notices| notices.len() == 1).await;
    let notice = house.screen.showing().remove(0);
    assert_eq!(
        notice.summary, "Release item 1 now?",
        "the question is in the first line"
    );
    assert!(
        notice
            .body
            .starts_with("Flow: Release gate\nAsked by the build\n#"),
        "then who asks: {}",
        notice.body
    );

    house.broker.set_details_hidden(true);
    house
        .shows("what is on the screen changes", |n| {
            n.len() == 1 && n[0].summary.contains("An approval waits")
        })
        .await;
    let notice = house.screen.showing().remove(0);
    let text = format!("{}\n{}", notice.summary, notice.body);
    for detail in ["Release", "item", "gate", "build"] {
        assert!(!text.contains(detail), "{detail:?} is hidden: {text}");
    }
    assert!(!notice.buttons, "nobody approves what they cannot read");
    house.broker.set_details_hidden(false);
    house.shows("and back", |n| n.len() == 1 && n[0].buttons).await;
}

#[tokio::test]
async fn rule_15_a_risky_step_has_no_buttons_and_is_not_approved_by_any_report() {
    let mut house = House::new(quick()).await;
    house.broker.present(Prompt {
        buttons: false,
        ..prompt(1)
    });
    house.shows("it comes", |notices| notices.len() == 1).await;
    let notice = house.screen.showing().remove(0);
    assert!(!notice.buttons, "it has no buttons");
    assert!(
        notice.body.contains("Open Countersign to see the whole request"),
        "it says why: {}",
        notice.body
    );
    house.screen.emit(NotifierEvent::Answered {
        key: key(1),
        answer: Answer::Approve,
        activation_token: None,
    });
    house
        .nothing("a report of a press on a button that is not there is ignored")
        .await;
    assert!(house.screen.answer(id(1), Answer::Open), "it opens");
    let open = BrokerEvent::OpenRequested {
        approval: Some(id(1)),
        activation_token: None,
    };
    assert_eq!(house.next().await, open, "the inbox, at that approval");
}

#[tokio::test]
async fn rule_16_a_flow_that_asks_too_often_is_held_back_and_the_status_says_so() {
    let span = Duration::from_millis(600);
    let house = House::new(BrokerOptions {
        flow_limit: 2,
        flow_span: span,
        ..quick()
    })
    .await;
    for number in 1..=2 {
        house.broker.present(prompt(number));
        house
            .shows("the first two come", |n| n.iter().any(|n| n.key == key(number)))
            .await;
        house.broker.withdraw(id(number));
    }
    house.broker.present(prompt(3));
    house
        .shows_exactly("the third only counts", &[NoticeKey::RollUp])
        .await;
    assert_eq!(
        house.screen.showing()[0].summary,
        "1 approval waiting",
        "but it is not hidden"
    );
    let status = house
        .status_with("it is noted", |status| status.held_back == 1)
        .await;
    assert!(
        status
            .note
            .is_some_and(|note| note.contains("Release gate") && note.contains("held back")),
        "by name"
    );
    house.broker.present(Prompt {
        flow_name: "Refunds".into(),
        ..prompt(4)
    });
    house
        .shows("another flow is not held back", |n| {
            n.iter().any(|n| n.key == key(4))
        })
        .await;
    house
        .shows_exactly("later the held one comes", &[key(3), key(4)])
        .await;
    house
        .status_with("and the note goes", |status| {
            status.held_back == 0 && status.note.is_none()
        })
        .await;
}

#[tokio::test]
async fn text_from_strangers_is_cleaned_and_cut() {
    let house = House::new(quick()).await;
    house.broker.present(Prompt {
        title: format!("Pay \u{202E}evil\u{0007}\nnow\u{200B} {}", "x".repeat(500)),
        body: format!("a\u{2066}b\r\nc\u{1b}[31m {}", "long ".repeat(500)),
        flow_name: "Flow\n\u{202E}name".into(),
        ..prompt(1)
    });
    house.broker.present(Prompt {
        title: "\u{200B}\n ".into(),
        ..prompt(2)
    });
    house.shows("both come", |notices| notices.len() == 2).await;
    let notice = house.screen.find(key(1)).expect("shown");
    assert!(
        notice.summary.starts_with("Pay evil now x"),
        "one clean line: {:?}",
        notice.summary
    );
    assert!(
        notice.summary.chars().count() <= 120,
        "a short one: {}",
        notice.summary.len()
    );
    assert!(
        notice.body.starts_with("Flow: Flow name\nab\nc[31m long"),
        "clean lines: {:?}",
        notice.body
    );
    assert!(
        notice.body.chars().count() < 400 && notice.body.lines().count() < 10,
        "few of them: {}",
        notice.body
    );
    let empty = house.screen.find(key(2)).expect("shown");
    assert!(
        !empty.summary.trim().is_empty(),
        "a question without text still says that it is one"
    );
}

#[tokio::test]
async fn capabilities_are_asked_for_each_batch() {
    let house = House::new(quick()).await;
    house.broker.present(prompt(1));
    house
        .shows("with buttons", |notices| {
            notices.iter().any(|n| n.key == key(1) && n.buttons)
        })
        .await;
    let asked = house.screen.times_asked();
    house.screen.set_state(no_buttons());
    house.broker.present(prompt(2));
    house
        .shows("without", |notices| {
            notices.iter().any(|n| n.key == key(2) && !n.buttons)
        })
        .await;
    assert!(house.screen.times_asked() > asked, "it asked again");
    house.screen.set_state(all_can());
    house.broker.refresh();
    house
        .status_with("a look at the settings asks too", |status| {
            status.buttons && status.note.is_none()
        })
        .await;
}

#[tokio::test]
async fn a_new_server_gets_everything_that_waits() {
    let mut house = House::new(quick()).await;
    house.broker.set_pending((1..=3).map(prompt).collect());
    house.shows("three", |notices| notices.len() == 3).await;
    assert!(house.screen.close(key(2), Closed::Dismissed), "one is dismissed");
    house.screen.restart(ServerState::down("The server is gone."));
    let status = house.status_with("it is down", |status| !status.available).await;
    assert_eq!(
        status.note.as_deref(),
        Some("The server is gone."),
        "with the reason"
    );
    house.broker.present(prompt(4));
    house.broker.withdraw(id(1));
    tokio::time::sleep(QUIET).await;
    assert_eq!(house.screen.history().len(), 3, "nothing is presented to nobody");
    house.screen.restart(all_can());
    house
        .shows_exactly("what waits now", &[key(2), key(3), key(4)])
        .await;
    assert!(house.screen.answer(id(3), Answer::Approve), "the buttons work");
    assert_eq!(
        house.next().await,
        BrokerEvent::Answered {
            id: id(3),
            outcome: Outcome::Approve,
            content_hash: Some(content_hash(3)),
        },
        "and are told"
    );
}

#[tokio::test]
async fn a_refused_notification_is_tried_again() {
    let house = House::new(quick()).await;
    house.screen.refuse_next(PresentError::Refused("too many".into()));
    house.broker.present(prompt(1));
    house
        .shows("at the second try", |notices| notices.len() == 1)
        .await;
}

#[tokio::test]
async fn the_test_prompt_tells_whether_it_works() {
    let mut house = House::new(quick()).await;
    house.broker.set_pending((1..=5).map(prompt).collect());
    house
        .shows("two and a roll-up", |notices| notices.len() == 3)
        .await;
    for (answer, approve) in [(Answer::Approve, true), (Answer::Reject, false)] {
        house.broker.test_prompt();
        house
            .shows("it asks", |notices| {
                notices
                    .iter()
                    .any(|n| n.summary == "Does this work?" && n.buttons)
            })
            .await;
        house
            .shows("and takes one of the three places", |notices| notices.len() == 3)
            .await;
        assert!(
            house.screen.answer_key(NoticeKey::Test, answer),
            "it has the button"
        );
        assert_eq!(
            house.next().await,
            BrokerEvent::TestAnswered { approve },
            "the answer is told"
        );
        house
            .shows_exactly("its place is free again", &[key(1), key(2), NoticeKey::RollUp])
            .await;
    }
    house.broker.set_enabled(false);
    house.shows("switched off", |notices| notices.is_empty()).await;
    house.broker.test_prompt();
    house
        .shows_exactly("a test is still possible", &[NoticeKey::Test])
        .await;
    let status = house
        .status_with("the status says so", |status| status.note.is_some())
        .await;
    assert!(
        status.note.is_some_and(|note| note.contains("switched off")),
        "in words"
    );
}

#[tokio::test]
async fn without_a_desktop_it_says_so_and_everything_else_works() {
    let (broker, mut events) = Broker::start(quick(), Box::new(HeadlessNotifier::default()));
    let status = broker.ready().await;
    assert!(!status.available && !status.buttons, "{status:?}");
    assert!(
        status
            .note
            .as_ref()
            .is_some_and(|note| note.contains("no desktop")),
        "{status:?}"
    );
    assert_eq!(
        events.recv().await,
        Some(BrokerEvent::StatusChanged(status)),
        "told once"
    );
    broker.set_pending((1..=5).map(prompt).collect());
    broker.test_prompt();
    tokio::time::sleep(QUIET).await;
    assert!(events.try_recv().is_err(), "and nothing else");
    broker.shutdown().await;
}

#[tokio::test]
async fn shutting_down_clears_the_screen_and_is_bounded() {
    let house = House::new(quick()).await;
    house.broker.set_pending((1..=5).map(prompt).collect());
    house.shows("they are there", |notices| notices.len() == 3).await;
    house.broker.shutdown().await;
    assert!(house.screen.showing().is_empty(), "the screen is empty");
    house.broker.present(prompt(9));
    tokio::time::sleep(QUIET).await;
    assert!(house.screen.showing().is_empty(), "and stays so");
}
