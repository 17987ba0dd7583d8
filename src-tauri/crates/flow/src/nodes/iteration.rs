//! Iteration (format §5.9, semantics §6): runs the nodes that lie in it once for each item of a list.

use serde_json::{Map, Value, json};

use super::{At, Node, Outcome, Ran, Returned, Step};
use crate::document::DocumentNode;
use crate::lenient;
use crate::record::Body;
use crate::refusal::Problem;
use crate::run::RunScope;
use crate::template::{Field, Scope};

/// An Iteration.
#[derive(Debug)]
struct Iteration {
    input: Option<Field>,
}

pub(super) fn read(node: &DocumentNode) -> Result<Box<dyn Node>, Problem> {
    Ok(Box::new(Iteration {
        input: node.field("iterationInput"),
    }))
}

impl Node for Iteration {
    fn fields(&self) -> Vec<(&'static str, &Field)> {
        self.input.iter().map(|input| ("iterationInput", input)).collect()
    }

    fn in_words(&self, label: &str, _scope: &dyn Scope) -> String {
        format!("For each item of “{label}”")
    }

    fn run<'a>(&'a self, at: At<'a>) -> Step<'a> {
        let input = self.input.as_ref().map(|input| input.resolve(&at.scope));
        Step::Done(match input {
            Some(Value::Array(items)) => Ok(iterate(items)),
            Some(Value::String(text)) => match lenient::list(&text) {
                Some(items) => Ok(iterate(items)),
                None => Err("Invalid input array".to_owned()),
            },
            _ => Err("Invalid input array".to_owned()),
        })
    }

    fn returned(&self, scope: &RunScope<'_>, input: Body, returned: Returned) -> Result<Ran, String> {
        let mut output = Map::new();
        if let (Returned::Items(results), true) = (returned, scope.has_body()) {
            let content = results.join("\n");
            output.insert("iterationResults".to_owned(), json!(results));
            output.insert("content".to_owned(), content.into());
        }
        Ok(Ran::new(input, Body::json(Value::Object(output))))
    }
}

fn iterate(items: Vec<Value>) -> Outcome {
    Outcome::Iterates {
        input: Body::json(json!({"iterationInput": items})),
        items,
    }
}
