//! Calls that carry an id of their sender: the same id again begins no second run, but gets the first answer again.
//!
//! A call that is under way is known in memory, where whoever comes with the same id waits for it. What it was answered
//! is stored in the commit that stores its run, so that no kill leaves one without the other. Calls without an id have no
//! part in any of this.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use countersign_domain::{
    ContentHash, ErrorCode, Execution, ExecutionId, FirstAnswer, FlowId, KeyedCall, SenderId,
};
use countersign_store::Changes;
use serde_json::Value;
use tokio::sync::watch;

use crate::app::{Inner, storage};
use crate::redact::Redact;
use crate::stream::{RunStream, listen};
use crate::webhook::{WebhookReply, WebhookRequest};
use crate::{App, Error};

/// A header by which senders tell one call from another, the same when they send that call again.
struct IdHeader {
    name: &'static str,
    /// A header that the sender sends as well, where the name alone may mean something else.
    with: Option<&'static str>,
    /// Whether the header promises that what is sent under one id is the same each time, so that something else under it
    /// is a mistake which the sender wants to hear of.
    same_content: bool,
}

impl IdHeader {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            with: None,
            same_content: false,
        }
    }
}

/// The first that a call has counts.
///
/// GitLab sends `Idempotency-Key` (and with a signing token `webhook-id`, which is the same). Its `X-Gitlab-Event-UUID`
/// is shared by all events that one event sets off, and `X-Gitlab-Webhook-UUID` does not stay over repetitions: by those
/// an event would be taken for another one, so they are none of these.
const ID_HEADERS: [IdHeader; 4] = [
    // Standard Webhooks.
    IdHeader::new("webhook-id"),
    IdHeader {
        same_content: true,
        ..IdHeader::new("idempotency-key")
    },
    IdHeader::new("x-github-delivery"),
    // Sentry; many others send a header of that name.
    IdHeader {
        with: Some("sentry-hook-resource"),
        ..IdHeader::new("request-id")
    },
];

/// A call with an id of its sender.
pub(crate) struct Identified {
    sender_id: SenderId,
    content: ContentHash,
    same_content: bool,
}

impl Identified {
    /// `None` if the call carries no id.
    pub(crate) fn of(request: &WebhookRequest) -> Option<Self> {
        let has = |name: &str| request.header(name).is_some();
        let kind = ID_HEADERS
            .iter()
            .find(|kind| has(kind.name) && kind.with.is_none_or(has))?;
        let value = request.header(kind.name).unwrap_or_default().trim();
        if value.is_empty() {
            return None;
        }
        let query = request.query.to_string();
        let parsed = match (&request.raw_body, &request.body) {
            (None, Some(body)) => body.to_string(),
            _ => String::new(),
        };
        let body = request.raw_body.as_deref().unwrap_or(parsed.as_bytes());
        Some(Self {
            sender_id: SenderId {
                header: kind.name.to_owned(),
                value: value.to_owned(),
            },
            content: ContentHash::of(&[request.method.as_bytes(), query.as_bytes(), body]),
            same_content: kind.same_content,
        })
    }

    /// Whether this is the call that came first under its id.
    ///
    /// # Errors
    /// 422 if it says something else, where its header promises that it does not (IETF draft "Idempotency-Key").
    fn is_again(&self, first: &ContentHash) -> Result<(), Error> {
        if !self.same_content || self.content == *first {
            return Ok(());
        }
        let message = format!(
            "Another call came under this {} before, so this is not that call again. Send what differs under a new one. Nothing was changed.",
            self.sender_id.header
        );
        Err(Error::invalid(message).with_status(422))
    }
}

/// Calls whose first answer is not there yet.
#[derive(Debug, Default)]
pub(crate) struct CallsUnderWay(Mutex<HashMap<(FlowId, SenderId), UnderWay>>);

#[derive(Debug, Clone)]
struct UnderWay {
    content: ContentHash,
    /// Ends with the claim.
    ended: watch::Receiver<()>,
}

/// That a call is the first one under its id. Whoever comes with the same id waits until it is dropped, which must not be
/// before the answer is stored.
pub(crate) struct Claim {
    inner: Arc<Inner>,
    flow_id: FlowId,
    sender_id: SenderId,
    content: ContentHash,
    _ended: watch::Sender<()>,
}

