//! JSON as people and templates write it (format §6): strict, else with what JSON5 allows, else after the usual
//! repairs.

use jsonc_parser::{ParseOptions, parse_to_serde_value};
use serde_json::Value;

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

/// Reads JSON leniently. Texts that are nested more than 127 levels deep (strict) or 512 (JSON5) are refused.
///
/// # Errors
/// What is wrong, beginning with Flowise's words for it, and the beginning of the text.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let strict = match serde_json::from_str(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let lenient = match json5(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let unescaped = without_needless_backslashes(text);
    if let Ok(value) = json5(&unescaped) {
        return Ok(value);
    }
    let quoted = unescaped.replace('\'', "\"");
    if let Ok(value) = json5(&quoted) {
        return Ok(value);
    }
    let beginning: String = text.chars().take(SHOWN).collect();
    Err(format!(
        "Invalid JSON format in body. Original error: {lenient}. Strict JSON: {strict}. \
         Check quotes, commas and line breaks inside texts; a line break has to be written as \\n. \
         It begins with: {beginning}"
    ))
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
    parse_to_serde_value(text, &JSON5).map_err(|error| error.to_string())
}

/// The text without backslashes before brackets and quotes, which editors put there.
fn without_needless_backslashes(text: &str) -> String {
    let mut repaired = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let needless = letter == '\\'
            && letters
                .peek()
                .is_some_and(|next| matches!(next, '"' | '\'' | '[' | ']' | '{' | '}'));
        if !needless {
            repaired.push(letter);
        }
    }
    repaired
}
