//! A webhook call: from the parsed request to its answer, in the order of the webhook spec §4.

use std::sync::Arc;

use bytes::Bytes;
use countersign_domain::{
    Approval, ApprovalState, ErrorCode, FlowId, Outcome, ResponseMode, Role, Surface, disguises,
};
use countersign_flow::{Incoming, Parameter, Plan, SignatureKind, StartSettings, StartTrigger, Validation};
use countersign_signature::{InboundKind, verify_inbound};
use serde_json::{Map, Value};

use crate::app::storage;
use crate::decide::Answer;
use crate::execute::{Begun, Caller, Ending};
use crate::flows::{LiveFlow, flow_id, no_such_flow, response_mode};
use crate::redact::Redact;
use crate::repeats::{Identified, Turn};
use crate::stream::{RunStream, listen};
use crate::{App, Error};

/// Headers whose values never reach a flow or a record (webhook spec §7).
const SECRET_HEADERS: [&str; 7] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-auth-token",
    "x-amz-security-token",
];

/// What stands in the place of such a value.
const REDACTED: &str = "[REDACTED]";

/// The header by which a caller may name a callback URL, where the operator allows it (webhook spec §11).
const CALLER_CALLBACK_HEADER: &str = "x-callback-url";

/// The longest `chatId`, in characters.
const CHAT_ID_LIMIT: usize = 512;

/// A webhook call after the guards and after its body was parsed.
#[derive(Debug, Clone)]
pub struct WebhookRequest {
    /// The id in the URL, as it was written.
    pub flow_id: String,
    /// The method, upper case.
    pub method: String,
    /// The headers in the order in which they came, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The query: an object of texts, lists and objects.
    pub query: Value,
    /// The parsed body, with `payload` unwrapped; absent if there was none.
    pub body: Option<Value>,
    /// The bytes that a signature covers; absent if there was no body.
    pub raw_body: Option<Bytes>,
}

impl WebhookRequest {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    fn field(&self, name: &str) -> Option<&Value> {
        self.body.as_ref()?.get(name).filter(|value| !value.is_null())
    }
}

/// The answer to a webhook call.
#[derive(Debug)]
pub enum WebhookReply {
    /// 200: the run came to its end or waits for a person; the JSON text of the body.
    Done(Bytes),
    /// 202: the run goes on by itself; its result leaves as a callback.
    Accepted {
        /// The chat under which it can be answered.
        chat_id: String,
    },
    /// 200: the run is watched while it runs.
    Stream(RunStream),
}

/// `humanInput`, checked.
pub(crate) struct HumanInput {
    outcome: Outcome,
    start_node_id: Option<String>,
    feedback: Option<Value>,
}

impl App {
    /// Takes a webhook call: starts a run, or answers the approval under the call's `chatId`. A call that came before
    /// under the same id of its sender gets the first answer again.
    ///
    /// # Errors
    /// The status and words of the webhook spec §4 and §5; nothing was changed, except that a run which
    /// failed is kept with its error.
    pub async fn webhook(&self, request: WebhookRequest) -> Result<WebhookReply, Error> {
        self.ready()?;
        // Before anything is looked up: a malformed answer changes nothing.
        let human_input = human_input(request.field("humanInput"))?;
        if human_input.is_some() && matches!(request.method.as_str(), "GET" | "HEAD") {
            return Err(Error::new(
                ErrorCode::MethodNotAllowed,
                format!(
                    "A {} never answers an approval. Send the same as a POST. Nothing was changed.",
                    request.method
                ),
            ));
        }
        let chat_id = given_chat(request.field("chatId"))?;
        let id = called_flow_id(&request)?;
        let live = self.inner.flows.get(id);
        match human_input {
            Some(answer) => self.resume(request, id, live, chat_id, answer).await,
            None => {
                let live = live.ok_or_else(|| self.inner.not_live(&request.flow_id))?;
                self.trigger(request, live, chat_id).await
            }
        }
    }

