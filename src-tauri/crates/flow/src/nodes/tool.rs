//! Tool (format §5.13): calls one tool, and what it gives becomes the content.

use serde_json::{Map, Value, json};

use super::{At, Nature, Node, Outcome, Ran, Step};
use crate::document::DocumentNode;
use crate::js;
use crate::record::Body;
use crate::refusal::Problem;
use crate::state::Updates;
use crate::template::{Field, Scope};
use crate::tools::Tool;
use countersign_domain::json as bounded;

/// A Tool.
#[derive(Debug)]
struct ToolNode {
    tool: Option<Tool>,
    arguments: Option<Field>,
    updates: Updates,
}

pub(super) fn read(node: &DocumentNode) -> Result<Box<dyn Node>, Problem> {
    let selected = ["selectedTool", "toolAgentflowSelectedTool"];
    let mut selected = selected.into_iter().filter_map(|name| {
        let component = node
            .inputs
            .get(name)?
            .as_str()
            .filter(|component| !component.is_empty())?;
        let config = node
            .inputs
            .get(&format!("{name}Config"))
            .and_then(Value::as_object);
        Some(Tool::read(component, config.unwrap_or(&Map::new())))
    });
    let arguments = node.inputs.get("toolInputArgs").filter(|rows| rows.is_array());
    let accepts = node.accepts_variables_in_rows("toolInputArgs", "inputArgValue");
    Ok(Box::new(ToolNode {
        tool: selected.next(),
        arguments: arguments.map(|rows| Field::read(rows, accepts)),
        updates: Updates::read(node, "toolUpdateState"),
    }))
}

impl Node for ToolNode {
    fn nature(&self) -> Nature {
        Nature {
            outside: true,
            beside: self.updates.is_empty(),
            ..Nature::default()
        }
    }

    fn fields(&self) -> Vec<(&'static str, &Field)> {
        let mut fields: Vec<_> = self
            .arguments
            .iter()
            .map(|rows| ("toolInputArgs", rows))
            .collect();
        let settings = self.tool.iter().flat_map(Tool::fields);
        fields.extend(settings.map(|field| ("toolAgentflowSelectedToolConfig", field)));
        fields.extend(self.updates.fields("toolUpdateState"));
        fields
    }

    fn degraded(&self) -> Vec<String> {
        self.tool.iter().flat_map(Tool::degraded).collect()
    }

    fn faults(&self) -> Vec<String> {
        match self.tool {
            Some(_) => Vec::new(),
            None => vec!["has no tool. Select one in its settings.".to_owned()],
        }
    }

    fn lacks(&self) -> Vec<&str> {
        self.tool.iter().filter_map(Tool::lacks).collect()
    }

    fn in_words(&self, label: &str, _scope: &dyn Scope) -> String {
        match &self.tool {
            Some(tool) => format!("Use the tool {} of “{label}”", tool.component),
            None => format!("Use the tool of “{label}”"),
        }
    }

    fn run<'a>(&'a self, at: At<'a>) -> Step<'a> {
        let Some(tool) = &self.tool else {
            return Step::Done(Err("Tool not selected".to_owned()));
        };
        Step::Waits(Box::pin(async move {
            let scope = at.scope;
            let rows = self.arguments.as_ref().map(|rows| rows.resolve(&scope));
            let rows = rows.unwrap_or_else(|| json!([]));
            let mut arguments = Map::new();
            for row in rows.as_array().into_iter().flatten() {
                let name = row
                    .get("inputArgName")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let value = row.get("inputArgValue").cloned().unwrap_or_default();
                arguments.insert(name.to_owned(), argument(value));
            }
            let found = tool
                .call(&scope, &Value::Object(arguments), scope.idempotency_key())
                .await;
            let found = found.map_err(|error| format!("Error: {error}"))?.content;
            let content = match found {
                Value::Array(_) | Value::Object(_) => Value::String(js::pretty_json(&found)),
                other => other,
            };
            let text = js::text(&content);
            if scope.is_last() {
                scope.say_token(&text);
            }
            let state = self.updates.apply(&scope, &text)?;
            Ok(Outcome::Ran(Ran {
                state,
                ..Ran::new(
                    Body::json(json!({"toolInputArgs": rows, "selectedTool": tool.component})),
                    Body::json(json!({"content": content})),
                )
            }))
        }))
    }
}

/// A value as the tool gets it: editors put backslashes before brackets and quotes, and JSON is written as text.
fn argument(value: Value) -> Value {
    let Value::String(text) = value else {
        return value;
    };
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, letters.peek()) {
            ('\\', Some(next @ ('"' | '[' | ']' | '{' | '}' | '\\'))) => {
                plain.push(*next);
                letters.next();
            }
            _ => plain.push(letter),
        }
    }
    let looks_like = |open: char, close: char| plain.starts_with(open) && plain.ends_with(close);
    if looks_like('[', ']') || looks_like('{', '}') {
        return bounded::parse(plain.as_bytes(), bounded::MOST).unwrap_or(Value::String(plain));
    }
    Value::String(plain)
}
