//! Condition (format §5.3): the first row that holds takes its output, else the last output is taken.

mod pattern;
mod plain_text;

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{At, Node, Outcome, Ran, Step};
use crate::document::DocumentNode;
use crate::graph::Outputs;
use crate::js;
use crate::record::Body;
use crate::refusal::Problem;
use crate::template::{Field, Scope};
use pattern::Pattern;
pub use plain_text::plain_text;

/// What a row compares by.
type Compare = fn(&Row, &Operand<'_>, &Operand<'_>) -> Result<bool, String>;

/// What rows can compare by, by its name.
const OPERATIONS: [(&str, Compare); 13] = [
    ("contains", |_, one, two| Ok(one.text().contains(&*two.text()))),
    ("notContains", |_, one, two| {
        Ok(!one.text().contains(&*two.text()))
    }),
    ("startsWith", |_, one, two| {
        Ok(one.text().starts_with(&*two.text()))
    }),
    ("endsWith", |_, one, two| Ok(one.text().ends_with(&*two.text()))),
    ("equal", |_, one, two| Ok(one.equals(two))),
    ("notEqual", |_, one, two| Ok(!one.equals(two))),
    ("smaller", |_, one, two| Ok(one.number() < two.number())),
    ("smallerEqual", |_, one, two| Ok(one.number() <= two.number())),
    ("larger", |_, one, two| Ok(one.number() > two.number())),
    ("largerEqual", |_, one, two| Ok(one.number() >= two.number())),
    ("isEmpty", |_, one, _| Ok(one.is_empty())),
    ("notEmpty", |_, one, _| Ok(!one.is_empty())),
    ("regex", |row, one, two| match &row.pattern {
        Some(pattern) => matches(pattern.as_ref(), &one.text()),
        None => matches(Pattern::read(&two.text()).as_ref(), &one.text()),
    }),
];

/// How rows compare by the operation of this name.
fn compare_by(name: &str) -> Option<Compare> {
    let known = OPERATIONS.iter().find(|(known, _)| *known == name);
    known.map(|(_, compare)| *compare)
}

/// A Condition.
#[derive(Debug)]
struct Condition {
    rows: Rows,
}

#[derive(Debug)]
enum Rows {
    /// A list of rows, as the editor writes it.
    List(Vec<Row>),
    /// A text with references that becomes JSON when they are replaced.
    Text(Field),
    /// Neither; running it fails with this message.
    Broken(String),
}

#[derive(Debug)]
struct Row {
    fields: Vec<(String, Field)>,
    /// `value2` as a pattern, if the row compares with a pattern that is known beforehand.
    pattern: Option<Option<Pattern>>,
}

pub(super) fn read(node: &DocumentNode) -> Result<Box<dyn Node>, Problem> {
    let accepts = node.accepts_variables("conditions", true);
    let rows = match node.inputs.get("conditions") {
        Some(Value::Array(rows)) => read_rows(rows, accepts),
        Some(text @ Value::String(_)) => match Field::read(text, accepts) {
            Field::Plain(text) => match parse_rows(&text) {
                Ok(rows) => read_rows(&rows, false),
                Err(message) => Rows::Broken(message),
            },
            field => Rows::Text(field),
        },
        _ => Rows::Broken("conditions is not a list".to_owned()),
    };
    Ok(Box::new(Condition { rows }))
}

impl Node for Condition {
    /// One output for each row and one for none of them, if it is known how many rows there are.
    fn outputs(&self) -> Outputs {
        Outputs::Indexed(match &self.rows {
            Rows::List(rows) => Some(rows.len() + 1),
            Rows::Text(_) | Rows::Broken(_) => None,
        })
    }

    fn output_name(&self, output: usize) -> String {
        match &self.rows {
            Rows::List(rows) if output == rows.len() => "Else".to_owned(),
            _ => format!("row {}", output + 1),
        }
    }

    fn fields(&self) -> Vec<(&'static str, &Field)> {
        let fields: Vec<&Field> = match &self.rows {
            Rows::List(rows) => rows
                .iter()
                .flat_map(|row| row.fields.iter().map(|(_, field)| field))
                .collect(),
            Rows::Text(field) => vec![field],
            Rows::Broken(_) => Vec::new(),
        };
        fields.into_iter().map(|field| ("conditions", field)).collect()
    }

