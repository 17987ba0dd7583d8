//! The management API over plain HTTP on this machine. One request, one connection: commands are short.

use std::time::Duration;

use bytes::Bytes;
use countersign_app::view::{ApprovalPage, ApprovalSummary, ApprovalView, CallbackPage, RunPage};
use countersign_domain::ErrorCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::exit::Failure;
use crate::locate::Server;

/// How long a command waits for an answer. A decision answers when it is durable, not when the flow has ended.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much is looked through for the one thing that a part of an id names.
const SEARCH_LIMIT: usize = 2_000;

/// The largest page that the server gives.
const PAGE: usize = 200;

/// The shortest part of an id that is looked for.
const SHORTEST_PART: usize = 4;

/// Speaks to one server.
pub(crate) struct Client {
    server: Server,
}

/// A call to the management API.
struct Call<'a> {
    method: Method,
    path: &'a str,
    body: Option<Vec<u8>>,
    headers: Vec<(&'static str, HeaderValue)>,
}

impl Client {
    /// Speaks to this server.
    pub(crate) const fn new(server: Server) -> Self {
        Self { server }
    }

    /// Where the server is.
    pub(crate) fn address(&self) -> &str {
        &self.server.address
    }

    /// Reads a resource.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        read(
            &self
                .send(Call {
                    method: Method::GET,
                    path,
                    body: None,
                    headers: vec![],
                })
                .await?,
        )
    }

    /// Posts JSON, or nothing.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Failure> {
        let call = Call {
            method: Method::POST,
            path,
            body: body.map(|body| body.to_string().into_bytes()),
            headers: vec![],
        };
        read(&self.send(call).await?)
    }

    /// Posts an answer and says that it comes from the command line, and from whom.
    pub(crate) async fn decide(&self, id: &str, body: &Value) -> Result<ApprovalView, Failure> {
        let mut headers = vec![("x-countersign-surface", HeaderValue::from_static("cli"))];
        let person = ["USER", "LOGNAME", "USERNAME"]
            .iter()
            .find_map(|name| std::env::var(name).ok());
        if let Some(person) = person
            .as_deref()
            .and_then(|name| HeaderValue::from_str(name).ok())
        {
            headers.push(("x-countersign-person", person));
        }
        let path = format!("/api/v1/approvals/{id}/decision");
        let body = Some(body.to_string().into_bytes());
        read(
            &self
                .send(Call {
                    method: Method::POST,
                    path: &path,
                    body,
                    headers,
                })
                .await?,
        )
    }

    /// The id of the approval whose id is this, begins with it or ends with it, and what waits before what is settled:
    /// a script that answers must not stumble over history.
    pub(crate) async fn approval_id(&self, part: &str) -> Result<String, Failure> {
        let part = match Part::read(part, "countersign list")? {
            Part::Whole(id) => return Ok(id),
            part => part,
        };
        for state in ["pending", "decided"] {
            let found = self.approvals(Some(state), SEARCH_LIMIT).await?;
            if let Some(id) = part.one_of(found.into_iter().map(|view| view.id), "approvals")? {
                return Ok(id);
            }
        }
        Err(part.nothing("approval"))
    }

    /// The same for a callback.
    pub(crate) async fn callback_id(&self, part: &str) -> Result<String, Failure> {
        let part = match Part::read(part, "countersign callbacks")? {
            Part::Whole(id) => return Ok(id),
            part => part,
        };
        let found = self.callbacks(None, SEARCH_LIMIT).await?.callbacks;
        let found = part.one_of(found.into_iter().map(|view| view.id), "callbacks")?;
        found.ok_or_else(|| part.nothing("callback"))
    }

    /// The same for an execution that can go on.
    pub(crate) async fn execution_to_go_on(&self, part: &str) -> Result<String, Failure> {
        let part = match Part::read(part, "countersign show")? {
            Part::Whole(id) => return Ok(id),
            part => part,
        };
        let mut ids = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..SEARCH_LIMIT / PAGE {
            let from = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
            let path = format!("/api/v1/executions?summary=true&state=ERROR&limit={PAGE}{from}");
            let page: RunPage = self.get(&path).await?;
            let can = page.runs.into_iter();
            ids.extend(
                can.filter(|run| run.interrupted || run.failed_step.is_some())
                    .map(|run| run.id),
            );
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let found = part.one_of(ids.into_iter(), "executions")?;
        found.ok_or_else(|| part.nothing("execution that was interrupted or failed at a step"))
    }

    /// Approvals, newest first, through as many pages as it takes.
    pub(crate) async fn approvals(
        &self,
        state: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ApprovalSummary>, Failure> {
        let mut found = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let path = list_path("approvals", state, limit - found.len(), cursor.as_deref());
            let page: ApprovalPage = self.get(&path).await?;
            found.extend(page.approvals);
            match page.next {
                Some(next) if found.len() < limit => cursor = Some(next),
                _ => break,
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Callbacks, newest first, through as many pages as it takes; `next` is spent.
    pub(crate) async fn callbacks(&self, state: Option<&str>, limit: usize) -> Result<CallbackPage, Failure> {
        let mut found = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let path = list_path("callbacks", state, limit - found.len(), cursor.as_deref());
            let mut page: CallbackPage = self.get(&path).await?;
            found.append(&mut page.callbacks);
            match page.next.take() {
                Some(next) if found.len() < limit => cursor = Some(next),
                _ => {
                    found.truncate(limit);
                    page.callbacks = found;
                    return Ok(page);
                }
            }
        }
    }

    async fn send(&self, call: Call<'_>) -> Result<Bytes, Failure> {
        match tokio::time::timeout(PATIENCE, self.exchange(call)).await {
            Ok(done) => done,
            Err(_) => Err(Failure::failed(format!(
                "{} has not answered for {} seconds. Nothing is known about what it did; look again with `countersign list`.",
                self.server.address,
                PATIENCE.as_secs()
            ))),
        }
    }

    async fn exchange(&self, call: Call<'_>) -> Result<Bytes, Failure> {
        let stream = TcpStream::connect(&self.server.address).await.map_err(|_| {
            Failure::not_running(format!(
                "Nothing answers at {}. Start the desktop app or `countersign serve`.",
                self.server.address
            ))
        })?;
        let broken = |error: &dyn std::error::Error| {
            Failure::failed(format!(
                "The connection to {} broke off: {}.",
                self.server.address,
                crate::locate::with_causes(error)
            ))
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(&error))?;
        tokio::spawn(connection);
        let request = self.request(call)?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| broken(&error))?;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|error| broken(&error))?
            .to_bytes();
        if status.is_success() {
            Ok(body)
        } else {
            Err(refusal(status.as_u16(), &body))
        }
    }

    fn request(&self, call: Call<'_>) -> Result<Request<Full<Bytes>>, Failure> {
        let mut token = HeaderValue::from_str(&format!("Bearer {}", self.server.token))
            .map_err(|_| Failure::failed("The token file does not hold a token."))?;
        token.set_sensitive(true);
        let mut request = Request::builder()
            .method(call.method)
            .uri(call.path)
            .header(HOST, &self.server.address)
            .header(AUTHORIZATION, token);
        if call.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        request
            .body(Full::new(Bytes::from(call.body.unwrap_or_default())))
            .map_err(|error| Failure::failed(format!("The request cannot be written: {error}.")))
    }
}