    async fn trigger(
        &self,
        request: WebhookRequest,
        live: Arc<LiveFlow>,
        given_chat: Option<String>,
    ) -> Result<WebhookReply, Error> {
        let start = live.plan.start();
        must_be_webhook(start, &request)?;
        let signed = self.verify(start, live.flow.id, &request)?;
        check(start, &request)?;
        let caller_url = self.inner.caller_callback_url(&request)?;
        let mode = if caller_url.is_some() {
            ResponseMode::Async
        } else {
            response_mode(&live.plan)
        };
        if mode == ResponseMode::Async && caller_url.is_none() {
            check_callback_url(start)?;
        }
        let claim = match Identified::of(&request) {
            None => None,
            Some(call) => match self.turn(live.flow.id, &call).await? {
                Turn::First(claim) => Some(claim),
                Turn::Again(call) => return self.answer_again(call, streams(&live.plan)),
            },
        };
        let fresh_chat = given_chat.is_none();
        let chat_id = given_chat.unwrap_or_else(|| self.inner.ids.random().to_string());
        let begun = self.begin(crate::execute::Trigger {
            live: live.clone(),
            incoming: Incoming::Webhook(webhook_value(start, request)),
            chat_id,
            session_id: None,
            history: None,
            fresh_chat,
            signed,
            mode,
            caller_callback_url: caller_url,
            claim,
        })?;
        match mode {
            ResponseMode::Async => {
                let chat_id = begun.chat_id().to_owned();
                self.run_behind(begun, countersign_store::Changes::new()).await?;
                Ok(WebhookReply::Accepted { chat_id })
            }
            ResponseMode::Sync => Box::pin(self.run_for_caller(begun, streams(&live.plan))).await,
        }
    }

    /// Runs for a caller who waits: for the answer in one piece, or for what happens.
    pub(crate) async fn run_for_caller(
        &self,
        mut begun: Begun,
        streams: bool,
    ) -> Result<WebhookReply, Error> {
        if !streams {
            return reply(self.run_to_end(begun, Caller::Waits).await?);
        }
        let (listener, stream) = listen(Redact::of(&self.inner));
        begun.listener = Some(listener);
        self.spawn_watched(begun);
        Ok(WebhookReply::Stream(stream))
    }

    async fn resume(
        &self,
        request: WebhookRequest,
        id: FlowId,
        live: Option<Arc<LiveFlow>>,
        chat_id: Option<String>,
        answer: HumanInput,
    ) -> Result<WebhookReply, Error> {
        let plan = match live {
            Some(live) => live.plan.clone(),
            None => self.plan_of_question(id, &request.flow_id, chat_id.as_deref())?,
        };
        must_be_webhook(plan.start(), &request)?;
        self.verify(plan.start(), id, &request)?;
        let streams = streams(&plan);
        self.resume_chat(id, chat_id, answer, streams).await
    }

    /// Answers the approval that waits under a chat.
    pub(crate) async fn resume_chat(
        &self,
        id: FlowId,
        chat_id: Option<String>,
        answer: HumanInput,
        streams: bool,
    ) -> Result<WebhookReply, Error> {
        let nothing_there = |chat: &str| {
            Error::new(
                ErrorCode::NotFound,
                format!(
                    "No approval waits under chatId {chat} in this flow. Send the chatId that the stopped call returned."
                ),
            )
        };
        let Some(chat_id) = chat_id else {
            return Err(Error::new(
                ErrorCode::NotFound,
                "humanInput needs the chatId that the stopped call returned; without it nothing waits.",
            ));
        };
        let approval = self
            .waiting_under(id, &chat_id, answer.start_node_id.as_deref())?
            .ok_or_else(|| nothing_there(&chat_id))?;
        if answer.start_node_id.is_none() {
            self.must_be_first_question(&approval)?;
        }
        let feedback = answer
            .feedback
            .as_ref()
            .map(as_text)
            .filter(|text| !text.is_empty());
        let decided = self
            .answer(Answer {
                id: approval.id,
                outcome: answer.outcome,
                feedback,
                raw_feedback: answer.feedback,
                // A webhook client answers what it was shown.
                arguments: None,
                start_node_id: answer.start_node_id,
                content_hash: None,
                surface: Surface::Webhook,
                person: None,
            })
            .await?;
        match decided.mode() {
            ResponseMode::Async => {
                self.go_on_behind(decided);
                Ok(WebhookReply::Accepted { chat_id })
            }
            ResponseMode::Sync => Box::pin(self.run_for_caller(decided.into_begun(), streams)).await,
        }
    }