    fn faults(&self) -> Vec<String> {
        let rows = match &self.rows {
            Rows::List(rows) => rows,
            Rows::Text(_) => return Vec::new(),
            Rows::Broken(message) => return vec![format!("cannot be evaluated: {message}.")],
        };
        // One with a reference in it is known only when it runs.
        let operation = |row: &Row| match row.fields.iter().find(|(name, _)| name == "operation") {
            Some((_, field)) => field.plain().map(|operation| js::text(operation).into_owned()),
            None => Some(String::new()),
        };
        let unknown = rows.iter().filter_map(operation);
        let unknown = unknown.filter(|operation| compare_by(operation).is_none());
        unknown
            .map(|operation| format!("compares by “{operation}”, which is no operation that there is."))
            .collect()
    }

    fn differs(&self) -> Vec<(&'static str, String)> {
        let Rows::List(rows) = &self.rows else {
            return Vec::new();
        };
        let field = |row: &'_ Row, wanted: &str| {
            let found = row.fields.iter().find(|(name, _)| name == wanted);
            found.map(|(_, field)| field.clone())
        };
        let is_raw = |field: &Field| {
            let output = field.only_output();
            output.is_some_and(|(node, path)| {
                path.starts_with("http.") || (path == "content" && node.starts_with("customFunction"))
            })
        };
        let of_texts = |row: &&Row| {
            let kind = field(row, "type");
            let kind = kind.as_ref().and_then(|kind| kind.plain()?.as_str());
            !matches!(kind, Some("number" | "boolean"))
        };
        let raw = rows.iter().filter(of_texts).any(|row| {
            ["value1", "value2"]
                .iter()
                .any(|name| field(row, name).is_some_and(|f| is_raw(&f)))
        });
        if !raw {
            return Vec::new();
        }
        let message = "compares as text what can be a number, true, false or null, such as a status. Here its text is \
                       compared; in Flowise the run fails at such a value.";
        vec![("D3.5", message.to_owned())]
    }

    fn in_words(&self, label: &str, _scope: &dyn Scope) -> String {
        format!("Check “{label}”")
    }

    fn run<'a>(&'a self, at: At<'a>) -> Step<'a> {
        Step::Done(self.evaluate(&at.scope).map(Outcome::Ran))
    }
}

impl Condition {
    fn evaluate(&self, scope: &dyn Scope) -> Result<Ran, String> {
        match &self.rows {
            Rows::List(rows) => evaluate(rows, scope),
            Rows::Text(field) => match read_rows(&parse_rows(&field.resolve(scope))?, false) {
                Rows::List(rows) => evaluate(&rows, scope),
                Rows::Text(_) => Err("conditions is not a list".to_owned()),
                Rows::Broken(message) => Err(message),
            },
            Rows::Broken(message) => Err(message.clone()),
        }
    }
}

fn parse_rows(text: &Value) -> Result<Vec<Value>, String> {
    serde_json::from_str(&js::text(text)).map_err(|error| format!("conditions cannot be read: {error}"))
}

fn read_rows(rows: &[Value], accepts: bool) -> Rows {
    let read = |(index, row): (usize, &Value)| {
        let row = row
            .as_object()
            .ok_or_else(|| format!("condition {index} is not a row"))?;
        let text = |name: &str| row.get(name).and_then(Value::as_str);
        let fields: Vec<_> = row
            .iter()
            .map(|(key, value)| (key.clone(), Field::read(value, accepts)))
            .collect();
        // A pattern without references is compiled once; most are.
        let fixed = fields
            .iter()
            .find(|(key, _)| key == "value2")
            .and_then(|(_, field)| field.plain());
        let pattern = (text("operation") == Some("regex"))
            .then(|| fixed.map(|value| Pattern::read(&operand(text("type"), Some(value)).text())))
            .flatten();
        Ok(Row { fields, pattern })
    };
    match rows.iter().enumerate().map(read).collect() {
        Ok(rows) => Rows::List(rows),
        Err(message) => Rows::Broken(message),
    }
}