/// What somebody typed for an id, in lower case.
enum Part {
    /// A whole id.
    Whole(String),
    /// Its beginning or end.
    Of(String),
}

impl Part {
    /// `shown_by` names the command that shows such ids.
    fn read(text: &str, shown_by: &str) -> Result<Self, Failure> {
        let wanted = text.trim().to_ascii_lowercase();
        if wanted.is_empty() || !wanted.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
            return Err(Failure::usage(format!(
                "{text:?} is not an id; `{shown_by}` shows them."
            )));
        }
        if wanted.len() == 36 {
            return Ok(Self::Whole(wanted));
        }
        if wanted.len() < SHORTEST_PART {
            return Err(Failure::usage(format!(
                "{text:?} is too short; give at least {SHORTEST_PART} characters of the id."
            )));
        }
        Ok(Self::Of(wanted))
    }

    fn text(&self) -> &str {
        let (Self::Whole(text) | Self::Of(text)) = self;
        text
    }

    /// The one id that fits, if there is one; a failure if there are more.
    fn one_of(&self, ids: impl Iterator<Item = String>, what: &str) -> Result<Option<String>, Failure> {
        let text = self.text();
        let mut found: Vec<String> = ids
            .filter(|id| id.starts_with(text) || id.ends_with(text))
            .collect();
        match found.len() {
            0 | 1 => Ok(found.pop()),
            count => Err(Failure::usage(format!(
                "{text:?} fits {count} {what}; give more of the id."
            ))),
        }
    }

    fn nothing(&self, what: &str) -> Failure {
        Failure::not_found(format!(
            "No {what} has an id that begins or ends with {}.",
            self.text()
        ))
    }
}

/// The path of a page of approvals or callbacks.
fn list_path(what: &str, state: Option<&str>, limit: usize, cursor: Option<&str>) -> String {
    let mut path = format!("/api/v1/{what}?limit={}", limit.clamp(1, PAGE));
    if let Some(state) = state {
        path.push_str(&format!("&state={state}"));
    }
    if let Some(cursor) = cursor {
        path.push_str(&format!("&cursor={cursor}"));
    }
    path
}

/// What the server's error body says.
fn refusal(status: u16, body: &[u8]) -> Failure {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    if status == 401 {
        return Failure::refused(
            status,
            Some(ErrorCode::Unauthorized),
            "The token is not accepted: it belongs to another data folder. Name the right one with --data-dir or --token-file.",
        );
    }
    let code: Option<ErrorCode> = body
        .get("code")
        .and_then(|code| serde_json::from_value(code.clone()).ok());
    let message = body
        .get("message")
        .or_else(|| body.get("error"))
        .and_then(Value::as_str)
        .map_or_else(
            || format!("The server answered with status {status}."),
            countersign_domain::display_text,
        );
    Failure::refused(status, code, message)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        Failure::failed(format!(
            "The answer is not one of this version of Countersign: {error}."
        ))
    })
}
