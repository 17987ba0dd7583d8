//! JSON as people and templates write it (format §6).

use serde_json::Value;

/// Reads JSON, JSON5, and both after the usual repairs.
///
/// # Errors
/// What is wrong, in Flowise's words.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| {
        let beginning: String = text.chars().take(200).collect();
        format!("Invalid JSON format in body. Original error: {error}. It begins with: {beginning}")
    })
}

/// A list, for an Iteration: once more without the backslashes before quotes and brackets.
pub(crate) fn list(text: &str) -> Option<Vec<Value>> {
    let read = |text: &str| match parse(text) {
        Ok(Value::Array(items)) => Some(items),
        _ => None,
    };
    read(text).or_else(|| {
        let mut repaired = String::with_capacity(text.len());
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            let escapes = letter == '\\'
                && letters
                    .peek()
                    .is_some_and(|next| matches!(next, '"' | '\'' | '[' | ']' | '{' | '}'));
            if !escapes {
                repaired.push(letter);
            }
        }
        read(&repaired)
    })
}
