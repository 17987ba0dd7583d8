//! One input of a node: a template, or a structure with templates in it, read once.

use countersign_domain::UrlSource;
use serde_json::{Map, Value};

use super::{Mention, Scope, Template};

/// An input of a node. Without references it is a plain value and costs nothing to resolve but a copy.
#[derive(Debug, Clone)]
pub(crate) enum Field {
    Plain(Value),
    Text(Template),
    List(Vec<Field>),
    Object(Vec<(String, Field)>),
}

impl Field {
    /// Who says to which host this URL leads: whoever wrote the flow and its variables, or what comes in while it runs.
    pub(crate) fn source_of_host(&self) -> UrlSource {
        match self {
            Self::Text(template) if !template.names_its_host() => UrlSource::Caller,
            _ => UrlSource::Operator,
        }
    }

    /// Reads an input. Where variables are not accepted, everything is kept as it is, HTML included (§7.1).
    pub(crate) fn read(value: &Value, accepts_variables: bool) -> Self {
        if !accepts_variables {
            return Self::Plain(value.clone());
        }
        match value {
            Value::String(text) => {
                let template = Template::parse(text);
                match template.constant() {
                    Some(text) => Self::Plain(Value::String(text.to_owned())),
                    None => Self::Text(template),
                }
            }
            Value::Array(items) => {
                let fields: Vec<_> = items.iter().map(|item| Self::read(item, true)).collect();
                match fields.iter().map(Self::plain).collect::<Option<Vec<_>>>() {
                    Some(items) => Self::Plain(Value::Array(items.into_iter().cloned().collect())),
                    None => Self::List(fields),
                }
            }
            Value::Object(object) => {
                let fields: Vec<_> = object
                    .iter()
                    .map(|(key, value)| (key.clone(), Self::read(value, true)))
                    .collect();
                let plain: Option<Map<_, _>> = fields
                    .iter()
                    .map(|(key, field)| field.plain().map(|value| (key.clone(), value.clone())))
                    .collect();
                plain.map_or(Self::Object(fields), |object| Self::Plain(Value::Object(object)))
            }
            other => Self::Plain(other.clone()),
        }
    }

    /// The value, if there is no reference in it.
    pub(crate) fn plain(&self) -> Option<&Value> {
        match self {
            Self::Plain(value) => Some(value),
            _ => None,
        }
    }

    /// The value with its references replaced.
    pub(crate) fn resolve<S: Scope + ?Sized>(&self, scope: &S) -> Value {
        match self {
            Self::Plain(value) => value.clone(),
            Self::Text(template) => template.render(scope),
            Self::List(fields) => Value::Array(fields.iter().map(|field| field.resolve(scope)).collect()),
            Self::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(key, field)| (key.clone(), field.resolve(scope)))
                    .collect(),
            ),
        }
    }

    /// The names in a table of `{key, value}` that are written without references.
    pub(crate) fn names(&self) -> Vec<String> {
        let key = |row: &Self| match row {
            Self::Plain(row) => Some(row.get("key")?.as_str()?.to_owned()),
            Self::Object(fields) => {
                let (_, key) = fields.iter().find(|(name, _)| name == "key")?;
                Some(key.plain()?.as_str()?.to_owned())
            }
            _ => None,
        };
        match self {
            Self::Plain(Value::Array(rows)) => {
                let rows = rows.iter();
                rows.filter_map(|row| Some(row.get("key")?.as_str()?.to_owned()))
                    .collect()
            }
            Self::List(rows) => rows.iter().filter_map(key).collect(),
            _ => Vec::new(),
        }
    }

    /// The node and the path, if it is nothing but one value of a node's output, which then stays what it is.
    pub(crate) fn only_output(&self) -> Option<(&str, &str)> {
        match self {
            Self::Text(template) => template.only_output(),
            _ => None,
        }
    }

    /// How many bytes of text [`Self::resolve`] would write.
    pub(crate) fn rendered_bytes(&self, scope: &dyn Scope) -> usize {
        let all = |fields: &mut dyn Iterator<Item = &Field>| {
            fields.fold(0, |bytes: usize, field| {
                bytes.saturating_add(field.rendered_bytes(scope))
            })
        };
        match self {
            Self::Plain(_) => 0,
            Self::Text(template) => template.rendered_bytes(scope),
            Self::List(fields) => all(&mut fields.iter()),
            Self::Object(fields) => all(&mut fields.iter().map(|(_, field)| field)),
        }
    }

    /// Tells each node and variable that it refers to.
    pub(crate) fn mentions<'a>(&'a self, tell: &mut dyn FnMut(Mention<'a>)) {
        match self {
            Self::Plain(_) => {}
            Self::Text(template) => template.mentions(tell),
            Self::List(fields) => fields.iter().for_each(|field| field.mentions(tell)),
            Self::Object(fields) => fields.iter().for_each(|(_, field)| field.mentions(tell)),
        }
    }

    /// The first reference that has no value now, as it is written.
    pub(crate) fn unresolved(&self, scope: &dyn Scope) -> Option<&str> {
        match self {
            Self::Plain(_) => None,
            Self::Text(template) => template.unresolved(scope),
            Self::List(fields) => fields.iter().find_map(|field| field.unresolved(scope)),
            Self::Object(fields) => fields.iter().find_map(|(_, field)| field.unresolved(scope)),
        }
    }
}
