//! The three wire formats over real sockets, against a server that is as strict as the services.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_delivery::{AddressGuard, Client, LoopbackPolicy};
use countersign_domain::SystemClock;
use countersign_model::{
    Connection, Limits, Message, ModelCall, ModelClient, ModelError, Piece, Provider, Reply, Tool, ToolCall,
    Usage,
};
use countersign_signature::Secret;
use countersign_testkit::{ModelAnswer, ModelServer};
use serde_json::{Value, json};

const KEY: &str = "sk-very-secret-key";

const PROVIDERS: [Provider; 3] = [Provider::OpenAi, Provider::Anthropic, Provider::Ollama];

fn limits() -> Limits {
    Limits {
        total: Duration::from_secs(10),
        silence: Duration::from_secs(5),
        answer: 1 << 20,
        retries: 2,
        pause: Duration::from_millis(10),
        longest_pause: Duration::from_secs(2),
    }
}

fn client(limits: Limits) -> ModelClient {
    let http = Client::new(
        AddressGuard::new(LoopbackPolicy::Configured),
        Arc::new(SystemClock),
    );
    ModelClient::with_limits(http, limits)
}

fn connection(provider: Provider, server: &ModelServer) -> Connection {
    Connection {
        provider,
        base_url: Some(server.base_url(&provider.to_string())),
        model: "some-model".to_owned(),
        key: Some(Secret::new(KEY).unwrap()),
    }
}

fn question(text: &str) -> ModelCall {
    ModelCall {
        messages: vec![
            Message::System("Be short.".to_owned()),
            Message::User(text.to_owned()),
        ],
        ..ModelCall::default()
    }
}

async fn ask(
    server: &ModelServer,
    provider: Provider,
    call: &ModelCall,
) -> (Result<Reply, ModelError>, String) {
    let mut told = String::new();
    let reply = client(limits())
        .ask(&connection(provider, server), call, &mut |piece| match piece {
            Piece::Text(text) => told.push_str(text),
            Piece::Thought(thought) => told.push_str(&format!("<{thought}>")),
        })
        .await;
    (reply, told)
}

#[tokio::test]
async fn every_provider_answers_whole_and_in_pieces() {
    for provider in PROVIDERS {
        let text = "Grüße aus der Ferne, in vielen Wörtern.";
        let server = ModelServer::answering(move |_| ModelAnswer::text(text));
        for stream in [false, true] {
            let call = ModelCall {
                stream,
                temperature: Some(0.5),
                max_tokens: Some(99),
                idempotency_key: Some("run:step".to_owned()),
                ..question("Hello?")
            };
            let (reply, told) = ask(&server, provider, &call).await;
            let reply = reply.unwrap();
            assert_eq!(reply.content, text, "{provider}, stream {stream}");
            assert_eq!(reply.usage, Some(Usage { input: 7, output: 5 }), "{provider}");
            assert_eq!(reply.model.as_deref(), Some("fixture-1"), "{provider}");
            assert!(reply.finish_reason.is_some(), "{provider}");
            assert_eq!(told, if stream { text } else { "" }, "{provider}");
        }
        for asked in server.asked() {
            assert!(
                asked.conversation().contains("Be short.") && asked.conversation().contains("Hello?"),
                "{provider}: {asked:?}"
            );
            assert_eq!(asked.header("idempotency-key"), Some("run:step"));
            let key = asked.header("x-api-key").map(str::to_owned);
            let bearer = asked.header("authorization").map(str::to_owned);
            assert!(
                key == Some(KEY.to_owned()) || bearer == Some(format!("Bearer {KEY}")),
                "{provider}: {asked:?}"
            );
            let said = asked.body.to_string();
            assert!(said.contains("0.5") && said.contains("99"), "{provider}: {said}");
        }
    }
}

