//! Secrets that stand in a document for everybody who gets it: where they are, and the document with references in
//! their place.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

use countersign_domain::Timestamp;
use fancy_regex::Regex;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::document::{Document, DocumentNode};
use crate::nodes::{self, Node};
use crate::template::{Scope, Template};

/// The input of Start with the secret of its callbacks.
const CALLBACK_SECRET: &str = "callbackSecret";

/// What holds code, which reads variables in another way.
const CODE: [&str; 2] = ["customFunctionJavascriptFunction", "customToolFunc"];

/// What names credentials and no secret.
const NO_SECRETS: [&str; 2] = ["FLOWISE_CREDENTIAL_ID", "credential"];

/// How many are looked for in one step; nobody reads more.
const IN_ONE_STEP: usize = 50;

/// Texts shorter than this are no secrets, unless a field of their own is named like one.
const SHORTEST: usize = 4;

/// A secret that stands in a document in clear text.
#[derive(Clone, PartialEq, Eq)]
pub struct ClearText {
    /// The label of its step.
    pub step: String,
    /// What it is there: the name of a header, `callbackSecret`, `api_key in url`.
    pub place: String,
    /// The secret.
    pub value: String,
    /// What somebody has to do about it, if no reference can be put in its place.
    pub by_hand: Option<&'static str>,
    /// Where it lies in the document, inside the quotes of its text.
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
        text.push_str(reference(variable).trim_matches('"'));
        from = secret.at.end;
    }
    text.push_str(document.get(from..).unwrap_or_default());
    text
}

/// A reference to a variable, as JSON text.
fn reference(variable: &str) -> String {
    Value::String(format!("{{{{ $vars.{variable} }}}}")).to_string()
}

/// A secret in the inputs of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// What it is there.
    pub(crate) place: String,
    /// What somebody has to do about it, if no reference can be put in its place.
    pub(crate) by_hand: Option<&'static str>,
    /// The way to the text that holds it.
    path: Vec<Key>,
    /// Where in that text.
    within: Range<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Name(String),
    Place(usize),
}

/// What somebody has to do about a secret in code.
const IN_CODE: &str = "Code is not rewritten for you: make it a secret variable, write $vars.NAME in its place, and \
                       import the file again.";
/// The same for a field that takes no references.
const TAKES_NO_REFERENCES: &str = "No variable can stand there: take it out of the file, and change it where it is valid, since the file has it.";
/// The same where a reference would make another text.
const MAKES_ANOTHER_TEXT: &str = "A reference in its place would make another text: make it a secret variable, write \
                                  the field anew with {{ $vars.NAME }}, and import the file again.";

/// The secrets in the inputs of a step.
pub(crate) fn sightings(node: &DocumentNode, kind: &dyn Node) -> Vec<Sighting> {
    let fields = kind.fields();
    let mut look = Look {
        fields: fields.iter().map(|(name, _)| *name).collect(),
        path: Vec::new(),
        found: Vec::new(),
    };
    for (name, value) in &node.inputs {
        look.path.push(Key::Name(name.clone()));
        if name == CALLBACK_SECRET && node.name == nodes::START {
            let secret = value.as_str().unwrap_or_default();
            if !secret.is_empty() && variable_of(secret).is_none() {
                look.take(name.clone(), 0..secret.len(), None);
            }
        } else if !NO_SECRETS.contains(&name.as_str()) {
            look.value(name, value);
        }
        look.path.pop();
    }
    look.found
}

/// Goes through the inputs of a step.
struct Look<'a> {
    /// The inputs that take references.
    fields: Vec<&'a str>,
    path: Vec<Key>,
    found: Vec<Sighting>,
}

