//! The settings that the panel changes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::PoisonError;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_delivery::RetryPlan;
use countersign_domain::{ErrorCode, UrlSource};
use countersign_signature::Secret;
use countersign_store::{Changes, Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::app::{Inner, storage};
use crate::config::{loopback_address, retry_plan};
use crate::view::{EventView, SettingsChange, SettingsView};
use crate::webhook::is_http;
use crate::{App, Error};

/// Under which name the settings lie in the store.
const SETTINGS: &str = "settings";

/// Under which name the default callback secret lies in the store, sealed.
const CALLBACK_SECRET: &str = "callback-secret";

/// The longest secret and URL, in characters; how many origins there can be, and how long each.
const SECRET_LIMIT: usize = 1000;
const URL_LIMIT: usize = 2048;
const ORIGINS_LIMIT: usize = 100;
const ORIGIN_LIMIT: usize = 255;

/// What the panel has set. Absent means: as the configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Settings {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) callback_url: String,
    pub(crate) accept_caller_callback_url: bool,
    pub(crate) caller_callback_origins: Vec<String>,
    pub(crate) retry_plan_seconds: Option<Vec<u32>>,
    pub(crate) notifications_disabled: bool,
    pub(crate) notification_details_hidden: bool,
    /// The operator has removed the callback secret, so it is not lost.
    pub(crate) unsigned_on_purpose: bool,
}

