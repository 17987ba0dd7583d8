//! Execute Flow (format §5.8): calls another flow in the same process and takes its text. A gate inside the called
//! flow lets this one wait; see deviation (i).

use countersign_domain::Role;
use serde_json::{Map, Value, json};

use super::{At, Nature, Node, Outcome, Ran, Returned, Step, set_fields};
use crate::document::DocumentNode;
use crate::js;
use crate::record::Body;
use crate::refusal::Problem;
use crate::run::{RunScope, Said};
use crate::state::Updates;
use crate::template::{Field, Scope};

/// How deep flows may call one another.
const DEPTH_LIMIT: usize = 10;

/// What Flowise puts in front of every failure of a run (webhook spec §5); a called flow's failure is given back as text
/// with it.
pub const RUN_FAILED: &str = "Error: predictionsServices.buildChatflow - ";

/// An Execute Flow.
#[derive(Debug)]
struct ExecuteFlow {
    flow: Option<String>,
    input: Option<Field>,
    overrides: Option<Field>,
    /// Whether they override anything.
    overrides_something: bool,
    /// Whether the node names a server on which the flow would be called.
    elsewhere: bool,
    /// Whether the answer counts as said by the user; else by the assistant.
    as_user: bool,
    updates: Updates,
}

pub(super) fn read(node: &DocumentNode) -> Result<Box<dyn Node>, Problem> {
    let text = |name: &str| node.inputs.get(name).and_then(Value::as_str);
    Ok(Box::new(ExecuteFlow {
        flow: text("executeFlowSelectedFlow")
            .filter(|id| !id.is_empty())
            .map(str::to_owned),
        input: node.field("executeFlowInput"),
        overrides: node.field("executeFlowOverrideConfig"),
        overrides_something: match node.inputs.get("executeFlowOverrideConfig") {
            Some(Value::String(text)) => !matches!(js::trim(text), "" | "{}"),
            Some(Value::Object(fields)) => !fields.is_empty(),
            _ => false,
        },
        elsewhere: text("executeFlowBaseURL").is_some_and(|url| !js::trim(url).is_empty()),
        as_user: text("executeFlowReturnResponseAs") == Some("userMessage"),
        updates: Updates::read(node, "executeFlowUpdateState"),
    }))
}

impl Node for ExecuteFlow {
    fn fields(&self) -> Vec<(&'static str, &Field)> {
        let mut fields = set_fields([
            ("executeFlowInput", &self.input),
            ("executeFlowOverrideConfig", &self.overrides),
        ]);
        fields.extend(self.updates.fields("executeFlowUpdateState"));
        fields
    }

    fn degraded(&self) -> Vec<String> {
        let mut degraded = Vec::new();
        if self.overrides_something {
            degraded.push(
                "overrides settings of the flow that it calls. Here they are not overridden: the flow runs as it is."
                    .to_owned(),
            );
        }
        if self.elsewhere {
            degraded.push(
                "names another server for the flow that it calls. Here the flow of this id is called in this program."
                    .to_owned(),
            );
        }
        degraded
    }

    fn faults(&self) -> Vec<String> {
        match self.flow {
            Some(_) => Vec::new(),
            None => vec!["has no flow that it calls. Select one in its settings.".to_owned()],
        }
    }

    fn calls(&self) -> Option<&str> {
        self.flow.as_deref()
    }

    fn nature(&self) -> Nature {
        Nature::default()
    }

    fn in_words(&self, label: &str, _scope: &dyn Scope) -> String {
        format!("Run the flow of “{label}”")
    }

    fn run<'a>(&'a self, at: At<'a>) -> Step<'a> {
        Step::Done(self.call(&at.scope))
    }

    fn returned(&self, scope: &RunScope<'_>, input: Body, returned: Returned) -> Result<Ran, String> {
        let Returned::Flow { question, result } = returned else {
            return Err("this step called no flow".to_owned());
        };
        let text = result.unwrap_or_else(|message| error_text(500, &format!("{RUN_FAILED}{message}")));
        self.ran(scope, input, &question, text)
    }
}

impl ExecuteFlow {
    fn call(&self, scope: &RunScope<'_>) -> Result<Outcome, String> {
        let question = self.input.as_ref().map(|input| input.resolve(scope));
        let question = question.as_ref().map(js::text).unwrap_or_default().into_owned();
        if let Some(overrides) = &self.overrides {
            check_overrides(&overrides.resolve(scope))?;
        }
        let Some(id) = &self.flow else {
            return Err("No flow is selected to be executed".to_owned());
        };
        let own = scope.flow_id();
        if id == own {
            return Err("Error: Cannot call the same agentflow!".to_owned());
        }
        let callers = scope.callers();
        if callers.iter().any(|caller| caller == id) || callers.len() >= DEPTH_LIMIT {
            let way: Vec<&str> = callers
                .iter()
                .map(String::as_str)
                .chain([own, id.as_str()])
                .collect();
            return Err(format!(
                "The flows call one another without end: {}",
                way.join(" → ")
            ));
        }
        let input = Body::json(json!({"messages": [{"role": "user", "content": question}]}));
        let refused = |status: u16, message: String| {
            let text = error_text(status, &message);
            Ok(Outcome::Ran(self.ran(scope, input.clone(), &question, text)?))
        };
        let Some(flow) = scope.host.called_flow(id) else {
            return refused(404, format!("Chatflow {id} not found in the database!"));
        };
        if let Some(why) = flow.plan.start().wrong_entry(id) {
            return refused(500, format!("{RUN_FAILED}{why}"));
        }
        Ok(Outcome::Calls {
            input,
            flow: Box::new(flow),
            id: id.clone(),
            question,
        })
    }

    fn ran(&self, scope: &RunScope<'_>, input: Body, question: &str, text: String) -> Result<Ran, String> {
        let mut said = Vec::with_capacity(2);
        if scope.is_first() {
            said.push(Said::new(Role::User, question.into()));
        }
        let role = if self.as_user { Role::User } else { Role::Assistant };
        said.push(Said::named(role, text.clone().into(), slug(scope.label())));
        if scope.is_last() {
            scope.say_token(&text);
        }
        let state = self.updates.apply(scope, &text)?;
        let mut output = Map::with_capacity(1);
        output.insert("content".to_owned(), text.into());
        Ok(Ran {
            state,
            said,
            ..Ran::new(input, Body::json(Value::Object(output)))
        })
    }
}

fn check_overrides(overrides: &Value) -> Result<(), String> {
    match overrides {
        Value::String(text) if !js::trim(text).is_empty() => crate::lenient::parse(text)
            .map(drop)
            .map_err(|error| format!("Invalid JSON in executeFlowOverrideConfig: {error}")),
        _ => Ok(()),
    }
}

/// A label as the name of who speaks (format §2).
pub(super) fn slug(label: &str) -> String {
    let mut slug = String::with_capacity(label.len());
    let mut in_space = false;
    for letter in label.chars() {
        if js::is_space(letter) {
            if !in_space {
                slug.push('_');
            }
            in_space = true;
        } else {
            in_space = false;
            slug.extend(letter.to_lowercase());
        }
    }
    slug
}

/// The answer of a failed call, as a client of the prediction API would have got it.
fn error_text(status: u16, message: &str) -> String {
    js::pretty_json(&json!({"statusCode": status, "success": false, "message": message, "stack": {}}))
}
