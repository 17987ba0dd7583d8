//! LLM, Condition Agent and questions that a model writes (format §5.11, §5.4, §5.2).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_domain::{Outcome, Role};
use countersign_flow::{Advance, ModelMessage, ModelReply, Need, PastMessage, Plan, Run};
use serde_json::{Value, json};

use crate::support::{
    TestHost, answer, at_once, block_on, chat, gate, http, id, input, ok, order, plain, plan, records, reply,
    says, start, stop_of, to_rest,
};

fn llm(more: Value) -> Value {
    let mut inputs = json!({
        "llmModel": "chatOpenAI",
        "llmModelConfig": {"modelName": "gpt-x", "temperature": "0.2", "credential": "", "llmModel": "chatOpenAI",
            "FLOWISE_CREDENTIAL_ID": "abc"},
        "llmEnableMemory": true,
        "llmMemoryType": "allMessages",
        "llmReturnResponseAs": "userMessage",
    });
    for (key, value) in more.as_object().unwrap() {
        inputs[key] = value.clone();
    }
    plain("m0", "The Model", inputs)
}

fn only(node: Value) -> Plan {
    let target = node["id"].as_str().unwrap().to_owned();
    let start = start(json!({"webhookDefaultInput": "{{ $webhook.body.q }}"}));
    plan(vec![start, node], &[("s", &target)])
}

fn ran(plan: &Plan, host: &TestHost, past: Vec<PastMessage>) -> (Run, Advance) {
    let mut began = input(json!({"q": "Hello?"}));
    began.past_history = past;
    let mut run = Run::begin(plan, began);
    let rest = to_rest(&mut run, plan, host);
    (run, rest)
}

fn data(run: &Run, place: usize) -> Value {
    serde_json::to_value(run.records()).unwrap()[place]["data"].clone()
}

/// The conversation of a question to the model, `role: text` a line.
fn asked(host: &TestHost, place: usize) -> Vec<String> {
    let messages = &host.asked()[place].messages;
    let line = |message: &ModelMessage| match message {
        ModelMessage::System { content } => format!("system: {content}"),
        ModelMessage::User { content } => format!("user: {content}"),
        ModelMessage::Assistant { content, .. } => format!("assistant: {content}"),
        ModelMessage::Tool { content, .. } => format!("tool: {content}"),
    };
    messages.iter().map(line).collect()
}

fn past(count: usize) -> Vec<PastMessage> {
    let message = |at: usize| PastMessage {
        role: if at.is_multiple_of(2) {
            Role::User
        } else {
            Role::Assistant
        },
        content: format!("message {at}"),
    };
    (0..count).map(message).collect()
}

fn failure(rest: Advance) -> String {
    match rest {
        Advance::Failed(failure) => failure.message,
        other => panic!("it should fail, but {other:?}"),
    }
}

#[test]
fn an_answer_becomes_the_content_and_its_facts_stand_in_the_record() {
    let rows = json!([
        {"role": "user", "content": "About {{ $webhook.body.q }}"},
        {"role": "system", "content": "<p>Be <strong>short</strong></p>"},
        {"role": "developer", "content": "In German"},
    ]);
    let plan = only(llm(
        json!({"llmMessages": rows, "llmUserMessage": "Now: {{ question }}"}),
    ));
    let host = TestHost::new().saying(vec![ModelReply {
        reasoning: Some("hm".to_owned()),
        metadata: Some(json!({"model_name": "gpt-x"})),
        ..says("Guten Tag")
    }]);
    let (run, rest) = ran(&plan, &host, past(2));
    assert_eq!(rest, Advance::Finished);
    assert_eq!(
        asked(&host, 0),
        [
            "system: Be **short**",
            "user: About Hello?",
            "system: In German",
            "user: message 0",
            "assistant: message 1",
            "user: Hello?",
            "user: Now: Hello?",
        ]
    );
    let request = &host.asked()[0];
    assert_eq!(request.model.component, "chatOpenAI");
    assert_eq!(request.model.settings["temperature"], "0.2");
    assert_eq!(request.node_label, "The Model");
    assert!(request.stream, "the last step tells its answer while it comes");
    assert_eq!(host.told(), "Guten Tag", "once");

    let data = data(&run, 1);
    assert_eq!(
        serde_json::to_string(&data["output"]).unwrap(),
        r#"{"content":"Guten Tag","timeMetadata":{"start":1700000000123,"end":1700000000123,"delta":0},"#
            .to_owned()
            + r#""usageMetadata":{"input_tokens":2,"output_tokens":1,"total_tokens":3},"#
            + r#""responseMetadata":{"model_name":"gpt-x"},"reasonContent":{"thinking":"hm"}}"#
    );
    assert_eq!(
        data["input"]["messages"][0],
        json!({"role": "system", "content": "Be **short**"})
    );
    assert_eq!(data["input"]["llmModel"], "chatOpenAI");
    assert!(
        !records(&run).contains("abc"),
        "the id of the credential stays out: {}",
        records(&run)
    );
    assert_eq!(
        data["chatHistory"],
        json!([
            {"role": "user", "content": "Hello?"},
            {"role": "user", "content": "Guten Tag", "name": "the_model"},
        ])
    );
    assert_eq!(run.final_text(), "Guten Tag");
}