    /// The document by which an answer under this chat is judged, of a flow that was deleted or lost: the questions of
    /// such a flow keep what they were asked with.
    ///
    /// # Errors
    /// [`ErrorCode::RunLost`] if that is lost too while the question waits. Nobody can tell then whether the flow asked
    /// for signatures, but nothing is decided either. What is said of an unknown flow if there is no such question.
    pub(crate) fn plan_of_question(
        &self,
        id: FlowId,
        called: &str,
        chat_id: Option<&str>,
    ) -> Result<Plan, Error> {
        let asked = match chat_id {
            Some(chat_id) => {
                let waiting = self.inner.store.pending_of_chat(id, chat_id).map_err(storage)?;
                match waiting.into_iter().next() {
                    Some(waiting) => Some(waiting),
                    None => self.inner.store.latest_of_chat(id, chat_id).map_err(storage)?,
                }
            }
            None => None,
        };
        let asked = asked.ok_or_else(|| self.inner.not_live(called))?;
        match self.inner.execution_and_plan(asked.execution_id)? {
            Ok((_, plan)) => Ok(plan),
            Err(lost) if asked.state == ApprovalState::Pending => Err(lost.refuse(&asked)),
            Err(_) => Err(self.inner.not_live(called)),
        }
    }

    /// An answer that names no step may be one that came before: if its run has asked more than once, it may be meant for
    /// an earlier question and must not answer one that its sender has not seen (known gaps D1.6).
    ///
    /// # Errors
    /// [`ErrorCode::NotWaiting`] then, naming the step that waits. A run that is lost is told of by whoever answers.
    fn must_be_first_question(&self, asked: &Approval) -> Result<(), Error> {
        let Ok(Some(execution)) = self.inner.store.execution(asked.execution_id) else {
            return Ok(());
        };
        // At each stop a run says one thing.
        let said = execution.messages.iter();
        let stops = said.filter(|message| message.role == Role::Assistant).count();
        if stops < 2 {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::NotWaiting,
            format!(
                "This run has asked before, so an answer has to say which question it is for. Step {node} waits now; for that one add \"startNodeId\":\"{node}\" to humanInput. Nothing was changed.",
                node = asked.node_id
            ),
        ))
    }

    /// The approval that an answer under this chat is for: the newest that waits, at the named step if one
    /// is named. None if the chat is unknown.
    fn waiting_under(
        &self,
        id: FlowId,
        chat_id: &str,
        node: Option<&str>,
    ) -> Result<Option<Approval>, Error> {
        let waiting = self.inner.store.pending_of_chat(id, chat_id).map_err(storage)?;
        if let Some(found) = waiting
            .iter()
            .find(|approval| node.is_none_or(|node| approval.node_id == node))
        {
            return Ok(Some(found.clone()));
        }
        if let (Some(other), Some(node)) = (waiting.first(), node) {
            return Err(Error::new(
                ErrorCode::NotWaiting,
                format!(
                    "Step {node} does not wait for an answer; step {} does. Nothing was changed.",
                    other.node_id
                ),
            ));
        }
        if let Some(last) = self.inner.store.latest_of_chat(id, chat_id).map_err(storage)? {
            return Err(countersign_domain::AlreadyDecided(Box::new(last)).into());
        }
        if self
            .inner
            .store
            .execution_exists_for_chat(id, chat_id)
            .map_err(storage)?
        {
            return Err(Error::new(
                ErrorCode::NotWaiting,
                format!("The run under chatId {chat_id} does not wait for an answer. Nothing was changed."),
            ));
        }
        Ok(None)
    }

    /// Checks the sender's signature where the flow asks for one; says whether there was one.
    fn verify(&self, start: &StartSettings, id: FlowId, request: &WebhookRequest) -> Result<bool, Error> {
        let Some(signature) = &start.signature else {
            return Ok(false);
        };
        let Some(secret) = self.inner.webhook_secret(id)? else {
            return Err(Error::new(
                ErrorCode::Internal,
                "Webhook signature verification is enabled but no secret has been generated. Open the Start node and click Generate Secret.",
            ));
        };
        let header = signature.header.as_str();
        let Some(value) = request.header(header).filter(|value| !value.is_empty()) else {
            return Err(Error::new(
                ErrorCode::Unauthorized,
                format!("Missing signature header: {header}"),
            ));
        };
        let kind = match signature.kind {
            SignatureKind::HmacSha256 => InboundKind::HmacSha256,
            SignatureKind::PlainToken => InboundKind::PlainToken,
        };
        verify_inbound(kind, &secret, value, request.raw_body.as_deref())
            .map_err(|_| Error::new(ErrorCode::Unauthorized, "Invalid webhook signature"))?;
        Ok(true)
    }
}

