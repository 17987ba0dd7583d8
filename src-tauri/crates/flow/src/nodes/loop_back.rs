//! Loop (format §5.10, semantics §5.3): leads back to an earlier node, so often and no more.

use serde_json::{Map, Value, json};

use super::{At, Node, Outcome, Ran, Step};
use crate::document::DocumentNode;
use crate::js;
use crate::record::Body;
use crate::refusal::{Problem, ProblemKind};
use crate::state::Updates;
use crate::template::{Field, Scope};

/// How often the target runs in all when the node does not say.
const RUNS_WITHOUT_A_LIMIT: u32 = 5;

/// A Loop.
#[derive(Debug)]
struct LoopBack {
    target: String,
    target_label: String,
    limit: u32,
    fallback: Option<Field>,
    updates: Updates,
}

pub(super) fn read(node: &DocumentNode) -> Result<Box<dyn Node>, Problem> {
    let target = node.inputs.get("loopBackToNode").and_then(Value::as_str);
    let Some((target, label)) = target.and_then(|target| target.split_once('-')) else {
        return Err(Problem::at(
            ProblemKind::Setting,
            &node.id,
            &node.label,
            format!(
                "the Loop {} does not say to which node it leads back",
                node.described()
            ),
        ));
    };
    // A label is cut at its first hyphen, as the records of Flowise have it.
    let label = label.split('-').next().unwrap_or_default();
    let limit = node.inputs.get("maxLoopCount").map_or(0.0, js::number);
    Ok(Box::new(LoopBack {
        target: target.to_owned(),
        target_label: label.to_owned(),
        // Not a number, zero and less count as not said.
        limit: if limit >= 1.0 {
            limit.min(f64::from(u32::MAX)) as u32
        } else {
            RUNS_WITHOUT_A_LIMIT
        },
        fallback: node.field("fallbackMessage"),
        updates: Updates::read(node, "loopUpdateState"),
    }))
}

impl Node for LoopBack {
    fn fields(&self) -> Vec<(&'static str, &Field)> {
        let mut fields: Vec<_> = self
            .fallback
            .iter()
            .map(|text| ("fallbackMessage", text))
            .collect();
        fields.extend(self.updates.fields("loopUpdateState"));
        fields
    }

    fn leads_back_to(&self) -> Option<&str> {
        Some(&self.target)
    }

    fn in_words(&self, _label: &str, _scope: &dyn Scope) -> String {
        format!(
            "Back to “{}”, at most {} times in all",
            self.target_label, self.limit
        )
    }

    fn run<'a>(&'a self, at: At<'a>) -> Step<'a> {
        Step::Done(self.turn(&at).map(Outcome::Ran))
    }
}

impl LoopBack {
    fn turn(&self, at: &At<'_>) -> Result<Ran, String> {
        let target = at
            .scope
            .plan
            .index_of(&self.target)
            .ok_or_else(|| format!("There is no node {} to loop back to", self.target))?;
        let fallback = self.fallback.as_ref().map(|text| text.resolve(&at.scope));
        let goes_back = at.scope.turns() + 1 < self.limit;
        let content = if goes_back {
            format!("Loop back to {} ({})", self.target_label, self.target)
        } else {
            match fallback.as_ref().filter(|text| js::truthy(Some(text))) {
                Some(text) => js::text(text).into_owned(),
                None => format!(
                    "Loop completed after reaching maximum iteration count of {}.",
                    self.limit
                ),
            }
        };
        let state = self.updates.apply_in_loop(&at.scope, &content)?;
        if !goes_back {
            at.scope.say_token(&content);
        }
        let mut output = Map::with_capacity(4);
        output.insert("content".to_owned(), content.into());
        output.insert("nodeID".to_owned(), self.target.clone().into());
        output.insert("maxLoopCount".to_owned(), self.limit.into());
        if let Some(fallback) = fallback {
            output.insert("fallbackMessage".to_owned(), fallback);
        }
        let input = json!({"nodeID": self.target, "maxLoopCount": self.limit});
        Ok(Ran {
            state,
            back_to: goes_back.then_some(target),
            ..Ran::new(Body::json(input), Body::json(Value::Object(output)))
        })
    }
}