#[test]
fn a_later_step_sees_what_was_said_and_adds_only_its_own() {
    let second = plain(
        "m1",
        "Second",
        json!({"llmModel": "chatOllama", "llmModelConfig": {}, "llmEnableMemory": true,
            "llmReturnResponseAs": "assistantMessage"}),
    );
    let plan = plan(
        vec![
            start(json!({"webhookDefaultInput": "Go"})),
            llm(json!({})),
            second,
        ],
        &[("s", "m0"), ("m0", "m1")],
    );
    let host = TestHost::new().saying(vec![says("one"), says("two")]);
    let (run, _) = ran(&plan, &host, Vec::new());
    assert_eq!(asked(&host, 1), ["user: Go", "user: one"]);
    assert!(!host.asked()[0].stream, "another step follows");
    assert_eq!(
        data(&run, 2)["chatHistory"],
        json!([{"role": "assistant", "content": "two", "name": "second"}])
    );
    let keys: Vec<_> = host
        .asked()
        .into_iter()
        .map(|request| request.idempotency_key)
        .collect();
    assert_eq!(
        keys,
        ["execution-1:llmAgentflow_0:0:0", "execution-1:llmAgentflow_1:0:0"]
    );
}

#[test]
fn without_memory_the_input_stands_in_only_where_no_user_speaks() {
    let host = TestHost::new().saying(vec![says("a"), says("b")]);
    let off = |rows: Value| {
        only(llm(
            json!({"llmEnableMemory": "", "llmMessages": rows, "llmUserMessage": "unseen"}),
        ))
    };
    ran(&off(json!([{"role": "system", "content": "S"}])), &host, past(4));
    assert_eq!(asked(&host, 0), ["system: S", "user: Hello?"]);
    let (run, _) = ran(&off(json!([{"role": "user", "content": "U"}])), &host, past(4));
    assert_eq!(asked(&host, 1), ["user: U"]);
    assert_eq!(
        data(&run, 1)["chatHistory"][0],
        json!({"role": "user", "content": "U"})
    );
}