/// The `chatId` that a caller names. People see it and it is a key, so it is short and shows what it is (server
/// deviations).
///
/// # Errors
/// [`ErrorCode::Invalid`] for one that is too long or hides something.
pub(crate) fn given_chat(value: Option<&Value>) -> Result<Option<String>, Error> {
    let Some(chat_id) = value.map(as_text) else {
        return Ok(None);
    };
    if chat_id.chars().count() > CHAT_ID_LIMIT || chat_id.chars().any(disguised) {
        return Err(Error::new(
            ErrorCode::Invalid,
            format!(
                "chatId is longer than {CHAT_ID_LIMIT} characters or holds control or direction characters. Nothing was changed."
            ),
        ));
    }
    Ok(Some(chat_id))
}

fn disguised(letter: char) -> bool {
    letter.is_control() || disguises(letter)
}

fn reply(ending: Ending) -> Result<WebhookReply, Error> {
    match ending {
        Ending::Finished(body) | Ending::Stopped(body) => Ok(WebhookReply::Done(body)),
        Ending::Failed(message) => Err(Error::new(ErrorCode::RunFailed, message)),
    }
}

/// Whether the callers of this flow watch it run.
fn streams(plan: &Plan) -> bool {
    plan.start().response_mode == countersign_flow::ResponseMode::Stream
}

fn called_flow_id(request: &WebhookRequest) -> Result<FlowId, Error> {
    let id = flow_id(&request.flow_id)?;
    // Ids are looked up as they are written, in lower case.
    if request.flow_id.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(no_such_flow(&request.flow_id));
    }
    Ok(id)
}