impl Look<'_> {
    fn take(&mut self, place: String, within: Range<usize>, by_hand: Option<&'static str>) {
        if self.found.len() < IN_ONE_STEP {
            self.found.push(Sighting {
                place,
                by_hand,
                path: self.path.clone(),
                within,
            });
        }
    }

    /// The value of an input or of a setting in one.
    fn value(&mut self, name: &str, value: &Value) {
        match value {
            Value::String(text) => self.text(name, text),
            Value::Array(items) => {
                for (place, item) in items.iter().enumerate() {
                    self.path.push(Key::Place(place));
                    match item {
                        Value::Object(row) => self.row(name, row),
                        item => self.value(name, item),
                    }
                    self.path.pop();
                }
            }
            Value::Object(settings) => {
                let named = Named::of_table(name).unwrap_or(Named::Plainly);
                self.settings(name, named, settings);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A row of a table, which may have a name and a value: a header, a parameter, a field of a form.
    fn row(&mut self, table: &str, row: &Map<String, Value>) {
        let text = |name: &str| row.get(name).and_then(Value::as_str);
        if let (Some(name), Some(value), Some(named)) = (text("key"), text("value"), Named::of_table(table))
            && named.is_secret(name)
            && is_filled(value)
        {
            self.path.push(Key::Name("value".to_owned()));
            self.whole(name.trim().to_owned(), value);
            self.path.pop();
            return;
        }
        self.settings(table, Named::Plainly, row);
    }

    fn settings(&mut self, around: &str, named: Named, settings: &Map<String, Value>) {
        for (name, value) in settings {
            if NO_SECRETS.contains(&name.as_str()) {
                continue;
            }
            self.path.push(Key::Name(name.clone()));
            match value {
                Value::String(text) if named.is_secret(name) && is_literal(text) => {
                    self.whole(format!("{name} in {around}"), text);
                }
                value => self.value(name, value),
            }
            self.path.pop();
        }
    }

    /// A text that is a secret.
    fn whole(&mut self, place: String, text: &str) {
        let by_hand = self.by_hand(text, &(0..text.len()));
        self.take(place, 0..text.len(), by_hand);
    }

    /// Secrets in a text.
    fn text(&mut self, name: &str, text: &str) {
        if text.len() < SHORTEST {
            return;
        }
        let mut seen: Vec<(Range<usize>, String)> = Vec::new();
        let mut see = |within: Range<usize>, what: String| {
            let overlaps =
                |(other, _): &(Range<usize>, String)| within.start < other.end && other.start < within.end;
            if !seen.iter().any(overlaps) {
                seen.push((within, what));
            }
        };
        let named = Named::of_table(name).unwrap_or(Named::Plainly);
        for groups in matches(&NAMED, text) {
            let one_of =
                |mut places: std::ops::RangeInclusive<usize>| places.find_map(|place| groups.get(place));
            if let (Some(key), Some(value)) = (one_of(1..=4), one_of(5..=7))
                && named.is_secret(key.as_str())
                && is_literal(value.as_str())
            {
                see(value.range(), key.as_str().to_owned());
            }
        }
        for groups in matches(&IN_QUERY, text) {
            if let (Some(key), Some(value)) = (groups.get(1), groups.get(2))
                && Named::InHeaders.is_secret(key.as_str())
                && is_literal(value.as_str())
            {
                see(value.range(), key.as_str().to_owned());
            }
        }
        for groups in matches(&IN_ADDRESS, text) {
            if let Some(password) = groups.get(1) {
                see(password.range(), "password".to_owned());
            }
        }
        for groups in matches(&LOOKS_LIKE_ONE, text) {
            if let Some(key) = groups.get(1).or_else(|| groups.get(2)) {
                see(key.range(), "key".to_owned());
            }
        }
        seen.sort_by_key(|(within, _)| within.start);
        for (within, what) in seen {
            let by_hand = if CODE.contains(&name) {
                Some(IN_CODE)
            } else {
                self.by_hand(text, &within)
            };
            self.take(format!("{what} in {name}"), within, by_hand);
        }
    }

    /// Why no reference can be put there, if that is so.
    fn by_hand(&self, text: &str, within: &Range<usize>) -> Option<&'static str> {
        if !self.takes_references() {
            return Some(TAKES_NO_REFERENCES);
        }
        (!stays_the_same(text, within)).then_some(MAKES_ANOTHER_TEXT)
    }

    fn takes_references(&self) -> bool {
        let mut names = self.path.iter().filter_map(|key| match key {
            Key::Name(name) => Some(name.as_str()),
            Key::Place(_) => None,
        });
        let Some(input) = names.next() else { return false };
        let is_settings = |name: &str| name.ends_with("ToolConfig");
        let known = |wanted: &str| self.fields.contains(&wanted);
        let mut names = std::iter::once(input).chain(names);
        // Of the settings of a tool, those of requests do.
        if names.any(is_settings) {
            let of_requests = names.next().is_some_and(|name| {
                name.starts_with("request") || matches!(name, "url" | "headers" | "body")
            });
            return of_requests
                && (known(input) || (is_settings(input) && self.fields.iter().any(|f| is_settings(f))));
        }
        known(input)
    }
}

/// Whether a text says the same with a reference in the place of what it holds there.
fn stays_the_same(text: &str, within: &Range<usize>) -> bool {
    /// Knows one variable; other references stay as they are written.
    struct Holds<'a>(&'a str);

    /// The name of a variable that no flow has.
    const NAME: &str = "in-its-place";

    impl Scope for Holds<'_> {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(0)
        }

        fn variable(&self, name: &str) -> Option<String> {
            (name == NAME).then(|| self.0.to_owned())
        }
    }

    let (Some(before), Some(secret), Some(behind)) = (
        text.get(..within.start),
        text.get(within.clone()),
        text.get(within.end..),
    ) else {
        return false;
    };
    let changed = format!("{before}{{{{ $vars.{NAME} }}}}{behind}");
    let scope = Holds(secret);
    Template::parse(text).render_text(&scope) == Template::parse(&changed).render_text(&scope)
}

