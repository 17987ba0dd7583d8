//! A custom tool: JavaScript that the export holds.

use serde_json::{Map, Value, json};

use super::{json_setting, object, setting};
use crate::js;
use crate::run::RunScope;
use crate::script::{self, Script};

#[derive(Debug)]
pub(super) struct CustomTool {
    code: String,
}

/// A tool, its name, its description and the schema of its arguments.
type Described<T> = (T, String, String, Value);

impl CustomTool {
    /// The error says what the export lacks: as a rule it holds only the id that the tool has in Flowise.
    pub(super) fn read(config: &Map<String, Value>) -> Result<Described<Self>, String> {
        let name = setting(config, &["customToolName"]).unwrap_or("custom_tool");
        let Some(code) = setting(config, &["customToolFunc"]) else {
            let id = setting(config, &["selectedTool"]).unwrap_or_default();
            return Err(format!(
                "The custom tool “{id}” is not part of the export: its code stays in Flowise. Put it into a Custom \
                 Function, or into the tool's settings as customToolFunc"
            ));
        };
        let rows = match config.get("customToolSchema") {
            Some(rows) => json_setting(rows)
                .map_err(|error| format!("The schema of “{name}” cannot be read: {error}"))?,
            None => Value::Null,
        };
        let mut properties = Vec::new();
        for row in rows.as_array().into_iter().flatten() {
            let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
            let kind = match text("type") {
                kind @ ("number" | "boolean") => kind,
                _ => "string",
            };
            let schema = json!({"type": kind, "description": text("description")});
            properties.push((text("property"), schema, js::truthy(row.get("required"))));
        }
        properties.retain(|(name, _, _)| !name.is_empty());
        let description = setting(config, &["customToolDesc"]).unwrap_or(name);
        let custom = Self {
            code: code.to_owned(),
        };
        Ok((
            custom,
            name.to_owned(),
            description.to_owned(),
            object(&properties),
        ))
    }

    /// What of it works less well here, in sentences that the step's name goes before.
    pub(super) fn degraded(&self, name: &str) -> Vec<String> {
        let missing = script::missing(&self.code, &format!("the code of its tool “{name}”"));
        missing.into_iter().collect()
    }

    pub(super) async fn call(
        &self,
        scope: &RunScope<'_>,
        arguments: &Map<String, Value>,
        key: String,
    ) -> Result<Value, String> {
        let mut globals: Map<String, Value> = arguments
            .iter()
            .map(|(name, value)| (format!("${name}"), value.clone()))
            .collect();
        // An argument must not take the place of these.
        globals.insert("$vars".to_owned(), scope.host.variables().into());
        globals.insert("$flow".to_owned(), scope.flow_object());
        let script = Script {
            code: self.code.clone(),
            globals,
            flow: scope.flow_id().to_owned(),
            idempotency_key: key,
            console: script::ScriptConsole::default(),
        };
        Ok(scope.host.script(script).await?.unwrap_or_default())
    }
}
