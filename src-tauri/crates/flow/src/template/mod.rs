//! Templates: texts with `{{ references }}` (semantics §7).
//!
//! A template is read once, when its flow is read. Rendering is one pass from left to right: each reference is
//! replaced at its own place by its value as it is, and what was inserted is never looked at again. That is
//! stricter than Flowise, which lets inserted text be expanded; see `DEVIATIONS.md`.

mod field;
mod html;
mod path;

use std::borrow::Cow;

use countersign_domain::Timestamp;
use serde_json::Value;

pub(crate) use field::Field;
pub use html::html_to_markdown;
pub use path::Path;
use path::present;

use crate::js;

/// Where the values of references come from.
pub trait Scope {
    /// `question`.
    fn question(&self) -> &str {
        ""
    }

    /// `$webhook`: `{"body":…,"headers":…,"query":…}`.
    fn webhook(&self) -> Option<&Value> {
        None
    }

    /// `$form`.
    fn form(&self) -> Option<&Value> {
        None
    }

    /// `$iteration`: the item that is at hand.
    fn iteration(&self) -> Option<&Value> {
        None
    }

    /// `$flow.<path>`.
    fn flow(&self, _path: &Path) -> Option<Cow<'_, Value>> {
        None
    }

    /// `$vars.<name>`.
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }

    /// `chat_history`: one line a message.
    fn chat_history(&self) -> String {
        String::new()
    }

    /// `runtime_messages_length`.
    fn runtime_messages_length(&self) -> usize {
        0
    }

    /// `loop_count`.
    fn loop_count(&self) -> u64 {
        0
    }

    /// `current_date_time`.
    fn now(&self) -> Timestamp;

    /// `<node id>`: the newest content of that node.
    fn content(&self, _node_id: &str) -> Option<Cow<'_, Value>> {
        None
    }

    /// `<node id>.output.<path>`: a value in the newest output of that node, which may be null.
    fn output(&self, _node_id: &str, _path: &Path) -> Option<Cow<'_, Value>> {
        None
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reference {
    Question,
    FileAttachment,
    ChatHistory,
    RuntimeMessagesLength,
    LoopCount,
    CurrentDateTime,
    Form(Path),
    Webhook(Path),
    Flow(Path),
    Variable(Box<str>),
    Iteration(Option<Path>),
    Output {
        node: Box<str>,
        path: Path,
    },
    Content(Box<str>),
    /// Nothing that could have a value: it stays as it is written.
    Nothing,
}

