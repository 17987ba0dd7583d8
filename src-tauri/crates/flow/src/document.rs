//! The export of Flowise, as far as the runner reads it (format §1-§3). The text itself is kept by whoever
//! stores it; nothing here changes it.

use serde_json::{Map, Value};

use crate::refusal::{Problem, ProblemKind, Refusal};
use crate::template::Field;

/// An import, unwrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The name, if the form that was imported carries one.
    pub name: Option<String>,
    /// The text of the document, unchanged: what [`crate::Plan::parse`] takes and what is stored.
    pub flow_data: String,
}

/// Unwraps what is posted or opened: the API form `{"name":…,"flowData":"<text>"}`, the plain export
/// `{"nodes":…,"edges":…}`, or a bulk export that holds one AgentFlow v2. The document itself is not checked
/// here, see [`crate::Plan::parse`].
///
/// # Errors
/// [`Refusal`] if it is none of these forms, `flowData` is not a text, or a bulk export holds no or several flows.
pub fn read_import(text: &str) -> Result<Imported, Refusal> {
    let root = read_object(text)?;
    if let Some(flow_data) = root.get("flowData") {
        let Value::String(flow_data) = flow_data else {
            return Err(Refusal::one(
                ProblemKind::NotAFlow,
                format!(
                    "flowData must be the text of the export, but it is {}",
                    type_name(flow_data)
                ),
            ));
        };
        return Ok(Imported {
            name: name_of(&root),
            flow_data: flow_data.clone(),
        });
    }
    if root.contains_key("nodes") || root.contains_key("edges") {
        return Ok(Imported {
            name: name_of(&root),
            flow_data: text.to_owned(),
        });
    }
    if let Some(flows) = root.get("AgentFlowV2") {
        return read_bulk(flows);
    }
    Err(Refusal::one(
        ProblemKind::NotAFlow,
        "it has neither nodes and edges, as an export has, nor flowData, as the API form has",
    ))
}

fn read_bulk(flows: &Value) -> Result<Imported, Refusal> {
    let refuse = |message: String| Err(Refusal::one(ProblemKind::NotAFlow, message));
    let Value::Array(flows) = flows else {
        return refuse(format!(
            "AgentFlowV2 must be a list of flows, but it is {}",
            type_name(flows)
        ));
    };
    match flows.as_slice() {
        [] => refuse("this bulk export holds no AgentFlow v2".to_owned()),
        [Value::Object(flow)] => match flow.get("flowData") {
            Some(Value::String(flow_data)) => Ok(Imported {
                name: name_of(flow),
                flow_data: flow_data.clone(),
            }),
            _ => refuse("the flow in this bulk export has no flowData".to_owned()),
        },
        [_] => refuse("the flow in this bulk export is not an object".to_owned()),
        several => {
            let names: Vec<_> = several
                .iter()
                .map(|flow| {
                    format!(
                        "“{}”",
                        flow.get("name").and_then(Value::as_str).unwrap_or("unnamed")
                    )
                })
                .take(20)
                .collect();
            refuse(format!(
                "this bulk export holds {} flows; export the one you want alone: {}",
                several.len(),
                names.join(", ")
            ))
        }
    }
}

fn name_of(object: &Map<String, Value>) -> Option<String> {
    object
        .get("name")
        .and_then(Value::as_str)
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

fn read_object(text: &str) -> Result<Map<String, Value>, Refusal> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(Refusal::one(
            ProblemKind::NotAFlow,
            format!(
                "a flow is an object with nodes and edges, but this is {}",
                type_name(&other)
            ),
        )),
        Err(error) => Err(Refusal::one(ProblemKind::NotJson, not_json(text, &error))),
    }
}

