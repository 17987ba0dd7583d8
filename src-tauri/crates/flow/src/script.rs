//! Scripts as nodes run them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};

/// How many lines of a console a step keeps, of all its attempts together.
const CONSOLE_LINES: usize = 50;

/// The modules that code can require here.
const MODULES: [&str; 3] = ["buffer", "url", "timers"];

/// How many modules are named; nobody reads more.
const NAMED: usize = 10;

/// What is to be told of code that requires modules that are not there, behind the name of its step.
pub(crate) fn missing(code: &str, place: &str) -> Option<String> {
    let modules = missing_modules(code);
    let (what, is) = match modules.as_slice() {
        [] => return None,
        [_] => ("module", "is"),
        _ => ("modules", "are"),
    };
    Some(format!(
        "requires the {what} {} in {place}. Here {is} no such {what}, and the code fails where it comes to that; there \
         are {} and fetch.",
        modules.join(", "),
        MODULES.join(", ")
    ))
}

/// The modules that code names in a `require` and that are not there. What it puts together at run time is not found.
fn missing_modules(code: &str) -> Vec<&str> {
    let mut missing = BTreeSet::new();
    for behind in code.split("require").skip(1) {
        let Some(argument) = behind.trim_start().strip_prefix('(') else {
            continue;
        };
        let argument = argument.trim_start();
        let Some(quote) = argument
            .chars()
            .next()
            .filter(|first| matches!(first, '"' | '\'' | '`'))
        else {
            continue;
        };
        let Some((name, _)) = argument[1..].split_once(quote) else {
            continue;
        };
        let known = name.strip_prefix("node:").unwrap_or(name);
        if !name.is_empty() && !MODULES.contains(&known) {
            missing.insert(name);
        }
    }
    missing.into_iter().take(NAMED).collect()
}

/// Where the host puts the last lines that a script wrote to its console, whatever came of it. The clones are one.
#[derive(Debug, Clone, Default)]
pub struct ScriptConsole(Arc<Mutex<Vec<String>>>);

impl ScriptConsole {
    /// Adds lines; the last ones stay.
    pub fn extend(&self, lines: impl IntoIterator<Item = String>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(lines);
        let beyond = kept.len().saturating_sub(CONSOLE_LINES);
        kept.drain(..beyond);
    }

    /// Takes what is there.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is written while a script runs says nothing about which script it is.
impl PartialEq for ScriptConsole {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

/// JavaScript: the body of an asynchronous function, and what it can see.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// The code. Top-level `return` and `await` are legal.
    pub code: String,
    /// Global values by name, `$` included: `$input`, `$flow`, `$vars`, `$item`.
    pub globals: Map<String, Value>,
    /// The flow whose step it is; the host shares its scripts' turns out by it.
    pub flow: String,
    /// Equal each time the same step of the same run runs this script; requests that it makes derive their
    /// `Idempotency-Key` from it.
    pub idempotency_key: String,
    /// Where the host puts what it wrote to its console.
    pub console: ScriptConsole,
}
