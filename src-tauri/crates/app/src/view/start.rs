//! How a flow is started, as far as people have to know it.

use countersign_flow::StartTrigger;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;

/// What begins a run of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum StartView {
    /// A call of its webhook.
    Webhook,
    /// A message, by a person here or by the prediction API.
    Chat,
    /// A form that a person fills in here, or that comes by the prediction API.
    Form,
    /// A schedule.
    Schedule,
    /// The document names nothing that there is.
    Unknown,
}

impl From<StartTrigger> for StartView {
    fn from(trigger: StartTrigger) -> Self {
        match trigger {
            StartTrigger::WebhookTrigger => Self::Webhook,
            StartTrigger::ChatInput => Self::Chat,
            StartTrigger::FormInput => Self::Form,
            StartTrigger::ScheduleInput => Self::Schedule,
            StartTrigger::Unknown => Self::Unknown,
        }
    }
}

/// The form that a flow starts with (format §5.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct FormView {
    /// Its title; empty if it has none.
    pub title: String,
    /// What is said above its fields; empty if nothing is.
    pub description: String,
    /// Its fields, in their order.
    pub fields: Vec<FormFieldView>,
}

/// A field of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct FormFieldView {
    /// Under which name the flow reads it.
    pub name: String,
    /// What it is called for people.
    pub label: String,
    /// What it takes.
    #[serde(rename = "type")]
    pub kind: FormFieldKind,
    /// What can be chosen; empty unless it takes one of them.
    pub options: Vec<String>,
}

/// What a field of a form takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum FormFieldKind {
    /// A text.
    String,
    /// A number.
    Number,
    /// Yes or no.
    Boolean,
    /// One of a few.
    Options,
}

impl FormView {
    /// Reads what the Start node says: `{"title","description","inputs":[{"type","label","name","addOptions"}]}`. Rows
    /// without a name are left out, since nothing could read them, and so are later ones with a name that was there.
    pub(crate) fn read(form: &Value) -> Self {
        let text = |name: &str| {
            let text = form.get(name).and_then(Value::as_str);
            text.unwrap_or_default().trim().to_owned()
        };
        let mut fields: Vec<FormFieldView> = Vec::new();
        for row in form.get("inputs").and_then(Value::as_array).into_iter().flatten() {
            if let Some(field) = FormFieldView::read(row)
                && fields.iter().all(|known| known.name != field.name)
            {
                fields.push(field);
            }
        }
        Self {
            title: text("title"),
            description: text("description"),
            fields,
        }
    }
}

impl FormFieldView {
    fn read(row: &Value) -> Option<Self> {
        let text = |name: &str| {
            row.get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.trim().is_empty())
        };
        let name = text("name")?;
        let kind = match text("type") {
            Some("number") => FormFieldKind::Number,
            Some("boolean") => FormFieldKind::Boolean,
            Some("options") => FormFieldKind::Options,
            _ => FormFieldKind::String,
        };
        let options = match kind {
            FormFieldKind::Options => row
                .get("addOptions")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|row| row.get("option")?.as_str())
                .filter(|option| !option.is_empty())
                .map(str::to_owned)
                .collect(),
            _ => Vec::new(),
        };
        Some(Self {
            name: name.to_owned(),
            label: text("label").unwrap_or(name).to_owned(),
            kind,
            options,
        })
    }

    /// What is wrong with the value for this field, for people.
    pub(crate) fn problem(&self, value: Option<&Value>) -> Option<&'static str> {
        match (self.kind, value) {
            (_, None | Some(Value::Null)) => Some("is missing"),
            (FormFieldKind::String, Some(Value::String(_)))
            | (FormFieldKind::Number, Some(Value::Number(_)))
            | (FormFieldKind::Boolean, Some(Value::Bool(_))) => None,
            (FormFieldKind::Options, Some(Value::String(chosen))) if self.options.contains(chosen) => None,
            (FormFieldKind::String, _) => Some("must be a text"),
            (FormFieldKind::Number, _) => Some("must be a number"),
            (FormFieldKind::Boolean, _) => Some("must be yes or no"),
            (FormFieldKind::Options, _) => Some("must be one of its options"),
        }
    }
}