#[test]
fn memory_shows_a_window_or_a_summary() {
    let window = only(llm(
        json!({"llmMemoryType": "windowSize", "llmMemoryWindowSize": "1"}),
    ));
    let host = TestHost::new().saying(vec![says("a")]);
    ran(&window, &host, past(4));
    assert_eq!(asked(&host, 0), ["assistant: message 3", "user: Hello?"]);

    let summary = only(llm(
        json!({"llmMemoryType": "conversationSummary", "llmUserMessage": "And?"}),
    ));
    let host = TestHost::new().saying(vec![says("in short"), says("a")]);
    let (run, rest) = ran(&summary, &host, past(2));
    assert_eq!(rest, Advance::Finished);
    assert!(
        asked(&host, 0)[0].contains("user: message 0\nassistant: message 1\nuser: Hello?"),
        "{:?}",
        asked(&host, 0)
    );
    assert_eq!(asked(&host, 1), ["assistant: in short", "user: And?"]);
    assert_eq!(order(&run), ["s", "l0"], "one record for both questions");

    let last = json!({"llmMemoryType": "conversationSummaryBuffer", "llmMemoryMaxTokenLimit": 10,
        "llmMessages": [{"role": "system", "content": "S"}]});
    let host = TestHost::new().saying(vec![says("before"), says("a")]);
    ran(&only(llm(last.clone())), &host, past(4));
    assert!(!asked(&host, 0)[0].contains("message 3"), "{:?}", asked(&host, 0));
    assert_eq!(
        asked(&host, 1),
        [
            "system: S",
            "user: Summary of the conversation so far: before",
            "assistant: message 3",
            "user: Hello?",
        ]
    );
    let host = TestHost::new().saying(vec![says("a")]);
    ran(&only(llm(last)), &host, Vec::new());
    assert_eq!(
        asked(&host, 0),
        ["system: S", "user: Hello?"],
        "what fits needs no summary"
    );
}

#[test]
fn a_kill_between_summary_and_answer_loses_neither() {
    let plan = only(llm(json!({"llmMemoryType": "conversationSummary"})));
    let host = TestHost::new().saying(vec![says("in short"), says("a")]);
    let mut run = Run::begin(&plan, input(json!({"q": "Hello?"})));
    for _ in 0..2 {
        assert!(matches!(block_on(run.advance(&plan, &host)), Advance::Ran { .. }));
    }
    assert_eq!(host.asked().len(), 1);
    assert!(run.acts_next(&plan, &host), "the second question is outside too");
    let stored = serde_json::to_string(&run).unwrap();
    let mut again: Run = serde_json::from_str(&stored).unwrap();
    assert_eq!(to_rest(&mut again, &plan, &host), Advance::Finished);
    assert_eq!(asked(&host, 1), ["assistant: in short"]);
}

