//! Connections: models, credentials and folders for what exports name, end to end over real sockets.

use countersign_app::view::{ConnectionChange, ConnectionKind, DecisionRequest};
use countersign_app::{App, ErrorCode, Outcome, Surface};
use countersign_domain::AskedCall;
use countersign_notify::{FakeNotifier, NoticeKey};
use countersign_testkit::{CallbackReceiver, ModelAnswer, ModelServer, ScriptedReply};
use serde_json::{Value, json};

use crate::support::{call, pending, start, start_with, until};

const KEY: &str = "sk-key-that-nobody-sees";

fn connection(provider: ConnectionKind) -> ConnectionChange {
    serde_json::from_value(json!({"provider": provider})).unwrap()
}

fn model(provider: ConnectionKind, server: &ModelServer, components: &[&str]) -> ConnectionChange {
    let word = serde_json::to_value(provider).unwrap();
    ConnectionChange {
        base_url: Some(server.base_url(word.as_str().unwrap())),
        key: Some(KEY.to_owned()),
        components: components
            .iter()
            .map(|component| (*component).to_owned())
            .collect(),
        ..connection(provider)
    }
}

/// A flow of these nodes in a row behind a webhook; a node is its kind, its label and its inputs.
fn flow(nodes: &[(&str, &str, Value)]) -> String {
    let begin = json!({"startInputType": "webhookTrigger", "webhookResponseMode": "sync",
        "webhookDefaultInput": "{{ $webhook.body.q }}"});
    let start = [("startAgentflow", "Start", begin)];
    let all: Vec<_> = start.iter().chain(nodes).collect();
    let made: Vec<Value> = all
        .iter()
        .map(|(name, label, inputs)| {
            json!({"id": format!("{name}_0"), "data": {"name": name, "label": label, "inputs": inputs}})
        })
        .collect();
    let edges: Vec<Value> = all
        .windows(2)
        .map(|pair| {
            let [source, target] = [0, 1].map(|at| format!("{}_0", pair[at].0));
            json!({"source": source, "target": target,
                "sourceHandle": format!("{source}-output-{}", pair[0].0)})
        })
        .collect();
    json!({"nodes": made, "edges": edges}).to_string()
}

fn llm(component: &str, settings: Value) -> (&'static str, &'static str, Value) {
    let inputs = json!({"llmModel": component, "llmModelConfig": settings, "llmEnableMemory": true,
        "llmMessages": [{"role": "system", "content": "Answer."}]});
    ("llmAgentflow", "Thinker", inputs)
}

async fn import(app: &App, nodes: &[(&str, &str, Value)]) -> String {
    app.import_flow(&flow(nodes), Some("Flow"))
        .await
        .unwrap()
        .summary
        .id
}

fn record(answer: &Value, place: usize) -> &Value {
    &answer["agentFlowExecutedData"][place]["data"]
}

