//! Retriever (format §5.14): looks something up in document stores.

use serde_json::{Map, Value, json};

use super::{At, Nature, Node, Outcome, Ran, Step};
use crate::document::DocumentNode;
use crate::js;
use crate::record::Body;
use crate::refusal::Problem;
use crate::state::Updates;
use crate::template::{Field, Scope};

/// A Retriever.
#[derive(Debug)]
struct Retriever {
    stores: Vec<String>,
    query: Option<Field>,
    with_metadata: bool,
    updates: Updates,
}

pub(super) fn read(node: &DocumentNode) -> Result<Box<dyn Node>, Problem> {
    let rows = node
        .inputs
        .get("retrieverKnowledgeDocumentStores")
        .and_then(Value::as_array);
    let stores = rows
        .into_iter()
        .flatten()
        .filter_map(|row| row.get("documentStore")?.as_str());
    Ok(Box::new(Retriever {
        stores: stores
            .filter(|store| !store.is_empty())
            .map(str::to_owned)
            .collect(),
        query: node.filled_field("retrieverQuery"),
        with_metadata: node.inputs.get("outputFormat").and_then(Value::as_str) == Some("textWithMetadata"),
        updates: Updates::read(node, "retrieverUpdateState"),
    }))
}

impl Node for Retriever {
    fn nature(&self) -> Nature {
        Nature {
            outside: true,
            beside: self.updates.is_empty(),
            ..Nature::default()
        }
    }

    fn fields(&self) -> Vec<(&'static str, &Field)> {
        let mut fields: Vec<_> = self.query.iter().map(|query| ("retrieverQuery", query)).collect();
        fields.extend(self.updates.fields("retrieverUpdateState"));
        fields
    }

    fn stores(&self) -> Vec<&str> {
        self.stores.iter().map(String::as_str).collect()
    }

    fn in_words(&self, label: &str, _scope: &dyn Scope) -> String {
        format!("Look something up for “{label}”")
    }

    fn run<'a>(&'a self, at: At<'a>) -> Step<'a> {
        Step::Waits(Box::pin(async move {
            let scope = at.scope;
            let query = self.query.as_ref().map(|query| query.resolve(&scope));
            let query = query.as_ref().map(js::text).filter(|query| !query.is_empty());
            let query = query.map_or_else(
                || scope.input_text().unwrap_or_default(),
                |query| query.into_owned(),
            );
            let mut passages = Vec::new();
            for store in &self.stores {
                passages.extend(scope.look_up(store, query.clone()).await?);
            }
            let content = if self.with_metadata {
                js::pretty_json(&json!(passages))
            } else {
                let texts: Vec<&str> = passages
                    .iter()
                    .map(|passage| passage.page_content.as_str())
                    .collect();
                texts.join("\n")
            };
            if scope.is_last() {
                scope.say_token(&content);
            }
            let state = self.updates.apply(&scope, &content)?;
            let output = Map::from_iter([("content".to_owned(), content.into())]);
            Ok(Outcome::Ran(Ran {
                state,
                ..Ran::new(
                    Body::json(json!({"question": query})),
                    Body::json(Value::Object(output)),
                )
            }))
        }))
    }
}