/// Reads `humanInput`. Null counts as absent (webhook spec §10; deviation (b): anything that is not an
/// object with a known `type` is refused before anything is looked up).
pub(crate) fn human_input(value: Option<&Value>) -> Result<Option<HumanInput>, Error> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let refused = |what: &str| {
        Error::new(
            ErrorCode::Invalid,
            format!(
                "humanInput {what}. Send an object such as {{\"type\":\"proceed\"}} or {{\"type\":\"reject\"}}. Nothing was changed."
            ),
        )
    };
    let Some(object) = value.as_object() else {
        return Err(refused("is not an object"));
    };
    let outcome = match object.get("type") {
        Some(Value::String(word)) if word == Outcome::Approve.human_input_type() => Outcome::Approve,
        Some(Value::String(word)) if word == Outcome::Reject.human_input_type() => Outcome::Reject,
        Some(_) => return Err(refused("has a type that is neither \"proceed\" nor \"reject\"")),
        None => return Err(refused("has no type")),
    };
    let start_node_id = match object.get("startNodeId") {
        None | Some(Value::Null) => None,
        Some(Value::String(node)) if node.is_empty() => None,
        Some(Value::String(node)) => Some(node.clone()),
        Some(_) => return Err(refused("has a startNodeId that is not a text")),
    };
    let feedback = object.get("feedback").filter(|value| !value.is_null()).cloned();
    Ok(Some(HumanInput {
        outcome,
        start_node_id,
        feedback,
    }))
}

fn must_be_webhook(start: &StartSettings, request: &WebhookRequest) -> Result<(), Error> {
    if start.trigger == StartTrigger::WebhookTrigger {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::NotFound,
        format!(
            "Chatflow {} is not configured as a webhook trigger",
            request.flow_id
        ),
    ))
}

/// Whether a call is one that the flow takes, wherever it comes from.
fn check(start: &StartSettings, request: &WebhookRequest) -> Result<(), Error> {
    check_method_and_type(start, request)?;
    match &start.validation {
        Some(validation) => check_parameters(validation, request),
        None => Ok(()),
    }
}

/// What a call gives to a run that nobody has signed for: a dry one.
pub(crate) fn incoming(start: &StartSettings, request: WebhookRequest) -> Result<Incoming, Error> {
    must_be_webhook(start, &request)?;
    check(start, &request)?;
    Ok(Incoming::Webhook(webhook_value(start, request)))
}

fn check_method_and_type(start: &StartSettings, request: &WebhookRequest) -> Result<(), Error> {
    if let Some(expected) = start.method.as_deref()
        && !request.method.eq_ignore_ascii_case(expected)
    {
        return Err(Error::new(
            ErrorCode::MethodNotAllowed,
            format!("Method {} not allowed. Expected {expected}", request.method),
        ));
    }
    let has_body = request.raw_body.as_ref().is_some_and(|raw| !raw.is_empty())
        || request.body.as_ref().is_some_and(|body| match body {
            Value::Object(map) => !map.is_empty(),
            Value::Array(list) => !list.is_empty(),
            _ => false,
        });
    if let Some(expected) = start.content_type.as_deref()
        && has_body
    {
        let sent = request.header("content-type");
        if !sent.is_some_and(|sent| fits(sent, expected)) {
            return Err(Error::new(
                ErrorCode::UnsupportedMediaType,
                format!(
                    "Content-Type {} not allowed. Expected {expected}",
                    sent.unwrap_or("undefined")
                ),
            ));
        }
    }
    Ok(())
}

/// Whether a media type is the expected one. A flow that asks for JSON takes every `+json` type
/// (deviation (p)).
fn fits(sent: &str, expected: &str) -> bool {
    let sent = sent.to_ascii_lowercase();
    if sent.starts_with(expected) {
        return true;
    }
    let media_type = sent.split(';').next().unwrap_or_default().trim();
    expected == "application/json" && media_type.starts_with("application/") && media_type.ends_with("+json")
}

fn check_parameters(validation: &Validation, request: &WebhookRequest) -> Result<(), Error> {
    let named = |text: &str, names: Vec<&str>| {
        if names.is_empty() {
            return Ok(());
        }
        let message = format!("{text}: {}", names.join(", "));
        Err(Error::new(ErrorCode::Invalid, message))
    };
    let in_header = |name: &str| request.header(&name.to_ascii_lowercase()).is_some();
    let in_query = |name: &str| request.query.get(name).is_some_and(|value| !value.is_null());
    named(
        "Missing required headers",
        missing(&validation.headers, in_header),
    )?;
    named(
        "Missing required webhook body parameters",
        validation
            .body
            .iter()
            .filter(|field| field.required && request.field(&field.name).is_none())
            .map(|field| field.name.as_str())
            .collect(),
    )?;
    named(
        "Invalid type for parameter(s)",
        validation
            .body
            .iter()
            .filter(|field| match (&field.kind, request.field(&field.name)) {
                (Some(kind), Some(value)) => !kind.accepts(value),
                _ => false,
            })
            .map(|field| field.name.as_str())
            .collect(),
    )?;
    named(
        "Missing required query parameters",
        missing(&validation.query, in_query),
    )
}

