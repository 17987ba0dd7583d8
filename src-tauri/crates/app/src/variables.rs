//! Variables: what flows read as `{{ $vars.name }}`, kept once for all flows.

use countersign_domain::ErrorCode;
use serde::{Deserialize, Serialize};

use crate::app::Inner;
use crate::register::{Entry, NAME_LIMIT};
use crate::view::{EventView, VariableChange, VariableKind, VariableView};
use crate::{App, Error};

/// The longest value, in characters.
const VALUE_LIMIT: usize = 100_000;

/// What is kept of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Variable {
    #[serde(rename = "type")]
    kind: VariableKind,
    /// The value; sealed for a secret, empty where the environment has it.
    value: String,
}

impl Entry for Variable {
    const KEY: &'static str = "variables";
    const ONE: &'static str = "variable";
    const COUNT_LIMIT: usize = 1000;
}

/// The name that a secret is sealed for, so that it cannot be read in the place of another.
fn sealed_for(name: &str) -> String {
    format!("variable/{name}")
}

impl Inner {
    /// The value of a variable now. A secret that cannot be opened counts as not there, and the log says so.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let variables = self.variables.now();
        variables
            .get(name)
            .and_then(|variable| self.value_of(name, variable))
    }

    /// Whether there is a variable of this name.
    pub(crate) fn has_variable(&self, name: &str) -> bool {
        self.variables.now().contains_key(name)
    }

    /// Every variable with its value now.
    pub(crate) fn variable_values(&self) -> Vec<(String, String)> {
        let variables = self.variables.now();
        let values = variables.iter();
        values
            .filter_map(|(name, variable)| Some((name.clone(), self.value_of(name, variable)?)))
            .collect()
    }

    /// The values that must not be shown anywhere.
    pub(crate) fn secret_values(&self) -> Vec<String> {
        let variables = self.variables.now();
        let secrets = variables.iter();
        secrets
            .filter(|(_, variable)| variable.kind == VariableKind::Secret)
            .filter_map(|(name, variable)| self.value_of(name, variable))
            .collect()
    }

    /// The value of a variable now, for whoever must not do without it; none if there is no such variable.
    ///
    /// # Errors
    /// It is a secret that cannot be opened now.
    pub(crate) fn variable_or_fail(&self, name: &str) -> Result<Option<String>, Error> {
        let variables = self.variables.now();
        let Some(variable) = variables.get(name) else {
            return Ok(None);
        };
        self.value_of(name, variable).map(Some).ok_or_else(|| {
            Error::new(
                ErrorCode::Internal,
                format!("The secret variable {name} cannot be read now."),
            )
        })
    }

    /// A secret, sealed as the variable of this name.
    pub(crate) fn secret_variable(&self, name: &str, value: &str) -> Result<Variable, Error> {
        if value.chars().count() > VALUE_LIMIT {
            return Err(Error::invalid(format!(
                "The value is longer than {VALUE_LIMIT} characters. Nothing was changed."
            )));
        }
        if value.is_empty() {
            return Err(Error::invalid(
                "A secret cannot be empty. Nothing was changed.".to_owned(),
            ));
        }
        Ok(Variable {
            kind: VariableKind::Secret,
            value: self.seal(&sealed_for(name), value)?,
        })
    }

    /// Whether the variable of this name is a secret with this value.
    pub(crate) fn is_secret_variable(&self, name: &str, value: &str) -> bool {
        let variables = self.variables.now();
        variables.get(name).is_some_and(|variable| {
            variable.kind == VariableKind::Secret && self.value_of(name, variable).as_deref() == Some(value)
        })
    }

    fn value_of(&self, name: &str, variable: &Variable) -> Option<String> {
        match variable.kind {
            VariableKind::Static => Some(variable.value.clone()),
            VariableKind::Runtime => Some(std::env::var(name).unwrap_or_default()),
            VariableKind::Secret => match self.vault.open_sealed(&sealed_for(name), &variable.value) {
                Ok(secret) => Some(secret.expose().to_owned()),
                Err(error) => {
                    tracing::error!(name, %error, "a secret variable cannot be read");
                    None
                }
            },
        }
    }
}

impl App {
    /// All variables by name, secrets without their values.
    pub fn variables(&self) -> Vec<VariableView> {
        let variables = self.inner.variables.now();
        variables.iter().map(view).collect()
    }

    /// Sets a variable, new or not.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] for a name or value that cannot be; then nothing has changed.
    pub async fn set_variable(&self, name: &str, change: VariableChange) -> Result<VariableView, Error> {
        self.ready()?;
        check_name(name)?;
        let _alone = self.inner.changing.lock().await;
        let variables = self.inner.variables.now();
        let earlier = variables.get(name);
        let value = match (change.kind, change.value) {
            (VariableKind::Runtime, _) => String::new(),
            (kind, Some(value)) => {
                if value.chars().count() > VALUE_LIMIT {
                    return Err(Error::invalid(format!(
                        "The value is longer than {VALUE_LIMIT} characters. Nothing was changed."
                    )));
                }
                match kind {
                    VariableKind::Secret => self.inner.secret_variable(name, &value)?.value,
                    _ => value,
                }
            }
            (kind, None) => match earlier.filter(|earlier| earlier.kind == kind) {
                Some(earlier) => earlier.value.clone(),
                None => {
                    return Err(Error::invalid(
                        "Give the variable a value. Nothing was changed.".to_owned(),
                    ));
                }
            },
        };
        self.inner.variables.check_room(name)?;
        let variable = Variable {
            kind: change.kind,
            value,
        };
        let shown = view((&name.to_owned(), &variable));
        self.inner
            .variables
            .put(&self.inner.store, name, variable)
            .await?;
        self.inner.events.tell(EventView::Settings);
        Ok(shown)
    }

    /// Deletes a variable. References to it stay in texts as they are written, or fail in strict flows.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] for an unknown one.
    pub async fn delete_variable(&self, name: &str) -> Result<(), Error> {
        self.ready()?;
        let _alone = self.inner.changing.lock().await;
        self.inner.variables.delete(&self.inner.store, name).await?;
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
    Err(Error::invalid(format!(
        "The name of a variable is 1 to {NAME_LIMIT} letters, digits, _ or -. Nothing was changed."
    )))
}