#[tokio::test]
async fn a_connection_serves_the_components_it_names() {
    for (provider, component) in [
        (ConnectionKind::Openai, "chatOpenAI"),
        (ConnectionKind::Anthropic, "chatAnthropic"),
        (ConnectionKind::Ollama, "chatOllama"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let app = start(dir.path()).await;
        let settings = json!({"modelName": "m-1", "temperature": "0.25", "maxTokens": 77, "numPredict": 77,
            "maxTokensToSample": 77, "basepath": "http://192.0.2.1/", "baseUrl": "http://192.0.2.1/"});
        let id = import(&app, &[llm(component, settings)]).await;

        let problems = app.flow(&id).unwrap().summary.problems.join("\n");
        assert!(
            problems.contains("“Thinker” asks the language model") && problems.contains(component),
            "{problems}"
        );
        let refused = call(&app, &id, json!({"q": "Hello?"})).await.unwrap_err();
        assert!(
            refused
                .message
                .contains(&format!("No connection serves {component}"))
                && refused.message.contains("“Thinker”")
                && refused.message.contains("under Connections in the settings"),
            "{refused}"
        );

        let server = ModelServer::answering(|_| ModelAnswer::text("Good morning."));
        let shown = app
            .set_connection("Mine", model(provider, &server, &[component]))
            .await
            .unwrap();
        assert!(shown.has_key);
        assert!(app.flow(&id).unwrap().summary.problems.is_empty());
        let answer = call(&app, &id, json!({"q": "Hello?"})).await.unwrap();
        assert_eq!(answer["text"], "Good morning.");
        let output = &record(&answer, 1)["output"];
        assert_eq!(output["usageMetadata"]["total_tokens"], 12);
        assert_eq!(output["responseMetadata"]["model_name"], "fixture-1");
        assert!(output["timeMetadata"]["start"].is_i64(), "{output}");

        let asked = &server.asked()[0];
        let said = asked.body.to_string();
        assert!(
            said.contains("\"m-1\"") && said.contains("0.25") && said.contains("77"),
            "{said}"
        );
        assert!(
            asked.conversation().ends_with("user: Hello?"),
            "{}",
            asked.conversation()
        );
        assert!(asked.headers.iter().any(|(_, value)| value.contains(KEY)));

        let everything = serde_json::to_string(&(app.connections(), &answer)).unwrap();
        assert!(!everything.contains(KEY), "{everything}");
        app.shutdown().await;
        let app = start(dir.path()).await;
        assert_eq!(app.connections(), [shown], "it outlives a restart");
        assert_eq!(
            call(&app, &id, json!({"q": "Hello?"})).await.unwrap()["text"],
            "Good morning."
        );
        app.delete_connection("Mine").await.unwrap();
        assert_eq!(
            app.delete_connection("Mine").await.unwrap_err().code,
            ErrorCode::NotFound
        );
        assert!(call(&app, &id, json!({"q": "Hello?"})).await.is_err());
    }
}

#[tokio::test]
async fn another_providers_component_gets_the_connections_model() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let server = ModelServer::answering(|_| ModelAnswer::text("ok"));
    let both = ["chatGoogleGenerativeAI", "chatOpenAI"];
    let change = ConnectionChange {
        default_model: Some("local".to_owned()),
        ..model(ConnectionKind::Openai, &server, &both)
    };
    app.set_connection("Local", change).await.unwrap();
    for (component, settings) in [
        ("chatGoogleGenerativeAI", json!({"modelName": "gemini"})),
        ("chatOpenAI", json!({"modelName": "gpt"})),
        ("chatOpenAI", json!({})),
    ] {
        let id = import(&app, &[llm(component, settings)]).await;
        call(&app, &id, json!({"q": "?"})).await.unwrap();
    }
    let models: Vec<_> = server
        .asked()
        .iter()
        .map(|asked| asked.body["model"].clone())
        .collect();
    assert_eq!(models, ["local", "gpt", "local"]);

    app.set_connection("Local", model(ConnectionKind::Openai, &server, &both))
        .await
        .unwrap();
    let id = import(&app, &[llm("chatOpenAI", json!({}))]).await;
    let error = call(&app, &id, json!({"q": "?"})).await.unwrap_err();
    assert!(error.message.contains("“Thinker” names no model"), "{error}");
    let refusing = ModelServer::answering(|_| ModelAnswer::Refusal(401, format!("bad key {KEY}"), None));
    app.set_connection("Local", model(ConnectionKind::Openai, &refusing, &both))
        .await
        .unwrap();
    let id = import(&app, &[llm("chatOpenAI", json!({"modelName": "gpt"}))]).await;
    let error = call(&app, &id, json!({"q": "?"})).await.unwrap_err();
    assert!(
        error.message.contains("The connection “Local”") && error.message.contains("Check the key"),
        "{error}"
    );
    assert!(!error.message.contains(KEY), "{error}");
}

