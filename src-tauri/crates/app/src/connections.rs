//! Connections: which endpoint stands for a component of an export, which key for a credential, which folder for a
//! document store. Exports hold none of these, so all are said here, in one place.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_domain::{ErrorCode, UrlSource, display_line};
use countersign_signature::Secret;
use serde::{Deserialize, Serialize};

use crate::app::Inner;
use crate::register::{Entry, NAME_LIMIT};
use crate::view::{ConnectionChange, ConnectionKind, ConnectionView, EventView};
use crate::{App, Error};

/// The longest text, in characters, and how many names one can serve.
const TEXT_LIMIT: usize = 10_000;
const SERVED_LIMIT: usize = 200;

/// Where people set them, for errors.
pub(crate) const WHERE: &str = "under Connections in the settings";

/// What is kept of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Connection {
    pub(crate) provider: ConnectionKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) base_url: Option<String>,
    /// The key, sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) folder: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) default_model: Option<String>,
    #[serde(default)]
    components: Vec<String>,
}

impl Entry for Connection {
    const KEY: &'static str = "connections";
    const ONE: &'static str = "connection";
    const COUNT_LIMIT: usize = 200;
}

/// What a connection is looked up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Model,
    Credential,
    Store,
}

const fn group(kind: ConnectionKind) -> Group {
    match kind {
        ConnectionKind::Openai | ConnectionKind::Anthropic | ConnectionKind::Ollama => Group::Model,
        ConnectionKind::HttpBasicAuth | ConnectionKind::HttpBearerToken | ConnectionKind::HttpApiKey => {
            Group::Credential
        }
        ConnectionKind::Folder => Group::Store,
    }
}

/// The name that a key is sealed for, so that it cannot be read in the place of another.
fn sealed_for(name: &str) -> String {
    format!("connection/{name}")
}

impl Inner {
    /// The connection of a group that serves one of these names, with its own name.
    fn serving(&self, wanted: Group, names: &[&str]) -> Option<(String, Connection)> {
        let connections = self.connections.now();
        let of_group = connections
            .iter()
            .filter(|(_, connection)| group(connection.provider) == wanted);
        of_group
            .filter(|(own, connection)| {
                let listed = |name: &&str| connection.components.iter().any(|component| component == name);
                // A model's component is listed; the others may also be the connection's name.
                names
                    .iter()
                    .any(|name| listed(name) || (wanted != Group::Model && own.as_str() == *name))
            })
            .map(|(own, connection)| (own.clone(), connection.clone()))
            .next()
    }

    /// The connection that answers for a model's component.
    pub(crate) fn model_connection(&self, component: &str) -> Option<(String, Connection)> {
        self.serving(Group::Model, &[component])
    }

    /// The folder that stands for a document store: its name in exports is `<id>:<name>`.
    pub(crate) fn store_folder(&self, store: &str) -> Option<String> {
        let (id, name) = store.split_once(':').unwrap_or((store, store));
        self.serving(Group::Store, &[store, id, name])?.1.folder
    }

    /// Whether there is a credential of this id or name.
    pub(crate) fn has_credential(&self, credential: &str) -> bool {
        self.serving(Group::Credential, &[credential]).is_some()
    }

    /// The header by which a credential goes along.
    ///
    /// # Errors
    /// What is missing and where it is set, for people.
    pub(crate) fn credential_header(&self, credential: &str) -> Result<(String, String), String> {
        let shown = display_line(credential, NAME_LIMIT);
        let (name, connection) = self.serving(Group::Credential, &[credential]).ok_or_else(|| {
            format!(
                "This step uses the credential {shown}, which is not here. Nothing was sent. Set one {WHERE} and list \
                 {shown} among what it serves."
            )
        })?;
        let key = self.connection_key(&name, &connection)?;
        let key = key.as_ref().map_or("", Secret::expose);
        Ok(match connection.provider {
            ConnectionKind::HttpBasicAuth => {
                let user = connection.user.unwrap_or_default();
                (
                    "authorization".to_owned(),
                    format!("Basic {}", STANDARD.encode(format!("{user}:{key}"))),
                )
            }
            ConnectionKind::HttpApiKey => (
                connection.header.unwrap_or_default().to_lowercase(),
                key.to_owned(),
            ),
            _ => ("authorization".to_owned(), format!("Bearer {key}")),
        })
    }

