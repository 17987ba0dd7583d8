//! Agents, and the tools of theirs that a person has to allow (format §5.12, semantics §11).

use countersign_domain::{ArgumentsRefused, AskedCall, Outcome};
use countersign_flow::{Advance, Answer, AnswerError, ModelMessage, ModelReply, Need, Plan, Run};
use serde_json::{Value, json};

use crate::support::{
    TestHost, answer, at_once, block_on, chat, each, input, inside, ok, order, plain, plan, reply, says,
    start, stop_of, to_rest, wants,
};

fn request(name: &str, gated: bool) -> Value {
    json!({
        "agentSelectedTool": "requestsPost",
        "agentSelectedToolConfig": {"requestsPostUrl": format!("http://x/{name}"), "requestsPostName": name,
            "requestsPostDescription": "Does it", "requestPostBody": "{\"fixed\": true}",
            "requestsPostBodySchema": "{\"amount\": {\"type\": \"number\", \"required\": true}}"},
        "agentSelectedToolRequiresHumanInput": gated,
    })
}

fn agent(tools: Value, more: Value) -> Value {
    let mut inputs = json!({
        "agentModel": "chatOpenAI", "agentModelConfig": {"modelName": "g"},
        "agentMessages": [{"role": "system", "content": "You pay bills."}],
        "agentTools": tools, "agentEnableMemory": true, "agentReturnResponseAs": "assistantMessage",
    });
    for (key, value) in more.as_object().unwrap() {
        inputs[key] = value.clone();
    }
    plain("a0", "Payer", inputs)
}

fn around(agent: Value) -> Plan {
    plan(
        vec![
            start(json!({"webhookDefaultInput": "{{ $webhook.body.q }}"})),
            agent,
            reply("d0", "{{ agentAgentflow_0 }}"),
        ],
        &[("s", "a0"), ("a0", "d0")],
    )
}

fn paying() -> Plan {
    around(agent(
        json!([request("pay", true), request("note", false)]),
        json!({}),
    ))
}

fn host(replies: Vec<ModelReply>) -> TestHost {
    TestHost::new()
        .with_http(|request| at_once(ok(&json!({"done": request.url}))))
        .saying(replies)
}

fn begun() -> Run {
    Run::begin(&paying(), input(json!({"q": "Pay it"})))
}

/// Takes the run to rest, writing it down and reading it again after every step.
fn to_rest_with_kills(run: &mut Run, plan: &Plan, host: &TestHost) -> Advance {
    loop {
        let stored = serde_json::to_string(&run).unwrap();
        *run = serde_json::from_str(&stored).unwrap();
        match block_on(run.advance(plan, host)) {
            Advance::Ran { .. } => {}
            rest => return rest,
        }
    }
}

fn decide(run: &mut Run, host: &TestHost, outcome: Outcome, note: Option<&str>) -> Advance {
    let plan = paying();
    let history = chat(run);
    run.answer(&plan, host, answer(outcome, note), history).unwrap();
    to_rest_with_kills(run, &plan, host)
}

fn data(run: &Run, place: usize) -> Value {
    serde_json::to_value(run.records()).unwrap()[place]["data"].clone()
}

/// What tools gave, as the model was told in its newest question.
fn results(host: &TestHost) -> Vec<(String, String)> {
    let asked = host.asked().pop().unwrap();
    let result = |message: ModelMessage| match message {
        ModelMessage::Tool { call_id, content, .. } => Some((call_id, content)),
        _ => None,
    };
    asked.messages.into_iter().filter_map(result).collect()
}

fn urls(host: &TestHost) -> Vec<String> {
    host.requests().into_iter().map(|request| request.url).collect()
}

