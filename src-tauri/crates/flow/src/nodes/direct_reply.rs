//! Direct Reply (format §5.6): its message becomes the content.

use serde_json::{Map, Value};

use super::Ran;
use crate::document::DocumentNode;
use crate::host::Host;
use crate::js;
use crate::record::Body;
use crate::run::RunScope;
use crate::template::{Field, Scope};

/// A Direct Reply.
#[derive(Debug)]
pub(crate) struct DirectReply {
    message: Option<Field>,
}

impl DirectReply {
    pub(crate) fn read(node: &DocumentNode) -> Self {
        let accepts = node.accepts_variables("directReplyMessage", true);
        Self {
            message: node
                .inputs
                .get("directReplyMessage")
                .map(|message| Field::read(message, accepts)),
        }
    }

    /// What it says, as text.
    pub(crate) fn text<S: Scope + ?Sized>(&self, scope: &S) -> String {
        let message = self.message.as_ref().map(|message| message.resolve(scope));
        message
            .map(|message| js::text(&message).into_owned())
            .unwrap_or_default()
    }

    pub(crate) fn run<H: Host + ?Sized>(&self, scope: &RunScope<'_, H>) -> Ran {
        let mut output = Map::with_capacity(1);
        if let Some(message) = &self.message {
            output.insert("content".to_owned(), message.resolve(scope));
        }
        Ran {
            input: Body::Empty,
            output: Body::json(Value::Object(output)),
            state: None,
            said: None,
            taken: None,
        }
    }
}