#[tokio::test]
async fn what_a_model_thinks_comes_in_pieces_of_its_own() {
    let events = |events: &[Value]| -> String {
        let frames = events.iter();
        frames
            .map(|event| {
                let kind = event["type"].as_str().unwrap_or("message");
                format!("event: {kind}\ndata: {event}\n\n")
            })
            .collect()
    };
    let openai = |delta: Value| json!({"choices": [{"index": 0, "delta": delta}]});
    let anthropic = |kind: &str, delta: Value| json!({"type": "content_block_delta", "index": 0, "delta": {"type": kind, (kind.trim_end_matches("_delta")): delta}});
    let ollama = |name: &str, text: &str, done: bool| {
        format!(
            "{}\n",
            json!({"message": {"role": "assistant", (name): text}, "done": done})
        )
    };
    for provider in PROVIDERS {
        let (kind, body) = match provider {
            Provider::OpenAi => (
                "text/event-stream",
                events(&[
                    openai(json!({"reasoning_content": "Hm, "})),
                    openai(json!({"reasoning_content": "so."})),
                    json!({"choices": [{"index": 0, "delta": {"content": "Yes."}, "finish_reason": "stop"}]}),
                ]) + "data: [DONE]\n\n",
            ),
            Provider::Anthropic => (
                "text/event-stream",
                events(&[
                    json!({"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 1}}}),
                    json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}),
                    anthropic("thinking_delta", json!("Hm, ")),
                    anthropic("thinking_delta", json!("so.")),
                    json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
                    anthropic("text_delta", json!("Yes.")),
                    json!({"type": "message_stop"}),
                ]),
            ),
            Provider::Ollama => (
                "application/x-ndjson",
                ollama("thinking", "Hm, ", false)
                    + &ollama("thinking", "so.", false)
                    + &ollama("content", "Yes.", true),
            ),
        };
        let server = ModelServer::saying([ModelAnswer::Raw(kind.to_owned(), body)]);
        let call = ModelCall {
            stream: true,
            ..question("Really?")
        };
        let (reply, told) = ask(&server, provider, &call).await;
        let reply = reply.unwrap();
        assert_eq!(told, "<Hm, ><so.>Yes.", "{provider}");
        assert_eq!(reply.reasoning.as_deref(), Some("Hm, so."), "{provider}");
    }
}