#[test]
fn an_agent_calls_tools_until_it_has_its_answer() {
    let plan = around(agent(
        json!([{"agentSelectedTool": "calculator"}, {"agentSelectedTool": "currentDateTime"}]),
        json!({}),
    ));
    let host = TestHost::new().saying(vec![
        wants(
            "Let me see.",
            &[
                ("calculator", json!({"input": "2*21"})),
                ("current_date_time", json!({})),
            ],
        ),
        wants(
            "",
            &[("calculator", json!({"input": "sqrt("})), ("abacus", json!({}))],
        ),
        says("It is 42."),
    ]);
    let mut run = Run::begin(&plan, input(json!({"q": "How much?"})));
    assert_eq!(to_rest_with_kills(&mut run, &plan, &host), Advance::Finished);
    assert_eq!(run.final_text(), "It is 42.");
    assert_eq!(order(&run), ["s", "a0", "d0"]);

    let tools: Vec<_> = host.asked()[0]
        .tools
        .iter()
        .map(|tool| tool.name.clone())
        .collect();
    assert_eq!(tools, ["calculator", "current_date_time"]);
    let told = results(&host);
    assert_eq!(told[0].1, "42");
    assert_eq!(
        told[1].1,
        r#"{"date":"2023-11-14","day":"Tuesday","time":"22:13:20"}"#
    );
    assert!(
        told[2]
            .1
            .starts_with("Error: The expression cannot be worked out"),
        "{told:?}"
    );
    assert!(
        told[3]
            .1
            .contains("There is no tool “abacus”; there are: calculator"),
        "{told:?}"
    );

    let data = data(&run, 1);
    let used = data["output"]["usedTools"].as_array().unwrap();
    assert_eq!(
        used[0],
        json!({"tool": "calculator", "toolInput": {"input": "2*21"}, "toolOutput": "42"})
    );
    assert_eq!((used.len(), used[3]["error"].is_string()), (4, true));
    assert_eq!(
        data["output"]["usageMetadata"]["total_tokens"], 9,
        "of all questions together"
    );
    assert_eq!(data["output"]["availableTools"][0]["name"], "calculator");
    assert_eq!(
        data["chatHistory"],
        json!([
            {"role": "user", "content": "How much?"},
            {"role": "assistant", "content": "It is 42.", "name": "payer"},
        ])
    );
}

#[test]
fn a_gated_call_is_asked_with_tool_and_arguments_and_runs_after_yes() {
    let (plan, mut run) = (paying(), begun());
    let host = host(vec![
        wants(
            "I will pay.",
            &[("pay", json!({"body": {"amount": 7, "fixed": false}}))],
        ),
        says("Paid."),
    ]);
    let stop = stop_of(to_rest_with_kills(&mut run, &plan, &host));
    assert!(host.requests().is_empty(), "nothing happened yet");
    let arguments = json!({"body": {"amount": 7, "fixed": false}});
    assert_eq!(
        stop.call,
        Some(AskedCall {
            tool: "pay".to_owned(),
            arguments: arguments.clone()
        })
    );
    assert_eq!(stop.description, "Run the tool “pay”?\n\nI will pay.");
    assert!(
        stop.text
            .starts_with("I will pay.\nAttempting to use tool:\n```json\n{")
            && stop.text.ends_with("\n```"),
        "{}",
        stop.text
    );
    assert_eq!(stop.action["data"]["input"]["tool"], "pay");
    assert_eq!(stop.action["data"]["input"]["toolInput"], arguments);
    let waiting = &data(&run, 1)["output"];
    assert_eq!(waiting["isWaitingForHumanInput"], true);
    let follows = [true, false].map(|yes| run.what_follows(&plan, &host, yes).join("; "));
    assert!(
        follows[0].starts_with("Run pay with these arguments"),
        "{follows:?}"
    );
    assert!(follows[1].starts_with("pay does not run"), "{follows:?}");

    let rest = decide(&mut run, &host, Outcome::Approve, None);
    assert_eq!(rest, Advance::Finished);
    assert_eq!(urls(&host), ["http://x/pay"]);
    assert_eq!(
        host.requests()[0].body.as_ref().unwrap().text,
        r#"{"amount":7,"fixed":true}"#,
        "what the flow says is not the model's"
    );
    assert_eq!(
        results(&host),
        [("id-0".to_owned(), "{\"done\":\"http://x/pay\"}".to_owned())]
    );
    assert_eq!(
        order(&run),
        ["s", "a0", "d0"],
        "the question gives way to what came of it"
    );
    assert_eq!(run.final_text(), "Paid.");
    assert_eq!(host.ids_taken(), 1, "one approval");
}

