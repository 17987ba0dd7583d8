//! Secrets that stand in a document for everybody who gets it: where they are, and the document with references in
//! their place.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::nodes;

/// Headers that carry secrets as a rule.
const SECRET_HEADERS: [&str; 7] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "api-key",
    "x-auth-token",
    "private-token",
];

/// The input of Start with the secret of its callbacks.
const CALLBACK_SECRET: &str = "callbackSecret";

/// A secret that stands in a document in clear text.
#[derive(Clone, PartialEq, Eq)]
pub struct ClearText {
    /// The label of its step.
    pub step: String,
    /// What it is there: the name of a header, or `callbackSecret`.
    pub place: String,
    /// The secret.
    pub value: String,
    /// Where its JSON text lies in the document, quotes included.
    at: Range<usize>,
}

impl fmt::Debug for ClearText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClearText")
            .field("step", &self.step)
            .field("place", &self.place)
            .field("value", &"***")
            .finish_non_exhaustive()
    }
}

/// Whether a header's value is a secret in clear text.
pub(crate) fn is_secret_header(name: &str, value: &str) -> bool {
    let name = name.trim();
    let is_secret = SECRET_HEADERS
        .iter()
        .any(|secret| secret.eq_ignore_ascii_case(name));
    is_secret && !value.trim().is_empty() && !value.contains("{{")
}

/// The variable that a text stands for if it is nothing but the reference `{{ $vars.NAME }}`.
pub fn variable_of(text: &str) -> Option<&str> {
    let inside = text.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let name = inside.strip_prefix("$vars.")?;
    let fits = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-');
    (!name.is_empty() && name.chars().all(fits)).then_some(name)
}

/// The secrets that stand in a document in clear text, in its order. A text that is no document has none.
pub fn clear_text_secrets(document: &str) -> Vec<ClearText> {
    find(document).unwrap_or_default()
}

/// The document with references to these variables in the place of these secrets; everything else stays byte for byte.
/// The secrets must be of this document.
pub fn with_references(document: &str, secrets: &[(ClearText, String)]) -> String {
    let mut text = String::with_capacity(document.len());
    let mut from = 0;
    let mut secrets: Vec<_> = secrets.iter().collect();
    secrets.sort_by_key(|(secret, _)| secret.at.start);
    for (secret, variable) in secrets {
        text.push_str(document.get(from..secret.at.start).unwrap_or_default());
        text.push_str(&Value::String(format!("{{{{ $vars.{variable} }}}}")).to_string());
        from = secret.at.end;
    }
    text.push_str(document.get(from..).unwrap_or_default());
    text
}

/// The fields of an object as they are written. Of a field that is there twice the last one counts, as everywhere.
type Fields<'a> = HashMap<String, &'a RawValue>;

fn find(document: &str) -> Option<Vec<ClearText>> {
    let root: Fields<'_> =
        serde_json::from_str(document.strip_prefix('\u{FEFF}').unwrap_or(document)).ok()?;
    let nodes: Vec<&RawValue> = serde_json::from_str(root.get("nodes")?.get()).ok()?;
    let mut found = Vec::new();
    for node in nodes {
        // A node that cannot be read has its problem told elsewhere.
        secrets_of(document, node, &mut found);
    }
    Some(found)
}

fn secrets_of(document: &str, node: &RawValue, found: &mut Vec<ClearText>) -> Option<()> {
    let data = fields(fields(node)?.remove("data")?)?;
    let name = text(data.get("name")?)?;
    let label = data.get("label").and_then(|label| text(label));
    let inputs = fields(data.get("inputs")?)?;
    let mut take = |place: &str, raw: &RawValue, value: String| {
        let start = raw.get().as_ptr().addr() - document.as_ptr().addr();
        found.push(ClearText {
            step: label.clone().unwrap_or_else(|| name.clone()),
            place: place.to_owned(),
            value,
            at: start..start + raw.get().len(),
        });
    };
    if name == nodes::START {
        let raw = inputs.get(CALLBACK_SECRET)?;
        let value = text(raw)?;
        if !value.is_empty() && variable_of(&value).is_none() {
            take(CALLBACK_SECRET, raw, value);
        }
    } else if name == nodes::HTTP {
        let rows: Vec<&RawValue> = serde_json::from_str(inputs.get("headers")?.get()).ok()?;
        for row in rows.into_iter().filter_map(fields) {
            let of = |name: &str| row.get(name).and_then(|raw| Some((*raw, text(raw)?)));
            if let (Some((_, header)), Some((raw, value))) = (of("key"), of("value"))
                && is_secret_header(&header, &value)
            {
                take(header.trim(), raw, value);
            }
        }
    }
    Some(())
}

fn fields(raw: &RawValue) -> Option<Fields<'_>> {
    serde_json::from_str(raw.get()).ok()
}

fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}
