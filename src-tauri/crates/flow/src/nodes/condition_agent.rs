//! Condition Agent (format §5.4): a language model picks the output.

use countersign_domain::Role;
use serde_json::{Map, Value, json};

use super::conversation::{
    Asking, CONDITION_AGENT, Conversation, Opening, ask, facts, message, summary_in, times, to_model,
};
use super::structured::inside_fences;
use super::{At, Nature, Node, Outcome, Ran, Step, set_fields};
use crate::document::DocumentNode;
use crate::graph::Outputs;
use crate::js;
use crate::lenient;
use crate::model::ModelChoice;
use crate::record::Body;
use crate::refusal::Problem;
use crate::run::Said;
use crate::template::{Field, Scope};

const SYSTEM_PROMPT: &str = "You sort inputs. You are given a JSON object with an input, a list of scenarios and an \
instruction. Pick the one scenario that fits the input best under the instruction. Answer with a JSON object and \
nothing else: {\"output\": \"<the scenario, word for word>\"}.";

/// One question with its answer, to show the form.
const EXAMPLE_QUESTION: &str = r#"{"input": "Where is my parcel?", "scenarios": ["The customer asks about a delivery", "The customer asks about something else"], "instruction": "Find out what the customer wants."}"#;
const EXAMPLE_ANSWER: &str = "```json\n{\"output\": \"The customer asks about a delivery\"}\n```";

/// A Condition Agent.
#[derive(Debug)]
struct ConditionAgent {
    /// Model and memory; it has no messages of its own.
    conversation: Conversation,
    instructions: Option<Field>,
    input: Option<Field>,
    scenarios: Vec<String>,
    system_prompt: Option<Field>,
}

pub(super) fn read(node: &DocumentNode) -> Result<Box<dyn Node>, Problem> {
    let scenarios = node
        .inputs
        .get("conditionAgentScenarios")
        .and_then(Value::as_array);
    let scenario = |row: &Value| row.get("scenario").map(js::text).unwrap_or_default().into_owned();
    let overrides = js::truthy(node.inputs.get("conditionAgentOverrideSystemPrompt"));
    Ok(Box::new(ConditionAgent {
        conversation: Conversation::read(node, CONDITION_AGENT),
        instructions: node.filled_field("conditionAgentInstructions"),
        input: node.filled_field("conditionAgentInput"),
        scenarios: scenarios.into_iter().flatten().map(scenario).collect(),
        system_prompt: node
            .filled_field("conditionAgentSystemPrompt")
            .filter(|_| overrides),
    }))
}

impl Node for ConditionAgent {
    fn nature(&self) -> Nature {
        Nature {
            outside: true,
            ..self.conversation.nature()
        }
    }

    /// One output for each scenario; the last one is taken where none fits.
    fn outputs(&self) -> Outputs {
        Outputs::Indexed(Some(self.scenarios.len()))
    }

    fn output_name(&self, output: usize) -> String {
        let scenario = self.scenarios.get(output).filter(|scenario| !scenario.is_empty());
        scenario.map_or_else(
            || format!("scenario {}", output + 1),
            |scenario| format!("“{scenario}”"),
        )
    }

    fn fields(&self) -> Vec<(&'static str, &Field)> {
        set_fields([
            ("conditionAgentInstructions", &self.instructions),
            ("conditionAgentInput", &self.input),
            ("conditionAgentSystemPrompt", &self.system_prompt),
        ])
    }

    fn degraded(&self) -> Vec<String> {
        self.conversation.degraded()
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = self.conversation.faults();
        if self.scenarios.iter().all(String::is_empty) {
            faults.push("has no scenario that it could choose. Describe at least one.".to_owned());
        }
        faults
    }

    fn model(&self) -> Option<&ModelChoice> {
        self.conversation.model.as_ref()
    }

    fn in_words(&self, label: &str, _scope: &dyn Scope) -> String {
        format!("Let the language model of “{label}” decide")
    }

    fn run<'a>(&'a self, at: At<'a>) -> Step<'a> {
        Step::Waits(Box::pin(async move {
            let decided = self.decide(at).await;
            decided.map_err(|error| format!("Error in Condition Agent node: {error}"))
        }))
    }
}

impl ConditionAgent {
    /// The answer that the question asks for.
    fn expected(&self) -> Value {
        let named = self.scenarios.iter().filter(|scenario| !scenario.is_empty());
        json!({
            "type": "object",
            "properties": {"output": {"type": "string", "enum": named.collect::<Vec<_>>()}},
            "required": ["output"],
        })
    }

