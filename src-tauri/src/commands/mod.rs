//! What the window may ask: adapters that make one call of [`countersign_app`] and translate its error.
//!
//! Their names are in `list.rs`, the one list that also feeds the permissions.

pub(crate) mod approvals;
pub(crate) mod callbacks;
pub(crate) mod connections;
pub(crate) mod executions;
pub(crate) mod flows;
pub(crate) mod settings;
pub(crate) mod status;
pub(crate) mod variables;

use countersign_app::view::ErrorView;

/// What a command answers.
pub(crate) type Answer<T> = Result<T, ErrorView>;

/// Writes the chain of causes to the log, which the window does not get, and gives it the rest.
fn refusal(error: countersign_app::Error) -> ErrorView {
    let code = error.code;
    let message = error.message.clone();
    if error.status >= 500 {
        tracing::error!(error = &error as &dyn std::error::Error, "a command failed");
    }
    ErrorView { code, message }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    macro_rules! names {
        ($($module:ident :: $name:ident),* $(,)?) => { BTreeSet::from([$(stringify!($name).to_owned()),*]) };
    }

    fn commands() -> BTreeSet<String> {
        with_commands!(names)
    }

    fn read(path: &str) -> String {
        let path = countersign_testkit::checkout().join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    #[test]
    fn the_window_is_allowed_exactly_the_commands_and_hearing_events() {
        let capability: serde_json::Value =
            serde_json::from_str(&read("src-tauri/capabilities/inbox.json")).expect("JSON");
        let mut allowed: BTreeSet<String> = capability["permissions"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|permission| permission.as_str().expect("a name").to_owned())
            .collect();
        for core in ["core:event:allow-listen", "core:event:allow-unlisten"] {
            assert!(allowed.remove(core), "{core} is needed");
        }
        let expected: BTreeSet<String> = commands()
            .iter()
            .map(|command| format!("allow-{}", command.replace('_', "-")))
            .collect();
        assert_eq!(
            allowed, expected,
            "capabilities/inbox.json and commands/list.rs name the same commands"
        );
        assert_eq!(
            capability["windows"],
            serde_json::json!([crate::window::LABEL]),
            "for the inbox window only"
        );
    }

    #[test]
    fn the_page_calls_exactly_the_commands() {
        let source = read("ui/src/platform/tauri.ts");
        let called: BTreeSet<String> = source
            .split("command")
            .skip(1)
            .filter_map(|rest| {
                // `command("name"` or `command<Type>("name"`.
                let rest = match rest.strip_prefix('<') {
                    Some(typed) => typed.split_once(">(").map(|(_, rest)| rest)?,
                    None => rest.strip_prefix('(')?,
                };
                let (name, _) = rest.strip_prefix('"')?.split_once('"')?;
                Some(name.to_owned())
            })
            .collect();
        assert_eq!(
            called,
            commands(),
            "ui/src/platform/tauri.ts and commands/list.rs name the same commands"
        );
    }
}
