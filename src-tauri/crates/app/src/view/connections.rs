//! Connections: what flows reach under a name of Flowise, and with which key.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What a connection leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum ConnectionKind {
    /// A language model behind an endpoint that speaks OpenAI's Chat Completions.
    Openai,
    /// A language model of Anthropic.
    Anthropic,
    /// A language model in Ollama.
    Ollama,
    /// The credential of an HTTP step: a user and a password, by `Authorization: Basic`.
    HttpBasicAuth,
    /// The credential of an HTTP step: a token, by `Authorization: Bearer`.
    HttpBearerToken,
    /// The credential of an HTTP step: a key in a header of its own.
    HttpApiKey,
    /// A folder of texts, in the place of a document store.
    Folder,
}

/// A connection, without its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionView {
    /// Its name.
    pub name: String,
    /// What it leads to.
    pub provider: ConnectionKind,
    /// Where the model listens; the provider's own address if absent.
    pub base_url: Option<String>,
    /// Whether a key, a token or a password is kept.
    pub has_key: bool,
    /// The user, for [`ConnectionKind::HttpBasicAuth`].
    pub user: Option<String>,
    /// The name of the header, for [`ConnectionKind::HttpApiKey`].
    pub header: Option<String>,
    /// The folder, for [`ConnectionKind::Folder`].
    pub folder: Option<String>,
    /// The model that is asked where the flow names none, or one of another provider.
    pub default_model: Option<String>,
    /// What it serves, by the names that exports have: components of models (`chatOpenAI`), ids of credentials, ids of
    /// document stores.
    pub components: Vec<String>,
}

/// What a connection becomes. What is absent is not set; only the key stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectionChange {
    /// See [`ConnectionView::provider`].
    pub provider: ConnectionKind,
    /// See [`ConnectionView::base_url`].
    #[serde(default)]
    #[ts(optional)]
    pub base_url: Option<String>,
    /// A new key, token or password; empty removes it. One that is not given stays while provider and address stay the
    /// same. Write-only.
    #[serde(default)]
    #[ts(optional)]
    pub key: Option<String>,
    /// See [`ConnectionView::user`].
    #[serde(default)]
    #[ts(optional)]
    pub user: Option<String>,
    /// See [`ConnectionView::header`].
    #[serde(default)]
    #[ts(optional)]
    pub header: Option<String>,
    /// See [`ConnectionView::folder`].
    #[serde(default)]
    #[ts(optional)]
    pub folder: Option<String>,
    /// See [`ConnectionView::default_model`].
    #[serde(default)]
    #[ts(optional)]
    pub default_model: Option<String>,
    /// See [`ConnectionView::components`].
    #[serde(default)]
    #[ts(optional, as = "Option<Vec<String>>")]
    pub components: Vec<String>,
}