/// What a template refers to outside the run's own input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mention<'a> {
    /// A node, by id.
    Node(&'a str),
    /// A variable, by name.
    Variable(&'a str),
    /// The text of a file that came with a message.
    File,
    /// What was said in the chat.
    Chat,
}

#[derive(Debug, Clone)]
enum Part {
    Text(Box<str>),
    Token { written: Box<str>, reference: Reference },
}

/// A text with references, read.
#[derive(Debug, Clone)]
pub struct Template {
    parts: Vec<Part>,
}

impl Template {
    /// Reads a text. One that begins with an HTML block becomes Markdown first (§7.2). Every text is a template.
    pub fn parse(text: &str) -> Self {
        match html_to_markdown(text) {
            Some(markdown) => Self {
                parts: split(&markdown, Reference::read),
            },
            None => Self {
                parts: split(text, Reference::read),
            },
        }
    }

    /// Reads a text in which only `$webhook` references count, as in `webhookDefaultInput` (webhook spec §6).
    pub(crate) fn parse_webhook_only(text: &str) -> Self {
        let parts = split(text, |written| match Reference::read(written) {
            Reference::Webhook(path) if !path.touches_prototype() => Reference::Webhook(path),
            _ => Reference::Nothing,
        });
        Self { parts }
    }

    /// The text, if there is no reference in it.
    pub fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether scheme, host and port of the URL that this makes are texts and the operator's variables, whatever
    /// else comes in.
    pub(crate) fn names_its_host(&self) -> bool {
        let mut begins = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => begins.push_str(text),
                // Some letters, whichever.
                Part::Token {
                    reference: Reference::Variable(_),
                    ..
                } => begins.push('v'),
                Part::Token { .. } => return ends_its_authority(&begins),
            }
        }
        true
    }

    /// The node and the path, if it is one value of a node's output and nothing else.
    pub(crate) fn only_output(&self) -> Option<(&str, &str)> {
        match self.parts.as_slice() {
            [
                Part::Token {
                    reference: Reference::Output { node, path },
                    ..
                },
            ] => Some((node, path.as_text())),
            _ => None,
        }
    }

    /// Tells each node and variable that it refers to.
    pub(crate) fn mentions<'a>(&'a self, tell: &mut dyn FnMut(Mention<'a>)) {
        for part in &self.parts {
            let Part::Token { reference, .. } = part else {
                continue;
            };
            match reference {
                Reference::Content(node) | Reference::Output { node, .. } => tell(Mention::Node(node)),
                Reference::Variable(name) => tell(Mention::Variable(name)),
                Reference::FileAttachment => tell(Mention::File),
                Reference::ChatHistory | Reference::RuntimeMessagesLength => tell(Mention::Chat),
                Reference::Flow(path) if path.begins_with(&["chatHistory", "runtimeChatHistoryLength"]) => {
                    tell(Mention::Chat);
                }
                _ => {}
            }
        }
    }

    /// The first reference that has no value now, as it is written.
    pub(crate) fn unresolved(&self, scope: &dyn Scope) -> Option<&str> {
        let mut out = Bytes(0);
        self.parts.iter().find_map(|part| match part {
            Part::Token { written, reference } if !reference.write(scope, &mut out) => Some(&**written),
            _ => None,
        })
    }

    /// The text with its references replaced. A template that is nothing but one `<node id>.output.<path>` gives
    /// a number, a boolean or null as it is (§7.4).
    pub fn render<S: Scope + ?Sized>(&self, scope: &S) -> Value {
        if let [
            Part::Token {
                reference: Reference::Output { node, path },
                ..
            },
        ] = self.parts.as_slice()
            && let Some(value) = scope.output(node, path)
        {
            return match &*value {
                Value::Array(_) | Value::Object(_) => Value::String(js::json_text(&value)),
                _ => value.into_owned(),
            };
        }
        Value::String(self.render_text(scope))
    }

    /// The text with its references replaced, always as text.
    pub fn render_text<S: Scope + ?Sized>(&self, scope: &S) -> String {
        let mut out = String::new();
        self.write(scope, &mut out);
        out
    }

    /// How many bytes [`Self::render_text`] would give. Texts are not copied for it.
    pub fn rendered_bytes<S: Scope + ?Sized>(&self, scope: &S) -> usize {
        let mut bytes = Bytes(0);
        self.write(scope, &mut bytes);
        bytes.0
    }

    fn write<S: Scope + ?Sized>(&self, scope: &S, out: &mut impl Sink) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.put(text),
                Part::Token { written, reference } => {
                    if !reference.write(scope, out) {
                        out.put(written);
                    }
                }
            }
        }
    }
}

/// What a template is written to.
trait Sink {
    fn put(&mut self, text: &str);
}

impl Sink for String {
    fn put(&mut self, text: &str) {
        self.push_str(text);
    }
}

/// Counts what would be written.
struct Bytes(usize);

impl Sink for Bytes {
    fn put(&mut self, text: &str) {
        self.0 = self.0.saturating_add(text.len());
    }
}

/// Cuts a text at its tokens: from `{{` to the nearest `}}` on the same line.
fn split(text: &str, read: impl Fn(&str) -> Reference) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut done = 0;
    let mut from = 0;
    while let Some(open) = text[from..].find("{{").map(|at| from + at) {
        let inside = open + 2;
        let Some(close) = text[inside..].find("}}").map(|at| inside + at) else {
            break;
        };
        if let Some(line_end) = text[inside..close].rfind(js::is_line_end) {
            // No token can begin before the last line end in front of these braces.
            from = inside + line_end;
            from += text[from..].chars().next().map_or(1, char::len_utf8);
            continue;
        }
        let end = close + 2;
        let written = &text[open..end];
        if open > done {
            parts.push(Part::Text(text[done..open].into()));
        }
        parts.push(Part::Token {
            written: written.into(),
            reference: read(written),
        });
        done = end;
        from = end;
    }
    if done < text.len() {
        parts.push(Part::Text(text[done..].into()));
    }
    merge(parts)
}

/// Joins what can never be replaced with the text around it, so that a template without real references is constant.
fn merge(parts: Vec<Part>) -> Vec<Part> {
    let mut merged: Vec<Part> = Vec::with_capacity(parts.len());
    let mut text = String::new();
    let end_text = |text: &mut String, merged: &mut Vec<Part>| {
        if !text.is_empty() {
            merged.push(Part::Text(std::mem::take(text).into()));
        }
    };
    for part in parts {
        match part {
            Part::Text(piece)
            | Part::Token {
                written: piece,
                reference: Reference::Nothing,
            } => text.push_str(&piece),
            token => {
                end_text(&mut text, &mut merged);
                merged.push(token);
            }
        }
    }
    end_text(&mut text, &mut merged);
    merged
}

