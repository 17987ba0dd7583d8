//! Human Input (format §5.2): asks, and routes by the answer.

use countersign_domain::{Outcome as Answered, Role};
use serde_json::{Map, Value, json};

use super::{At, Decision, Nature, Node, Outcome, Question, Ran, Step};
use crate::document::DocumentNode;
use crate::graph::Outputs;
use crate::js;
use crate::record::Body;
use crate::refusal::{Problem, ProblemKind};
use crate::run::{RunScope, Said};
use crate::template::{Field, Scope};

/// What is asked when the flow says nothing.
const DEFAULT_QUESTION: &str = "Do you want to proceed?";

/// A Human Input with a fixed text.
#[derive(Debug)]
struct HumanInput {
    description: Option<Field>,
    /// `humanInputEnableFeedback` as it was stored; the record repeats it.
    enable_feedback: Option<Value>,
}

pub(super) fn read(node: &DocumentNode) -> Result<Box<dyn Node>, Problem> {
    if node
        .inputs
        .get("humanInputDescriptionType")
        .and_then(Value::as_str)
        != Some("fixed")
    {
        let message = format!(
            "the Human Input {} lets a language model write its question, which is not there yet; \
             set its description type to fixed",
            node.described()
        );
        return Err(Problem::at(ProblemKind::Setting, &node.id, &node.label, message));
    }
    let accepts = node.accepts_variables("humanInputDescription", true);
    Ok(Box::new(HumanInput {
        description: node
            .inputs
            .get("humanInputDescription")
            .map(|text| Field::read(text, accepts)),
        enable_feedback: node.inputs.get("humanInputEnableFeedback").cloned(),
    }))
}

impl Node for HumanInput {
    fn nature(&self) -> Nature {
        Nature {
            asks: true,
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
        self.description
            .iter()
            .map(|field| ("humanInputDescription", field))
            .collect()
    }

    fn in_words(&self, _label: &str, scope: &dyn Scope) -> String {
        format!("Ask: {}", self.description(scope))
    }

    fn run<'a>(&'a self, at: At<'a>) -> Step<'a> {
        Step::Done(Ok(match at.decision {
            Some(decision) => Outcome::Ran(self.decided(&at.scope, decision)),
            None => Outcome::Asks(Box::new(self.ask(&at.scope))),
        }))
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

    fn ask(&self, scope: &RunScope<'_>) -> Question {
        let description = self.description(scope);
        let text = format!(
            "{}\n\n{description}",
            scope.run.last_message().unwrap_or_default()
        );
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