#[tokio::test]
async fn what_cannot_be_a_connection_is_refused_and_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let server = ModelServer::answering(|_| ModelAnswer::text("ok"));
    let good = || model(ConnectionKind::Openai, &server, &["chatOpenAI"]);
    app.set_connection("First", good()).await.unwrap();
    let with = |base_url: &str| ConnectionChange {
        base_url: Some(base_url.to_owned()),
        components: Vec::new(),
        ..good()
    };
    let folder = |folder: &str| ConnectionChange {
        folder: Some(folder.to_owned()),
        ..connection(ConnectionKind::Folder)
    };
    let keyless = ConnectionChange {
        header: Some("x-key".to_owned()),
        ..connection(ConnectionKind::HttpApiKey)
    };
    let bad_header = ConnectionChange {
        header: Some("x key".to_owned()),
        key: Some("k".to_owned()),
        ..connection(ConnectionKind::HttpApiKey)
    };
    let two_lines = ConnectionChange {
        key: Some("a\r\nb".to_owned()),
        components: Vec::new(),
        ..good()
    };
    for (name, change) in [
        ("", good()),
        ("a/b", good()),
        ("Second", good()),
        ("Second", with("ftp://x")),
        ("Second", with("http://169.254.169.254/")),
        ("Second", folder("relative")),
        ("Second", folder("/no/such/folder")),
        ("Second", keyless),
        ("Second", bad_header),
        ("Second", two_lines),
    ] {
        let shown = format!("{name:?}: {change:?}");
        let error = app.set_connection(name, change).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid, "{shown}: {error}");
        let said = error.to_string();
        assert!(
            said.ends_with(". Nothing was changed.") && !said.contains("..") && !said.contains("callbackUrl"),
            "{shown}: {said}"
        );
    }
    assert_eq!(app.connections().len(), 1);

    let same = ConnectionChange { key: None, ..good() };
    assert!(
        app.set_connection("First", same).await.unwrap().has_key,
        "a key that is not given stays"
    );
    let elsewhere = ConnectionChange {
        key: None,
        base_url: Some("https://elsewhere.example/v1".to_owned()),
        ..good()
    };
    assert!(
        !app.set_connection("First", elsewhere).await.unwrap().has_key,
        "a key does not go to another address than it was given for"
    );
}

#[tokio::test]
async fn an_http_step_gets_its_credential_from_a_connection() {
    let dir = tempfile::tempdir().unwrap();
    let app = start(dir.path()).await;
    let target = CallbackReceiver::start().await;
    let elsewhere = CallbackReceiver::start().await;
    let request = json!({"method": "GET", "url": target.url("/data"), "credential": "cred-1",
        "headers": [{"key": "Authorization", "value": "mine"}]});
    let id = import(&app, &[("httpAgentflow", "Fetch", request)]).await;
    assert!(
        app.flow(&id)
            .unwrap()
            .summary
            .problems
            .join("")
            .contains("cred-1")
    );
    let error = call(&app, &id, json!({})).await.unwrap_err();
    assert!(
        error.message.contains("cred-1") && error.message.contains("Connections in the settings"),
        "{error}"
    );
    assert!(target.received().is_empty(), "nothing was sent without it");

    let credential = |kind: ConnectionKind| ConnectionChange {
        key: Some("s3cret".to_owned()),
        user: Some("ann".to_owned()),
        header: Some("X-Mine".to_owned()),
        components: vec!["cred-1".to_owned()],
        ..connection(kind)
    };
    for (kind, header, value) in [
        (
            ConnectionKind::HttpBasicAuth,
            "authorization",
            "Basic YW5uOnMzY3JldA==",
        ),
        (ConnectionKind::HttpBearerToken, "authorization", "Bearer s3cret"),
        (ConnectionKind::HttpApiKey, "x-mine", "s3cret"),
    ] {
        app.set_connection("Data", credential(kind)).await.unwrap();
        assert!(app.flow(&id).unwrap().summary.problems.is_empty());
        let answer = call(&app, &id, json!({})).await.unwrap();
        let sent = target.received().pop().unwrap();
        assert_eq!(sent.header(header), Some(value), "{kind:?}");
        assert!(!answer.to_string().contains("s3cret"), "{answer}");
    }
    target.always(
        "/data",
        ScriptedReply::status(302).header("location", &elsewhere.url("/")),
    );
    call(&app, &id, json!({})).await.unwrap();
    let followed = elsewhere.received().pop().unwrap();
    assert_eq!(
        followed.header("x-mine"),
        None,
        "it does not go to another origin"
    );
}

