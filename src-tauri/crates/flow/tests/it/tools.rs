//! The Tool node with each tool that runs here, and the Retriever (format §5.13, §5.14).

use countersign_flow::{Advance, HttpResponse, Need, Plan, Run};
use serde_json::{Value, json};

use crate::support::{TestHost, at_once, input, ok, plain, plan, start, to_rest};

fn tool(component: &str, config: Value, arguments: &[(&str, &str)]) -> Plan {
    let rows: Vec<Value> = arguments
        .iter()
        .map(|(name, value)| json!({"inputArgName": name, "inputArgValue": value}))
        .collect();
    let inputs = json!({
        "toolAgentflowSelectedTool": component, "toolAgentflowSelectedToolConfig": config, "toolInputArgs": rows,
    });
    plan(
        vec![start(json!({})), plain("o0", "Use it", inputs)],
        &[("s", "o0")],
    )
}

fn used(plan: &Plan, host: &TestHost) -> Result<Value, String> {
    let mut run = Run::begin(plan, input(json!({"n": 5, "id": "a/b"})));
    match to_rest(&mut run, plan, host) {
        Advance::Finished => {
            let records = serde_json::to_value(run.records()).unwrap();
            Ok(records[1]["data"].clone())
        }
        Advance::Failed(failure) => Err(failure.message),
        other => panic!("{other:?}"),
    }
}

fn content(plan: &Plan) -> Result<String, String> {
    used(plan, &TestHost::new()).map(|data| data["output"]["content"].as_str().unwrap().to_owned())
}

#[test]
fn the_calculator_works_out_what_it_can_and_says_what_it_cannot() {
    let calculate = |text: &str| content(&tool("calculator", json!({}), &[("input", text)]));
    for (text, result) in [
        ("2 + 3 * 4", "14"),
        ("(2 + 3) * 4 ^ 2", "80"),
        ("sqrt(16) + max(1, 2)", "6"),
        ("0.1 + 0.2", "0.30000000000000004"),
        ("{{ $webhook.body.n }} * 2", "10"),
        ("1 / 0", "Infinity"),
    ] {
        assert_eq!(calculate(text).as_deref(), Ok(result), "{text}");
    }
    for text in [
        "",
        "2 +",
        "x + 1",
        "alert(1)",
        &"(".repeat(400),
        &"1+".repeat(400),
    ] {
        let error = calculate(text).unwrap_err();
        assert!(error.starts_with("Error: "), "{text}: {error}");
    }
}