#[tokio::test]
async fn tools_are_offered_called_and_answered() {
    for provider in PROVIDERS {
        for stream in [false, true] {
            let server = ModelServer::saying([
                ModelAnswer::Calls(
                    "Looking.".to_owned(),
                    vec![
                        (
                            "search".to_owned(),
                            json!({"query": "größer {\"x\":1}", "limit": 3}),
                        ),
                        ("now".to_owned(), json!({})),
                    ],
                ),
                ModelAnswer::text("Found."),
            ]);
            let mut call = ModelCall {
                stream,
                tools: vec![Tool {
                    name: "search".to_owned(),
                    description: "Searches.".to_owned(),
                    parameters: json!({"type": "object", "properties": {"query": {"type": "string"}}}),
                }],
                ..question("Search!")
            };
            let reply = ask(&server, provider, &call).await.0.unwrap();
            assert_eq!(reply.content, "Looking.");
            let called: Vec<(&str, &Value)> = reply
                .tool_calls
                .iter()
                .map(|call| (call.name.as_str(), &call.arguments))
                .collect();
            assert_eq!(
                called,
                [
                    ("search", &json!({"query": "größer {\"x\":1}", "limit": 3})),
                    ("now", &json!({}))
                ],
                "{provider}, stream {stream}"
            );
            let ids: Vec<&str> = reply.tool_calls.iter().map(|call| call.id.as_str()).collect();
            assert!(!ids[0].is_empty() && ids[0] != ids[1], "{provider}: {ids:?}");

            let answered = |call: &ToolCall, content: &str| Message::Tool {
                call_id: call.id.clone(),
                name: call.name.clone(),
                content: content.to_owned(),
            };
            let results = [
                answered(&reply.tool_calls[0], "three hits"),
                answered(&reply.tool_calls[1], "noon"),
            ];
            call.messages.push(Message::Assistant {
                content: reply.content,
                tool_calls: reply.tool_calls,
            });
            call.messages.extend(results);
            let reply = ask(&server, provider, &call).await.0;
            assert_eq!(reply.unwrap().content, "Found.", "{provider}, stream {stream}");
            let last = server.asked().pop().unwrap();
            assert!(
                last.body.to_string().contains("three hits"),
                "{provider}: {last:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_answer_comes_in_the_form_that_was_asked_for() {
    let schema = json!({"type": "object", "properties": {"mood": {"type": "string"}},
        "required": ["mood"], "additionalProperties": false});
    for provider in PROVIDERS {
        for stream in [false, true] {
            let server = ModelServer::saying([ModelAnswer::text(r#"{"mood":"gut"}"#)]);
            let call = ModelCall {
                stream,
                answer_schema: Some(schema.clone()),
                ..question("How are you?")
            };
            let reply = ask(&server, provider, &call).await.0.unwrap();
            let content: Value = serde_json::from_str(&reply.content).unwrap();
            assert_eq!(content, json!({"mood": "gut"}), "{provider}, stream {stream}");
            assert!(reply.tool_calls.is_empty(), "{provider}: {reply:?}");
            let asked = &server.asked()[0].body;
            assert!(asked.to_string().contains("\"mood\""), "{provider}: {asked}");
            if provider == Provider::OpenAi {
                assert_eq!(asked["response_format"]["json_schema"]["strict"], true, "{asked}");
            }
        }
    }
}

#[tokio::test]
async fn a_busy_provider_is_asked_again_and_its_wish_counts() {
    for provider in PROVIDERS {
        let server = ModelServer::saying([
            ModelAnswer::Refusal(503, "overloaded".to_owned(), None),
            ModelAnswer::Refusal(429, "slow down".to_owned(), Some(1)),
            ModelAnswer::text("At last."),
        ]);
        let began = Instant::now();
        let reply = ask(&server, provider, &question("Hello?")).await.0;
        assert_eq!(reply.unwrap().content, "At last.", "{provider}");
        assert!(
            began.elapsed() >= Duration::from_secs(1),
            "the provider asked for a second"
        );
        assert_eq!(server.asked().len(), 3);

        let server = ModelServer::answering(|_| ModelAnswer::Refusal(500, "broken".to_owned(), None));
        let error = ask(&server, provider, &question("Hello?")).await.0.unwrap_err();
        assert_eq!(server.asked().len(), 3, "three attempts and no more");
        assert!(
            error.to_string().contains("500") && error.to_string().contains("broken"),
            "{error}"
        );

        let server =
            ModelServer::answering(|_| ModelAnswer::Refusal(429, "much later".to_owned(), Some(3600)));
        let error = ask(&server, provider, &question("Hello?")).await.0.unwrap_err();
        assert_eq!(server.asked().len(), 1, "an hour is not waited for");
        assert!(error.to_string().contains("3600 s"), "{error}");
    }
}

#[tokio::test]
async fn a_refusal_says_what_to_do_and_never_the_key() {
    for provider in PROVIDERS {
        let server = ModelServer::answering(|_| {
            let message = format!("{}Incorrect API key provided: {KEY}", "x".repeat(270));
            ModelAnswer::Refusal(401, message, None)
        });
        let error = ask(&server, provider, &question("Hello?")).await.0.unwrap_err();
        let text = error.to_string();
        assert_eq!(server.asked().len(), 1, "it is not asked again");
        assert!(text.contains("401") && text.contains("Check the key"), "{text}");
        assert!(!text.contains("sk-ver"), "{text}");
    }
    let server = ModelServer::answering(|_| ModelAnswer::Raw("application/json".to_owned(), "[]".to_owned()));
    let shown = format!("{:?}", connection(Provider::OpenAi, &server));
    assert!(!shown.contains(KEY), "{shown}");
}

#[tokio::test]
async fn rubbish_silence_and_floods_are_errors_within_their_limits() {
    for provider in PROVIDERS {
        for stream in [false, true] {
            let call = ModelCall {
                stream,
                ..question("Hello?")
            };
            for body in ["", "[]", "<html>", "{\"choices\":[]}"] {
                let server = ModelServer::answering(|_| {
                    ModelAnswer::Raw("text/event-stream".to_owned(), body.to_owned())
                });
                let error = ask(&server, provider, &call).await.0.unwrap_err();
                assert!(
                    matches!(error, ModelError::NotUnderstood(_) | ModelError::Exchange(_)),
                    "{provider}, stream {stream}, {body:?}: {error:?}"
                );
            }
            let server = ModelServer::answering(|_| ModelAnswer::Endless);
            let error = ask(&server, provider, &call).await.0.unwrap_err();
            assert!(
                error.to_string().contains("longer than 1048576 bytes"),
                "{provider}: {error}"
            );

            let server = ModelServer::answering(|_| ModelAnswer::Silence(Duration::from_secs(2)));
            let hasty = Limits {
                silence: Duration::from_millis(100),
                ..limits()
            };
            let quiet = client(hasty)
                .ask(&connection(provider, &server), &call, &mut |_| {})
                .await;
            let error = quiet.unwrap_err().to_string();
            assert!(error.contains("within 0.1 s"), "{provider}: {error}");
        }
        let server = ModelServer::answering(|_| ModelAnswer::BreaksOff("Half an ".to_owned()));
        let call = ModelCall {
            stream: true,
            ..question("Hello?")
        };
        let (reply, told) = ask(&server, provider, &call).await;
        assert!(
            matches!(reply, Err(ModelError::Exchange(_))),
            "{provider}: {reply:?}"
        );
        assert_eq!(told, "Half an ", "{provider}");
        assert_eq!(server.asked().len(), 1, "what was told is not told again");
    }
}

#[tokio::test]
async fn an_endpoint_that_cannot_stream_answers_in_one_piece() {
    let server = ModelServer::answering(|_| {
        let body = json!({"choices": [{"message": {"content": "Whole."}, "finish_reason": "stop"}]});
        ModelAnswer::Raw("application/json".to_owned(), body.to_string())
    });
    let call = ModelCall {
        stream: true,
        ..question("Hello?")
    };
    let (reply, told) = ask(&server, Provider::OpenAi, &call).await;
    assert_eq!(
        (reply.unwrap().content.as_str(), told.as_str()),
        ("Whole.", "Whole.")
    );
}

#[tokio::test]
async fn a_conversation_that_a_model_began_is_one_that_anthropic_takes() {
    let server = ModelServer::answering(|_| ModelAnswer::text("Yes."));
    let call = ModelCall {
        messages: vec![
            Message::Assistant {
                content: "Shall I? ".to_owned(),
                tool_calls: Vec::new(),
            },
            Message::User(String::new()),
            Message::User("Do.".to_owned()),
        ],
        ..ModelCall::default()
    };
    for provider in PROVIDERS {
        let reply = ask(&server, provider, &call).await.0;
        assert_eq!(reply.unwrap().content, "Yes.", "{provider}");
    }
}

#[tokio::test]
async fn the_address_guard_holds_for_models_too() {
    let server = ModelServer::answering(|_| ModelAnswer::text("Yes."));
    let http = Client::new(AddressGuard::new(LoopbackPolicy::Deny), Arc::new(SystemClock));
    let asked = ModelClient::with_limits(http, limits())
        .ask(
            &connection(Provider::Ollama, &server),
            &question("Hello?"),
            &mut |_| {},
        )
        .await;
    assert!(matches!(asked, Err(ModelError::Exchange(_))), "{asked:?}");
    assert!(server.asked().is_empty(), "nothing was sent");
}