impl Claim {
    /// Remembers the call in the commit that stores its run, with its answer if that is there.
    pub(crate) fn note(&self, changes: &mut Changes, execution: &Execution, answer: Option<FirstAnswer>) {
        changes.put_call(&KeyedCall {
            flow_id: self.flow_id,
            sender_id: self.sender_id.clone(),
            content: self.content.clone(),
            execution_id: execution.id,
            chat_id: execution.chat_id.clone(),
            answer,
        });
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let key = (self.flow_id, self.sender_id.clone());
        let calls = &self.inner.calls.0;
        calls.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}

/// What is to be done with a call.
pub(crate) enum Turn {
    /// It is the first: it begins a run.
    First(Claim),
    /// It came before.
    Again(KeyedCall),
}

impl App {
    /// Whether a call is the first one under its id. If the first is still under way, this waits for it as its own caller
    /// does.
    ///
    /// # Errors
    /// As [`Identified::is_again`].
    pub(crate) async fn turn(&self, flow_id: FlowId, call: &Identified) -> Result<Turn, Error> {
        loop {
            let mut first = match self.claim(flow_id, call) {
                Ok(claim) => {
                    let known = self.inner.store.call(flow_id, &call.sender_id);
                    return match known.map_err(storage)? {
                        None => Ok(Turn::First(claim)),
                        Some(known) => call.is_again(&known.content).map(|()| Turn::Again(known)),
                    };
                }
                Err(first) => first,
            };
            call.is_again(&first.content)?;
            // An error says that it is over.
            while first.ended.changed().await.is_ok() {}
        }
    }

    fn claim(&self, flow_id: FlowId, call: &Identified) -> Result<Claim, UnderWay> {
        let mut calls = self.inner.calls.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (flow_id, call.sender_id.clone());
        if let Some(first) = calls.get(&key) {
            return Err(first.clone());
        }
        let (ends, ended) = watch::channel(());
        let content = call.content.clone();
        calls.insert(key, UnderWay { content, ended });
        Ok(Claim {
            inner: Arc::clone(&self.inner),
            flow_id,
            sender_id: call.sender_id.clone(),
            content: call.content.clone(),
            _ended: ends,
        })
    }

    /// The first answer to a call, again. Who watches runs gets the end of this one.
    pub(crate) fn answer_again(&self, call: KeyedCall, streams: bool) -> Result<WebhookReply, Error> {
        tracing::info!(flow = %call.flow_id, execution = %call.execution_id, header = call.sender_id.header,
            "a call came again and gets its first answer");
        match call.answer {
            Some(FirstAnswer::Accepted) => Ok(WebhookReply::Accepted {
                chat_id: call.chat_id,
            }),
            Some(answer) if streams => Ok(WebhookReply::Stream(replay(&answer, Redact::of(&self.inner)))),
            Some(FirstAnswer::Done(body)) => Ok(WebhookReply::Done(Bytes::from(String::from(
                Box::<str>::from(body),
            )))),
            Some(FirstAnswer::Failed(message)) => Err(Error::new(ErrorCode::RunFailed, message)),
            None => Err(Error::new(
                ErrorCode::Internal,
                format!(
                    "This call came before and began execution {}, which broke off inside without an answer. Nothing was begun again.",
                    call.execution_id
                ),
            )),
        }
    }
}

impl Inner {
    /// Remembers that the run failed as the answer to the call that began it, if it carried an id and has no answer yet.
    pub(crate) fn answer_call(
        &self,
        changes: &mut Changes,
        execution: ExecutionId,
        message: &str,
    ) -> Result<(), Error> {
        let call = self.store.call_of_execution(execution).map_err(storage)?;
        if let Some(mut call) = call.filter(|call| call.answer.is_none()) {
            call.answer = Some(FirstAnswer::Failed(message.to_owned()));
            changes.put_call(&call);
        }
        Ok(())
    }
}

/// What whoever watched a run heard at its end.
fn replay(answer: &FirstAnswer, redact: Redact) -> RunStream {
    let (listener, stream) = listen(redact);
    match answer {
        FirstAnswer::Accepted => {}
        FirstAnswer::Done(body) => {
            let body: Value = serde_json::from_str(body.get()).unwrap_or_default();
            listener.tell("agentFlowExecutedData", body["agentFlowExecutedData"].clone());
            let names = ["chatId", "chatMessageId", "question", "sessionId", "action"];
            let metadata = names
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), body.get(*name)?.clone())));
            let metadata = Value::Object(metadata.collect());
            match metadata.get("action") {
                Some(_) => listener.stopped(&metadata),
                None => listener.finished(&metadata),
            }
        }
        FirstAnswer::Failed(message) => listener.failed(message),
    }
    listener.ended();
    stream
}
