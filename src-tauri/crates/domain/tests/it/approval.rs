//! One answer a question, bound to what was shown.

use countersign_domain::json::{Beyond, DEEPEST};
use countersign_domain::{
    ARGUMENTS_LIMIT, Approval, ApprovalId, ApprovalState, ArgumentsRefused, AskedCall, Decision, ExecutionId,
    FlowId, Ids, Outcome, Question, RandomIds, SequentialIds, Surface, Timestamp, payload_facts,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What [`question`] hashed to before questions carried calls.
const HASH_BEFORE_CALLS: &str = "5feabd3da6daa8a0c9370c445e6469ac469941b01f660a6ce4fa07617f5e5363";

/// Always the same id.
fn fixed_id() -> ApprovalId {
    ApprovalId::from_uuid(SequentialIds::default().ordered(Timestamp::from_millis(7)))
}

fn question() -> Question {
    Question {
        title: "Deploy api v2?".to_owned(),
        body: "to **production**".to_owned(),
        feedback_enabled: true,
        call: None,
        payload_hash: payload_facts(&json!({"body": {"service": "api"}})).0,
        payload_bytes: 26,
        if_approved: vec!["Reply “released”".to_owned()],
        if_rejected: vec!["Reply “held”".to_owned()],
    }
}

fn pending() -> Approval {
    let id = fixed_id();
    let question = question();
    Approval {
        id,
        state: ApprovalState::Pending,
        flow_id: FlowId::from_uuid(id.uuid()),
        flow_name: "Deploy".to_owned(),
        execution_id: ExecutionId::from_uuid(id.uuid()),
        chat_id: "chat".to_owned(),
        node_id: "humanInputAgentflow_0".to_owned(),
        node_label: "Approve?".to_owned(),
        called_flows: Vec::new(),
        content_hash: question.hash(id),
        question,
        signed: false,
        created_at: Timestamp::from_millis(1_000),
        decision: None,
    }
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![Just(Outcome::Approve), Just(Outcome::Reject)]
}

fn surface() -> impl Strategy<Value = Surface> {
    prop_oneof![
        Just(Surface::Notification),
        Just(Surface::Inbox),
        Just(Surface::Cli),
        Just(Surface::Api),
        Just(Surface::Webhook),
        Just(Surface::Policy),
    ]
}

prop_compose! {
    fn decision()(
        outcome in outcome(),
        surface in surface(),
        feedback in proptest::option::of(".{0,20}"),
        person in proptest::option::of("[a-z]{1,8}"),
        at in 0_i64..4_000_000_000_000,
    ) -> Decision {
        Decision {
            outcome, feedback, arguments: None, surface, person,
            decided_at: Timestamp::from_millis(at),
            content_hash: pending().content_hash,
        }
    }
}

fn state() -> impl Strategy<Value = ApprovalState> {
    prop_oneof![
        Just(ApprovalState::Pending),
        Just(ApprovalState::Approved),
        Just(ApprovalState::Rejected),
        Just(ApprovalState::Expired),
        Just(ApprovalState::Withdrawn),
    ]
}

proptest! {
    #[test]
    fn only_the_first_of_any_number_of_answers_counts(answers in proptest::collection::vec(decision(), 1..12)) {
        let mut approval = pending();
        for (place, answer) in answers.iter().enumerate() {
            let before = approval.clone();
            match approval.decide(answer.clone()) {
                Ok(()) => prop_assert_eq!(place, 0, "a later answer was taken"),
                Err(already) => {
                    prop_assert!(place > 0, "the first answer was refused");
                    prop_assert_eq!(&*already.0, &before, "the loser is shown the approval as it stands");
                    prop_assert_eq!(&approval, &before, "a refused answer changed something");
                }
            }
        }
        prop_assert_eq!(approval.decision.as_ref(), answers.first());
        prop_assert_eq!(approval.state, answers[0].outcome.state());
    }

    #[test]
    fn what_does_not_wait_takes_no_answer(state in state(), answer in decision()) {
        let mut approval = Approval { state, ..pending() };
        let taken = approval.decide(answer).is_ok();
        prop_assert_eq!(taken, state == ApprovalState::Pending, "state {}", state);
    }

    #[test]
    fn the_loser_is_told_what_who_when_and_where(first in decision(), second in decision()) {
        let mut approval = pending();
        approval.decide(first.clone()).expect("the first answer is taken");
        let told = approval.decide(second).expect_err("the second answer is refused").to_string();
        let state = first.outcome.state().to_string();
        prop_assert!(told.starts_with(&format!("Approval already {state}")), "{}", told);
        prop_assert!(told.contains(&first.decided_at.to_string()), "when is missing: {}", told);
        prop_assert!(told.contains(&first.surface.to_string()), "where is missing: {}", told);
        if let Some(person) = &first.person {
            prop_assert!(told.contains(&format!("by {person}")), "who is missing: {}", told);
        }
    }

    #[test]
    fn an_approval_reads_back_as_it_was_written(answer in proptest::option::of(decision())) {
        let mut approval = pending();
        if let Some(answer) = answer {
            approval.decide(answer).expect("the first answer is taken");
        }
        let text = serde_json::to_string(&approval).expect("an approval can be written");
        let read: Approval = serde_json::from_str(&text).expect("and read");
        prop_assert_eq!(read, approval);
    }

    /// Moving a character from the end of one part to the beginning of the next is another question.
    #[test]
    fn the_hash_keeps_the_parts_apart(title in "[a-z]{1,12}", body in "[a-z]{0,12}") {
        let id = fixed_id();
        let one = Question { title: title.clone(), body: body.clone(), ..question() };
        let (kept, moved) = title.split_at(title.len() - 1);
        let other = Question { title: kept.to_owned(), body: format!("{moved}{body}"), ..question() };
        prop_assert_ne!(one.hash(id), other.hash(id));
    }
}

#[test]
fn every_part_of_what_is_shown_is_in_the_hash() {
    let id = fixed_id();
    let shown = question();
    let hash = shown.hash(id);
    assert_eq!(
        hash,
        shown.clone().hash(id),
        "the same question has the same hash"
    );
    assert_eq!(hash.as_str().len(), 64);
    let changed = [
        (
            "title",
            Question {
                title: "Deploy api v3?".to_owned(),
                ..shown.clone()
            },
        ),
        (
            "body",
            Question {
                body: "to **staging**".to_owned(),
                ..shown.clone()
            },
        ),
        (
            "feedback",
            Question {
                feedback_enabled: false,
                ..shown.clone()
            },
        ),
        (
            "payload",
            Question {
                payload_hash: payload_facts(&json!({"body": {"service": "apx"}})).0,
                ..shown.clone()
            },
        ),
        (
            "payload type",
            Question {
                payload_hash: payload_facts(&Value::Null).0,
                ..shown.clone()
            },
        ),
        (
            "if approved",
            Question {
                if_approved: vec!["Delete all".to_owned()],
                ..shown.clone()
            },
        ),
        (
            "if rejected",
            Question {
                if_rejected: vec![],
                ..shown.clone()
            },
        ),
    ];
    for (part, other) in changed {
        assert_ne!(hash, other.hash(id), "{part} is not in the hash");
    }
    assert_ne!(
        hash,
        shown.hash(ApprovalId::from_uuid(RandomIds.random())),
        "the hash of one approval must not fit another"
    );
}

fn about(tool: &str, arguments: Value) -> Question {
    let call = AskedCall {
        tool: tool.to_owned(),
        arguments,
    };
    Question {
        call: Some(call),
        ..question()
    }
}

#[test]
fn the_call_is_in_the_hash_and_a_question_without_one_keeps_its_hash() {
    let id = fixed_id();
    assert_eq!(
        question().hash(id).as_str(),
        HASH_BEFORE_CALLS,
        "a stored approval keeps the hash that its answer names"
    );
    let pay = about("pay", json!({"amount": 7}));
    let others = [
        ("no call", question()),
        ("another tool", about("payx", json!({"amount": 7}))),
        ("another argument", about("pay", json!({"amount": 70}))),
        ("another type", about("pay", json!({"amount": "7"}))),
        ("a moved border", about("pay{", json!("\"amount\":7}"))),
    ];
    for (what, other) in others {
        assert_ne!(pay.hash(id), other.hash(id), "{what}");
    }
    let text = serde_json::to_string(&pay).expect("a question can be written");
    let read: Question = serde_json::from_str(&text).expect("and read");
    assert_eq!((read.hash(id), &read), (pay.hash(id), &pay));
}

#[test]
fn what_was_stored_before_there_were_calls_still_reads() {
    let mut stored = serde_json::to_value(pending()).expect("an approval can be written");
    assert_eq!(
        stored["question"].get("call"),
        None,
        "it is written as it was written then"
    );
    stored["decision"] = json!({"outcome": "approve", "surface": "inbox", "decidedAt": "2026-01-02T03:04:05Z",
        "contentHash": stored["contentHash"]});
    let read: Approval = serde_json::from_value(stored.clone()).expect("it reads");
    assert_eq!(
        (&read.question.call, read.content_hash),
        (&None, pending().content_hash)
    );
    assert_eq!(read.decision.expect("a decision").arguments, None);
}

#[test]
fn arguments_come_only_with_yes_to_a_call_and_only_if_they_differ() {
    let call = AskedCall {
        tool: "pay".to_owned(),
        arguments: json!({"amount": 7, "to": "Ann"}),
    };
    let changed = |call: Option<&AskedCall>, outcome, arguments: Value| {
        AskedCall::changed(call, outcome, Some(arguments))
    };
    let other = json!({"amount": 8, "to": "Ann"});
    assert_eq!(
        changed(Some(&call), Outcome::Approve, other.clone()),
        Ok(Some(other.clone()))
    );
    let equal = json!({"to": "Ann", "amount": 7});
    assert_eq!(
        changed(Some(&call), Outcome::Approve, equal),
        Ok(None),
        "the order of names means nothing"
    );
    for outcome in [Outcome::Approve, Outcome::Reject] {
        assert_eq!(AskedCall::changed(Some(&call), outcome, None), Ok(None));
        assert_eq!(AskedCall::changed(None, outcome, None), Ok(None));
        assert_eq!(
            changed(None, outcome, other.clone()),
            Err(ArgumentsRefused::NoCall)
        );
    }
    assert_eq!(
        changed(Some(&call), Outcome::Reject, other),
        Err(ArgumentsRefused::NotApproved)
    );
    for wrong in [json!(null), json!([1]), json!("{}"), json!(7), json!(true)] {
        assert_eq!(
            changed(Some(&call), Outcome::Approve, wrong.clone()),
            Err(ArgumentsRefused::NoObject),
            "{wrong}"
        );
    }
    let nested = |depth: usize| (1..depth).fold(json!({}), |inner, _| json!({ "in": inner }));
    assert!(changed(Some(&call), Outcome::Approve, nested(DEEPEST)).is_ok());
    assert_eq!(
        changed(Some(&call), Outcome::Approve, nested(DEEPEST + 1)),
        Err(ArgumentsRefused::Beyond(Beyond::Depth))
    );
    let long = |length: usize| json!({ "a": "x".repeat(length - r#"{"a":""}"#.len()) });
    assert!(changed(Some(&call), Outcome::Approve, long(ARGUMENTS_LIMIT)).is_ok());
    assert_eq!(
        changed(Some(&call), Outcome::Approve, long(ARGUMENTS_LIMIT + 1)),
        Err(ArgumentsRefused::TooLong)
    );
}

#[test]
fn the_words_on_the_wire_are_the_promised_ones() {
    for (outcome, word, human_input) in [
        (Outcome::Approve, "approve", "proceed"),
        (Outcome::Reject, "reject", "reject"),
    ] {
        assert_eq!(serde_json::to_value(outcome).ok(), Some(json!(word)));
        assert_eq!(
            outcome.human_input_type(),
            human_input,
            "a Flowise client uses these words"
        );
    }
    for word in ["Approve", "APPROVE", "yes", "proceed", ""] {
        assert!(
            serde_json::from_value::<Outcome>(json!(word)).is_err(),
            "{word:?} must not be an answer"
        );
    }
}
