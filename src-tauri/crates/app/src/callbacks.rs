//! Callbacks: how one is built, listed, sent again and tried out.

use countersign_delivery::{Message, SendNowError};
use countersign_domain::{
    ApprovalId, Callback, CallbackId, CallbackKind, CallbackState, Decision, ErrorCode, Execution,
    ExecutionId, FlowId, Timestamp, UrlSource,
};
use countersign_flow::{Plan, ResponseMode as StartMode, variable_of};
use countersign_signature::Secret;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::app::{Inner, storage};
use crate::approvals::{cursor, limit};
use crate::execute::{Begun, not_json};
use crate::view::{CallbackPage, CallbackQuery, CallbackSummary, CallbackView, TestCallbackView};
use crate::{App, Error};

/// What a callback says besides its kind and chat.
pub(crate) enum Content<'a> {
    /// `data` of SUCCESS and STOPPED: its JSON text.
    Data(Box<RawValue>),
    /// `error` of ERROR.
    Error(&'a str),
}

/// A callback with what it sends.
pub(crate) type Outgoing = (Callback, String);

/// Where a callback goes.
pub(crate) struct Target {
    pub(crate) url: String,
    /// Who named it.
    pub(crate) source: UrlSource,
    /// See [`Callback::signed`].
    pub(crate) signed: bool,
}

/// What a callback reports on.
pub(crate) struct Subject<'a> {
    pub(crate) execution_id: ExecutionId,
    pub(crate) flow_id: FlowId,
    pub(crate) flow_name: &'a str,
    pub(crate) chat_id: &'a str,
    /// The answer that led to it.
    pub(crate) decision: Option<&'a (ApprovalId, Decision)>,
}

impl<'a> Subject<'a> {
    /// An execution, where no answer led to what is reported.
    pub(crate) fn of(execution: &'a Execution) -> Self {
        Self {
            execution_id: execution.id,
            flow_id: execution.flow_id,
            flow_name: &execution.flow_name,
            chat_id: &execution.chat_id,
            decision: None,
        }
    }
}

/// The body of a callback (webhook spec §9). The order of the keys is Flowise's; `countersign` comes on top.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallbackBody<'a> {
    status: CallbackKind,
    chat_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    countersign: Option<DecisionProof<'a>>,
}

/// Who decided, when, where and on what: the receiver can prove it, because the body is signed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DecisionProof<'a> {
    approval_id: ApprovalId,
    #[serde(flatten)]
    decision: &'a Decision,
}

impl Inner {
    /// Builds the callback that reports on a run, if there is somewhere to send it.
    pub(crate) fn callback(
        &self,
        begun: &Begun,
        kind: CallbackKind,
        content: Content<'_>,
        now: Timestamp,
    ) -> Result<Option<Outgoing>, Error> {
        let execution = &begun.execution;
        let Some((url, source)) = self.callback_target(execution, &begun.plan) else {
            return Ok(None);
        };
        let secret = self.secret_or_default(begun.plan.start().callback_secret.as_deref())?;
        let target = Target {
            url,
            source,
            signed: secret.is_some(),
        };
        let subject = Subject {
            decision: begun.decision.as_ref(),
            ..Subject::of(execution)
        };
        self.callback_to(subject, target, kind, content, now).map(Some)
    }

    /// Builds a callback. The only place where a callback's body is made.
    pub(crate) fn callback_to(
        &self,
        subject: Subject<'_>,
        target: Target,
        kind: CallbackKind,
        content: Content<'_>,
        now: Timestamp,
    ) -> Result<Outgoing, Error> {
        let (data, error) = match content {
            Content::Data(data) => (Some(data), None),
            Content::Error(message) => (None, Some(message)),
        };
        let countersign = subject.decision.map(|(id, decision)| DecisionProof {
            approval_id: *id,
            decision,
        });
        let body = CallbackBody {
            status: kind,
            chat_id: subject.chat_id,
            data,
            error,
            countersign,
        };
        let body = serde_json::to_string(&body).map_err(not_json)?;
        let callback = Callback {
            id: CallbackId::from_uuid(self.ids.ordered(now)),
            execution_id: subject.execution_id,
            flow_id: subject.flow_id,
            flow_name: subject.flow_name.to_owned(),
            chat_id: subject.chat_id.to_owned(),
            kind,
            url: target.url,
            url_source: target.source,
            signed: target.signed,
            state: CallbackState::Waiting,
            attempts: Vec::new(),
            created_at: now,
            next_attempt_at: Some(self.retry_plan().first(now)),
        };
        Ok((callback, body))
    }

