//! Custom Function (format §5.7): runs JavaScript, and what it returns becomes the content.

use serde_json::{Map, Value, json};

use super::{At, Nature, Node, Outcome, Ran, Step};
use crate::document::DocumentNode;
use crate::js;
use crate::lenient;
use crate::record::Body;
use crate::refusal::Problem;
use crate::run::RunScope;
use crate::script::{self, Script};
use crate::state::Updates;
use crate::template::{Field, Scope};

/// What Flowise puts in front of whatever goes wrong in the code.
const FAILED: &str = "Error: NodeVM Execution Error: ";

/// A Custom Function.
#[derive(Debug)]
struct CustomFunction {
    code: String,
    variables: Field,
    updates: Updates,
}

pub(super) fn read(node: &DocumentNode) -> Result<Box<dyn Node>, Problem> {
    let variables = node.inputs.get("customFunctionInputVariables");
    let rows = variables.filter(|rows| rows.is_array()).cloned();
    let rows = rows.unwrap_or_else(|| Value::Array(Vec::new()));
    let accepts = node.accepts_variables_in_rows("customFunctionInputVariables", "variableValue");
    let code = node.inputs.get("customFunctionJavascriptFunction");
    Ok(Box::new(CustomFunction {
        code: code.and_then(Value::as_str).unwrap_or_default().to_owned(),
        variables: Field::read(&rows, accepts),
        updates: Updates::read(node, "customFunctionUpdateState"),
    }))
}

impl Node for CustomFunction {
    fn nature(&self) -> Nature {
        Nature {
            outside: may_reach_out(&self.code),
            beside: self.updates.is_empty(),
            ..Nature::default()
        }
    }

    fn fields(&self) -> Vec<(&'static str, &Field)> {
        let mut fields = vec![("customFunctionInputVariables", &self.variables)];
        fields.extend(self.updates.fields("customFunctionUpdateState"));
        fields
    }

    fn degraded(&self) -> Vec<String> {
        script::missing(&self.code, "its code").into_iter().collect()
    }

    fn in_words(&self, label: &str, _scope: &dyn Scope) -> String {
        format!("Run the code of “{label}”")
    }

    fn run<'a>(&'a self, at: At<'a>) -> Step<'a> {
        Step::Waits(Box::pin(async move {
            let scope = at.scope;
            let variables = self.variables.resolve(&scope);
            let script = Script {
                code: self.code.clone(),
                globals: globals(&scope, &variables),
                flow: scope.flow_id().to_owned(),
                idempotency_key: scope.idempotency_key(),
                console: at.console.clone(),
            };
            let returned = scope.host.script(script).await;
            let returned = returned.map_err(|error| format!("{FAILED}{error}"))?;
            Ok(Outcome::Ran(self.ran(&scope, variables, returned)?))
        }))
    }
}

impl CustomFunction {
    fn ran(&self, scope: &RunScope<'_>, variables: Value, returned: Option<Value>) -> Result<Ran, String> {
        let content = returned.map(content);
        let text = content.as_ref().map(js::text).unwrap_or_default();
        if scope.is_last() && !text.is_empty() {
            scope.say_token(&text);
        }
        let state = self.updates.apply(scope, &text)?;
        let mut output = Map::with_capacity(1);
        if let Some(content) = content {
            output.insert("content".to_owned(), content);
        }
        let input = json!({"inputVariables": variables, "code": self.code});
        Ok(Ran {
            state,
            ..Ran::new(Body::json(input), Body::json(Value::Object(output)))
        })
    }
}

/// Whether code may make a request: it names `fetch`, or something through which `fetch` can be had by another name,
/// such as the global object or an escape in a name.
fn may_reach_out(code: &str) -> bool {
    ["fetch", "this", "global", "\\u"]
        .iter()
        .any(|word| code.contains(word))
}

/// What the code sees. A variable of the node may take the place of `$input`, not of `$vars` and `$flow`.
fn globals(scope: &RunScope<'_>, variables: &Value) -> Map<String, Value> {
    let mut globals = Map::new();
    globals.insert("$input".to_owned(), scope.input_text().into());
    for row in variables.as_array().into_iter().flatten() {
        let name = row.get("variableName").and_then(Value::as_str).map(js::trim);
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            let value = row.get("variableValue").cloned().unwrap_or_default();
            globals.insert(format!("${name}"), value);
        }
    }
    globals.insert("$vars".to_owned(), scope.host.variables().into());
    globals.insert("$flow".to_owned(), scope.flow_object());
    globals
}

/// The content that a returned value becomes: objects, and texts that are one, as indented JSON; else the value.
fn content(returned: Value) -> Value {
    match returned {
        Value::String(text) => match object_in(&text) {
            Some(value) => Value::String(js::pretty_json(&value)),
            None => Value::String(text),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => Value::String(js::pretty_json(&returned)),
        Value::Bool(_) | Value::Number(_) => returned,
    }
}

/// The object or array that a text is, if it looks like one.
fn object_in(text: &str) -> Option<Value> {
    let trimmed = js::trim(text);
    let looks_like = |open: char, close: char| trimmed.starts_with(open) && trimmed.ends_with(close);
    if !looks_like('{', '}') && !looks_like('[', ']') {
        return None;
    }
    let value = lenient::parse(trimmed).ok()?;
    (value.is_object() || value.is_array()).then_some(value)
}
