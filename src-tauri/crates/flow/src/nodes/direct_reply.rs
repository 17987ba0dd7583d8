//! Direct Reply (format §5.6): its message becomes the content.

use serde_json::{Map, Value};

use super::Ran;
use crate::document::DocumentNode;
use crate::host::Host;
use crate::record::Body;
use crate::run::RunScope;
use crate::template::Field;

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

    pub(crate) fn written(&self) -> String {
        self.message.as_ref().map(Field::written).unwrap_or_default()
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
