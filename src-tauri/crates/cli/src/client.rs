//! The management API, as the commands use it.

use std::time::Duration;

use bytes::Bytes;
use countersign_app::view::{ApprovalPage, ApprovalView, CallbackPage, RunPage};
use countersign_domain::ErrorCode;
use countersign_server::client::{self, Call, CallError, HeaderValue, Method, Refusal, Reply};
use serde::de::DeserializeOwned;
use serde_json::Value;

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
        let mut all = true;
        for state in ["pending", "decided"] {
            let found = self.approvals(Some(state), SEARCH_LIMIT).await?;
            all &= found.next.is_none();
            let ids = found.approvals.into_iter().map(|view| view.id);
            if let Some(id) = part.one_of(ids, "approvals")? {
                return Ok(id);
            }
        }
        Err(part.nothing("approval", all))
    }

    /// The same for a callback.
    pub(crate) async fn callback_id(&self, part: &str) -> Result<String, Failure> {
        let part = match Part::read(part, "countersign callbacks")? {
            Part::Whole(id) => return Ok(id),
            part => part,
        };
        let page = self.callbacks(None, SEARCH_LIMIT).await?;
        let ids = page.callbacks.into_iter().map(|view| view.id);
        let found = part.one_of(ids, "callbacks")?;
        found.ok_or_else(|| part.nothing("callback", page.next.is_none()))
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
        found.ok_or_else(|| {
            part.nothing(
                "execution that was interrupted or failed at a step",
                cursor.is_none(),
            )
        })
    }

    /// Approvals, newest first, through as many pages as it takes; with what comes after them.
    pub(crate) async fn approvals(&self, state: Option<&str>, limit: usize) -> Result<ApprovalPage, Failure> {
        self.pages("approvals", state, limit).await
    }

    /// Callbacks, the same way.
    pub(crate) async fn callbacks(&self, state: Option<&str>, limit: usize) -> Result<CallbackPage, Failure> {
        self.pages("callbacks", state, limit).await
    }

    async fn pages<P: Paged>(&self, what: &str, state: Option<&str>, limit: usize) -> Result<P, Failure> {
        let mut found: P = self.get(&list_path(what, state, limit, None)).await?;
        while found.len() < limit {
            let Some(next) = found.next() else { break };
            let path = list_path(what, state, limit - found.len(), Some(next));
            found.append(self.get(&path).await?);
        }
        Ok(found)
    }

    async fn send(&self, call: Call<'_>) -> Result<Bytes, Failure> {
        let Server { address, token } = &self.server;
        match client::call(address, token, call, PATIENCE).await {
            Ok(reply) if reply.status.is_success() => Ok(reply.body),
            Ok(reply) => Err(refusal(&reply)),
            Err(error) => Err(no_answer(&error)),
        }
    }
}

/// Why there was no answer, and what to do.
fn no_answer(error: &CallError) -> Failure {
    match error {
        CallError::Unreachable { address, .. } => Failure::not_running(format!(
            "Nothing answers at {address}. Start the desktop app or `countersign serve`."
        )),
        CallError::Silent { address, patience } => Failure::failed(format!(
            "{address} has not answered for {} seconds. Nothing is known about what it did; look again with `countersign list`.",
            patience.as_secs()
        )),
        CallError::Token => Failure::failed("The token file does not hold a token."),
        CallError::BrokeOff { address, source } => Failure::failed(format!(
            "The connection to {address} broke off: {}.",
            crate::locate::with_causes(source)
        )),
        CallError::Request(source) => Failure::failed(format!("The request cannot be written: {source}.")),
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

    /// Nothing fits; `all` says whether everything was looked through.
    fn nothing(&self, what: &str, all: bool) -> Failure {
        let part = self.text();
        Failure::not_found(if all {
            format!("No {what} has an id that begins or ends with {part}.")
        } else {
            format!(
                "None of the newest {SEARCH_LIMIT} has an id that begins or ends with {part}, and older ones are not \
                 looked through: give the whole id of the {what}."
            )
        })
    }
}

/// A list that the server gives in pages.
trait Paged: DeserializeOwned {
    fn len(&self) -> usize;
    /// The cursor of what comes after it.
    fn next(&self) -> Option<&str>;
    /// Takes the page that comes after it; what is counted besides is as that page says.
    fn append(&mut self, page: Self);
}

impl Paged for ApprovalPage {
    fn len(&self) -> usize {
        self.approvals.len()
    }

    fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }

    fn append(&mut self, page: Self) {
        let before = std::mem::replace(self, page);
        self.approvals.splice(..0, before.approvals);
    }
}

impl Paged for CallbackPage {
    fn len(&self) -> usize {
        self.callbacks.len()
    }

    fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }

    fn append(&mut self, page: Self) {
        let before = std::mem::replace(self, page);
        self.callbacks.splice(..0, before.callbacks);
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
fn refusal(reply: &Reply) -> Failure {
    let status = reply.status.as_u16();
    if status == 401 {
        return Failure::refused(
            status,
            Some(ErrorCode::Unauthorized),
            "The token is not accepted: it belongs to another data folder. Name the right one with --data-dir or --token-file.",
        );
    }
    let Refusal { code, message } = reply.refusal();
    let message = message.unwrap_or_else(|| format!("The server answered with status {status}."));
    Failure::refused(status, code, message)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        Failure::failed(format!(
            "The answer is not one of this version of Countersign: {error}."
        ))
    })
}
