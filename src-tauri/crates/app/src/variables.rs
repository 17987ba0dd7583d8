//! Variables: what flows read as `{{ $vars.name }}`, kept once for all flows.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use countersign_domain::ErrorCode;
use countersign_store::{Changes, Store};
use serde::{Deserialize, Serialize};

use crate::app::{Inner, storage};
use crate::settings::SettingsError;
use crate::view::{EventView, VariableChange, VariableKind, VariableView};
use crate::{App, Error};

/// Under which name they lie in the store.
const VARIABLES: &str = "variables";

/// The longest name and value, in characters, and how many variables there can be.
const NAME_LIMIT: usize = 100;
const VALUE_LIMIT: usize = 100_000;
const COUNT_LIMIT: usize = 1000;

/// What is kept of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Variable {
    #[serde(rename = "type")]
    kind: VariableKind,
    /// The value; sealed for a secret, empty where the environment has it.
    value: String,
}

/// All of them, by name. Cheap to clone, so that a run reads what was set when it asked.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Variables(Arc<BTreeMap<String, Variable>>);

impl Variables {
    pub(crate) fn load(store: &Store) -> Result<Self, SettingsError> {
        match store.setting(VARIABLES)? {
            Some(value) => Ok(serde_json::from_value(value)?),
            None => Ok(Self::default()),
        }
    }
}

/// The name that a secret is sealed for, so that it cannot be read in the place of another.
fn sealed_for(name: &str) -> String {
    format!("variable/{name}")
}

impl Inner {
    fn variables(&self) -> Variables {
        self.variables
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The value of a variable now. A secret that cannot be opened counts as not there, and the log says so.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let variables = self.variables();
        variables
            .0
            .get(name)
            .and_then(|variable| self.value_of(name, variable))
    }

    /// Whether there is a variable of this name.
    pub(crate) fn has_variable(&self, name: &str) -> bool {
        self.variables().0.contains_key(name)
    }

    /// Every variable with its value now.
    pub(crate) fn variable_values(&self) -> Vec<(String, String)> {
        let variables = self.variables();
        let values = variables.0.iter();
        values
            .filter_map(|(name, variable)| Some((name.clone(), self.value_of(name, variable)?)))
            .collect()
    }

    /// The values that must not be shown anywhere.
    pub(crate) fn secret_values(&self) -> Vec<String> {
        let variables = self.variables();
        let secrets = variables.0.iter();
        secrets
            .filter(|(_, variable)| variable.kind == VariableKind::Secret)
            .filter_map(|(name, variable)| self.value_of(name, variable))
            .collect()
    }

    fn value_of(&self, name: &str, variable: &Variable) -> Option<String> {
        match variable.kind {
            VariableKind::Static => Some(variable.value.clone()),
            VariableKind::Runtime => Some(std::env::var(name).unwrap_or_default()),
            VariableKind::Secret => match self.vault.open_sealed(&sealed_for(name), &variable.value) {
                Ok(secret) => Some(secret.expose().to_owned()),
                Err(error) => {
                    tracing::error!(name, %error, "a secret variable cannot be read; set it again in the settings");
                    None
                }
            },
        }
    }
}

impl App {
    /// All variables by name, secrets without their values.
    pub fn variables(&self) -> Vec<VariableView> {
        let variables = self.inner.variables();
        variables.0.iter().map(view).collect()
    }

    /// Sets a variable, new or not.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] for a name or value that cannot be; then nothing has changed.
    pub async fn set_variable(&self, name: &str, change: VariableChange) -> Result<VariableView, Error> {
        self.ready()?;
        check_name(name)?;
        let _alone = self.inner.changing.lock().await;
        let mut variables = self.inner.variables();
        let earlier = variables.0.get(name);
        let value = match (change.kind, change.value) {
            (VariableKind::Runtime, _) => String::new(),
            (kind, Some(value)) => {
                if value.chars().count() > VALUE_LIMIT {
                    return Err(invalid(format!(
                        "The value is longer than {VALUE_LIMIT} characters. Nothing was changed."
                    )));
                }
                match kind {
                    VariableKind::Secret if value.is_empty() => {
                        return Err(invalid(
                            "A secret cannot be empty. Nothing was changed.".to_owned(),
                        ));
                    }
                    VariableKind::Secret => {
                        self.inner
                            .vault
                            .seal(&sealed_for(name), &value)
                            .map_err(|error| {
                                Error::new(
                                    ErrorCode::Internal,
                                    "The secret cannot be kept. Nothing was changed.",
                                )
                                .caused_by(error)
                            })?
                    }
                    _ => value,
                }
            }
            (kind, None) => match earlier.filter(|earlier| earlier.kind == kind) {
                Some(earlier) => earlier.value.clone(),
                None => {
                    return Err(invalid(
                        "Give the variable a value. Nothing was changed.".to_owned(),
                    ));
                }
            },
        };
        if earlier.is_none() && variables.0.len() >= COUNT_LIMIT {
            return Err(invalid(format!(
                "There are {COUNT_LIMIT} variables already, which is the most. Delete one first."
            )));
        }
        let variable = Variable {
            kind: change.kind,
            value,
        };
        let shown = view((&name.to_owned(), &variable));
        Arc::make_mut(&mut variables.0).insert(name.to_owned(), variable);
        self.keep_variables(variables).await?;
        Ok(shown)
    }

    /// Deletes a variable. References to it stay in texts as they are written, or fail in strict flows.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] for an unknown one.
    pub async fn delete_variable(&self, name: &str) -> Result<(), Error> {
        self.ready()?;
        let _alone = self.inner.changing.lock().await;
        let mut variables = self.inner.variables();
        if Arc::make_mut(&mut variables.0).remove(name).is_none() {
            let message = format!(
                "There is no variable {}.",
                countersign_domain::display_line(name, NAME_LIMIT)
            );
            return Err(Error::new(ErrorCode::NotFound, message));
        }
        self.keep_variables(variables).await
    }

    async fn keep_variables(&self, variables: Variables) -> Result<(), Error> {
        let value = serde_json::to_value(&variables).map_err(crate::execute::not_json)?;
        let mut changes = Changes::new();
        changes.put_setting(VARIABLES, &value);
        self.inner.store.commit(changes).await.map_err(storage)?;
        *self
            .inner
            .variables
            .write()
            .unwrap_or_else(PoisonError::into_inner) = variables;
        self.inner.events.tell(EventView::Settings);
        Ok(())
    }
}

fn view((name, variable): (&String, &Variable)) -> VariableView {
    VariableView {
        name: name.clone(),
        kind: variable.kind,
        value: (variable.kind == VariableKind::Static).then(|| variable.value.clone()),
    }
}

/// Names are what a reference can hold: letters, digits, `_` and `-`.
fn check_name(name: &str) -> Result<(), Error> {
    let fits = !name.is_empty()
        && name.chars().count() <= NAME_LIMIT
        && name
            .chars()
            .all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-'));
    if fits {
        return Ok(());
    }
    Err(invalid(format!(
        "The name of a variable is 1 to {NAME_LIMIT} letters, digits, _ or -. Nothing was changed."
    )))
}

fn invalid(message: String) -> Error {
    Error::new(ErrorCode::Invalid, message)
}
