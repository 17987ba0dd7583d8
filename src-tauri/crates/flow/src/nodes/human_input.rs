//! Human Input (format §5.2): asks, and routes by the answer.

use countersign_domain::{Outcome as Answered, Role};
use serde_json::{Map, Value, json};

use super::conversation::{Asking, ask, message, model_of, to_model};
use super::{At, Decision, Nature, Node, Outcome, Question, Ran, Step};
use crate::document::DocumentNode;
use crate::graph::Outputs;
use crate::js;
use crate::model::ModelChoice;
use crate::record::Body;
use crate::refusal::Problem;
use crate::run::{RunScope, Said};
use crate::template::{Field, Scope};

/// What is asked when the flow says nothing.
const DEFAULT_QUESTION: &str = "Do you want to proceed?";

/// What a model is asked for when the flow lets it write the question and says nothing else.
const DEFAULT_PROMPT: &str = "Summarise this conversation for the person who has to decide, and repeat the last \
message of the assistant. Then ask whether to proceed, and whether there is anything to add.";

/// A Human Input.
#[derive(Debug)]
struct HumanInput {
    description: Option<Field>,
    /// Who writes the question, where it is not fixed.
    author: Option<Author>,
    /// `humanInputEnableFeedback` as it was stored; the record repeats it.
    enable_feedback: Option<Value>,
}

/// A model that writes the question.
#[derive(Debug)]
struct Author {
    /// Without one the question is empty.
    model: Option<ModelChoice>,
    prompt: Option<Field>,
}

pub(super) fn read(node: &DocumentNode) -> Result<Box<dyn Node>, Problem> {
    let kind = node
        .inputs
        .get("humanInputDescriptionType")
        .and_then(Value::as_str);
    let author = (kind != Some("fixed")).then(|| Author {
        model: model_of(node, "humanInputModel", "humanInputModelConfig"),
        prompt: node.filled_field("humanInputModelPrompt"),
    });
    Ok(Box::new(HumanInput {
        description: node.field("humanInputDescription").filter(|_| author.is_none()),
        author,
        enable_feedback: node.inputs.get("humanInputEnableFeedback").cloned(),
    }))
}

impl Node for HumanInput {
    fn nature(&self) -> Nature {
        Nature {
            asks: true,
            outside: self.model().is_some(),
            ..Nature::default()
        }
    }

    fn outputs(&self) -> Outputs {
        Outputs::Indexed(Some(2))
    }

    fn output_name(&self, output: usize) -> String {
        if output == 0 { "Proceed" } else { "Reject" }.to_owned()
    }

    fn fields(&self) -> Vec<(&'static str, &Field)> {
        let prompt = self.author.as_ref().and_then(|author| author.prompt.as_ref());
        let named = [
            ("humanInputDescription", self.description.as_ref()),
            ("humanInputModelPrompt", prompt),
        ];
        let named = named.into_iter();
        named.filter_map(|(name, field)| Some((name, field?))).collect()
    }

    fn model(&self) -> Option<&ModelChoice> {
        self.author.as_ref()?.model.as_ref()
    }

    fn in_words(&self, label: &str, scope: &dyn Scope) -> String {
        if self.author.is_some() {
            return format!("Ask what the language model of “{label}” writes");
        }
        format!("Ask: {}", self.description(scope))
    }

    fn run<'a>(&'a self, at: At<'a>) -> Step<'a> {
        match (at.decision, &self.author) {
            (Some(decision), _) => Step::Done(Ok(Outcome::Ran(self.decided(&at.scope, decision)))),
            (None, None) => {
                let description = self.description(&at.scope);
                let text = format!(
                    "{}\n\n{description}",
                    at.scope.run.last_message().unwrap_or_default()
                );
                Step::Done(Ok(Outcome::Asks(Box::new(self.ask(
                    &at.scope,
                    text,
                    description,
                )))))
            }
            (None, Some(author)) => Step::Waits(Box::pin(async move {
                let text = author.write(&at.scope).await;
                let text = text.map_err(|error| format!("Error in Human Input node: {error}"))?;
                let description = text.clone();
                Ok(Outcome::Asks(Box::new(self.ask(&at.scope, text, description))))
            })),
        }
    }
}

impl Author {
    /// The question.
    async fn write(&self, scope: &RunScope<'_>) -> Result<String, String> {
        let Some(model) = &self.model else {
            return Ok(String::new());
        };
        let prompt = self.prompt.as_ref().map(|prompt| prompt.resolve(scope));
        let prompt = prompt.as_ref().map(js::text);
        let prompt = prompt.as_deref().filter(|prompt| !js::trim(prompt).is_empty());
        let mut messages = scope.run.messages();
        messages.push(message("user", prompt.unwrap_or(DEFAULT_PROMPT)));
        let asking = Asking {
            messages: to_model(&messages),
            key: "0",
            ..Asking::default()
        };
        Ok(ask(model, scope, asking).await?.content)
    }
}

impl HumanInput {
    /// What it asks.
    fn description(&self, scope: &dyn Scope) -> String {
        match self.description.as_ref().map(|field| field.resolve(scope)) {
            Some(value) if js::truthy(Some(&value)) => js::text(&value).into_owned(),
            _ => DEFAULT_QUESTION.to_owned(),
        }
    }

    fn feedback_enabled(&self) -> bool {
        js::truthy(self.enable_feedback.as_ref())
    }

    fn ask(&self, scope: &RunScope<'_>, text: String, description: String) -> Question {
        let mut input = Map::with_capacity(2);
        input.insert("messages".to_owned(), Value::Array(scope.run.messages()));
        if let Some(enable_feedback) = &self.enable_feedback {
            input.insert("humanInputEnableFeedback".to_owned(), enable_feedback.clone());
        }
        Question {
            text,
            description,
            feedback_enabled: self.feedback_enabled(),
            input: Value::Object(input),
            output: Map::new(),
            call: None,
            carried: None,
        }
    }

    fn decided(&self, scope: &RunScope<'_>, decision: &Decision) -> Ran {
        let word = decision.outcome.human_input_type();
        let said = decision
            .feedback
            .as_ref()
            .filter(|feedback| js::truthy(Some(feedback)));
        let content = said.cloned().unwrap_or_else(|| word.into());

        let mut messages = scope.run.messages();
        messages.push(json!({"role": "user", "content": content}));
        let mut input = Map::with_capacity(4);
        input.insert("type".to_owned(), word.into());
        input.insert("startNodeId".to_owned(), decision.start_node_id.as_str().into());
        if let Some(feedback) = &decision.feedback {
            input.insert("feedback".to_owned(), feedback.clone());
        }
        input.insert("messages".to_owned(), Value::Array(messages));

        let condition = |outcome: Answered| {
            let mut condition = Map::with_capacity(4);
            condition.insert("type".to_owned(), outcome.human_input_type().into());
            condition.insert("startNodeId".to_owned(), decision.start_node_id.as_str().into());
            if let Some(said) = said.filter(|_| self.feedback_enabled()) {
                condition.insert("feedback".to_owned(), said.clone());
            }
            condition.insert("isFulfilled".to_owned(), (outcome == decision.outcome).into());
            Value::Object(condition)
        };
        let conditions = [condition(Answered::Approve), condition(Answered::Reject)];
        let output = Body::json(json!({"content": content, "conditions": conditions}));
        Ran {
            said: said
                .map(|said| Said::new(Role::User, said.clone()))
                .into_iter()
                .collect(),
            taken: Some(match decision.outcome {
                Answered::Approve => 0,
                Answered::Reject => 1,
            }),
            ..Ran::new(Body::json(Value::Object(input)), output)
        }
    }
}
