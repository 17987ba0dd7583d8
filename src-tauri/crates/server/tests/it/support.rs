//! What the tests share: an application with its router, and flows in the shape of an export.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use countersign_app::{App, Config, Flags, RandomIds, SystemClock, headless_notifier};
use countersign_server::{Options, router, serve};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::ServiceExt;

pub(crate) struct House {
    pub(crate) app: App,
    pub(crate) router: Router,
    _dir: tempfile::TempDir,
}

/// How long anything that happens by itself may take on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(SOON, waiting).await.is_ok(), "never: {what}");
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The status and message of an error in Flowise's shape, which is checked on the way.
    #[track_caller]
    pub(crate) fn refusal(&self) -> (u16, String) {
        let body = self.json();
        assert_eq!(body["statusCode"], self.status.as_u16(), "{self:?}");
        assert_eq!(body["success"], false, "{self:?}");
        assert_eq!(body["stack"], json!({}), "{self:?}");
        assert!(body["code"].is_string(), "{self:?}");
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        (self.status.as_u16(), body["message"].as_str().unwrap().to_owned())
    }
}

async fn start(dir: &std::path::Path) -> App {
    let flags = Flags {
        data_dir: Some(dir.to_owned()),
        keychain: Some("off".to_owned()),
        ..Flags::default()
    };
    let config = Config::load(&flags, |_| None).unwrap();
    App::start(countersign_app::Options {
        config,
        notifier: headless_notifier(),
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
        keychain: countersign_app::keychain_of_this_system(),
    })
    .await
    .unwrap()
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let app = start(dir.path()).await;
        Self {
            router: router(app.clone(), options),
            app,
            _dir: dir,
        }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// A webhook call with a JSON body.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(request(
            "POST",
            path,
            &[("content-type", "application/json")],
            body.to_string(),
        ))
        .await
    }

    /// A management call with the token.
    pub(crate) async fn manage(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let token = format!("Bearer {}", self.app.api_token());
        let mut headers = vec![("authorization", token.as_str())];
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        self.send(request(
            method,
            path,
            &headers,
            body.map_or(String::new(), Value::to_string),
        ))
        .await
    }

    /// Imports a flow and returns its webhook path.
    pub(crate) async fn import(&self, flow: &Value) -> String {
        let body = json!({ "name": "A flow", "type": "AGENTFLOW", "flowData": flow.to_string() });
        let answer = self.manage("POST", "/api/v1/chatflows", Some(&body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        format!("/api/v1/webhook/{}", answer.json()["id"].as_str().unwrap())
    }

    /// How many executions and approvals there are.
    pub(crate) async fn traces(&self) -> (u64, usize) {
        let executions = self.manage("GET", "/api/v1/executions", None).await.json();
        let approvals = self.manage("GET", "/api/v1/approvals", None).await.json();
        (
            executions["total"].as_u64().unwrap(),
            approvals["approvals"].as_array().unwrap().len(),
        )
    }
}

/// A request to a server on loopback; a `Host` among the headers replaces the usual one.
pub(crate) fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Request<Body> {
    let mut builder = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        builder = builder.header("host", "127.0.0.1:8420");
    }
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let body = body.into();
    let length = hyper::body::Body::size_hint(&body).exact();
    if let Some(length) = length.filter(|length| *length > 0 || method == "POST") {
        builder = builder.header("content-length", length);
    }
    builder.body(body).unwrap()
}

/// A server on a real socket.
pub(crate) struct Listening {
    pub(crate) house: House,
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) served: JoinHandle<std::io::Result<()>>,
}

impl Listening {
    pub(crate) async fn open(options: Options) -> Self {
        let house = House::with(options.clone()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(serve(house.app.clone(), listener, options, async move {
            let _ = stopped.await;
        }));
        Self {
            house,
            address,
            stop: Some(stop),
            served,
        }
    }

    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The head of a request, ready to be written.
    pub(crate) fn head(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
        let lines: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n{lines}\r\n",
            self.address
        )
    }