fn not_json(text: &str, error: &serde_json::Error) -> String {
    if error.to_string().starts_with("recursion limit exceeded") {
        return "it is nested more than 127 levels deep, which no export is".to_owned();
    }
    if text.trim().is_empty() {
        return "it is empty".to_owned();
    }
    // An image or an archive: its position would help nobody.
    if text
        .chars()
        .take(64)
        .any(|c| c == '\u{FFFD}' || (c.is_control() && !c.is_whitespace()))
    {
        return "it is not a text file; a flow is the JSON file that Flowise exports".to_owned();
    }
    format!("it is not JSON: {error}")
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A node as it stands in the document.
#[derive(Debug)]
pub(crate) struct DocumentNode {
    pub(crate) id: String,
    pub(crate) label: String,
    /// `data.name`, which alone selects the behaviour.
    pub(crate) name: String,
    pub(crate) inputs: Map<String, Value>,
    /// The field definitions of the export; `None` if they are missing.
    input_params: Option<Vec<Value>>,
    /// The Iteration it lies in.
    pub(crate) parent: Option<String>,
    /// The credential that it names. Exports leave it out; documents from a database have it.
    pub(crate) credential: Option<String>,
}

impl DocumentNode {
    /// Whether variables are resolved in this field: the exported definition says so, and where there are no
    /// definitions, ours does (format §2.1).
    pub(crate) fn accepts_variables(&self, field: &str, built_in: bool) -> bool {
        match &self.input_params {
            None => built_in,
            Some(params) => params.iter().any(|param| {
                param.get("name").and_then(Value::as_str) == Some(field)
                    && param.get("acceptVariable") == Some(&Value::Bool(true))
            }),
        }
    }

    /// An input that accepts variables unless its exported definition says otherwise; none if it is not set.
    pub(crate) fn field(&self, name: &str) -> Option<Field> {
        let value = self.inputs.get(name)?;
        Some(Field::read(value, self.accepts_variables(name, true)))
    }

    /// The same, where an empty text counts as not set.
    pub(crate) fn filled_field(&self, name: &str) -> Option<Field> {
        self.inputs.get(name).filter(|value| **value != "")?;
        self.field(name)
    }

    /// Whether variables are resolved in the rows of this field: the field itself says so (§7.1), or the definition of
    /// the row's column does. Where there are no definitions, they are.
    pub(crate) fn accepts_variables_in_rows(&self, field: &str, column: &str) -> bool {
        let Some(params) = &self.input_params else {
            return true;
        };
        let named = |param: &&Value, name: &str| param.get("name").and_then(Value::as_str) == Some(name);
        let accepts = |param: &Value| param.get("acceptVariable") == Some(&Value::Bool(true));
        params.iter().filter(|param| named(param, field)).any(|param| {
            let columns = param.get("array").and_then(Value::as_array);
            accepts(param)
                || columns
                    .into_iter()
                    .flatten()
                    .any(|definition| named(&definition, column) && accepts(definition))
        })
    }

    /// How people find the node on the canvas.
    pub(crate) fn described(&self) -> String {
        if self.label == self.id {
            format!("“{}”", self.id)
        } else {
            format!("“{}” ({})", self.label, self.id)
        }
    }
}

/// An edge as it stands in the document.
#[derive(Debug)]
pub(crate) struct DocumentEdge {
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) source_handle: String,
}

/// What the runner reads of a document.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) nodes: Vec<DocumentNode>,
    pub(crate) edges: Vec<DocumentEdge>,
}

impl Document {
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        let mut root = read_object(text)?;
        let mut problems = Vec::new();
        let mut list = |field: &str, problems: &mut Vec<Problem>| match root.remove(field) {
            None => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                let message = format!("{field} must be a list, but it is {}", type_name(&other));
                problems.push(Problem::new(ProblemKind::NotAFlow, message));
                Vec::new()
            }
        };
        let raw_nodes = list("nodes", &mut problems);
        let raw_edges = list("edges", &mut problems);
        let mut nodes = Vec::with_capacity(raw_nodes.len());
        for (index, node) in raw_nodes.into_iter().enumerate() {
            match read_node(node) {
                Ok(node) => nodes.push(node),
                Err(reason) => problems.push(Problem::new(
                    ProblemKind::NotAFlow,
                    format!("node number {} {reason}", index + 1),
                )),
            }
        }
        let mut edges = Vec::with_capacity(raw_edges.len());
        for (index, edge) in raw_edges.iter().enumerate() {
            let text_of = |field: &str| edge.get(field).and_then(Value::as_str);
            match (text_of("source"), text_of("target")) {
                (Some(source), Some(target)) => edges.push(DocumentEdge {
                    source: source.to_owned(),
                    target: target.to_owned(),
                    source_handle: text_of("sourceHandle").unwrap_or_default().to_owned(),
                }),
                _ => problems.push(Problem::new(
                    ProblemKind::NotAFlow,
                    format!("edge number {} has no source or no target", index + 1),
                )),
            }
        }
        if problems.is_empty() {
            Ok(Self { nodes, edges })
        } else {
            Err(Refusal::new(problems))
        }
    }
}

fn read_node(node: Value) -> Result<DocumentNode, String> {
    let Value::Object(mut node) = node else {
        return Err(format!("is not an object but {}", type_name(&node)));
    };
    let data = node.remove("data");
    let id = match node
        .get("id")
        .or_else(|| data.as_ref().and_then(|data| data.get("id")))
    {
        Some(Value::String(id)) if !id.is_empty() => id.clone(),
        _ => return Err("has no id".to_owned()),
    };
    let Some(Value::Object(mut data)) = data else {
        return Err(format!("(“{id}”) has no data"));
    };
    let Some(Value::String(name)) = data.remove("name") else {
        return Err(format!(
            "(“{id}”) does not say of which kind it is: data.name is missing"
        ));
    };
    let label = match data.remove("label") {
        Some(Value::String(label)) if !label.is_empty() => label,
        _ => id.clone(),
    };
    let inputs = match data.remove("inputs") {
        Some(Value::Object(inputs)) => inputs,
        _ => Map::new(),
    };
    let input_params = match data.remove("inputParams") {
        Some(Value::Array(params)) => Some(params),
        _ => None,
    };
    let named = [
        data.get("credential"),
        inputs.get("credential"),
        inputs.get("FLOWISE_CREDENTIAL_ID"),
    ];
    let credential = named
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .find(|credential| !credential.is_empty())
        .map(str::to_owned);
    let parent = match node.remove("parentNode") {
        Some(Value::String(parent)) if !parent.is_empty() => Some(parent),
        // The editor writes both; either says that the node lies inside another.
        _ if node.get("extent").and_then(Value::as_str) == Some("parent") => Some(String::new()),
        _ => None,
    };
    Ok(DocumentNode {
        id,
        label,
        name,
        inputs,
        input_params,
        parent,
        credential,
    })
}