    /// Where the callbacks of a run go: the caller's URL where that is allowed, else the flow's, else the
    /// default of the settings.
    fn callback_target(&self, execution: &Execution, plan: &Plan) -> Option<(String, UrlSource)> {
        if let Some(url) = &execution.caller_callback_url {
            return Some((url.clone(), UrlSource::Caller));
        }
        self.operator_callback_url(plan)
            .map(|url| (url, UrlSource::Operator))
    }

    /// The URL that the operator configured, in the flow or in the settings.
    pub(crate) fn operator_callback_url(&self, plan: &Plan) -> Option<String> {
        let start = plan.start();
        // A synchronous flow keeps what was once entered for the other mode: a URL that cannot be used counts as none.
        // An asynchronous one says so to each call.
        let own = start.callback_url.clone().filter(|url| {
            !url.trim().is_empty()
                && (start.response_mode == StartMode::Async || self.callback_url_problem(url).is_none())
        });
        own.or_else(|| Some(self.settings().callback_url).filter(|url| !url.is_empty()))
    }

    /// Why nothing can be sent to this URL of a flow or of the settings, whatever its receiver does.
    pub(crate) fn callback_url_problem(&self, url: &str) -> Option<String> {
        match self.client.guard().check_url(url, UrlSource::Operator) {
            Ok(_) => None,
            Err(error) => Some(error.to_string()),
        }
    }

    /// The receiver's origin, for people.
    pub(crate) fn receiver_of(&self, execution: &Execution, plan: &Plan) -> Option<String> {
        let (url, _) = self.callback_target(execution, plan)?;
        let parsed = url::Url::parse(&url).ok()?;
        let host = parsed.host_str()?;
        Some(
            parsed
                .port()
                .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
        )
    }

    /// The secret that signs a callback: the flow's, else the default of the settings. Where the run or its document is
    /// lost, the flow as it is now has to do.
    pub(crate) fn callback_secret(&self, callback: &Callback) -> Result<Option<Secret>, Error> {
        let own = match self.execution_and_plan(callback.execution_id)? {
            Ok((_, plan)) => plan.start().callback_secret.clone(),
            Err(_) => self
                .flows
                .get(callback.flow_id)
                .and_then(|live| live.plan.start().callback_secret.clone()),
        };
        self.secret_or_default(own.as_deref())
    }

    /// The secret that a flow names, as it is or by a variable, else the default of the settings.
    pub(crate) fn secret_or_default(&self, own: Option<&str>) -> Result<Option<Secret>, Error> {
        let own = match own.and_then(variable_of) {
            None => own.map(str::to_owned),
            Some(name) => {
                let value = self.variable_or_fail(name)?;
                if value.is_none() {
                    tracing::error!(
                        name,
                        "the secret of a flow's callbacks is a variable that is not set"
                    );
                }
                value
            }
        };
        // An empty text is no secret.
        match own.and_then(|secret| Secret::new(secret).ok()) {
            Some(secret) => Ok(Some(secret)),
            None => self.default_callback_secret(),
        }
    }
}

impl App {
    /// A page of callbacks, newest first.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] for a state, limit or cursor without meaning.
    pub fn callbacks(&self, query: &CallbackQuery) -> Result<CallbackPage, Error> {
        let state = match query.state.as_deref() {
            None | Some("") => None,
            Some(word) => Some(serde_json::from_value::<CallbackState>(word.into()).map_err(|_| {
                Error::new(
                    ErrorCode::Invalid,
                    format!("{word:?} is not a state: use waiting, delivered or abandoned."),
                )
            })?),
        };
        let execution =
            match query.execution.as_deref() {
                None | Some("") => None,
                Some(id) => Some(id.parse::<ExecutionId>().map_err(|_| {
                    Error::new(ErrorCode::Invalid, "execution is not the id of an execution.")
                })?),
            };
        let store = &self.inner.store;
        let page = store
            .callbacks(&countersign_store::CallbackQuery {
                state,
                execution,
                limit: limit(query.limit)?,
                before: cursor::<CallbackId>(query.cursor.as_deref())?,
            })
            .map_err(storage)?;
        let callbacks = page.items.iter().map(|callback| self.summary(callback));
        Ok(CallbackPage {
            callbacks: callbacks.collect::<Result<_, _>>()?,
            next: page.next.map(|id| id.to_string()),
            waiting: u32::try_from(store.outbox_count()).unwrap_or(u32::MAX),
            failing: self.failing_callbacks(),
        })
    }