#[test]
fn an_answer_in_a_form_can_be_referred_to_key_by_key() {
    let rows = json!([
        {"key": "mood", "type": "enum", "enumValues": "good, bad", "description": "How it is"},
        {"key": "score", "type": "number", "description": ""},
        {"key": "tags", "type": "stringArray", "description": ""},
        {"key": "items", "type": "jsonArray", "jsonSchema": "{\"name\": {\"type\": \"string\"}}", "description": ""},
    ]);
    let plan = plan(
        vec![
            start(json!({"webhookDefaultInput": "Go", "startState": [{"key": "m", "value": ""}]})),
            llm(json!({"llmStructuredOutput": rows,
                "llmUpdateState": [{"key": "m", "value": "{{ output.mood }}"}]})),
            reply("d0", "{{ llmAgentflow_0.output.score }} {{ $flow.state.m }}"),
        ],
        &[("s", "m0"), ("m0", "d0")],
    );
    let answered = r#"{"score": 3, "mood": "good", "tags": ["x"], "items": [{"name": "n"}], "more": 1}"#;
    for said in [answered.to_owned(), format!("Sure:\n```json\n{answered}\n```\n")] {
        let host = TestHost::new().saying(vec![says(&said)]);
        let (run, rest) = ran(&plan, &host, Vec::new());
        assert_eq!(rest, Advance::Finished, "{said}");
        assert_eq!(run.final_text(), "3 good");
        let output = &data(&run, 1)["output"];
        assert_eq!(output["tags"], json!(["x"]));
        assert_eq!(
            output["content"],
            "{\n  \"mood\": \"good\",\n  \"score\": 3,\n  \"tags\": [\n    \"x\"\n  ],\n  \"items\": [\n    {\n      \"name\": \"n\"\n    }\n  ]\n}"
        );
        let schema = host.asked()[0].answer_schema.clone().unwrap();
        assert_eq!(schema["required"], json!(["mood", "score", "tags", "items"]));
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(
            schema["properties"]["mood"],
            json!({"type": "string", "enum": ["good", "bad"], "description": "How it is"})
        );
        assert_eq!(
            schema["properties"]["items"]["items"]["properties"]["name"]["type"],
            "string"
        );
    }
    for (said, why) in [
        ("no", "no JSON object"),
        (r#"{"mood": "good"}"#, "“score” is missing"),
        (
            r#"{"mood": "so so", "score": 1, "tags": [], "items": []}"#,
            "“mood” is not what it should be",
        ),
    ] {
        let host = TestHost::new().saying(vec![says(said)]);
        let message = failure(ran(&plan, &host, Vec::new()).1);
        assert!(
            message.starts_with("Error in LLM node: ") && message.contains(why),
            "{message}"
        );
    }
}

#[test]
fn what_goes_wrong_names_the_kind_of_step() {
    let none = only(llm(json!({"llmModel": ""})));
    assert_eq!(
        failure(ran(&none, &TestHost::new(), Vec::new()).1),
        "Error in LLM node: Model is required"
    );
    let host = TestHost::new().with_model(|_| Err("no connection serves chatOpenAI".to_owned()));
    assert_eq!(
        failure(ran(&only(llm(json!({}))), &host, Vec::new()).1),
        "Error in LLM node: no connection serves chatOpenAI"
    );
}

#[test]
fn a_plan_tells_which_models_it_asks() {
    let plan = only(llm(json!({})));
    assert_eq!(plan.needs(), [("The Model", Need::Model("chatOpenAI"))]);
}

fn judge(scenarios: &[&str], more: Value) -> Value {
    let rows: Vec<Value> = scenarios
        .iter()
        .map(|scenario| json!({"scenario": scenario}))
        .collect();
    let mut inputs = json!({
        "conditionAgentModel": "chatAnthropic", "conditionAgentModelConfig": {"modelName": "c"},
        "conditionAgentInstructions": "<p>Sort it</p>", "conditionAgentInput": "{{ question }}",
        "conditionAgentScenarios": rows, "conditionAgentEnableMemory": true,
    });
    for (key, value) in more.as_object().unwrap() {
        inputs[key] = value.clone();
    }
    plain("p0", "Judge", inputs)
}

fn judged(more: Value) -> Plan {
    plan(
        vec![
            start(json!({"webhookDefaultInput": "{{ $webhook.body.q }}"})),
            judge(
                &["It is about pizza", "It is about money", "Something else"],
                more,
            ),
            reply("d0", "pizza"),
            reply("d1", "money"),
            reply("d2", "else"),
        ],
        &[("s", "p0"), ("p0.0", "d0"), ("p0.1", "d1"), ("p0.2", "d2")],
    )
}

#[test]
fn a_model_picks_the_scenario_whatever_it_makes_of_the_words() {
    let plan = judged(json!({}));
    for (said, taken) in [
        (r#"{"output": "It is about money"}"#, "money"),
        ("```json\n{\"output\": \"  IT IS ABOUT MONEY \"}\n```", "money"),
        ("I think:\n{\"output\": \"It is about p\"} and so on", "pizza"),
        (r#"{"output": "about money"}"#, "money"),
        (r#"{"output": "I say: it is about pizza, surely"}"#, "pizza"),
        (r#"{"output": "nothing of that"}"#, "else"),
    ] {
        let host = TestHost::new().saying(vec![says(said)]);
        let (run, rest) = ran(&plan, &host, past(2));
        assert_eq!(rest, Advance::Finished, "{said}");
        assert_eq!(run.final_text(), taken, "{said}");
        let data = data(&run, 1);
        let keys: Vec<_> = data["output"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["conditions", "content", "timeMetadata", "usageMetadata"]);
        assert_eq!(data["output"]["content"], said);
        assert_eq!(
            data["chatHistory"],
            json!([{"role": "user", "content": "Hello?"}])
        );
        let asked = asked(&host, 0);
        assert_eq!(
            asked.last().unwrap(),
            "user: {\"input\": Hello?, \"scenarios\": [\"It is about pizza\",\"It is about money\",\"Something else\"], \"instruction\": Sort it}"
        );
        assert!(asked.contains(&"assistant: message 1".to_owned()), "{asked:?}");
    }
}

#[test]
fn an_answer_that_names_no_scenario_fails_and_is_repeated() {
    let plan = judged(json!({}));
    for said in ["pizza, I guess", r#"{"result": "x"}"#, r#"{"output": 3}"#] {
        let host = TestHost::new().saying(vec![says(said)]);
        let message = failure(ran(&plan, &host, Vec::new()).1);
        assert!(
            message.starts_with("Error in Condition Agent node: Failed to parse") && message.contains(said),
            "{message}"
        );
    }
    let own = judged(
        json!({"conditionAgentOverrideSystemPrompt": true, "conditionAgentSystemPrompt": "Mine {{ question }}"}),
    );
    let host = TestHost::new().saying(vec![says(r#"{"output": "It is about money"}"#)]);
    ran(&own, &host, Vec::new());
    assert_eq!(asked(&host, 0)[0], "system: Mine Hello?");
    let none = judged(json!({"conditionAgentModel": ""}));
    assert_eq!(
        failure(ran(&none, &TestHost::new(), Vec::new()).1),
        "Error in Condition Agent node: Model is required"
    );
}

fn dynamic(more: Value) -> Value {
    let mut inputs = json!({
        "humanInputDescriptionType": "dynamic", "humanInputModel": "chatOpenAI",
        "humanInputModelConfig": {"modelName": "g"}, "humanInputModelPrompt": "<p>Ask about {{ question }}</p>",
        "humanInputEnableFeedback": true,
    });
    for (key, value) in more.as_object().unwrap() {
        inputs[key] = value.clone();
    }
    plain("h0", "Gate", inputs)
}

fn gated(more: Value) -> Plan {
    plan(
        vec![
            start(json!({"webhookDefaultInput": "{{ $webhook.body.q }}"})),
            dynamic(more),
            reply("d0", "yes"),
            reply("d1", "no"),
        ],
        &[("s", "h0"), ("h0.0", "d0"), ("h0.1", "d1")],
    )
}

#[test]
fn a_model_writes_the_question_once_and_a_person_answers_it() {
    let plan = gated(json!({}));
    let host = TestHost::new().saying(vec![says("Shall I release?")]);
    let (mut run, rest) = ran(&plan, &host, past(2));
    let stop = stop_of(rest);
    assert_eq!(
        (stop.text.as_str(), stop.description.as_str()),
        ("Shall I release?", "Shall I release?")
    );
    assert_eq!(
        asked(&host, 0),
        [
            "user: message 0",
            "assistant: message 1",
            "user: Ask about Hello?"
        ]
    );
    let stored = serde_json::to_string(&run).unwrap();
    run = serde_json::from_str(&stored).unwrap();
    let history = chat(&run);
    run.answer(&plan, &host, answer(Outcome::Approve, None), history)
        .unwrap();
    assert_eq!(to_rest(&mut run, &plan, &host), Advance::Finished);
    assert_eq!(run.final_text(), "yes");
    assert_eq!(host.asked().len(), 1, "the answer asks no model");
    assert_eq!(order(&run), ["s", "h0", "d0"]);
}

#[test]
fn after_an_answer_the_input_is_not_told_again() {
    let plan = plan(
        vec![
            start(json!({"webhookDefaultInput": "{{ $webhook.body.q }}"})),
            gate("h0", "Go on?"),
            llm(json!({})),
        ],
        &[("s", "h0"), ("h0.0", "m0")],
    );
    let host = TestHost::new().saying(vec![says("a")]);
    let (mut run, rest) = ran(&plan, &host, Vec::new());
    stop_of(rest);
    let history = chat(&run);
    run.answer(&plan, &host, answer(Outcome::Approve, None), history)
        .unwrap();
    assert_eq!(to_rest(&mut run, &plan, &host), Advance::Finished);
    assert_eq!(asked(&host, 0), ["user: Hello?", "assistant: \n\nGo on?"]);
    assert_eq!(data(&run, 2)["chatHistory"].as_array().unwrap().len(), 1);
}

#[test]
fn without_a_model_the_question_is_empty_and_a_failure_names_the_kind() {
    let host = TestHost::new();
    let (_, rest) = ran(&gated(json!({"humanInputModel": ""})), &host, Vec::new());
    assert_eq!(stop_of(rest).text, "");
    let host = TestHost::new().with_model(|_| Err("no connection".to_owned()));
    let (run, rest) = ran(&gated(json!({})), &host, Vec::new());
    assert_eq!(failure(rest), "Error in Human Input node: no connection");
    assert_eq!(order(&run).last().unwrap(), "h0", "{}", id("h0"));
}

/// An LLM without memory that says its short name, or with.
fn speaker(short: &str, memory: bool) -> Value {
    let rows = json!([{"role": "system", "content": short}]);
    plain(
        short,
        short,
        json!({"llmModel": "chatOllama", "llmModelConfig": {}, "llmEnableMemory": memory,
            "llmMessages": rows, "llmReturnResponseAs": "assistantMessage"}),
    )
}

/// Runs with a model that takes so long and answers by its system message; gives how long it took and how many questions
/// were open at once at most.
fn watched(plan: &Plan, takes: fn(&str) -> u64) -> (Run, TestHost, Duration, usize) {
    let open = Arc::new(Mutex::new((0, 0)));
    let host = TestHost::new()
        .with_http(|_| at_once(ok(&json!("page"))))
        .with_slow_model({
            let open = open.clone();
            move |request| {
                let name = match &request.messages[0] {
                    ModelMessage::System { content } => content.chars().take(2).collect::<String>(),
                    other => panic!("{other:?}"),
                };
                let open = open.clone();
                Box::pin(async move {
                    {
                        let mut open = open.lock().unwrap();
                        open.0 += 1;
                        open.1 = open.0.max(open.1);
                    }
                    tokio::time::sleep(Duration::from_millis(takes(&name))).await;
                    open.lock().unwrap().0 -= 1;
                    Ok(says(&match name.strip_prefix('p') {
                        Some(_) => json!({"output": format!("says {name}")}).to_string(),
                        None => format!("says {name}"),
                    }))
                })
            }
        });
    let mut run = Run::begin(plan, input(json!({"q": "Hello?"})));
    let timed = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let took = timed.block_on(async {
        let began = tokio::time::Instant::now();
        while run.advance(plan, &host).await != Advance::Finished {}
        began.elapsed()
    });
    let most = open.lock().unwrap().1;
    (run, host, took, most)
}

fn start_with_question() -> Value {
    start(json!({"webhookDefaultInput": "{{ $webhook.body.q }}"}))
}

#[test]
fn models_that_do_not_read_the_chat_are_asked_side_by_side_as_if_one_had_answered_after_the_other() {
    let sort = plain(
        "p0",
        "p0",
        json!({"conditionAgentModel": "chatOllama", "conditionAgentModelConfig": {}, "conditionAgentInput": "x",
            "conditionAgentOverrideSystemPrompt": true, "conditionAgentSystemPrompt": "p0",
            "conditionAgentScenarios": [{"scenario": "else"}, {"scenario": "says p0"}]}),
    );
    let plan = plan(
        vec![
            start_with_question(),
            speaker("m0", false),
            speaker("m1", false),
            sort,
            speaker("m2", true),
            reply("d0", "no"),
            reply("d1", "yes"),
        ],
        &[
            ("s", "m0"),
            ("s", "m1"),
            ("s", "p0"),
            ("m0", "m2"),
            ("m1", "m2"),
            ("p0.0", "d0"),
            ("p0.1", "d1"),
        ],
    );
    let (run, host, took, most) = watched(&plan, |name| if name == "m0" { 1000 } else { 900 });
    assert_eq!(most, 3, "side by side");
    assert_eq!(
        took,
        Duration::from_millis(1900),
        "the longest of the three, and the one behind them"
    );
    assert_eq!(order(&run), ["s", "l0", "l1", "c0", "l2", "d1"]);
    assert_eq!(asked(&host, 0), ["system: m0", "user: Hello?"]);
    assert_eq!(
        asked(&host, 1),
        ["system: m1"],
        "the first one has said what began the run"
    );
    assert_eq!(
        asked(&host, 3),
        [
            "system: m2",
            "user: Hello?",
            "assistant: says m0",
            "assistant: says m1"
        ],
        "in their order, whoever was quicker"
    );
}

#[test]
fn what_reads_the_chat_waits_for_those_before_it_that_speak() {
    let read = |short: &str, text: &str| http(short, json!({"url": format!("http://x/?{text}")}));
    let plan = plan(
        vec![
            start_with_question(),
            speaker("m0", false),
            read("t0", "{{ chat_history }}"),
            speaker("m1", true),
            read("t1", "{{ $flow.chatHistory }}"),
            read("t2", "no chat"),
        ],
        &[("s", "m0"), ("s", "t0"), ("s", "m1"), ("s", "t1"), ("s", "t2")],
    );
    let (run, host, took, most) = watched(&plan, |_| 500);
    assert_eq!((most, took), (1, Duration::from_secs(1)));
    assert_eq!(order(&run), ["s", "l0", "h0", "l1", "h1", "h2"]);
    let urls: Vec<String> = host.requests().into_iter().map(|request| request.url).collect();
    assert!(
        urls[0].contains("m0") && !urls[0].contains("m1"),
        "it sees what stands before it: {urls:?}"
    );
    assert!(urls[1].contains("m0") && urls[1].contains("m1"), "{urls:?}");
    assert_eq!(
        asked(&host, 1),
        ["system: m1", "user: Hello?", "assistant: says m0"]
    );
}

#[test]
fn answers_side_by_side_are_told_one_after_the_other() {
    let plan = plan(
        vec![
            start_with_question(),
            speaker("m0", false),
            speaker("m1", false),
            speaker("m2", false),
        ],
        &[("s", "m0"), ("s", "m1"), ("s", "m2")],
    );
    let (_, host, took, most) = watched(&plan, |name| if name == "m0" { 300 } else { 100 });
    assert_eq!((most, took), (3, Duration::from_millis(300)));
    assert_eq!(host.told(), "says m0says m1says m2");
}

#[test]
fn one_that_speaks_and_fails_is_tried_again_before_those_behind_it() {
    let plan = plan(
        vec![start_with_question(), speaker("m0", false), speaker("m1", false)],
        &[("s", "m0"), ("s", "m1")],
    );
    let answers = Mutex::new(vec![
        Ok(says("two")),
        Ok(says("one")),
        Ok(says("lost")),
        Err("gone".to_owned()),
    ]);
    let host = TestHost::new().with_model(move |_| answers.lock().unwrap().pop().unwrap());
    let (mut run, rest) = ran(&plan, &host, Vec::new());
    assert_eq!(failure(rest), "Error in LLM node: gone");
    run.retry(&plan, &host).unwrap();
    assert_eq!(to_rest(&mut run, &plan, &host), Advance::Finished);
    assert_eq!(
        order(&run),
        ["s", "l0", "l0", "l1"],
        "the failure, and the second attempt"
    );
    assert_eq!(
        asked(&host, 2),
        ["system: m0", "user: Hello?"],
        "it still is the first to speak"
    );
    assert_eq!(asked(&host, 3), ["system: m1"]);
}

#[test]
fn where_a_silent_failure_is_gone_on_from_the_next_one_says_what_began_the_run() {
    let policy = serde_json::from_value(json!({"steps": {id("m0"): {"onError": "continue"}}})).unwrap();
    let plan = plan(
        vec![start_with_question(), speaker("m0", false), speaker("m1", false)],
        &[("s", "m0"), ("s", "m1")],
    )
    .with_policy(policy);
    let answers = Mutex::new(vec![Ok(says("one")), Err("gone".to_owned())]);
    let host = TestHost::new().with_model(move |_| answers.lock().unwrap().pop().unwrap());
    let (_, rest) = ran(&plan, &host, Vec::new());
    assert_eq!(rest, Advance::Finished);
    assert_eq!(asked(&host, 1), ["system: m1", "user: Hello?"]);
}