/// Names that say that a secret stands beside them.
#[derive(Clone, Copy)]
enum Named {
    /// Of headers and parameters: every word for a secret counts, `key` too.
    InHeaders,
    /// Elsewhere `key` is a name like any other.
    Plainly,
}

impl Named {
    /// Those in a table or text of this name.
    fn of_table(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
        if ends(&["headers", "queryparams", "params"]) {
            Some(Self::InHeaders)
        } else if ends(&["body"]) {
            Some(Self::Plainly)
        } else {
            None
        }
    }

    fn is_secret(self, name: &str) -> bool {
        let name: String = name
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>()
            .to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        let ends = |words: &[&str]| words.iter().any(|word| name.ends_with(word));
        // Numbers of tokens, and what leads to the next page.
        if has(&["tokens", "tokencount", "tokenlimit", "maxtoken"])
            || ends(&[
                "pagetoken",
                "nexttoken",
                "synctoken",
                "continuationtoken",
                "canceltoken",
            ])
        {
            return false;
        }
        if has(&[
            "secret",
            "password",
            "passwd",
            "passphrase",
            "authorization",
            "bearer",
        ]) || ends(&[
            "token",
            "apikey",
            "accesskey",
            "authkey",
            "privatekey",
            "signingkey",
            "encryptionkey",
        ]) {
            return true;
        }
        let is_no_secret = ends(&[
            "idempotencykey",
            "publickey",
            "partitionkey",
            "sortkey",
            "routingkey",
            "websocketkey",
            "primarykey",
        ]);
        match self {
            Self::Plainly => name == "pwd",
            Self::InHeaders => {
                !is_no_secret
                    && (has(&["token", "pwd", "cookie", "credential"])
                        || ends(&["key", "auth"])
                        || matches!(name.as_str(), "sig" | "pass"))
            }
        }
    }
}

/// Whether there is something, and no reference in it.
fn is_filled(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains("{{")
}

/// Whether a text can be a secret itself, and no number, no type and nothing that stands for something.
fn is_literal(text: &str) -> bool {
    const WORDS: [&str; 12] = [
        "string",
        "number",
        "integer",
        "boolean",
        "object",
        "array",
        "null",
        "undefined",
        "true",
        "false",
        "required",
        "optional",
    ];
    let trimmed = text.trim();
    trimmed.len() >= SHORTEST
        && !WORDS.contains(&trimmed.to_ascii_lowercase().as_str())
        && !trimmed.contains("{{")
        && !trimmed.contains("${")
        && !trimmed.starts_with(['<', '$', '*', '[', '{'])
        && trimmed.parse::<f64>().is_err()
}

/// `name: "…"`, `name = '…'`, as JSON and code have it. Each quote is written out: looking back for the same one again is
/// what takes the time of reading a flow.
static NAMED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    const NAME: &str = r"([A-Za-z_$][A-Za-z0-9_$.-]*)";
    let name = format!("(?:\"{NAME}\"|'{NAME}'|`{NAME}`|{NAME})");
    let value = r#"(?:"((?:\\.|[^"\\\n])*)"|'((?:\\.|[^'\\\n])*)'|`((?:\\.|[^`\\\n])*)`)"#;
    regex(&format!(r"{name}\s*[:=]\s*{value}"))
});