    /// The key of a connection, if it has one.
    ///
    /// # Errors
    /// It cannot be read, for people.
    pub(crate) fn connection_key(
        &self,
        name: &str,
        connection: &Connection,
    ) -> Result<Option<Secret>, String> {
        let Some(sealed) = &connection.key else {
            return Ok(None);
        };
        let opened = self.vault.open_sealed(&sealed_for(name), sealed);
        opened.map(Some).map_err(|error| {
            tracing::error!(name, %error, "the key of a connection cannot be read");
            error.advice(&format!(
                "The key of the connection “{name}” cannot be read. Set it again {WHERE}."
            ))
        })
    }

    /// The keys, which must not be shown anywhere.
    pub(crate) fn connection_keys(&self) -> Vec<String> {
        let connections = self.connections.now();
        let keys = connections.iter().filter_map(|(name, connection)| {
            let key = self.connection_key(name, connection).ok()??;
            Some(key.expose().to_owned())
        });
        keys.collect()
    }
}

impl App {
    /// All connections by name, without their keys.
    pub fn connections(&self) -> Vec<ConnectionView> {
        let connections = self.inner.connections.now();
        connections.iter().map(view).collect()
    }

    /// Sets a connection, new or not.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] for a name or value that cannot be, and where another connection serves the same already;
    /// then nothing has changed.
    pub async fn set_connection(
        &self,
        name: &str,
        change: ConnectionChange,
    ) -> Result<ConnectionView, Error> {
        self.ready()?;
        check_name("The name of a connection", name)?;
        let _alone = self.inner.changing.lock().await;
        let connections = self.inner.connections.now();
        let earlier = connections.get(name);
        self.inner.connections.check_room(name)?;
        let set = |text: Option<String>| {
            text.map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty())
        };
        let mut connection = Connection {
            provider: change.provider,
            base_url: set(change.base_url).map(|url| url.trim_end_matches('/').to_owned()),
            key: None,
            user: set(change.user),
            header: set(change.header),
            folder: set(change.folder),
            default_model: set(change.default_model),
            components: Vec::new(),
        };
        self.check(&connection)?;
        for component in change.components {
            let component = component.trim().to_owned();
            check_name("What a connection serves", &component)?;
            let other = connections.iter().find(|(other, kept)| {
                other.as_str() != name
                    && group(kept.provider) == group(connection.provider)
                    && kept.components.contains(&component)
            });
            if let Some((other, _)) = other {
                return Err(Error::invalid(format!(
                    "“{other}” serves {component} already. Take it from there first. Nothing was changed."
                )));
            }
            if !connection.components.contains(&component) {
                connection.components.push(component);
            }
        }
        if connection.components.len() > SERVED_LIMIT {
            return Err(Error::invalid(format!(
                "A connection serves at most {SERVED_LIMIT} names. Nothing was changed."
            )));
        }
        connection.key = match change.key {
            Some(key) if key.is_empty() => None,
            Some(key) => Some(self.sealed(name, &key)?),
            // A key goes to the address it was given for.
            None => earlier
                .filter(|earlier| {
                    earlier.provider == connection.provider && earlier.base_url == connection.base_url
                })
                .and_then(|earlier| earlier.key.clone()),
        };
        if group(connection.provider) == Group::Credential && connection.key.is_none() {
            return Err(Error::invalid(
                "Give the credential its key, token or password. Nothing was changed.".to_owned(),
            ));
        }
        let shown = view((&name.to_owned(), &connection));
        self.inner
            .connections
            .put(&self.inner.store, name, connection)
            .await?;
        self.tell_connections();
        Ok(shown)
    }

    /// Deletes a connection. What it served fails from then on, and says so.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] for an unknown one.
    pub async fn delete_connection(&self, name: &str) -> Result<(), Error> {
        self.ready()?;
        let _alone = self.inner.changing.lock().await;
        self.inner.connections.delete(&self.inner.store, name).await?;
        self.tell_connections();
        Ok(())
    }

    fn tell_connections(&self) {
        self.inner.events.tell(EventView::Settings);
        // What flows lack is part of their page.
        self.inner.events.tell(EventView::Flows);
    }

    fn check(&self, connection: &Connection) -> Result<(), Error> {
        let texts = [
            &connection.base_url,
            &connection.user,
            &connection.folder,
            &connection.default_model,
        ];
        if texts
            .into_iter()
            .flatten()
            .any(|text| text.chars().count() > TEXT_LIMIT)
        {
            return Err(Error::invalid(format!(
                "No text of a connection is longer than {TEXT_LIMIT} characters. Nothing was changed."
            )));
        }
        if let Some(url) = &connection.base_url {
            let checked = self.inner.client.guard().check_url(url, UrlSource::Operator);
            checked.map_err(|refused| {
                let why = match refused.is_denied() {
                    true => refused.to_string(),
                    false => {
                        "it must be a valid http or https URL without a user name or password".to_owned()
                    }
                };
                let why = why.trim_end_matches('.');
                Error::invalid(format!(
                    "The base URL cannot be used: {why}. Nothing was changed."
                ))
            })?;
        }
        match (connection.provider, &connection.header, &connection.folder) {
            (ConnectionKind::HttpApiKey, header, _) => {
                let is_name = |header: &String| {
                    header.len() <= NAME_LIMIT
                        && header
                            .bytes()
                            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
                };
                if !header.as_ref().is_some_and(is_name) {
                    return Err(Error::invalid(
                        "Give the name of the header that carries the key, X-Api-Key for instance. Nothing was \
                         changed."
                            .to_owned(),
                    ));
                }
            }
            (ConnectionKind::Folder, _, folder) => {
                let is_there = |folder: &String| {
                    let folder = Path::new(folder);
                    folder.is_absolute() && folder.is_dir()
                };
                if !folder.as_ref().is_some_and(is_there) {
                    return Err(Error::invalid(
                        "Give the whole path of a folder that is there. Nothing was changed.".to_owned(),
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn sealed(&self, name: &str, key: &str) -> Result<String, Error> {
        let fits = key.chars().count() <= TEXT_LIMIT && key.chars().all(|letter| !letter.is_control());
        if !fits {
            return Err(Error::invalid(format!(
                "A key is one line of at most {TEXT_LIMIT} characters. Nothing was changed."
            )));
        }
        self.inner.vault.seal(&sealed_for(name), key).map_err(|error| {
            Error::new(
                ErrorCode::Internal,
                error.advice("The key cannot be kept. Nothing was changed."),
            )
            .caused_by(error)
        })
    }
}

fn view((name, connection): (&String, &Connection)) -> ConnectionView {
    ConnectionView {
        name: name.clone(),
        provider: connection.provider,
        base_url: connection.base_url.clone(),
        has_key: connection.key.is_some(),
        user: connection.user.clone(),
        header: connection.header.clone(),
        folder: connection.folder.clone(),
        default_model: connection.default_model.clone(),
        components: connection.components.clone(),
    }
}

fn check_name(what: &str, name: &str) -> Result<(), Error> {
    let fits = !name.is_empty()
        && name.trim() == name
        && name.chars().count() <= NAME_LIMIT
        && !name.chars().any(|letter| letter.is_control() || letter == '/');
    if fits {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{what} is 1 to {NAME_LIMIT} characters without / and white space around them. Nothing was changed."
    )))
}