#[test]
fn no_is_told_to_the_model_with_what_the_person_said() {
    let (plan, mut run) = (paying(), begun());
    let host = host(vec![
        wants("", &[("pay", json!({"body": {"amount": 700}}))]),
        wants("Less then.", &[("pay", json!({"body": {"amount": 7}}))]),
        says("Done."),
    ]);
    stop_of(to_rest_with_kills(&mut run, &plan, &host));
    let stop = stop_of(decide(&mut run, &host, Outcome::Reject, Some("at most 10")));
    assert!(host.requests().is_empty(), "what was rejected did not run");
    let told = results(&host);
    assert!(
        told[0].1.contains("did not allow") && told[0].1.contains("at most 10"),
        "{told:?}"
    );
    assert_eq!(host.asked()[1].tools.len(), 2, "the tool stays");
    assert_eq!(
        stop.call.unwrap().arguments["body"]["amount"],
        7,
        "the next call is asked about again"
    );
    assert_eq!(order(&run), ["s", "a0!"], "one question stands at a time");

    assert_eq!(decide(&mut run, &host, Outcome::Approve, None), Advance::Finished);
    assert_eq!(urls(&host), ["http://x/pay"]);
    let used = data(&run, 1)["output"]["usedTools"].clone();
    assert_eq!(used[0]["error"], "Rejected: at most 10");
    assert_eq!(used[1]["toolInput"]["body"]["amount"], 7);
    assert_eq!(host.ids_taken(), 2);
}

fn approve_with(arguments: Value) -> Answer {
    Answer {
        arguments: Some(arguments),
        ..answer(Outcome::Approve, None)
    }
}