/// A parameter in an address.
static IN_QUERY: LazyLock<Option<Regex>> =
    LazyLock::new(|| regex(r#"[?&;]([A-Za-z0-9_.\[\]-]+)=([^&#;\s"'`<>{}$\\)]+)"#));

/// A password in an address.
static IN_ADDRESS: LazyLock<Option<Regex>> =
    LazyLock::new(|| regex(r#"[a-z][a-z0-9+.-]*://[^/\s:@"'`{}$]*:([^/\s@"'`{}$]+)@"#));

/// Keys that are known by how they begin.
static LOOKS_LIKE_ONE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    regex(concat!(
        r"(?<![A-Za-z0-9_-])(sk-(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{8,}|[sr]k_(?:live|test)_[A-Za-z0-9]{8,}",
        r"|gh[pousr]_[A-Za-z0-9]{8,}|github_pat_[A-Za-z0-9_]{8,}|glpat-[A-Za-z0-9_-]{8,}|xox[abeoprs]-[A-Za-z0-9-]{8,}",
        r"|A[KS]IA[0-9A-Z]{12,}|AIza[A-Za-z0-9_-]{20,}|hf_[A-Za-z0-9]{16,}|npm_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{8,}",
        r"|SG\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}",
        r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$))",
        r"|(?i:\b(?:bearer|basic) )((?=[A-Za-z._~+/=-]*[0-9])[A-Za-z0-9._~+/=-]{12,})",
    ))
});

/// The patterns are constants, and a test uses each.
fn regex(pattern: &str) -> Option<Regex> {
    Regex::new(pattern).ok()
}

fn matches<'t>(
    pattern: &'static LazyLock<Option<Regex>>,
    text: &'t str,
) -> impl Iterator<Item = fancy_regex::Captures<'t, str>> {
    let found = pattern.as_ref().map(|pattern| pattern.captures_iter(text));
    found.into_iter().flatten().map_while(Result::ok)
}

/// The fields of an object as they are written. Of a field that is there twice the last one counts, as everywhere.
type Fields<'a> = HashMap<String, &'a RawValue>;

fn find(text: &str) -> Option<Vec<ClearText>> {
    let document = Document::parse(text).ok()?;
    let root: Fields<'_> = serde_json::from_str(text.strip_prefix('\u{FEFF}').unwrap_or(text)).ok()?;
    let written: Vec<&RawValue> = serde_json::from_str(root.get("nodes")?.get()).ok()?;
    let mut found = Vec::new();
    for (node, raw) in document.nodes.iter().zip(written) {
        // A node that cannot be read has its problem told elsewhere.
        secrets_of(text, node, raw, &mut found);
    }
    Some(found)
}

fn secrets_of(document: &str, node: &DocumentNode, raw: &RawValue, found: &mut Vec<ClearText>) -> Option<()> {
    let kind = nodes::read(node).ok()?;
    let inputs = *fields(fields(raw)?.remove("data")?)?.get("inputs")?;
    for sighting in sightings(node, &*kind) {
        let secret = at_path(inputs, &sighting.path).and_then(|raw| {
            let text: String = serde_json::from_str(raw.get()).ok()?;
            let value = text.get(sighting.within.clone())?.to_owned();
            let within = as_written(raw.get(), &sighting.within)?;
            let start = raw.get().as_ptr().addr() - document.as_ptr().addr();
            Some((value, start + within.start..start + within.end))
        });
        found.extend(secret.map(|(value, at)| ClearText {
            step: node.label.clone(),
            place: sighting.place,
            value,
            by_hand: sighting.by_hand,
            at,
        }));
    }
    Some(())
}

/// Where a part of a text lies in its JSON, quotes included, which may write letters by escapes.
fn as_written(json: &str, within: &Range<usize>) -> Option<Range<usize>> {
    let mut rest = json.strip_prefix('"')?;
    let (mut read, mut start) = (0, None);
    loop {
        let at = json.len() - rest.len();
        if read == within.start {
            start.get_or_insert(at);
        }
        if read == within.end {
            return Some(start?..at);
        }
        let behind = match rest.strip_prefix('\\') {
            None => {
                let mut letters = rest.chars();
                read += letters.next()?.len_utf8();
                letters.as_str()
            }
            Some(escape) if escape.starts_with('u') => {
                let unit = u32::from_str_radix(escape.get(1..5)?, 16).ok()?;
                // A letter beyond the first plane is written as two.
                let pair = matches!(unit, 0xD800..=0xDBFF);
                read += if pair { 4 } else { char::from_u32(unit)?.len_utf8() };
                escape.get(if pair { 11 } else { 5 }..)?
            }
            Some(escape) => {
                read += 1;
                escape.get(1..)?
            }
        };
        rest = behind;
    }
}

fn at_path<'a>(mut raw: &'a RawValue, path: &[Key]) -> Option<&'a RawValue> {
    for key in path {
        raw = match key {
            Key::Name(name) => fields(raw)?.remove(name)?,
            Key::Place(place) => {
                let items: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
                items.get(*place).copied()?
            }
        };
    }
    Some(raw)
}

fn fields(raw: &RawValue) -> Option<Fields<'_>> {
    serde_json::from_str(raw.get()).ok()
}