impl Reference {
    fn read(written: &str) -> Self {
        let inside: String = written.chars().filter(|c| !matches!(c, '{' | '}')).collect();
        let name = js::trim(&inside);
        match name {
            "question" => return Self::Question,
            "file_attachment" => return Self::FileAttachment,
            "chat_history" => return Self::ChatHistory,
            "runtime_messages_length" => return Self::RuntimeMessagesLength,
            "loop_count" => return Self::LoopCount,
            "current_date_time" => return Self::CurrentDateTime,
            "$iteration" => return Self::Iteration(None),
            // State updates resolve these, not templates (§8).
            "" | "output" => return Self::Nothing,
            _ => {}
        }
        if name.starts_with("output.") {
            return Self::Nothing;
        }
        if name.starts_with('$') {
            return match name.split_once('.') {
                Some(("$webhook", rest)) => Self::Webhook(Path::parse(rest)),
                Some(("$form", rest)) => Self::Form(Path::parse(rest)),
                Some(("$flow", rest)) => Self::Flow(Path::parse(rest)),
                Some(("$vars", rest)) => Self::Variable(rest.into()),
                Some(("$iteration", rest)) => Self::Iteration(Some(Path::parse(rest))),
                _ => Self::Nothing,
            };
        }
        // Markdown editors escape the underscore of a node id.
        if let Some((node, path)) = name.split_once(".output.")
            && !js::trim(path).is_empty()
        {
            return Self::Output {
                node: node.replace('\\', "").into(),
                path: Path::parse(path),
            };
        }
        Self::Content(name.replace('\\', "").into())
    }

    /// Writes the value; `false` if there is none and the reference stays as it is written.
    fn write<S: Scope + ?Sized>(&self, scope: &S, out: &mut impl Sink) -> bool {
        let text = match self {
            Self::Nothing => None,
            Self::FileAttachment => Some(String::new()),
            Self::Question => {
                out.put(scope.question());
                return true;
            }
            Self::ChatHistory => Some(scope.chat_history()),
            Self::RuntimeMessagesLength => Some(scope.runtime_messages_length().to_string()),
            Self::LoopCount => Some(scope.loop_count().to_string()),
            Self::CurrentDateTime => Some(scope.now().to_string()),
            Self::Form(path) => scope.form().and_then(|form| present(path.get(form))),
            Self::Webhook(path) => match scope.webhook().and_then(|webhook| path.get(webhook)) {
                Some(Cow::Borrowed(Value::String(text))) => {
                    out.put(text);
                    return true;
                }
                found => present(found),
            },
            Self::Flow(path) => present(scope.flow(path)),
            Self::Variable(name) => scope.variable(name),
            Self::Iteration(path) => iteration(scope.iteration(), path.as_ref()),
            Self::Output { node, path } => scope
                .output(node, path)
                .map(|value| js::text(&value).into_owned()),
            Self::Content(node) => match scope.content(node) {
                Some(Cow::Borrowed(Value::String(text))) => {
                    out.put(text);
                    return true;
                }
                found => present(found),
            },
        };
        match text {
            Some(text) => {
                out.put(&text);
                true
            }
            None => false,
        }
    }
}

/// `$iteration`: a text answers every path, and a path that leads nowhere is written as `undefined`.
fn iteration(item: Option<&Value>, path: Option<&Path>) -> Option<String> {
    let item = item.filter(|item| js::truthy(Some(item)))?;
    match (item, path) {
        (Value::String(text), _) => Some(text.clone()),
        (_, None) => Some(js::text(item).into_owned()),
        (Value::Array(_) | Value::Object(_), Some(path)) => Some(
            path.get(item)
                .map_or_else(|| "undefined".to_owned(), |value| js::text(&value).into_owned()),
        ),
        (_, Some(_)) => None,
    }
}

/// Whether nothing that is appended to the beginning of a URL can change its host.
fn ends_its_authority(begins: &str) -> bool {
    let begins = begins.trim_start();
    // Parsers take any number of slashes, either way round, after the colon (WHATWG URL, special authority slashes).
    let scheme = begins.find(|letter: char| !letter.is_ascii_alphanumeric() && !"+-.".contains(letter));
    let rest = match scheme.map(|end| begins.split_at(end)) {
        Some((_, rest)) if rest.starts_with(':') => {
            rest[1..].trim_start_matches(['/', '\\', '\t', '\n', '\r'])
        }
        _ => begins,
    };
    rest.find(['/', '\\', '?', '#']).is_some_and(|end| end > 0)
}
