//! Keeps secrets out of what leaves a run: answers, callbacks, streams, questions, errors, views.
//!
//! A run that goes on keeps them, because later steps work with what earlier ones made; it lies in the data folder, which
//! only its owner can read.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, MatchKind};
use countersign_domain::Question;
use countersign_flow::Run;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use crate::app::Inner;
use crate::connections::Connection;
use crate::register::Entries;
use crate::variables::Variable;

/// What stands in the place of a secret.
const REDACTED: &str = "[REDACTED]";

/// Secrets shorter than this would blank out ordinary words, so they are not looked for.
const SHORTEST_SECRET: usize = 4;

/// How often a text can be put into a JSON text again and is still known.
const QUOTED_AGAIN: usize = 3;

/// Removes the values of secret variables and the keys of connections. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Redact(Option<AhoCorasick>);

/// The one that was made last: each run needs one, and secrets change seldom.
#[derive(Debug, Default)]
pub(crate) struct LastRedact(RwLock<Option<Made>>);

#[derive(Debug)]
struct Made {
    redact: Redact,
    /// What it was made of.
    variables: Entries<Variable>,
    connections: Entries<Connection>,
    vault_open: bool,
}

impl Redact {
    /// Of the secrets as they are now.
    pub(crate) fn of(inner: &Inner) -> Self {
        // Looked at before the secrets are: what changes meanwhile makes another one necessary.
        let (variables, connections) = (inner.variables.now(), inner.connections.now());
        let vault_open = inner.vault.is_open();
        let last = inner.redact.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*last
            && Arc::ptr_eq(&made.variables, &variables)
            && Arc::ptr_eq(&made.connections, &connections)
            && made.vault_open == vault_open
        {
            return made.redact.clone();
        }
        drop(last);
        let mut secrets = inner.secret_values();
        secrets.extend(inner.connection_keys());
        let redact = Self::these(&secrets);
        *inner.redact.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Made {
            redact: redact.clone(),
            variables,
            connections,
            vault_open,
        });
        redact
    }

    fn these(secrets: &[String]) -> Self {
        let long = |secret: &&String| secret.chars().count() >= SHORTEST_SECRET;
        let forms: BTreeSet<String> = secrets
            .iter()
            .filter(long)
            .flat_map(|secret| forms(secret))
            .collect();
        if forms.is_empty() {
            return Self(None);
        }
        // Of a secret that contains another one the whole goes.
        let searched = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&forms);
        Self(
            searched
                .inspect_err(|error| tracing::error!(%error, "secrets cannot be looked for"))
                .ok(),
        )
    }

    /// A text without them.
    pub(crate) fn text(&self, text: &str) -> String {
        let Some(secrets) = &self.0 else {
            return text.to_owned();
        };
        let mut clean = String::with_capacity(text.len());
        secrets.replace_all_with(text, &mut clean, |_, _, clean| {
            clean.push_str(REDACTED);
            true
        });
        clean
    }

    /// A value without them, in its keys too.
    pub(crate) fn value(&self, value: &Value) -> Value {
        if self.0.is_none() {
            return value.clone();
        }
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(object) => object
                .iter()
                .map(|(key, value)| (self.text(key), self.value(value)))
                .collect::<Map<_, _>>()
                .into(),
            other => other.clone(),
        }
    }

    /// The JSON text of something without them.
    pub(crate) fn json<T: Serialize + ?Sized>(&self, value: &T) -> serde_json::Result<String> {
        match self.0 {
            None => serde_json::to_string(value),
            Some(_) => serde_json::to_string(&self.value(&serde_json::to_value(value)?)),
        }
    }

    /// A run that has come to its end, its records without them: no step works with those any more. What the next run of
    /// its chat goes on from stays.
    pub(crate) fn records_of(&self, run: &Run) -> serde_json::Result<Box<RawValue>> {
        if self.0.is_none() {
            return to_raw_value(run);
        }
        let mut run = serde_json::to_value(run)?;
        if let Some(records) = run.get_mut("records") {
            *records = self.value(records);
        }
        to_raw_value(&run)
    }

    /// A question without them. The arguments of a call stay: they are what runs after yes.
    pub(crate) fn question(&self, question: &mut Question) {
        if self.0.is_none() {
            return;
        }
        for text in [&mut question.title, &mut question.body]
            .into_iter()
            .chain(&mut question.if_approved)
            .chain(&mut question.if_rejected)
        {
            *text = self.text(text);
        }
    }
}

/// How a secret is written where it was put into something: as it is, in JSON texts, in URLs and forms.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    let mut quoted = secret.to_owned();
    for _ in 0..QUOTED_AGAIN {
        let text = Value::from(quoted.as_str()).to_string();
        text[1..text.len() - 1].clone_into(&mut quoted);
        forms.push(quoted.clone());
    }
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    forms.push(form.replace('+', "%20"));
    forms.push(form);
    // In a path or a query what need not be written otherwise stays as it is.
    if let Ok(mut url) = url::Url::parse("http://x/") {
        url.set_path(secret);
        forms.push(url.path()[1..].to_owned());
        url.set_query(Some(secret));
        forms.extend(url.query().map(str::to_owned));
    }
    forms.retain(|form| form.chars().count() >= SHORTEST_SECRET);
    forms
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn redact(secrets: &[&str]) -> Redact {
        let secrets: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        Redact::these(&secrets)
    }

    #[test]
    fn a_secret_is_found_however_it_was_written() {
        let secret = "s3cr\"et/va lue&x=ü";
        let clean = redact(&[secret]);
        let url = url::Url::parse_with_params("http://x/", [("q", secret)]).unwrap();
        let mut plain = url::Url::parse("http://x/").unwrap();
        plain.set_query(Some(&format!("q={secret}")));
        let quoted = json!({ "inner": json!({ "key": secret }).to_string() }).to_string();
        for text in [
            format!("Bearer {secret}"),
            url.to_string(),
            plain.to_string(),
            quoted.clone(),
            Value::String(quoted).to_string(),
        ] {
            let shown = clean.text(&text);
            assert!(
                shown.contains(REDACTED) && !shown.contains("s3cr") && !shown.contains("lue"),
                "{text} → {shown}"
            );
        }
    }

    #[test]
    fn of_secrets_that_contain_one_another_nothing_stays() {
        let clean = redact(&["abcd", "abcdefgh", "x"]);
        assert_eq!(clean.text("abcdefgh abcd x"), "[REDACTED] [REDACTED] x");
    }

    #[test]
    fn json_stays_json_whatever_a_secret_looks_like() {
        let clean = redact(&["true", "1234", "\"a\":"]);
        let text = clean
            .json(&json!({ "a": true, "b": 1234, "c": "is true", "true": 1 }))
            .unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value,
            json!({ "a": true, "b": 1234, "c": "is [REDACTED]", "[REDACTED]": 1 })
        );
        assert_eq!(redact(&[]).json(&json!([1])).unwrap(), "[1]");
    }
}