#[tokio::test]
async fn a_folder_stands_for_a_document_store() {
    let dir = tempfile::tempdir().unwrap();
    let texts = tempfile::tempdir().unwrap();
    std::fs::create_dir(texts.path().join("more")).unwrap();
    std::fs::write(
        texts.path().join("one.md"),
        "# Towns\n\nBerlin lies on the river Spree.\n",
    )
    .unwrap();
    std::fs::write(
        texts.path().join("more/two.txt"),
        "Paris lies on the Seine.\r\n\r\nBread is baked early.",
    )
    .unwrap();
    std::fs::write(texts.path().join("three.png"), "Berlin").unwrap();
    std::fs::write(texts.path().join("long.md"), "Käse ".repeat(1000)).unwrap();
    let app = start(dir.path()).await;
    let retriever = json!({"retrieverKnowledgeDocumentStores": [{"documentStore": "id-1:Wiki"}],
        "retrieverQuery": "{{ question }}", "outputFormat": "textWithMetadata"});
    let id = import(&app, &[("retrieverAgentflow", "Look", retriever)]).await;
    assert!(
        app.flow(&id)
            .unwrap()
            .summary
            .problems
            .join("")
            .contains("id-1:Wiki")
    );
    let error = call(&app, &id, json!({"q": "x"})).await.unwrap_err();
    assert!(
        error
            .message
            .contains("No folder stands for the document store id-1:Wiki"),
        "{error}"
    );

    let change = ConnectionChange {
        folder: Some(texts.path().display().to_string()),
        components: vec!["id-1".to_owned()],
        ..connection(ConnectionKind::Folder)
    };
    app.set_connection("Texts", change).await.unwrap();
    assert!(app.flow(&id).unwrap().summary.problems.is_empty());
    let found =
        |answer: Value| -> Vec<Value> { serde_json::from_str(answer["text"].as_str().unwrap()).unwrap() };
    let towns = found(
        call(&app, &id, json!({"q": "Which river is in BERLIN?"}))
            .await
            .unwrap(),
    );
    assert_eq!(towns[0]["metadata"]["source"], "one.md", "{towns:?}");
    let bread = found(call(&app, &id, json!({"q": "bread"})).await.unwrap());
    assert_eq!(bread.len(), 1, "only what has the word: {bread:?}");
    assert_eq!(bread[0]["metadata"]["source"], "more/two.txt");
    let cheese = found(call(&app, &id, json!({"q": "käse"})).await.unwrap());
    assert!(
        cheese
            .iter()
            .all(|passage| passage["pageContent"].as_str().unwrap().chars().count() <= 1000)
    );
    let nothing = found(call(&app, &id, json!({"q": "zebra"})).await.unwrap());
    assert!(nothing.is_empty(), "{nothing:?}");
}

fn paying(target: &CallbackReceiver) -> (&'static str, &'static str, Value) {
    let tool = json!({
        "agentSelectedTool": "requestsPost", "agentSelectedToolRequiresHumanInput": true,
        "agentSelectedToolConfig": {"requestsPostUrl": target.url("/pay"), "requestsPostName": "pay",
            "requestsPostBodySchema": "{\"amount\": {\"type\": \"number\", \"required\": true}}"},
    });
    let inputs = json!({"agentModel": "chatAnthropic", "agentModelConfig": {"modelName": "m"},
        "agentEnableMemory": true, "agentTools": [tool], "agentReturnResponseAs": "assistantMessage"});
    ("agentAgentflow", "Payer", inputs)
}

async fn decide(app: &App, approval: &str, outcome: Outcome, feedback: Option<&str>) {
    let request = DecisionRequest {
        outcome,
        feedback: feedback.map(str::to_owned),
        arguments: None,
        content_hash: None,
    };
    app.decide(approval, request, Surface::Inbox, None).await.unwrap();
}

