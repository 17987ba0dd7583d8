//! A text with references, and a call to fill them from. The text stands before the first null character.

#![no_main]

use std::borrow::Cow;

use countersign_domain::Timestamp;
use countersign_flow::{Path, Scope, Template, html_to_markdown};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

struct Call {
    question: String,
    webhook: Value,
}

impl Scope for Call {
    fn question(&self) -> &str {
        &self.question
    }

    fn webhook(&self) -> Option<&Value> {
        Some(&self.webhook)
    }

    fn form(&self) -> Option<&Value> {
        self.webhook.get("body")
    }

    fn iteration(&self) -> Option<&Value> {
        self.webhook.get("body")
    }

    fn flow(&self, path: &Path) -> Option<Cow<'_, Value>> {
        path.get(&self.webhook)
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "V").then(|| "{{ question }}".to_owned())
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    fn content(&self, node_id: &str) -> Option<Cow<'_, Value>> {
        (node_id == "n_0").then(|| Cow::Borrowed(&self.webhook["body"]))
    }

    fn output(&self, node_id: &str, path: &Path) -> Option<Cow<'_, Value>> {
        (node_id == "n_0").then(|| path.get(&self.webhook)).flatten()
    }
}

fuzz_target!(|text: &str| {
    let (text, question) = text.split_once('\0').unwrap_or((text, "q"));
    let body: Value = serde_json::from_str(question).unwrap_or_else(|_| question.into());
    let call = Call {
        question: question.to_owned(),
        webhook: json!({"body": body, "headers": {"a.b": ["c"]}, "query": {}}),
    };
    let template = Template::parse(text);
    let rendered = template.render_text(&call);
    let _ = template.render(&call);
    if let Some(constant) = template.constant() {
        assert_eq!(constant, rendered, "what is constant comes out as it is");
    }
    if !text.contains("{{") && html_to_markdown(text).is_none() {
        assert_eq!(rendered, text, "a text without references comes out as it is");
    }
    // What was inserted is never looked at again: a question of braces stays one.
    let literal = Template::parse("{{ question }}|{{$webhook.body}}").render_text(&call);
    assert!(
        literal.starts_with(question),
        "the question stands there literally"
    );
});
