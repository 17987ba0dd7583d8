//! The world as a run sees it: what the flow crate's `Host` asks for, answered by this application.

use std::time::Duration;

use countersign_delivery::{Client, Request, Response};
use countersign_domain::{DocumentHash, FlowId, Timestamp, UrlSource};
use countersign_flow::{
    CalledFlow, Host, HostFuture, HttpRequest, HttpResponse, Lookup, ModelReply, ModelRequest, Passage, Plan,
    RunEvent, Script,
};
use countersign_model::Piece;
use countersign_script::{Console, Engine, Fetch, FetchFuture, FetchRequest, FetchResponse};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::app::Inner;
use crate::stream::Listener;

/// The longest answer that a step of a flow takes, in bytes.
const ANSWER_LIMIT: usize = 16 << 20;

/// The header by which a target can tell that a request is the same one again, after a restart for instance
/// (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: &str = "idempotency-key";

fn with_key(mut headers: Vec<(String, String)>, key: String) -> Vec<(String, String)> {
    let has_one = headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case(IDEMPOTENCY_KEY));
    if !has_one {
        headers.push((IDEMPOTENCY_KEY.to_owned(), key));
    }
    headers
}

/// The requests of scripts, by the same client as those of HTTP steps.
pub(crate) struct ScriptRequests(pub(crate) Client);

impl Fetch for ScriptRequests {
    fn fetch(&self, request: FetchRequest) -> FetchFuture<'_> {
        Box::pin(async move {
            let Response {
                status,
                status_text,
                url,
                headers,
                body,
            } = self
                .0
                .request(Request {
                    method: request.method,
                    url: request.url,
                    url_source: UrlSource::Operator,
                    headers: with_key(request.headers, request.idempotency_key),
                    secret_headers: Vec::new(),
                    // The type is among the headers already.
                    body: request
                        .body
                        .map(|text| (text, "text/plain;charset=UTF-8".to_owned())),
                    timeout: request.timeout,
                    response_limit: request.response_limit,
                })
                .await?;
            Ok(FetchResponse {
                status,
                status_text,
                url,
                headers,
                body,
            })
        })
    }
}

/// Runs a script as [`Host::script`] promises it.
pub(crate) fn run_script(engine: &Engine, script: Script) -> HostFuture<'_, Result<Option<Value>, String>> {
    Box::pin(async move {
        let Script {
            code,
            globals,
            flow,
            idempotency_key,
            console,
        } = script;
        let heard = Console::default();
        let ran = engine
            .run_for(&flow, &code, globals, &idempotency_key, &heard)
            .await;
        console.extend(heard.lines());
        ran.map_err(|error| error.to_string())
    })
}

/// What a run may ask of the world.
pub(crate) struct RunHost<'a> {
    inner: &'a Inner,
    listener: Option<&'a Listener>,
}

impl<'a> RunHost<'a> {
    pub(crate) const fn new(inner: &'a Inner, listener: Option<&'a Listener>) -> Self {
        Self { inner, listener }
    }
}

impl Host for RunHost<'_> {
    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    fn new_id(&self) -> Uuid {
        // A stop's id is also the approval's, and approvals are listed by the time in their ids.
        self.inner.ids.ordered(self.inner.clock.now())
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.inner.variable(name)
    }

    fn variables(&self) -> Map<String, Value> {
        let values = self.inner.variable_values().into_iter();
        values.map(|(name, value)| (name, value.into())).collect()
    }

    fn event(&self, event: RunEvent<'_>) {
        if let Some(listener) = self.listener {
            listener.hear(&event);
        }
    }

    fn sleep(&self, duration: Duration) -> HostFuture<'_, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn http(&self, request: HttpRequest) -> HostFuture<'_, Result<HttpResponse, String>> {
        Box::pin(async move {
            let mut headers = with_key(request.headers, request.idempotency_key);
            let mut secret_headers = Vec::new();
            if let Some(credential) = request.credential {
                // Without it the target would get something that nobody meant to send.
                let (name, value) = self.inner.credential_header(&credential)?;
                headers.retain(|(own, _)| !own.eq_ignore_ascii_case(&name));
                secret_headers.push(name.clone());
                headers.push((name, value));
            }
            let request = Request {
                method: request.method,
                url: request.url,
                url_source: request.url_source,
                headers,
                secret_headers,
                body: request.body.map(|body| (body.text, body.content_type)),
                timeout: request.timeout,
                response_limit: ANSWER_LIMIT,
            };
            let answer = self.inner.client.request(request).await?;
            Ok(HttpResponse {
                status: answer.status,
                status_text: answer.status_text,
                headers: answer.headers,
                body: answer.body,
            })
        })
    }

    fn script(&self, script: Script) -> HostFuture<'_, Result<Option<Value>, String>> {
        run_script(&self.inner.scripts, script)
    }

    fn model(&self, request: ModelRequest) -> HostFuture<'_, Result<ModelReply, String>> {
        Box::pin(async move {
            let mut thinks_since = None;
            let thought = |since: Timestamp| {
                let took = self.now().as_millis() - since.as_millis();
                let seconds = Some(u64::try_from((took + 500) / 1000).unwrap_or_default());
                self.event(RunEvent::Thought { text: "", seconds });
            };
            let mut tell = |piece: Piece<'_>| match piece {
                Piece::Thought(text) => {
                    thinks_since.get_or_insert_with(|| self.now());
                    self.event(RunEvent::Thought { text, seconds: None });
                }
                Piece::Text(text) => {
                    if let Some(since) = thinks_since.take() {
                        thought(since);
                    }
                    self.event(RunEvent::Token(text));
                }
            };
            let reply = self.inner.ask_model(request, &mut tell).await;
            if let Some(since) = thinks_since {
                thought(since);
            }
            reply
        })
    }

    fn look_up(&self, lookup: Lookup) -> HostFuture<'_, Result<Vec<Passage>, String>> {
        Box::pin(self.inner.look_up_in_folder(lookup))
    }

    fn called_flow(&self, id: &str) -> Option<CalledFlow> {
        let live = self.inner.flows.get(FlowId::from_url(id).ok()?)?;
        Some(CalledFlow {
            name: live.flow.name.clone(),
            document: live.flow.document.clone(),
            plan: live.plan.clone(),
        })
    }

    fn plan(&self, document: &DocumentHash) -> Option<Plan> {
        match self.inner.flows.plan(&self.inner.store, document) {
            Ok(plan) => Some(plan),
            Err(error) => {
                tracing::error!(document = document.as_str(), %error, "the document of a called flow cannot be read");
                None
            }
        }
    }
}
