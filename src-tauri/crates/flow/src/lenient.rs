//! JSON as people and templates write it (format §6): strict, else with what JSON5 allows, else after the usual
//! repairs.

use countersign_domain::json::{self, Bounded};
use jsonc_parser::{ParseOptions, parse_to_serde_value};
use serde_json::Value;

use crate::js;

/// How much of a text that cannot be read is repeated, in characters.
const SHOWN: usize = 200;

const JSON5: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_loose_object_property_names: true,
    allow_trailing_commas: true,
    // A text without its commas is more likely another mistake than a style.
    allow_missing_commas: false,
    allow_single_quoted_strings: true,
    allow_hexadecimal_numbers: true,
    allow_unary_plus_numbers: true,
    allow_bare_decimal_point_numbers: true,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: true,
};

/// Reads JSON leniently, within the bounds of [`json`].
///
/// # Errors
/// What is wrong, beginning with Flowise's words for it, and the beginning of the text.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    // JSON5 counts a byte order mark as white space, and so does JavaScript.
    let text = js::trim(text);
    let strict = match json::parse(text.as_bytes(), json::MOST) {
        Ok(value) => return Ok(value),
        Err(problem @ json::Problem::Beyond(_)) => return Err(refusal(&problem.to_string(), text)),
        Err(malformed) => malformed,
    };
    let lenient = match json5(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    // Backslashes before quotes may be meant, so they go last.
    let brackets = without_backslashes(text, &['[', ']', '{', '}']);
    let quotes = || without_backslashes(&brackets, &['"', '\'']);
    let double = |text: &str| text.replace('\'', "\"");
    json5(&brackets)
        .or_else(|_| json5(&double(&brackets)))
        .or_else(|_| json5(&quotes()))
        .or_else(|_| json5(&double(&quotes())))
        .map_err(|_| refusal(&format!("{lenient}. Strict JSON: {strict}"), text))
}

fn refusal(error: &str, text: &str) -> String {
    let beginning: String = text.chars().take(SHOWN).collect();
    format!(
        "Invalid JSON format in body. Original error: {error}. Check quotes, commas and brackets; a quote inside a \
         text has to be written as \\\". It begins with: {beginning}"
    )
}

/// A list, for an Iteration.
pub(crate) fn list(text: &str) -> Option<Vec<Value>> {
    match parse(text) {
        Ok(Value::Array(items)) => Some(items),
        _ => None,
    }
}

fn json5(text: &str) -> Result<Value, String> {
    // An empty text would be read as null.
    if text.trim().is_empty() {
        return Err("the text is empty".to_owned());
    }
    parse_to_serde_value(text, &JSON5)
        .map(|Bounded(value)| value)
        .map_err(|error| error.to_string())
}

/// The text without backslashes before these characters, which editors put there. One that is escaped itself stays.
fn without_backslashes(text: &str, before: &[char]) -> String {
    let mut repaired = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            repaired.push(letter);
            continue;
        }
        let next = letters.next();
        if next.is_none_or(|next| !before.contains(&next)) {
            repaired.push(letter);
        }
        repaired.extend(next);
    }
    repaired
}
