//! LLM (format §5.11): asks a language model, and its answer becomes the content.

use serde_json::Map;

use super::conversation::{
    Asking, Conversation, LLM, ModelAnswer, Opening, ask, summary_in, times, to_model,
};
use super::structured::Form;
use super::{At, Nature, Node, Outcome, Step};
use crate::document::DocumentNode;
use crate::model::ModelChoice;
use crate::refusal::Problem;
use crate::template::{Field, Scope};

/// An LLM.
#[derive(Debug)]
struct Llm {
    conversation: Conversation,
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
            ..self.conversation.nature()
        }
    }

    fn fields(&self) -> Vec<(&'static str, &Field)> {
        self.conversation.fields()
    }

    fn degraded(&self) -> Vec<String> {
        self.conversation.degraded()
    }

    fn faults(&self) -> Vec<String> {
        self.conversation.faults()
    }

    fn differs(&self) -> Vec<(&'static str, String)> {
        self.conversation.differs()
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
        let summary = summary_in(at.carried);
        let messages = match conversation.opening(&scope, summary.as_deref()) {
            Opening::Ready(messages) => messages,
            Opening::Summarise(messages) => return conversation.summarise_first(&scope, &messages).await,
        };
        let began = scope.host.now().as_millis();
        let streams = conversation.streams(&scope, form.as_ref());
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
        let answered = ModelAnswer {
            reply,
            parsed,
            time,
            was_told: streams,
            more: Map::new(),
        };
        Ok(Outcome::Ran(conversation.ran(&scope, &messages, answered)?))
    }
}
