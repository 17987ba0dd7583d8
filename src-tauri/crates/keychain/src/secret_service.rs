//! Linux and the BSDs: the Secret Service, which GNOME Keyring, KWallet and KeePassXC speak on the session bus.

use std::collections::HashMap;
use std::time::Duration;

use secret_service::{EncryptionType, Error, Item, SearchItemsResult};

use crate::{Dialog, Keychain, LIMIT, SERVICE, Unavailable, Zeroizing};

/// How long a dialog is left open. After that the connection closes, and the keychain takes the dialog away.
const DIALOG_LIMIT: Duration = Duration::from_secs(120);

/// What secrets are, for programs that show keychains.
const CONTENT_TYPE: &str = "text/plain";

/// The keychain on a message bus. Each question has a connection of its own: one that is kept would still lead to
/// the bus or the keychain of the last sign-in, and questions are rare.
#[derive(Debug, Default)]
pub(crate) struct SecretService {
    /// The address of the bus; absent for the session's own one.
    pub(crate) bus: Option<String>,
}

type Session = secret_service::SecretService<'static>;

impl Keychain for SecretService {
    fn read(&self, entry: &str, dialog: Dialog) -> Result<Option<Zeroizing<Vec<u8>>>, Unavailable> {
        let limit = match dialog {
            Dialog::Allowed => DIALOG_LIMIT,
            Dialog::Never => LIMIT,
        };
        within(limit, async {
            let session = in_time(self.connect()).await?;
            let found = in_time(search(&session, entry)).await?;
            let item = match (found.unlocked.first(), found.locked.first(), dialog) {
                (Some(item), _, _) => item,
                (None, None, _) => return Ok(None),
                (None, Some(_), Dialog::Never) => return Err(Unavailable::Locked),
                (None, Some(item), Dialog::Allowed) => {
                    tracing::info!("the keychain is locked; the system asks to unlock it");
                    item.unlock().await.map_err(why)?;
                    item
                }
            };
            let text = in_time(async { item.get_secret().await.map_err(why) }).await?;
            Ok(Some(Zeroizing::new(text)))
        })
    }

    fn write(&self, entry: &str, text: &[u8]) -> Result<(), Unavailable> {
        within(LIMIT, async {
            let session = self.connect().await?;
            let collection = session
                .get_default_collection()
                .await
                .map_err(|error| match error {
                    Error::NoResult => Unavailable::NoDefault,
                    other => why(other),
                })?;
            // Creating in a locked one opens the dialog.
            collection.ensure_unlocked().await.map_err(why)?;
            let found = search(&session, entry).await?;
            if !found.unlocked.is_empty() || !found.locked.is_empty() {
                return Err(Unavailable::Taken);
            }
            let label = format!("Countersign, key {entry}");
            let replace = false;
            collection
                .create_item(&label, attributes(entry), text, replace, CONTENT_TYPE)
                .await
                .map_err(why)?;
            Ok(())
        })
    }
}

/// What our entries are found by.
fn attributes(entry: &str) -> HashMap<&str, &str> {
    HashMap::from([("service", SERVICE), ("username", entry)])
}

/// Does it on a runtime of its own, for the threads of [`crate::ask`] belong to none.
fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Unavailable>>) -> Result<T, Unavailable> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Unavailable::Failed(error.to_string()))?;
    runtime.block_on(limited(limit, work))
}

async fn limited<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Unavailable>>,
) -> Result<T, Unavailable> {
    let answer = tokio::time::timeout(limit, work).await;
    answer.unwrap_or(Err(Unavailable::Hanging))
}

/// A step that needs no person.
async fn in_time<T>(work: impl Future<Output = Result<T, Unavailable>>) -> Result<T, Unavailable> {
    limited(LIMIT, work).await
}

impl SecretService {
    async fn connect(&self) -> Result<Session, Unavailable> {
        let bus = match &self.bus {
            None => zbus::Connection::session().await,
            Some(address) => match zbus::connection::Builder::address(address.as_str()) {
                Ok(builder) => builder.build().await,
                Err(error) => Err(error),
            },
        };
        let bus = bus.map_err(|error| {
            tracing::debug!(%error, "the session bus cannot be reached");
            Unavailable::NoBus
        })?;
        // The secret crosses the bus encrypted, in case somebody watches it.
        Session::connect_with_existing(EncryptionType::Dh, bus)
            .await
            .map_err(why)
    }
}

async fn search<'a>(session: &'a Session, entry: &str) -> Result<SearchItemsResult<Item<'a>>, Unavailable> {
    session.search_items(attributes(entry)).await.map_err(why)
}

fn why(error: Error) -> Unavailable {
    match error {
        Error::Locked => Unavailable::Locked,
        Error::Prompt => Unavailable::Declined,
        Error::Unavailable => Unavailable::NoProvider,
        Error::Zbus(error) if is_absence(&error) => Unavailable::NoProvider,
        Error::ZbusFdo(
            zbus::fdo::Error::ServiceUnknown(_)
            | zbus::fdo::Error::NameHasNoOwner(_)
            | zbus::fdo::Error::SpawnServiceNotFound(_),
        ) => Unavailable::NoProvider,
        Error::Zbus(zbus::Error::MethodError(name, _, _)) if name.ends_with(".IsLocked") => {
            Unavailable::Locked
        }
        other => Unavailable::Failed(other.to_string()),
    }
}

/// Whether nothing has the name on the bus, or what has it could not be started.
fn is_absence(error: &zbus::Error) -> bool {
    let absent = |name: &str| {
        matches!(
            name,
            "org.freedesktop.DBus.Error.ServiceUnknown" | "org.freedesktop.DBus.Error.NameHasNoOwner"
        ) || name.starts_with("org.freedesktop.DBus.Error.Spawn.")
    };
    match error {
        zbus::Error::MethodError(name, _, _) => absent(name),
        zbus::Error::FDO(error) => matches!(
            error.as_ref(),
            zbus::fdo::Error::ServiceUnknown(_) | zbus::fdo::Error::NameHasNoOwner(_)
        ),
        zbus::Error::InterfaceNotFound => true,
        _ => false,
    }
}