#[test]
fn a_path_finds_its_value_or_says_what_there_was() {
    let find = |config: Value, json: &str| content(&tool("jsonPathExtractor", config, &[("json", json)]));
    let path = json!({"path": "items[1].name"});
    let text = r#"{"items": [{}, {"name": "n"}]}"#;
    assert_eq!(find(path.clone(), text).as_deref(), Ok("n"));
    // As editors write it.
    assert_eq!(
        find(path.clone(), r#"\{"items": \[\{\}, \{\"name\": \"n\"\}\]\}"#).as_deref(),
        Ok("n")
    );
    assert_eq!(
        find(json!({"path": "items"}), text).as_deref(),
        Ok(r#"[{},{"name":"n"}]"#)
    );
    let error = find(json!({"path": "nothing"}), text).unwrap_err();
    assert!(
        error.contains("\"nothing\" not found") && error.contains("items"),
        "{error}"
    );
    assert!(
        find(path.clone(), "no json")
            .unwrap_err()
            .contains("Invalid JSON string")
    );
    let lenient = json!({"path": "nothing", "returnNullOnError": true});
    assert_eq!(find(lenient, text).as_deref(), Ok("null"));
}

#[test]
fn a_request_has_the_flows_address_and_the_models_parameters() {
    let config = json!({
        "requestsGetUrl": "<p>https://api.example/users/:id/orders</p>",
        "requestsGetHeaders": "{\"X-Key\": \"{{ $vars.V }}\"}",
        "requestsGetQueryParamsSchema":
            "{\"id\": {\"type\": \"string\", \"in\": \"path\"}, \"page\": {\"type\": \"number\", \"in\": \"query\"}}",
        "requestsGetMaxOutputLength": "9",
    });
    let get = |given: &str| tool("requestsGet", config.clone(), &[("queryParams", given)]);
    let host = TestHost::new().with_http(|_| at_once(ok(&json!({"long": "enough"}))));
    let data = used(&get(r#"{"id": "a/b c", "page": 2, "other": "x"}"#), &host).unwrap();
    assert_eq!(
        data["output"]["content"], "{\"long\":\"",
        "no more than was asked for"
    );
    assert_eq!(data["input"]["selectedTool"], "requestsGet");
    let sent = &host.requests()[0];
    assert_eq!(
        (sent.method.as_str(), sent.url.as_str()),
        ("GET", "https://api.example/users/a%2Fb%20c/orders?page=2")
    );
    assert_eq!(sent.headers, [("X-Key".to_owned(), "secret".to_owned())]);

    let error = used(&get(r#"{"id": ".."}"#), &host).unwrap_err();
    assert!(error.contains("cannot be part of the path"), "{error}");
    let gone = TestHost::new().with_http(|_| {
        at_once(HttpResponse {
            status: 404,
            status_text: "Not Found".to_owned(),
            ..ok(&json!({}))
        })
    });
    assert_eq!(
        used(&get("{}"), &gone).unwrap_err(),
        "Error: Failed to make GET request: HTTP Error 404: Not Found"
    );
    let none = tool("requestsPut", json!({}), &[]);
    assert_eq!(
        used(&none, &host).unwrap_err(),
        "Error: URL is required for PUT request"
    );
}

#[test]
fn a_body_is_the_models_but_for_what_the_flow_says() {
    for (component, method) in [("requestsPost", "POST"), ("requestsPut", "PUT")] {
        let word = component.strip_prefix("requests").unwrap();
        let config = json!({
            format!("requests{word}Url"): "https://api.example/",
            format!("request{word}Body"): "{\"n\": {{ $webhook.body.n }}}",
        });
        let host = TestHost::new().with_http(|_| at_once(ok(&json!({}))));
        used(
            &tool(component, config, &[("body", r#"{"n": 1, "m": 2}"#)]),
            &host,
        )
        .unwrap();
        let sent = &host.requests()[0];
        assert_eq!(sent.method, method);
        assert_eq!(sent.body.as_ref().unwrap().text, r#"{"n":5,"m":2}"#);
    }
}

#[test]
fn a_custom_tool_runs_where_the_export_holds_its_code() {
    let config = json!({
        "selectedTool": "id", "customToolName": "Double It", "customToolDesc": "Doubles",
        "customToolSchema": "[{\"property\": \"n\", \"type\": \"number\", \"required\": true, \"description\": \"N\"}]",
        "customToolFunc": "return $n * 2",
    });
    let host = TestHost::new().with_scripts(|script| {
        assert_eq!(script.globals["$n"], "4");
        assert!(script.globals["$flow"].is_object() && script.globals["$vars"].is_object());
        Ok(Some(json!({"twice": 8})))
    });
    let data = used(
        &tool("customTool", config, &[("n", "4"), ("flow", "mine")]),
        &host,
    )
    .unwrap();
    assert_eq!(data["output"]["content"], "{\n  \"twice\": 8\n}");
    let error = used(&tool("customTool", json!({"selectedTool": "t-9"}), &[]), &host).unwrap_err();
    assert!(
        error.contains("t-9") && error.contains("not part of the export"),
        "{error}"
    );
}

#[test]
fn other_tools_fail_by_name() {
    let error = content(&tool("gmail", json!({}), &[])).unwrap_err();
    assert!(
        error.contains("“gmail” is not available here") && error.contains("calculator"),
        "{error}"
    );
    assert_eq!(
        content(&tool("", json!({}), &[])).unwrap_err(),
        "Tool not selected"
    );
    let plan = tool("slackMCP", json!({}), &[]);
    let needs = plan.needs();
    assert!(matches!(needs[..], [("Use it", Need::Missing(_))]), "{needs:?}");
}

fn retriever(format: &str, query: &str) -> Plan {
    let inputs = json!({
        "retrieverKnowledgeDocumentStores": [{"documentStore": "s-1:Wiki"}],
        "retrieverQuery": query, "outputFormat": format,
        "retrieverUpdateState": [{"key": "found", "value": "{{ output }}"}],
    });
    let start =
        start(json!({"webhookDefaultInput": "the input", "startState": [{"key": "found", "value": ""}]}));
    plan(vec![start, plain("r0", "Look", inputs)], &[("s", "r0")])
}

#[test]
fn a_retriever_gives_passages_as_text_or_with_their_sources() {
    let host = TestHost::new().with_passages(&["one", "two"]);
    let data = used(&retriever("text", ""), &host).unwrap();
    assert_eq!(data["output"], json!({"content": "one\ntwo"}));
    assert_eq!(data["input"], json!({"question": "the input"}));
    assert_eq!(data["state"], json!({"found": "one\ntwo"}));
    let data = used(&retriever("textWithMetadata", "n {{ $webhook.body.n }}"), &host).unwrap();
    let found: Value = serde_json::from_str(data["output"]["content"].as_str().unwrap()).unwrap();
    assert_eq!(
        found[1],
        json!({"pageContent": "two", "metadata": {"source": "notes.md"}})
    );
    assert_eq!(data["input"], json!({"question": "n 5"}));
    let error = used(&retriever("text", ""), &TestHost::new()).unwrap_err();
    assert_eq!(error, "the store s-1:Wiki is mapped to no folder");
    assert_eq!(retriever("text", "").needs(), [("Look", Need::Store("s-1:Wiki"))]);
}

#[test]
fn a_retriever_looks_into_all_its_stores() {
    let inputs = json!({
        "retrieverKnowledgeDocumentStores": [{"documentStore": "s-1:A"}, {"documentStore": "s-2:B"}],
        "retrieverQuery": "x",
    });
    let plan = plan(
        vec![start(json!({})), plain("r0", "Look", inputs)],
        &[("s", "r0")],
    );
    let host = TestHost::new().with_passages(&["one"]);
    assert_eq!(used(&plan, &host).unwrap()["output"]["content"], "one\none");
}