fn evaluate<S: Scope + ?Sized>(rows: &[Row], scope: &S) -> Result<Ran, String> {
    let mut resolved: Vec<Map<String, Value>> = rows
        .iter()
        .map(|row| {
            row.fields
                .iter()
                .map(|(key, field)| (key.clone(), field.resolve(scope)))
                .collect()
        })
        .collect();
    let mut input = Map::with_capacity(resolved.len());
    let mut taken = None;
    for (index, (row, values)) in rows.iter().zip(&resolved).enumerate() {
        input.insert(index.to_string(), Value::Object(values.clone()));
        if taken.is_none() && holds(row, values)? {
            taken = Some(index);
        }
    }
    let none_holds = taken.is_none();
    let taken = taken.unwrap_or(resolved.len());
    if let Some(row) = resolved.get_mut(taken) {
        row.insert("isFulfilled".to_owned(), true.into());
    }
    let otherwise = serde_json::json!({
        "type": "string", "value1": "", "operation": "equal", "value2": "", "isFulfilled": none_holds,
    });
    let conditions = resolved
        .into_iter()
        .map(Value::Object)
        .chain([otherwise])
        .collect();
    let wrap = |conditions: Value| {
        Body::json(Value::Object(Map::from_iter([(
            "conditions".to_owned(),
            conditions,
        )])))
    };
    Ok(Ran {
        taken: Some(taken),
        ..Ran::new(wrap(Value::Object(input)), wrap(Value::Array(conditions)))
    })
}

/// A value as its row's type sees it.
enum Operand<'a> {
    Text(Cow<'a, str>),
    Number(f64),
    Raw(Option<&'a Value>),
}

fn operand<'a>(kind: Option<&str>, value: Option<&'a Value>) -> Operand<'a> {
    match kind {
        Some("boolean") => Operand::Raw(value),
        Some("number") => {
            let number = value.map_or(f64::NAN, |value| js::parse_float(&js::text(value)));
            Operand::Number(if number.is_nan() { 0.0 } else { number })
        }
        _ => match value {
            None | Some(Value::Null) => Operand::Text(Cow::Borrowed("")),
            // A number or a boolean that a reference left as it is, is compared by its text.
            Some(value) => match js::text(value) {
                Cow::Borrowed(text) => Operand::Text(plain_text(text)),
                Cow::Owned(text) => Operand::Text(Cow::Owned(plain_text(&text).into_owned())),
            },
        },
    }
}

impl Operand<'_> {
    /// `(value || '').toString()`.
    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Number(0.0) => Cow::Borrowed(""),
            Self::Number(number) => Cow::Owned(ryu_js::Buffer::new().format(*number).to_owned()),
            Self::Raw(value) if !js::truthy(*value) => Cow::Borrowed(""),
            Self::Raw(value) => value.map_or(Cow::Borrowed(""), js::text),
        }
    }

    /// `Number(value) || 0`.
    fn number(&self) -> f64 {
        let number = match self {
            Self::Text(text) => js::number_from_text(text),
            Self::Number(number) => *number,
            Self::Raw(value) => value.map_or(f64::NAN, js::number),
        };
        if number.is_nan() { 0.0 } else { number }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Number(_) => false,
            Self::Raw(value) => value.is_none_or(|value| value.is_null() || value == ""),
        }
    }

    /// `===`.
    fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Number(one), Self::Number(other)) => one == other,
            (Self::Raw(one), Self::Raw(other)) => match (one, other) {
                (None, None) => true,
                (Some(Value::Number(one)), Some(Value::Number(other))) => one.as_f64() == other.as_f64(),
                // Two lists or objects are never the same one.
                (Some(Value::Array(_) | Value::Object(_)), _) => false,
                (Some(one), Some(other)) => one == other,
                _ => false,
            },
            _ => false,
        }
    }
}

fn holds(row: &Row, values: &Map<String, Value>) -> Result<bool, String> {
    let kind = values.get("type").and_then(Value::as_str);
    let one = operand(kind, values.get("value1"));
    let two = operand(kind, values.get("value2"));
    let operation = values.get("operation").map(js::text).unwrap_or_default();
    let compare =
        compare_by(&operation).ok_or_else(|| format!("Condition has no operation “{operation}”"))?;
    compare(row, &one, &two)
}

/// A pattern that is none matches nothing.
fn matches(pattern: Option<&Pattern>, text: &str) -> Result<bool, String> {
    pattern.map_or(Ok(false), |pattern| pattern.matches(text))
}
