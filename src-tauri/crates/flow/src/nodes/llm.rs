//! LLM (format §5.11): asks a language model, and its answer becomes the content.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::conversation::{Asking, Conversation, LLM, Opening, ask, times, to_model};
use super::structured::Form;
use super::{At, Nature, Node, Outcome, Ran, Step};
use crate::document::DocumentNode;
use crate::js;
use crate::model::{ModelChoice, ModelReply};
use crate::record::Body;
use crate::refusal::Problem;
use crate::run::RunScope;
use crate::template::{Field, Scope};

/// An LLM.
#[derive(Debug)]
struct Llm {
    conversation: Conversation,
}

/// What it left for itself: the summary of the chat, which it asks for first if its memory is one.
#[derive(Serialize, Deserialize)]
struct Carried {
    summary: String,
}

pub(super) fn read(node: &DocumentNode) -> Result<Box<dyn Node>, Problem> {
    Ok(Box::new(Llm {
        conversation: Conversation::read(node, LLM),
    }))
}

impl Node for Llm {
    fn nature(&self) -> Nature {
        Nature {
            outside: true,
            ..Nature::default()
        }
    }

    fn fields(&self) -> Vec<(&'static str, &Field)> {
        self.conversation.fields()
    }

    fn model(&self) -> Option<&ModelChoice> {
        self.conversation.model.as_ref()
    }

    fn in_words(&self, label: &str, _scope: &dyn Scope) -> String {
        format!("Ask the language model of “{label}”")
    }

    fn run<'a>(&'a self, at: At<'a>) -> Step<'a> {
        Step::Waits(Box::pin(async move {
            let answered = self.ask(at).await;
            answered.map_err(|error| format!("Error in LLM node: {error}"))
        }))
    }
}

impl Llm {
    async fn ask(&self, at: At<'_>) -> Result<Outcome, String> {
        let (scope, conversation) = (at.scope, &self.conversation);
        let model = conversation.chosen()?;
        let form = Form::read(&conversation.structured(&scope))?;
        let carried: Option<Carried> = at
            .carried
            .and_then(|carried| serde_json::from_value(carried.clone()).ok());
        let summary = carried.as_ref().map(|carried| carried.summary.as_str());
        let messages = match conversation.opening(&scope, summary) {
            Opening::Ready(messages) => messages,
            Opening::Summarise(messages) => {
                let summary = conversation.summarise(&scope, &messages).await?;
                return Ok(Outcome::Again(json!(Carried { summary })));
            }
        };
        let began = scope.host.now().as_millis();
        let streams =
            scope.is_last() && form.is_none() && model.settings.get("streaming") != Some(&json!(false));
        let asking = Asking {
            messages: to_model(&messages),
            answer_schema: form.as_ref().map(Form::schema),
            stream: streams,
            key: "0",
            ..Asking::default()
        };
        let reply = ask(model, &scope, asking).await?;
        let time = times(began, scope.host.now().as_millis());
        let parsed = form.map(|form| form.parse(&reply.content)).transpose()?;
        Ok(Outcome::Ran(
            self.ran(&scope, &messages, reply, parsed, time, streams),
        ))
    }

    fn ran(
        &self,
        scope: &RunScope<'_>,
        messages: &[Value],
        reply: ModelReply,
        parsed: Option<Map<String, Value>>,
        time: Value,
        was_told: bool,
    ) -> Ran {
        let content = match &parsed {
            Some(parsed) => js::pretty_json(&Value::Object(parsed.clone())),
            None => reply.content.clone(),
        };
        if scope.is_last() && !was_told {
            scope.say_token(&content);
        }
        let mut output = Map::new();
        output.insert("content".to_owned(), content.clone().into());
        output.insert("timeMetadata".to_owned(), time);
        facts(&mut output, &reply, parsed);
        let mut said = self.conversation.said_before(scope);
        said.push(self.conversation.said(scope, &content));
        Ran {
            state: self.conversation.updates().apply(scope, &content),
            said,
            ..Ran::new(
                Body::json(self.conversation.input(scope, messages)),
                Body::json(Value::Object(output)),
            )
        }
    }
}

/// What an answer adds to the output beside its text.
pub(super) fn facts(output: &mut Map<String, Value>, reply: &ModelReply, parsed: Option<Map<String, Value>>) {
    if !reply.tool_calls.is_empty() {
        output.insert("calledTools".to_owned(), json!(reply.tool_calls));
    }
    for (name, fact) in [
        ("usageMetadata", &reply.usage),
        ("responseMetadata", &reply.metadata),
    ] {
        if let Some(fact) = fact {
            output.insert(name.to_owned(), fact.clone());
        }
    }
    output.extend(parsed.unwrap_or_default());
    if let Some(thinking) = &reply.reasoning {
        output.insert("reasonContent".to_owned(), json!({"thinking": thinking}));
    }
}
