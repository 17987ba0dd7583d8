//! Start: its settings (webhook spec §6), the question, the flow state, the messages of the chat.

use countersign_domain::Role;
use countersign_flow::{
    InputMode, PastMessage, Plan, ResponseMode, Run, SignatureKind, StartSettings, StartTrigger,
};
use serde_json::{Value, json};

use crate::support::{TestHost, failure, finished, flow, input, plan, records, reply, start, to_rest};

fn settings(inputs: Value) -> StartSettings {
    let text = flow(vec![start(inputs)], &[]);
    Plan::parse(&text).unwrap().start().clone()
}

#[test]
fn what_is_absent_has_no_editor_default() {
    let start = settings(json!({"startInputType": "", "webhookInputMode": ""}));
    assert_eq!(start.trigger, StartTrigger::Unknown);
    assert_eq!((start.method, start.content_type), (None, None));
    assert_eq!(start.input_mode, InputMode::Text);
    assert_eq!(start.signature, None);
    assert_eq!(start.response_mode, ResponseMode::Sync);
    assert_eq!((start.callback_url, start.callback_secret), (None, None));
    assert_eq!(start.validation, None);
}

#[test]
fn flags_count_only_as_booleans_and_lists_only_as_lists() {
    let start = settings(json!({
        "webhookEnableAuth": "true", "webhookEnableValidation": 1, "startEphemeralMemory": "", "webhookResponseMode": "soon",
    }));
    assert_eq!(
        (start.signature, start.validation, start.ephemeral_memory),
        (None, None, false)
    );
    assert_eq!(start.response_mode, ResponseMode::Sync, "an unknown mode is sync");
    let start = settings(json!({
        "webhookMethod": "PUT", "webhookContentType": "application/json", "webhookInputMode": "payload",
        "webhookEnableAuth": true, "webhookSignatureHeader": "X-Hub-Signature-256", "webhookSignatureType": "plain-token",
        "webhookResponseMode": "async", "callbackUrl": "https://r.test/cb", "callbackSecret": "hush",
        "webhookEnableValidation": true, "webhookHeaderParams": "", "webhookQueryParams": [{"name": "lane", "required": true}, 5],
        "webhookBodyParams": [{"name": "n", "type": "number", "required": "true"}, {"name": "m", "required": true}],
    }));
    let signature = start.signature.clone().unwrap();
    assert_eq!(
        (signature.header.as_str(), signature.kind),
        ("x-hub-signature-256", SignatureKind::PlainToken)
    );
    assert_eq!(start.response_mode, ResponseMode::Async);
    assert!(!format!("{start:?}").contains("hush"), "the secret is not shown");
    let validation = start.validation.unwrap();
    assert!(validation.headers.is_empty());
    assert_eq!(validation.query.len(), 1);
    assert_eq!(validation.body[0].name, "n");
    assert!(!validation.body[0].required && validation.body[1].required);
    assert!(validation.body[0].kind.is_some() && validation.body[1].kind.is_none());
    assert_eq!(
        settings(json!({"webhookEnableAuth": true}))
            .signature
            .unwrap()
            .header,
        "x-webhook-signature"
    );
}

#[test]
fn declared_types_accept_what_is_recorded() {
    let accepts = |kind: &str, value: Value| {
        let start = settings(
            json!({"webhookEnableValidation": true, "webhookBodyParams": [{"name": "x", "type": kind}]}),
        );
        start.validation.unwrap().body[0]
            .kind
            .clone()
            .unwrap()
            .accepts(&value)
    };
    for (kind, good, bad) in [
        (
            "number",
            vec![
                json!(1),
                json!("1.5"),
                json!(" 7 "),
                json!("0x1f"),
                json!(true),
                json!([]),
                json!([5]),
            ],
            vec![
                json!(""),
                json!("x"),
                json!("1x"),
                json!({}),
                json!([1, 2]),
                json!("inf"),
            ],
        ),
        (
            "boolean",
            vec![json!(true), json!("true"), json!("false")],
            vec![json!("TRUE"), json!(1), json!("")],
        ),
        ("object", vec![json!({})], vec![json!([]), json!("x")]),
        (
            "array[string]",
            vec![json!([]), json!(["a"])],
            vec![json!([1]), json!("a")],
        ),
        ("array[number]", vec![json!([1, 2.5])], vec![json!(["1"])]),
        ("array[boolean]", vec![json!([true])], vec![json!(["true"])]),
        (
            "array[object]",
            vec![json!([{}])],
            vec![json!([null]), json!([[]])],
        ),
        (
            "string",
            vec![json!(""), json!("x")],
            vec![json!(1), json!(true), json!({}), json!([])],
        ),
    ] {
        for value in good {
            assert!(accepts(kind, value.clone()), "{kind} accepts {value}");
        }
        for value in bad {
            assert!(!accepts(kind, value.clone()), "{kind} refuses {value}");
        }
    }
}

