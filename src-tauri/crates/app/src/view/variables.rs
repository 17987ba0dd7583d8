//! Variables that flows read as `{{ $vars.name }}`.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Where the value of a variable comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum VariableKind {
    /// It is kept here and shown.
    Static,
    /// It is kept here, sealed, and never shown: it is taken out of answers, callbacks, questions, errors and views. A
    /// run that goes on keeps what its steps made with it, in the data folder.
    Secret,
    /// The environment variable of the same name, read at each use; empty if there is none.
    Runtime,
}

/// A variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct VariableView {
    /// Its name.
    pub name: String,
    /// Where its value comes from.
    #[serde(rename = "type")]
    pub kind: VariableKind,
    /// The value, for [`VariableKind::Static`] only.
    pub value: Option<String>,
}

/// What a variable becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VariableChange {
    /// Where its value comes from.
    #[serde(rename = "type")]
    pub kind: VariableKind,
    /// The value. A secret that is not given stays; [`VariableKind::Runtime`] has none.
    #[serde(default)]
    #[ts(optional)]
    pub value: Option<String>,
}
