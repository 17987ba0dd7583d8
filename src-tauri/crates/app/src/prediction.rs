//! The prediction API: starts flows by a chat message or a form, and answers their approvals.

use countersign_domain::{ErrorCode, ResponseMode, Role};
use countersign_flow::{Incoming, PastMessage, RUN_FAILED, StartTrigger};
use serde_json::Value;

use crate::execute::Trigger;
use crate::flows::flow_id;
use crate::webhook::{WebhookReply, as_text, given_chat, human_input};
use crate::{App, Error};

/// A call of the prediction API after the guards, its body parsed.
#[derive(Debug, Clone)]
pub struct PredictionRequest {
    /// The id in the URL, as it was written.
    pub flow_id: String,
    /// The body: `question` or `form`, and perhaps `chatId`, `overrideConfig.sessionId`, `history`, `streaming`,
    /// `humanInput`.
    pub body: Value,
}

impl PredictionRequest {
    fn field(&self, name: &str) -> Option<&Value> {
        self.body.get(name).filter(|value| !value.is_null())
    }
}

impl App {
    /// Takes a call of the prediction API: starts a run, or answers the approval under the call's `chatId`.
    ///
    /// # Errors
    /// As for [`App::webhook`]; flows with a webhook start are refused (webhook spec §10), and those with a
    /// schedule unless it is an answer.
    pub async fn predict(&self, request: PredictionRequest) -> Result<WebhookReply, Error> {
        self.ready()?;
        let answer = human_input(request.field("humanInput"))?;
        let chat_id = given_chat(request.field("chatId"))?;
        let id = flow_id(&request.flow_id)?;
        let live = self.inner.flows.get(id);
        let plan = match (&live, &answer) {
            (Some(live), _) => live.plan.clone(),
            (None, Some(_)) => self.plan_of_question(id, &request.flow_id, chat_id.as_deref())?,
            (None, None) => return Err(self.inner.not_live(&request.flow_id)),
        };
        let start = plan.start();
        let refused = |why: String| Err(Error::new(ErrorCode::RunFailed, format!("{RUN_FAILED}{why}")));
        // What a schedule has begun is answered here all the same (semantics §10).
        let answers = answer.is_some() && start.trigger == StartTrigger::ScheduleInput;
        if let Some(why) = start.wrong_entry(&request.flow_id).filter(|_| !answers) {
            return refused(why);
        }
        let streams = request
            .field("streaming")
            .is_some_and(|wish| *wish == true || *wish == "true");
        if let Some(answer) = answer {
            return self.resume_chat(id, chat_id, answer, streams).await;
        }
        let live = live.ok_or_else(|| self.inner.not_live(&request.flow_id))?;
        let form = request.field("form").filter(|form| form.is_object()).cloned();
        let question = request.field("question").map(as_text);
        let has_fields = form
            .as_ref()
            .and_then(Value::as_object)
            .is_some_and(|form| !form.is_empty());
        if has_fields && question.as_ref().is_some_and(|question| !question.is_empty()) {
            return refused("Question and form cannot be provided at the same time".to_owned());
        }
        let incoming = match (form, question) {
            (Some(form), question) if has_fields || question.is_none() => Incoming::Form(form),
            (_, question) => Incoming::Message(question.unwrap_or_default()),
        };
        let history = match request.field("history").map(read_history) {
            None => None,
            Some(Some(history)) => Some(history),
            Some(None) => {
                return refused(
                    "Invalid history format. Each history item must have: { role: \"apiMessage\" | \"userMessage\", content: string }"
                        .to_owned(),
                );
            }
        };
        let session_id = request
            .body
            .pointer("/overrideConfig/sessionId")
            .and_then(Value::as_str)
            .filter(|session| !session.is_empty())
            .map(str::to_owned);
        let fresh_chat = chat_id.is_none();
        let chat_id = chat_id.unwrap_or_else(|| self.inner.ids.random().to_string());
        let begun = self.begin(Trigger {
            live,
            incoming,
            chat_id,
            session_id,
            history,
            fresh_chat,
            signed: false,
            mode: ResponseMode::Sync,
            caller_callback_url: None,
            claim: None,
        })?;
        self.run_for_caller(begun, streams).await
    }
}

fn read_history(history: &Value) -> Option<Vec<PastMessage>> {
    let items = history.as_array()?;
    items
        .iter()
        .map(|item| {
            let role = match item.get("role")?.as_str()? {
                "userMessage" => Role::User,
                "apiMessage" => Role::Assistant,
                _ => return None,
            };
            let content = item.get("content")?.as_str()?.to_owned();
            Some(PastMessage { content, role })
        })
        .collect()
}