#[test]
fn a_person_can_change_the_arguments_and_the_model_is_told() {
    let (plan, mut run) = (paying(), begun());
    let wanted = json!({"body": {"amount": 700}});
    let host = host(vec![wants("", &[("pay", wanted.clone())]), says("Paid 7.")]);
    stop_of(to_rest_with_kills(&mut run, &plan, &host));
    let history = chat(&run);
    let changed = json!({"body": {"amount": 7}});
    let with_note = Answer {
        feedback: Some("at most 10".into()),
        ..approve_with(changed.clone())
    };
    run.answer(&plan, &host, with_note, history).unwrap();
    // What lies on the disk now is what goes on after a kill, however often.
    let stored = serde_json::to_string(&run).unwrap();
    let mut keys = Vec::new();
    for _ in 0..2 {
        run = serde_json::from_str(&stored).unwrap();
        block_on(run.advance(&plan, &host));
        let sent = host.requests().pop().unwrap();
        assert_eq!(sent.body.unwrap().text, r#"{"amount":7,"fixed":true}"#);
        keys.push(sent.idempotency_key);
    }
    assert_eq!(keys[0], keys[1], "the same call");
    assert_eq!(to_rest_with_kills(&mut run, &plan, &host), Advance::Finished);

    let used = data(&run, 1)["output"]["usedTools"].clone();
    assert_eq!(used.as_array().unwrap().len(), 1);
    assert_eq!(
        (&used[0]["toolInput"], &used[0]["requestedToolInput"]),
        (&changed, &wanted),
        "what was run and what the model wanted"
    );
    let asked = host.asked().pop().unwrap().messages;
    let own = asked.iter().find_map(|message| match message {
        ModelMessage::Assistant { tool_calls, .. } => Some(tool_calls[0].arguments.clone()),
        _ => None,
    });
    assert_eq!(own, Some(wanted), "what the model said is what it said");
    let (id, told) = results(&host).remove(0);
    assert_eq!(id, "id-0");
    assert!(
        told.starts_with("A person changed the arguments before allowing this call")
            && told.contains(r#"{"body":{"amount":7}}. They say: at most 10"#)
            && told.ends_with("\n{\"done\":\"http://x/pay\"}"),
        "{told}"
    );
}

#[test]
fn equal_arguments_are_no_change_and_wrong_ones_change_nothing() {
    let (plan, mut run) = (paying(), begun());
    let wanted = json!({"body": {"amount": 7, "fixed": false}});
    let host = host(vec![wants("", &[("pay", wanted)]), says("Paid.")]);
    stop_of(to_rest_with_kills(&mut run, &plan, &host));
    let before = serde_json::to_string(&run).unwrap();
    let rejected = Answer {
        outcome: Outcome::Reject,
        ..approve_with(json!({}))
    };
    for (wrong, why) in [
        (rejected, ArgumentsRefused::NotApproved),
        (approve_with(json!([7])), ArgumentsRefused::NoObject),
        (approve_with(Value::Null), ArgumentsRefused::NoObject),
    ] {
        let refused = run.answer(&plan, &host, wrong, chat(&run));
        assert_eq!(refused, Err(AnswerError::Arguments(why)));
        assert_eq!(serde_json::to_string(&run).unwrap(), before);
    }

    let history = chat(&run);
    let equal = approve_with(json!({"body": {"fixed": false, "amount": 7}}));
    run.answer(&plan, &host, equal, history).unwrap();
    assert_eq!(to_rest_with_kills(&mut run, &plan, &host), Advance::Finished);
    let used = data(&run, 1)["output"]["usedTools"][0].clone();
    assert_eq!(used.get("requestedToolInput"), None, "{used}");
    assert_eq!(results(&host)[0].1, "{\"done\":\"http://x/pay\"}");
}

#[test]
fn changed_arguments_that_do_not_suit_the_tool_are_told_as_the_persons() {
    let plan = around(agent(
        json!([{"agentSelectedTool": "calculator", "agentSelectedToolRequiresHumanInput": true}]),
        json!({}),
    ));
    let host = TestHost::new().saying(vec![
        wants("", &[("calculator", json!({"input": "1+1"}))]),
        says("It did not work."),
    ]);
    let mut run = Run::begin(&plan, input(json!({"q": "?"})));
    stop_of(to_rest_with_kills(&mut run, &plan, &host));
    let history = chat(&run);
    run.answer(&plan, &host, approve_with(json!({"input": "sqrt("})), history)
        .unwrap();
    assert_eq!(to_rest_with_kills(&mut run, &plan, &host), Advance::Finished);
    let told = &results(&host)[0].1;
    assert!(
        told.starts_with("A person changed") && told.contains("\nError: The expression cannot"),
        "{told}"
    );
    let used = data(&run, 1)["output"]["usedTools"][0].clone();
    assert_eq!(used["requestedToolInput"]["input"], "1+1");
    assert!(used["error"].is_string(), "{used}");
}

#[test]
fn calls_beside_a_gated_one_run_and_each_gated_one_is_asked_alone() {
    let (plan, mut run) = (paying(), begun());
    let host = host(vec![
        wants(
            "",
            &[
                ("pay", json!({"body": {"amount": 1}})),
                ("note", json!({"body": {"amount": 2}})),
                ("pay", json!({"body": {"amount": 3}})),
            ],
        ),
        says("Done."),
    ]);
    let stop = stop_of(to_rest_with_kills(&mut run, &plan, &host));
    assert_eq!(urls(&host), ["http://x/note"], "what needs nobody is done");
    assert_eq!(stop.call.unwrap().arguments["body"]["amount"], 1);
    let stop = stop_of(decide(&mut run, &host, Outcome::Approve, None));
    assert_eq!(
        urls(&host),
        ["http://x/note", "http://x/pay"],
        "yes runs that call and no other"
    );
    assert_eq!(stop.call.unwrap().arguments["body"]["amount"], 3);
    assert_eq!(host.asked().len(), 1, "the model waits for all of them");
    assert_eq!(decide(&mut run, &host, Outcome::Reject, None), Advance::Finished);
    assert_eq!(urls(&host).len(), 2);
    let ids: Vec<_> = results(&host).into_iter().map(|(id, _)| id).collect();
    assert_eq!(
        ids,
        ["id-0", "id-1", "id-2"],
        "in the order in which they were wanted"
    );
}

#[test]
fn a_call_has_the_same_key_when_it_is_made_again_and_others_have_others() {
    let (plan, mut run) = (paying(), begun());
    let replies = || {
        vec![
            wants(
                "",
                &[
                    ("pay", json!({"body": {"amount": 1}})),
                    ("note", json!({"body": {"amount": 2}})),
                ],
            ),
            wants("", &[("note", json!({"body": {"amount": 3}}))]),
            says("Done."),
        ]
    };
    let first = host(replies());
    stop_of(to_rest(&mut run, &plan, &first));
    let history = chat(&run);
    run.answer(&plan, &first, answer(Outcome::Approve, None), history)
        .unwrap();
    // The run as it lies on the disk while the call is under way.
    let stored = serde_json::to_string(&run).unwrap();
    let mut twice = Vec::new();
    for _ in 0..2 {
        let mut again: Run = serde_json::from_str(&stored).unwrap();
        let other = host(replies().split_off(1));
        assert_eq!(to_rest(&mut again, &plan, &other), Advance::Finished);
        twice.push(
            other
                .requests()
                .into_iter()
                .map(|request| request.idempotency_key)
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(twice[0], twice[1]);
    let mut keys = twice.remove(0);
    keys.extend(
        first
            .requests()
            .into_iter()
            .map(|request| request.idempotency_key),
    );
    let different: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!((keys.len(), different.len()), (3, 3), "{keys:?}");
}

#[test]
fn a_gate_in_an_iteration_asks_for_each_item() {
    let plan = plan(
        vec![
            start(json!({"webhookDefaultInput": "Go"})),
            each("i0", "[1, 2]"),
            inside(
                "i0",
                agent(
                    json!([request("pay", true)]),
                    json!({"agentUserMessage": "Item {{ $iteration }}"}),
                ),
            ),
        ],
        &[("s", "i0")],
    );
    let host = host(vec![
        wants("", &[("pay", json!({"body": {"amount": 1}}))]),
        says("one"),
        wants("", &[("pay", json!({"body": {"amount": 2}}))]),
        says("two"),
    ]);
    let mut run = Run::begin(&plan, input(json!({})));
    let mut rest = to_rest_with_kills(&mut run, &plan, &host);
    for amount in [1, 2] {
        let stop = stop_of(rest);
        assert_eq!(stop.call.unwrap().arguments["body"]["amount"], amount);
        assert_eq!(stop.node_label, "Each › Payer");
        let history = chat(&run);
        let changed = approve_with(json!({"body": {"amount": amount * 10}}));
        run.answer(&plan, &host, changed, history).unwrap();
        rest = to_rest_with_kills(&mut run, &plan, &host);
    }
    assert_eq!(rest, Advance::Finished);
    assert_eq!(run.final_text(), "one\ntwo");
    let sent: Vec<_> = host
        .requests()
        .into_iter()
        .map(|request| request.body.unwrap().text)
        .collect();
    assert_eq!(
        sent,
        [r#"{"amount":10,"fixed":true}"#, r#"{"amount":20,"fixed":true}"#],
        "each with the arguments that its person gave"
    );
}

#[test]
fn what_is_not_here_fails_by_name_before_anything_is_asked() {
    for (more, named) in [
        (
            json!({"agentTools": [{"agentSelectedTool": "gmail", "agentSelectedToolConfig": {}}]}),
            "gmail",
        ),
        (
            json!({"agentTools": [{"agentSelectedTool": "customTool",
            "agentSelectedToolConfig": {"selectedTool": "id-of-tool"}}]}),
            "id-of-tool",
        ),
        (
            json!({"agentToolsBuiltInOpenAI": "[\"web_search_preview\"]"}),
            "web_search_preview",
        ),
        (
            json!({"agentKnowledgeVSEmbeddings": [{"vectorStore": "pinecone", "knowledgeName": "Wiki"}]}),
            "pinecone",
        ),
    ] {
        let plan = around(agent(json!([]), more));
        let host = host(Vec::new());
        let mut run = Run::begin(&plan, input(json!({"q": "?"})));
        let Advance::Failed(failure) = to_rest(&mut run, &plan, &host) else {
            panic!("{named} should fail the step");
        };
        assert!(
            failure.message.starts_with("Error in Agent node: ") && failure.message.contains(named),
            "{}",
            failure.message
        );
        assert!(host.asked().is_empty());
        let needs = plan.needs();
        let missing = needs.iter().find_map(|(label, need)| match need {
            Need::Missing(why) => Some((*label, *why)),
            _ => None,
        });
        assert!(
            missing.is_some_and(|(label, why)| why.contains(named) && label == "Payer"),
            "{needs:?}"
        );
    }
    // Tools of another provider's own are left over from an earlier choice.
    let plan = around(agent(
        json!([]),
        json!({"agentToolsBuiltInAnthropic": "[\"web_search_20250305\"]"}),
    ));
    assert_eq!(plan.needs(), [("Payer", Need::Model("chatOpenAI"))]);
}

#[test]
fn knowledge_is_a_tool_and_its_sources_stand_in_the_record() {
    let plan = around(agent(
        json!([]),
        json!({"agentKnowledgeDocumentStores": [
            {"documentStore": "s-1:Our Wiki", "docStoreDescription": "All of it", "returnSourceDocuments": true}]}),
    ));
    assert!(plan.needs().contains(&("Payer", Need::Store("s-1:Our Wiki"))));
    let host = TestHost::new().with_passages(&["Berlin", "Paris"]).saying(vec![
        wants("", &[("our_wiki", json!({"input": "towns"}))]),
        says("Two."),
    ]);
    let mut run = Run::begin(&plan, input(json!({"q": "?"})));
    assert_eq!(to_rest(&mut run, &plan, &host), Advance::Finished);
    assert_eq!(results(&host)[0].1, "Berlin\n\nParis");
    assert_eq!(
        data(&run, 1)["output"]["sourceDocuments"][0],
        json!({"pageContent": "Berlin", "metadata": {"source": "notes.md"}})
    );
}

#[test]
fn an_answer_is_put_into_its_form_at_the_end() {
    let plan = around(agent(
        json!([{"agentSelectedTool": "calculator"}]),
        json!({"agentStructuredOutput": [{"key": "sum", "type": "number", "description": ""}]}),
    ));
    let host = TestHost::new().saying(vec![
        wants("", &[("calculator", json!({"input": "1+1"}))]),
        says("It is two."),
        says(r#"{"sum": 2}"#),
    ]);
    let mut run = Run::begin(&plan, input(json!({"q": "?"})));
    assert_eq!(to_rest_with_kills(&mut run, &plan, &host), Advance::Finished);
    assert_eq!(data(&run, 1)["output"]["sum"], 2);
    let asked = host.asked();
    assert!(asked[1].answer_schema.is_none() && asked[2].answer_schema.is_some());
    assert!(asked[2].tools.is_empty());
}

#[test]
fn a_model_that_turns_in_circles_is_stopped() {
    let plan = around(agent(json!([{"agentSelectedTool": "calculator"}]), json!({})));
    let host = TestHost::new().with_model(|_| Ok(wants("", &[("calculator", json!("2+2"))])));
    let mut run = Run::begin(&plan, input(json!({"q": "?"})));
    let Advance::Failed(failure) = to_rest(&mut run, &plan, &host) else {
        panic!("it should fail");
    };
    assert!(failure.message.contains("asked 50 times"), "{}", failure.message);
    assert_eq!(host.asked().len(), 50);
    assert_eq!(results(&host)[0].1, "Error: The arguments are no JSON object");
}

/// What can only be an error is not put to a person: the model hears it and can ask again.
#[test]
fn a_gated_call_without_an_object_of_arguments_is_told_to_the_model_alone() {
    for arguments in [json!("{not json"), json!([1]), json!(7)] {
        let (plan, mut run) = (paying(), begun());
        let host = host(vec![wants("", &[("pay", arguments.clone())]), says("Sorry.")]);
        let rest = to_rest_with_kills(&mut run, &plan, &host);
        assert_eq!(rest, Advance::Finished, "{arguments}");
        assert!(host.requests().is_empty(), "nothing was called");
        let results = results(&host);
        assert!(results[0].1.contains("no JSON object"), "{results:?}");
    }
}
