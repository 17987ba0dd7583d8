//! Direct Reply (format §5.6): its message becomes the content.

use serde_json::{Map, Value};

use super::{At, Node, Outcome, Ran, Step};
use crate::document::DocumentNode;
use crate::js;
use crate::record::Body;
use crate::refusal::Problem;
use crate::template::{Field, Scope};

/// A Direct Reply.
#[derive(Debug)]
struct DirectReply {
    message: Option<Field>,
}

pub(super) fn read(node: &DocumentNode) -> Result<Box<dyn Node>, Problem> {
    Ok(Box::new(DirectReply {
        message: node.field("directReplyMessage"),
    }))
}

impl Node for DirectReply {
    fn fields(&self) -> Vec<(&'static str, &Field)> {
        self.message
            .iter()
            .map(|message| ("directReplyMessage", message))
            .collect()
    }

    fn in_words(&self, _label: &str, scope: &dyn Scope) -> String {
        let message = self.message.as_ref().map(|message| message.resolve(scope));
        let text = message.as_ref().map(js::text).unwrap_or_default();
        format!("Reply “{text}”")
    }

    fn run<'a>(&'a self, at: At<'a>) -> Step<'a> {
        let mut output = Map::with_capacity(1);
        if let Some(message) = &self.message {
            let message = message.resolve(&at.scope);
            if at.scope.is_last() {
                at.scope.say_token(&js::text(&message));
            }
            output.insert("content".to_owned(), message);
        }
        Step::Done(Ok(Outcome::Ran(Ran::new(
            Body::Empty,
            Body::json(Value::Object(output)),
        ))))
    }
}
