//! Works out expressions.

use serde_json::{Map, Value, json};

use super::{failed, object};
use crate::js;

/// The longest expression, in characters: the parser goes as deep as there are brackets.
const LONGEST: usize = 500;

pub(super) const DESCRIPTION: &str = "Works out an expression of numbers: + - * / ^, brackets, min, max, sqrt, abs, \
round, floor, ceil, ln, log10, exp, sin, cos, tan, PI, E.";

pub(super) fn parameters() -> Value {
    object(&[(
        "input",
        json!({"type": "string", "description": "The expression"}),
        true,
    )])
}

pub(super) fn call(arguments: &Map<String, Value>) -> Result<String, String> {
    let expression = arguments.get("input").map(js::text).unwrap_or_default();
    let expression = js::trim(&expression);
    if expression.is_empty() {
        return Err("There is no expression".to_owned());
    }
    if expression.chars().count() > LONGEST {
        return Err(format!("The expression is longer than {LONGEST} characters"));
    }
    let result = exmex::eval_str::<f64>(expression)
        .map_err(|error| failed("The expression cannot be worked out", error))?;
    Ok(ryu_js::Buffer::new().format(result).to_owned())
}