/// The required parameters that are not there.
fn missing(parameters: &[Parameter], there: impl Fn(&str) -> bool) -> Vec<&str> {
    parameters
        .iter()
        .filter(|parameter| parameter.required && !there(&parameter.name))
        .map(|parameter| parameter.name.as_str())
        .collect()
}

/// A callback URL that cannot work is said before the 202 (webhook spec §8.2).
fn check_callback_url(start: &StartSettings) -> Result<(), Error> {
    match start.callback_url.as_deref() {
        Some(url) if !is_http(url) => Err(invalid_callback_url()),
        _ => Ok(()),
    }
}

pub(crate) fn invalid_callback_url() -> Error {
    Error::new(
        ErrorCode::Invalid,
        "Invalid callbackUrl: must be a valid http or https URL",
    )
}

pub(crate) fn is_http(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// What a flow sees of a call: `{"body"?, "headers", "query"}`, secrets removed. The configured signature
/// header is one of them (deviation (g)).
fn webhook_value(start: &StartSettings, request: WebhookRequest) -> Value {
    let signature_header = start
        .signature
        .as_ref()
        .map(|signature| signature.header.as_str());
    let mut headers = Map::with_capacity(request.headers.len());
    for (name, value) in request.headers {
        let secret = SECRET_HEADERS.contains(&name.as_str()) || signature_header == Some(name.as_str());
        let value = if secret { REDACTED.to_owned() } else { value };
        match headers.get_mut(&name) {
            // A header that comes twice reads as one with a comma, as in Node.
            Some(Value::String(before)) if !secret => {
                before.push_str(", ");
                before.push_str(&value);
            }
            _ => {
                headers.insert(name, value.into());
            }
        }
    }
    let mut webhook = Map::with_capacity(3);
    if let Some(body) = request.body {
        webhook.insert("body".to_owned(), body);
    }
    webhook.insert("headers".to_owned(), headers.into());
    webhook.insert("query".to_owned(), request.query);
    webhook.into()
}

/// A JSON value as the text that JavaScript would make of it, or as JSON.
pub(crate) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl crate::app::Inner {
    /// The URL of the header `x-callback-url`, if the operator allows callers to name one.
    fn caller_callback_url(&self, request: &WebhookRequest) -> Result<Option<String>, Error> {
        let Some(url) = request
            .header(CALLER_CALLBACK_HEADER)
            .filter(|url| !url.is_empty())
        else {
            return Ok(None);
        };
        let settings = self
            .settings
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if !settings.accept_caller_callback_url {
            return Ok(None);
        }
        if !is_http(url) {
            return Err(invalid_callback_url());
        }
        let origin = url::Url::parse(url)
            .map(|url| url.origin().ascii_serialization())
            .unwrap_or_default();
        if !settings.caller_callback_origins.contains(&origin) {
            return Err(Error::new(
                ErrorCode::Invalid,
                format!(
                    "Invalid callbackUrl: {origin} is not among the origins that the operator of this Countersign allows for x-callback-url"
                ),
            ));
        }
        self.client
            .guard()
            .check_url(url, countersign_domain::UrlSource::Caller)
            .map_err(|error| Error::new(ErrorCode::Invalid, format!("Invalid callbackUrl: {error}")))?;
        Ok(Some(url.to_owned()))
    }
}