    /// One callback with its body.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] for an unknown id or one that is none.
    pub fn callback(&self, id: &str) -> Result<CallbackView, Error> {
        let callback = self.stored_callback(id)?;
        let body = self.inner.store.callback_body(callback.id).map_err(storage)?;
        Ok(CallbackView {
            summary: self.summary(&callback)?,
            body: body.unwrap_or_default(),
        })
    }

    /// What lists show of a callback.
    fn summary(&self, callback: &Callback) -> Result<CallbackSummary, Error> {
        let behind_earlier = callback.state == CallbackState::Waiting && self.waits_behind(callback)?;
        let store = &self.inner.store;
        let body_bytes = store.callback_body_bytes(callback.id).map_err(storage)?;
        Ok(CallbackSummary {
            id: callback.id.to_string(),
            execution_id: callback.execution_id.to_string(),
            flow_id: callback.flow_id.to_string(),
            flow_name: callback.flow_name.clone(),
            chat_id: callback.chat_id.clone(),
            kind: callback.kind,
            url: callback.url.clone(),
            url_source: callback.url_source,
            state: callback.state,
            attempts: callback.attempts.clone(),
            created_at: callback.created_at.to_string(),
            next_attempt_at: callback.next_attempt_at.map(|at| at.to_string()),
            behind_earlier,
            body_bytes: body_bytes.unwrap_or_default(),
        })
    }

    /// Whether an earlier callback of the same execution has to arrive first.
    fn waits_behind(&self, callback: &Callback) -> Result<bool, Error> {
        let earlier = countersign_store::CallbackQuery {
            state: Some(CallbackState::Waiting),
            execution: Some(callback.execution_id),
            limit: 1,
            before: Some(callback.id),
        };
        let found = self.inner.store.callbacks(&earlier).map_err(storage)?;
        Ok(!found.items.is_empty())
    }

    /// Sends a callback again at once: one attempt with the same id and body, which does not disturb the
    /// plan.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`]; [`ErrorCode::NotWaiting`] while an earlier callback of the same run waits.
    pub async fn redeliver(&self, id: &str) -> Result<CallbackView, Error> {
        self.ready()?;
        let callback = self.stored_callback(id)?;
        if let Some(dispatcher) = self.dispatcher() {
            dispatcher.send_now(callback.id).await.map_err(refused)?;
        }
        self.callback(id)
    }

    /// Sends a test message to the default callback URL and says what the receiver answered. It is signed
    /// like a real one and is not kept.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] if no URL is set.
    pub async fn test_callback(&self) -> Result<TestCallbackView, Error> {
        let url = self.inner.settings().callback_url;
        if url.is_empty() {
            return Err(Error::new(
                ErrorCode::Invalid,
                "No default callback URL is set. Enter one, save, and try again.",
            ));
        }
        let now = self.inner.clock.now();
        let body = serde_json::json!({
            "status": "TEST",
            "chatId": self.inner.ids.random().to_string(),
            "data": { "text": "A test from Countersign. Nobody was asked anything.", "sentAt": now.to_string() },
        });
        let secret = self.inner.default_callback_secret()?;
        let signed = secret.is_some();
        let sent = self
            .inner
            .client
            .send(&Message {
                id: CallbackId::from_uuid(self.inner.ids.ordered(now)),
                url: url.clone(),
                source: UrlSource::Operator,
                body: body.to_string().into(),
                secret,
            })
            .await;
        Ok(TestCallbackView {
            delivered: sent.delivered(),
            url,
            signed,
            status: sent.status,
            duration_ms: u32::try_from(sent.duration.as_millis()).unwrap_or(u32::MAX),
            error: sent.error,
            response: sent.response,
        })
    }

    /// How many callbacks have failed at least once and go on being tried.
    pub(crate) fn failing_callbacks(&self) -> u32 {
        u32::try_from(self.inner.store.failing_count()).unwrap_or(u32::MAX)
    }

    fn stored_callback(&self, id: &str) -> Result<Callback, Error> {
        let unknown = || Error::new(ErrorCode::NotFound, format!("Callback {id} does not exist."));
        let id: CallbackId = id.parse().map_err(|_| unknown())?;
        self.inner
            .store
            .callback(id)
            .map_err(storage)?
            .ok_or_else(unknown)
    }
}

fn refused(error: SendNowError) -> Error {
    let code = match &error {
        SendNowError::NotFound => ErrorCode::NotFound,
        SendNowError::BehindEarlier => ErrorCode::NotWaiting,
        SendNowError::ShuttingDown => ErrorCode::ShuttingDown,
        SendNowError::Interrupted => ErrorCode::Internal,
        SendNowError::Outbox(_) => ErrorCode::StorageUnavailable,
    };
    Error::new(code, format!("It was not sent again: {error}.")).caused_by(error)
}