#[test]
fn the_question_follows_the_input_mode() {
    let run_of = |inputs: Value| {
        let plan = plan(vec![start(inputs), reply("d0", "[{{question}}]")], &[("s", "d0")]);
        finished(&plan, json!({"a": {"__proto__": 1}, "n": null}))
    };
    let run = run_of(
        json!({"webhookDefaultInput": "{{$webhook.body.a}} {{$webhook.body.n}} {{$webhook.body.a.__proto__}}"}),
    );
    assert_eq!(
        run.question(),
        Some("{\"__proto__\":1} {{$webhook.body.n}} {{$webhook.body.a.__proto__}}")
    );
    let run = run_of(json!({}));
    assert_eq!((run.question(), run.final_text().as_str()), (Some(" "), "[ ]"));
    assert_eq!(run.user_message(), " ");
    let run = run_of(json!({"webhookInputMode": "none", "webhookDefaultInput": "x"}));
    assert_eq!(run.question(), Some(" "));
    let run = run_of(json!({"webhookInputMode": "payload", "webhookDefaultInput": "x"}));
    assert_eq!((run.question(), run.final_text().as_str()), (None, "[]"));
    assert_eq!(
        run.user_message(),
        "{\"body\":{\"a\":{\"__proto__\":1},\"n\":null},\"headers\":{\"host\":\"h\"},\"query\":{}}"
    );
    assert!(
        !records(&run).contains("question"),
        "there is no question in payload mode"
    );
}

#[test]
fn the_record_of_start_is_that_of_flowise() {
    let plan = plan(
        vec![start(json!({})), reply("d0", "Hello {{ $webhook.body.who }}!")],
        &[("s", "d0")],
    );
    let run = finished(&plan, json!({"who": "Ada"}));
    let webhook = r#"{"webhook":{"body":{"who":"Ada"},"headers":{"host":"h"},"query":{}},"question":" "}"#;
    assert_eq!(
        records(&run),
        format!(
            "[{{\"nodeId\":\"startAgentflow_0\",\"nodeLabel\":\"Start\",\"data\":{{\"id\":\"startAgentflow_0\",\"name\":\"startAgentflow\",\
             \"input\":{webhook},\"output\":{webhook},\"state\":{{}}}},\"previousNodeIds\":[],\"status\":\"FINISHED\"}},\
             {{\"nodeId\":\"directReplyAgentflow_0\",\"nodeLabel\":\"Reply\",\"data\":{{\"id\":\"directReplyAgentflow_0\",\
             \"name\":\"directReplyAgentflow\",\"input\":{{}},\"output\":{{\"content\":\"Hello Ada!\"}},\"state\":{{}}}},\
             \"previousNodeIds\":[\"startAgentflow_0\"],\"status\":\"FINISHED\"}}]"
        )
    );
    assert_eq!(
        (run.final_text(), run.assistant_message()),
        ("Hello Ada!".to_owned(), "Hello Ada!".to_owned())
    );
}

#[test]
fn a_flow_of_nothing_but_start_answers_a_space() {
    let run = finished(&plan(vec![start(json!({}))], &[]), json!({"a": 1}));
    assert_eq!(run.final_text(), " ");
}

#[test]
fn s8_the_flow_state_can_be_taken_over() {
    let rows = json!([{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]);
    let state_of = |inputs: Value| {
        let plan = plan(vec![start(inputs)], &[]);
        let mut run = Run::begin_in_state(&plan, input(json!({})), Some(json!({"b": "kept", "c": "3"})));
        to_rest(&mut run, &plan, &TestHost::new());
        (
            run.state().clone(),
            records(&run).contains("\"persistState\":true"),
        )
    };
    let persist = json!({"startState": rows, "startPersistState": true});
    assert_eq!(
        state_of(persist),
        (json!({"a": "1", "b": "kept", "c": "3"}), true)
    );
    assert_eq!(
        state_of(json!({"startState": rows})),
        (json!({"a": "1", "b": "2"}), false)
    );
    assert_eq!(
        state_of(json!({"startState": rows.to_string()})).0,
        json!({"a": "1", "b": "2"})
    );
}

#[test]
fn a_start_that_cannot_begin_fails_the_run_with_the_known_words() {
    let of = |inputs: Value| failure(&plan(vec![start(inputs)], &[]), json!({}));
    let (run, failed) = of(json!({"startState": "not json"}));
    assert_eq!(failed.message, "Invalid Flow State");
    assert_eq!(
        records(&run),
        "[{\"nodeId\":\"startAgentflow_0\",\"nodeLabel\":\"Start\",\"previousNodeIds\":[],\"data\":{\"id\":\"startAgentflow_0\",\
         \"name\":\"startAgentflow\",\"error\":\"Invalid Flow State\"},\"status\":\"ERROR\"}]"
    );
    assert_eq!(
        of(json!({"startInputType": ""})).1.message,
        "Start input type not found"
    );
    assert!(
        of(json!({"startInputType": "chatInput"}))
            .1
            .message
            .contains("not configured as a Webhook Trigger")
    );
}

#[test]
fn ephemeral_memory_leaves_the_chat_out() {
    let plan = plan(
        vec![
            start(json!({"startEphemeralMemory": true})),
            reply("d0", "[{{chat_history}}]"),
        ],
        &[("s", "d0")],
    );
    let mut input = input(json!({}));
    input.past_history = vec![PastMessage {
        role: Role::User,
        content: "before".to_owned(),
    }];
    let mut run = Run::begin(&plan, input);
    to_rest(&mut run, &plan, &TestHost::new());
    assert_eq!(run.final_text(), "[]");
    assert!(records(&run).contains("\"question\":\" \",\"ephemeralMemory\":true}"));
}