/// The settings in the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("the storage failed")]
    Store(#[from] StoreError),
    #[error("they are not in a form that this version knows")]
    Malformed(#[from] serde_json::Error),
}

impl Settings {
    pub(crate) fn load(store: &Store) -> Result<Self, SettingsError> {
        match store.setting(SETTINGS)? {
            Some(value) => Ok(serde_json::from_value(value)?),
            None => Ok(Self::default()),
        }
    }
}

impl Inner {
    /// The times between attempts of a callback.
    pub(crate) fn retry_plan(&self) -> RetryPlan {
        match &self
            .settings
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .retry_plan_seconds
        {
            // It was checked when it was set.
            Some(seconds) => RetryPlan::from_seconds(seconds),
            None => self.config.retry_plan.clone(),
        }
    }

    /// The default secret that signs callbacks.
    pub(crate) fn default_callback_secret(&self) -> Result<Option<Secret>, Error> {
        self.sealed_setting(CALLBACK_SECRET)
    }
}

impl App {
    /// What the panel shows. Secrets are not part of it.
    ///
    /// # Errors
    /// The storage failed.
    pub fn settings(&self) -> Result<SettingsView, Error> {
        // Whoever looks at the settings wants to know what the desktop can do now.
        self.inner.notifications.refresh();
        let settings = self.inner.settings();
        let config = &self.inner.config;
        let listen = settings.listen.unwrap_or(config.listen);
        Ok(SettingsView {
            listen: listen.to_string(),
            address: self.inner.bound_address().map(|address| address.to_string()),
            listen_forced: config.forced_listen.is_some(),
            callback_url: settings.callback_url,
            has_callback_secret: self
                .inner
                .store
                .setting(CALLBACK_SECRET)
                .map_err(storage)?
                .is_some(),
            accept_caller_callback_url: settings.accept_caller_callback_url,
            caller_callback_origins: settings.caller_callback_origins,
            retry_plan_seconds: self
                .inner
                .retry_plan()
                .waits()
                .iter()
                .map(|delay| u32::try_from(delay.as_secs()).unwrap_or(u32::MAX))
                .collect(),
            notifications_enabled: !settings.notifications_disabled,
            notification_details_hidden: settings.notification_details_hidden,
            notifications: self.inner.notification_view(),
            secret_protection: self.inner.vault.protection().to_string(),
            secret_note: self.inner.vault.note().map(ToOwned::to_owned),
            secret_problem: self.inner.vault.problem().map(|problem| problem.advice()),
            data_dir: std::path::absolute(&config.data_dir)
                .unwrap_or_else(|_| config.data_dir.clone())
                .display()
                .to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    /// Changes what is given and leaves the rest. All or nothing.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] naming the field and what would be right.
    pub async fn change_settings(&self, change: SettingsChange) -> Result<SettingsView, Error> {
        self.ready()?;
        let _alone = self.inner.changing.lock().await;
        let mut settings = self.inner.settings();
        if let Some(text) = &change.listen {
            settings.listen = Some(listen_address(text)?);
        }
        if let Some(url) = &change.callback_url {
            settings.callback_url = self.callback_url(url.trim())?;
        }
        if let Some(accept) = change.accept_caller_callback_url {
            settings.accept_caller_callback_url = accept;
        }
        if let Some(origins) = &change.caller_callback_origins {
            if origins.len() > ORIGINS_LIMIT || origins.iter().any(|origin| origin.len() > ORIGIN_LIMIT) {
                return Err(invalid(
                    "callerCallbackOrigins",
                    &format!("give at most {ORIGINS_LIMIT} origins of at most {ORIGIN_LIMIT} characters"),
                ));
            }
            settings.caller_callback_origins = origins
                .iter()
                .map(|origin| origin.trim())
                .filter(|origin| !origin.is_empty())
                .map(|origin| self.caller_origin(origin))
                .collect::<Result<_, _>>()?;
        }
        if let Some(seconds) = change.retry_plan_seconds {
            retry_plan(&seconds).map_err(|error| invalid("retryPlanSeconds", &error.to_string()))?;
            settings.retry_plan_seconds = Some(seconds);
        }
        if let Some(enabled) = change.notifications_enabled {
            settings.notifications_disabled = !enabled;
        }
        if let Some(hidden) = change.notification_details_hidden {
            settings.notification_details_hidden = hidden;
        }

        if let Some(secret) = &change.callback_secret {
            settings.unsigned_on_purpose = secret.is_empty();
        }

        let mut changes = Changes::new();
        let value = serde_json::to_value(&settings).map_err(crate::execute::not_json)?;
        changes.put_setting(SETTINGS, &value);
        match change.callback_secret.as_deref() {
            None => {}
            Some("") => changes.delete_setting(CALLBACK_SECRET),
            Some(secret) if secret.len() > SECRET_LIMIT => {
                return Err(invalid(
                    "callbackSecret",
                    &format!("use at most {SECRET_LIMIT} characters"),
                ));
            }
            Some(secret) if !is_unambiguous(secret) => {
                return Err(invalid(
                    "callbackSecret",
                    "what follows whsec_ is not base64, so receivers would take another key from it than Countersign. \
                     Copy it again in full, padding included, or use a secret that does not begin with whsec_",
                ));
            }
            Some(secret) => {
                changes.put_setting(CALLBACK_SECRET, &self.inner.seal(CALLBACK_SECRET, secret)?.into());
            }
        }
        self.inner.store.commit(changes).await.map_err(storage)?;
        *self
            .inner
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = settings;
        self.apply_notification_settings();
        self.wake_dispatcher();
        self.inner.events.tell(EventView::Settings);
        self.settings()
    }

    fn callback_url(&self, url: &str) -> Result<String, Error> {
        if url.is_empty() {
            return Ok(String::new());
        }
        if url.len() > URL_LIMIT {
            return Err(invalid(
                "callbackUrl",
                &format!("use at most {URL_LIMIT} characters"),
            ));
        }
        let not_http =
            "it must be a valid http or https URL without a user name or password, or empty for no callbacks";
        if !is_http(url) {
            return Err(invalid("callbackUrl", not_http));
        }
        self.inner
            .client
            .guard()
            .check_url(url, UrlSource::Operator)
            .map_err(|error| match error.is_denied() {
                true => invalid("callbackUrl", &error.to_string()),
                false => invalid("callbackUrl", not_http),
            })?;
        Ok(url.to_owned())
    }

    /// An origin that callers may name in `x-callback-url`. One that no caller could ever use is refused here, where
    /// somebody reads why, and not at each call.
    fn caller_origin(&self, text: &str) -> Result<String, Error> {
        let origin = origin(text)?;
        let guard = self.inner.client.guard();
        let is_localhost = url::Url::parse(&origin).is_ok_and(|url| {
            url.domain()
                .map(|name| name.trim_end_matches('.'))
                .is_some_and(|name| name == "localhost" || name.ends_with(".localhost"))
        });
        let checked = match is_localhost {
            true => guard.check_address(Ipv4Addr::LOCALHOST.into(), UrlSource::Caller),
            false => guard.check_url(&origin, UrlSource::Caller).map(|_| ()),
        };
        checked.map_err(|error| {
            let way_out = match is_this_machine(&origin, is_localhost) {
                true => ". To receive on this machine set the callback URL here, or start with --outbound-loopback allow",
                false => "",
            };
            let why = error.to_string();
            invalid(
                "callerCallbackOrigins",
                &format!("{origin} cannot be allowed: {}{way_out}", why.trim_end_matches('.')),
            )
        })?;
        Ok(origin)
    }
}

/// Whether everybody takes the same key from this secret: Standard Webhooks decodes what follows `whsec_`, and what
/// cannot be decoded is a text to some and a mistake to others.
pub(crate) fn is_unambiguous(secret: &str) -> bool {
    secret
        .strip_prefix("whsec_")
        .is_none_or(|coded| STANDARD.decode(coded).is_ok_and(|key| !key.is_empty()))
}

fn is_this_machine(origin: &str, is_localhost: bool) -> bool {
    is_localhost
        || url::Url::parse(origin).is_ok_and(|url| match url.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            _ => false,
        })
}

fn listen_address(text: &str) -> Result<SocketAddr, Error> {
    let text = text.trim();
    let full = if text.parse::<u16>().is_ok() {
        format!("127.0.0.1:{text}")
    } else {
        text.to_owned()
    };
    match loopback_address(&full, "listen") {
        Ok(address) if address.port() != 0 => Ok(address),
        _ => Err(invalid(
            "listen",
            "use an address of this machine with a port from 1 to 65535, for example 127.0.0.1:8420",
        )),
    }
}

fn origin(text: &str) -> Result<String, Error> {
    let wrong = || {
        invalid(
            "callerCallbackOrigins",
            &format!("{text:?} is not an origin; write for example https://ci.example.org"),
        )
    };
    let url = url::Url::parse(text).map_err(|_| wrong())?;
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    if is_http(text) && bare && url.username().is_empty() {
        Ok(url.origin().ascii_serialization())
    } else {
        Err(wrong())
    }
}

fn invalid(field: &str, what: &str) -> Error {
    Error::new(
        ErrorCode::Invalid,
        format!("{field}: {}. Nothing was changed.", what.trim_end_matches('.')),
    )
}