#[tokio::test]
async fn a_tool_waits_for_a_person_and_runs_after_yes() {
    for provider in [
        ConnectionKind::Openai,
        ConnectionKind::Anthropic,
        ConnectionKind::Ollama,
    ] {
        let dir = tempfile::tempdir().unwrap();
        let target = CallbackReceiver::start().await;
        let server = ModelServer::saying([
            ModelAnswer::Calls(
                "I will pay the bill.".to_owned(),
                vec![("pay".to_owned(), json!({"body": {"amount": 7}}))],
            ),
            ModelAnswer::text("It is paid."),
        ]);
        let desktop = FakeNotifier::new();
        let app = start_with(dir.path(), Box::new(desktop.clone())).await;
        app.set_connection("Model", model(provider, &server, &["chatAnthropic"]))
            .await
            .unwrap();
        let id = import(&app, &[paying(&target)]).await;
        let stopped = call(&app, &id, json!({"q": "Pay!"})).await.unwrap();
        assert!(target.received().is_empty());

        let waiting = pending(&app).remove(0);
        assert_eq!(waiting.title, "Run the tool “pay”?");
        let approval = app.approval(&waiting.id).unwrap();
        assert_eq!(approval.summary.body, "I will pay the bill.");
        let asked = AskedCall {
            tool: "pay".to_owned(),
            arguments: json!({"body": {"amount": 7}}),
        };
        assert_eq!(approval.call, Some(asked));
        let key = NoticeKey::Approval(waiting.id.parse().unwrap());
        until("the notification", || desktop.find(key).is_some()).await;
        let notice = desktop.find(key).unwrap();
        assert!(
            notice.body.contains("I will pay the bill.") && notice.body.contains("\"amount\": 7"),
            "who can say yes there sees to what: {notice:?}"
        );
        assert!(
            approval.if_approved[0].starts_with("Run pay"),
            "{:?}",
            approval.if_approved
        );
        assert_eq!(
            stopped["action"]["data"]["input"]["toolInput"],
            json!({"body": {"amount": 7}})
        );

        // The program ends while the person thinks.
        app.shutdown().await;
        let app = start(dir.path()).await;
        decide(&app, &waiting.id, Outcome::Approve, None).await;
        let execution = stopped["executionId"].as_str().unwrap().to_owned();
        until("the run's end", || {
            app.execution(&execution).unwrap().state == countersign_domain::ExecutionState::Finished
        })
        .await;
        let sent = target.received();
        assert_eq!(sent.len(), 1, "that call and no other");
        assert_eq!(sent[0].json(), json!({"amount": 7}));
        assert!(sent[0].header("idempotency-key").is_some());
        let data: Value = serde_json::from_str(&app.execution(&execution).unwrap().execution_data).unwrap();
        assert_eq!(data[1]["data"]["output"]["content"], "It is paid.");
        assert_eq!(data[1]["data"]["output"]["usedTools"][0]["tool"], "pay");
    }
}

#[tokio::test]
async fn no_and_its_note_reach_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let target = CallbackReceiver::start().await;
    let server = ModelServer::saying([
        ModelAnswer::call("pay", json!({"body": {"amount": 7000}})),
        ModelAnswer::text("Then I do not pay."),
    ]);
    let app = start(dir.path()).await;
    app.set_connection(
        "Model",
        model(ConnectionKind::Anthropic, &server, &["chatAnthropic"]),
    )
    .await
    .unwrap();
    let id = import(&app, &[paying(&target)]).await;
    let stopped = call(&app, &id, json!({"q": "Pay!"})).await.unwrap();
    let answer = json!({"chatId": stopped["chatId"],
        "humanInput": {"type": "reject", "feedback": "far too much"}});
    let answer = call(&app, &id, answer).await.unwrap();
    assert_eq!(answer["text"], "Then I do not pay.");
    assert!(target.received().is_empty(), "what was rejected did not run");
    let told = server.asked()[1].conversation();
    assert!(
        told.contains("far too much") && told.contains("did not allow"),
        "{told}"
    );
}