    /// Writes bytes on a new connection and reads until the server closes it.
    pub(crate) async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The server may close before it has read everything; its answer counts.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// A flow with a webhook start and a reply.
pub(crate) fn reply_flow(start: Value) -> Value {
    let reply = node(
        "directReplyAgentflow_0",
        "Answer",
        json!({
            "directReplyMessage": "Hello {{ $webhook.body.who }} on {{ $webhook.query.lane }}!"
        }),
    );
    json!({
        "nodes": [start_node(start), reply],
        "edges": [edge("startAgentflow_0", "startAgentflow_0-output-startAgentflow", "directReplyAgentflow_0")],
        "viewport": { "x": 0, "y": 0, "zoom": 1 }
    })
}

/// A flow with a webhook start and a gate with two ways on.
pub(crate) fn gate_flow(start: Value) -> Value {
    let gate = node(
        "humanInputAgentflow_0",
        "Gate",
        json!({
            "humanInputDescriptionType": "fixed",
            "humanInputDescription": "Release {{ $webhook.body.item }} now?",
            "humanInputEnableFeedback": true
        }),
    );
    json!({
        "nodes": [
            start_node(start), gate,
            node("directReplyAgentflow_0", "Released", json!({ "directReplyMessage": "released" })),
            node("directReplyAgentflow_1", "Held", json!({ "directReplyMessage": "held" })),
        ],
        "edges": [
            edge("startAgentflow_0", "startAgentflow_0-output-startAgentflow", "humanInputAgentflow_0"),
            edge("humanInputAgentflow_0", "humanInputAgentflow_0-output-0", "directReplyAgentflow_0"),
            edge("humanInputAgentflow_0", "humanInputAgentflow_0-output-1", "directReplyAgentflow_1"),
        ],
        "viewport": { "x": 0, "y": 0, "zoom": 1 }
    })
}

fn start_node(inputs: Value) -> Value {
    let mut all = json!({
        "startInputType": "webhookTrigger", "webhookMethod": "POST",
        "webhookContentType": "application/json", "webhookInputMode": "text",
        "webhookDefaultInput": "", "webhookResponseMode": "sync"
    });
    for (name, value) in inputs.as_object().unwrap() {
        all[name] = value.clone();
    }
    node("startAgentflow_0", "Start", all)
}

fn node(id: &str, label: &str, inputs: Value) -> Value {
    let name = id.split('_').next().unwrap();
    let kind = name.trim_end_matches("Agentflow");
    let kind = format!("{}{}", kind[..1].to_uppercase(), &kind[1..]);
    // Texts in which a flow may use variables are marked as such.
    let parameters: Vec<Value> = inputs
        .as_object()
        .unwrap()
        .keys()
        .map(|input| json!({ "label": input, "name": input, "type": "string", "acceptVariable": true, "display": true }))
        .collect();
    let outputs: Vec<Value> = match name {
        "humanInputAgentflow" => (0..2).map(|i| json!({ "id": format!("{id}-output-{i}"), "label": i.to_string(), "name": i.to_string() })).collect(),
        _ => vec![json!({ "id": format!("{id}-output-{name}"), "label": label, "name": name })],
    };
    json!({
        "id": id, "type": "agentFlow", "position": { "x": 0, "y": 0 }, "width": 200, "height": 66,
        "data": {
            "id": id, "label": label, "version": 1, "name": name, "type": kind, "baseClasses": [kind],
            "category": "Agent Flows", "inputParams": parameters, "inputAnchors": [], "inputs": inputs,
            "outputAnchors": outputs, "outputs": {}
        }
    })
}

fn edge(source: &str, handle: &str, target: &str) -> Value {
    json!({
        "source": source, "sourceHandle": handle, "target": target, "targetHandle": target,
        "type": "agentFlow", "id": format!("{source}-{handle}-{target}"),
        "data": { "isHumanInput": source.starts_with("humanInput") }
    })
}

/// A body that fails the test if somebody reads it.
pub(crate) fn untouchable() -> Body {
    Body::from_stream(futures_util::stream::poll_fn(
        |_| -> std::task::Poll<Option<Result<Bytes, std::convert::Infallible>>> {
            panic!("the body was read before the guards had their say")
        },
    ))
}
