//! A call of a tool that a person is asked about, and what a person may change about it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;

use crate::{Outcome, json};

/// The longest arguments that a person may give, in bytes of their JSON: they lie in the approval, in the journal and in
/// the callback.
pub const ARGUMENTS_LIMIT: usize = 1 << 20;

/// A call that a person is asked about before it is carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct AskedCall {
    /// The tool.
    pub tool: String,
    /// The arguments, as the model wrote them: an object, if the model did as it was told.
    #[ts(type = "unknown")]
    pub arguments: Value,
}

/// Why the arguments that came with an answer are not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentsRefused {
    /// The question is about something else.
    #[error("This question carries no call of a tool, so there are no arguments to change")]
    NoCall,
    /// What is rejected is not carried out.
    #[error("Arguments can be changed only together with approve")]
    NotApproved,
    /// Tools take named arguments.
    #[error("The arguments must be a JSON object")]
    NoObject,
    /// There are bounds for JSON from outside.
    #[error("The arguments cannot be kept: {0}")]
    Beyond(json::Beyond),
    /// [`ARGUMENTS_LIMIT`]
    #[error("The arguments are longer than {ARGUMENTS_LIMIT} bytes")]
    TooLong,
}

impl AskedCall {
    /// The arguments in place of the model's, if an answer changes them; arguments equal to the model's change nothing.
    /// This is the one rule for which answers to which questions may bring arguments along, and what they may be.
    /// Whether they suit the tool is for the tool to say, as with the model's own.
    ///
    /// # Errors
    /// [`ArgumentsRefused`]
    pub fn changed(
        call: Option<&Self>,
        outcome: Outcome,
        arguments: Option<Value>,
    ) -> Result<Option<Value>, ArgumentsRefused> {
        let Some(arguments) = arguments else {
            return Ok(None);
        };
        let call = call.ok_or(ArgumentsRefused::NoCall)?;
        if outcome != Outcome::Approve {
            return Err(ArgumentsRefused::NotApproved);
        }
        if arguments == call.arguments {
            return Ok(None);
        }
        if !arguments.is_object() {
            return Err(ArgumentsRefused::NoObject);
        }
        json::check(&arguments).map_err(ArgumentsRefused::Beyond)?;
        if arguments.to_string().len() > ARGUMENTS_LIMIT {
            return Err(ArgumentsRefused::TooLong);
        }
        Ok(Some(arguments))
    }
}