    async fn decide(&self, at: At<'_>) -> Result<Outcome, String> {
        let scope = at.scope;
        let model = self.conversation.chosen()?;
        if self.scenarios.iter().all(String::is_empty) {
            return Err("Scenarios are required".to_owned());
        }
        let text = |field: &Option<Field>| {
            let value = field.as_ref().map(|field| field.resolve(&scope));
            value.as_ref().map(js::text).unwrap_or_default().into_owned()
        };
        let summary = summary_in(at.carried);
        let past = match self.conversation.history(&scope, summary.as_deref()) {
            Opening::Ready(past) => past,
            Opening::Summarise(messages) => {
                return self.conversation.summarise_first(&scope, &messages).await;
            }
        };
        let system = match text(&self.system_prompt) {
            own if own.is_empty() => SYSTEM_PROMPT.to_owned(),
            own => own,
        };
        let mut messages = vec![
            message("system", &system),
            message("user", EXAMPLE_QUESTION),
            message("assistant", EXAMPLE_ANSWER),
        ];
        messages.extend(past);
        let input = match text(&self.input) {
            own if own.is_empty() => scope.input_text().unwrap_or_default(),
            own => own,
        };
        let question = format!(
            "{{\"input\": {input}, \"scenarios\": {}, \"instruction\": {}}}",
            js::json_text(&json!(self.scenarios)),
            text(&self.instructions)
        );
        messages.push(message("user", &question));
        let began = scope.host.now().as_millis();
        let asking = Asking {
            messages: to_model(&messages),
            expected: Some(self.expected()),
            key: "0",
            ..Asking::default()
        };
        let reply = ask(model, &scope, asking).await?;
        let time = times(began, scope.host.now().as_millis());
        let picked = picked(&reply.content).ok_or_else(|| {
            format!(
                "Failed to parse a valid scenario from the LLM's response. Please check if the model is capable of \
                 following JSON output instructions. Raw LLM Response: \"{}\"",
                reply.content
            )
        })?;
        let taken = best(&self.scenarios, &picked);
        let conditions = self.scenarios.iter().enumerate();
        let conditions: Value = conditions
            .map(|(at, scenario)| json!({"output": scenario, "isFulfilled": at == taken}))
            .collect();
        let mut output = Map::new();
        output.insert("conditions".to_owned(), conditions);
        output.insert("content".to_owned(), reply.content.clone().into());
        output.insert("timeMetadata".to_owned(), time);
        facts(&mut output, &reply, None);
        let mut said = Vec::new();
        if scope.opens_the_chat()
            && let Some(input) = scope.input_text()
        {
            said.push(Said::new(Role::User, input.into()));
        }
        Ok(Outcome::Ran(Ran {
            said,
            taken: Some(taken),
            ..Ran::new(
                Body::json(json!({"messages": messages})),
                Body::json(Value::Object(output)),
            )
        }))
    }
}

/// The scenario that an answer names.
fn picked(answer: &str) -> Option<String> {
    let json = inside_fences(answer);
    // Some models talk before they come to the point.
    let json = json
        .find('{')
        .zip(json.rfind('}'))
        .and_then(|(from, to)| json.get(from..=to))?;
    let parsed = lenient::parse(json).ok()?;
    let picked = parsed.get("output")?.as_str()?;
    (!picked.is_empty()).then(|| picked.to_owned())
}

/// The scenario that is meant: the same text, else one that begins with it, else one that holds it or is held by it,
/// else the last.
fn best(scenarios: &[String], picked: &str) -> usize {
    let plain = |text: &str| js::trim(text).to_lowercase();
    let wanted = plain(picked);
    let scenarios: Vec<String> = scenarios.iter().map(|scenario| plain(scenario)).collect();
    let find = |fits: &dyn Fn(&str) -> bool| {
        scenarios
            .iter()
            .position(|scenario| !scenario.is_empty() && fits(scenario))
    };
    find(&|scenario| scenario == wanted)
        .or_else(|| find(&|scenario| scenario.starts_with(&wanted)))
        .or_else(|| find(&|scenario| scenario.contains(&wanted) || wanted.contains(scenario)))
        .unwrap_or(scenarios.len().saturating_sub(1))
}
