//! Human Input (format §5.2): asks, and routes by the answer.

use countersign_domain::Outcome as Answered;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Outcome, Ran};
use crate::document::DocumentNode;
use crate::host::Host;
use crate::js;
use crate::record::{Body, NodeFacts};
use crate::refusal::{Problem, ProblemKind};
use crate::run::RunScope;
use crate::template::{Field, Scope};

/// What is asked when the flow says nothing.
const DEFAULT_QUESTION: &str = "Do you want to proceed?";

/// A Human Input with a fixed text.
#[derive(Debug)]
pub(crate) struct HumanInput {
    description: Option<Field>,
    /// `humanInputEnableFeedback` as it was stored; the record repeats it.
    enable_feedback: Option<Value>,
}

/// A question that is asked now.
pub(crate) struct Question {
    pub(crate) text: String,
    pub(crate) description: String,
    pub(crate) feedback_enabled: bool,
    pub(crate) input: Value,
}

/// The answer to the step that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Decision {
    /// The index of the node it is for.
    pub(crate) node: usize,
    pub(crate) outcome: Answered,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) feedback: Option<Value>,
    pub(crate) start_node_id: String,
}

impl HumanInput {
    pub(crate) fn read(node: &DocumentNode) -> Result<Self, Problem> {
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
        Ok(Self {
            description: node
                .inputs
                .get("humanInputDescription")
                .map(|text| Field::read(text, accepts)),
            enable_feedback: node.inputs.get("humanInputEnableFeedback").cloned(),
        })
    }

    /// What it asks.
    pub(crate) fn description<S: Scope + ?Sized>(&self, scope: &S) -> String {
        match self.description.as_ref().map(|field| field.resolve(scope)) {
            Some(value) if js::truthy(Some(&value)) => js::text(&value).into_owned(),
            _ => DEFAULT_QUESTION.to_owned(),
        }
    }

    fn feedback_enabled(&self) -> bool {
        js::truthy(self.enable_feedback.as_ref())
    }

    pub(crate) fn run<H: Host + ?Sized>(
        &self,
        scope: &RunScope<'_, H>,
        decision: Option<&Decision>,
    ) -> Outcome {
        match decision {
            Some(decision) => Outcome::Ran(self.decided(scope, decision)),
            None => Outcome::Asks(self.ask(scope)),
        }
    }

    fn ask<H: Host + ?Sized>(&self, scope: &RunScope<'_, H>) -> Question {
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
        }
    }

    fn decided<H: Host + ?Sized>(&self, scope: &RunScope<'_, H>, decision: &Decision) -> Ran {
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
        Ran {
            input: Body::json(Value::Object(input)),
            output: Body::json(json!({"content": content, "conditions": conditions})),
            state: None,
            said: said.cloned(),
            taken: Some(match decision.outcome {
                Answered::Approve => 0,
                Answered::Reject => 1,
            }),
        }
    }
}

/// The `action` object that clients build their buttons from (webhook spec §8.1).
pub(crate) fn action(id: Uuid, node: &NodeFacts, input: &Value) -> Value {
    json!({
        "id": id.hyphenated().to_string(),
        "mapping": {"approve": "Proceed", "reject": "Reject"},
        "elements": [
            {"type": "agentflowv2-approve-button", "label": "Proceed"},
            {"type": "agentflowv2-reject-button", "label": "Reject"},
        ],
        "data": {"nodeId": node.id, "nodeLabel": node.label, "input": input},
    })
}
