//! The keychain of the operating system: the Secret Service on Linux, the Keychain on macOS, the Credential Manager
//! on Windows.
//!
//! A keychain may be absent, locked, or hang while it waits for somebody. So nothing here is called directly from
//! where something else waits: [`ask`] puts a question on a thread of its own, and [`Asked::wait`] waits for the
//! answer within a limit. "There is no such entry" is the answer of a healthy keychain; every [`Unavailable`] is a
//! reason, in words for people, not to rely on this one.

mod ask;
mod memory;
#[cfg(any(target_os = "macos", windows))]
mod native;
#[cfg(all(unix, not(target_os = "macos")))]
mod secret_service;

use std::sync::Arc;
use std::time::Duration;

pub use ask::{Asked, ask};
pub use memory::{InMemory, Mood};
pub use zeroize::Zeroizing;

/// Under which name our entries lie, beside their own one. On Linux they are found with
/// `secret-tool lookup service countersign username ENTRY`.
pub const SERVICE: &str = "countersign";

/// How long a keychain may take before it counts as hanging.
pub const LIMIT: Duration = Duration::from_secs(3);

/// Whether the system may open its dialog to unlock a keychain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialog {
    /// It may. The answer then takes as long as the person.
    Allowed,
    /// It may not, where the system lets us say so: what is locked is [`Unavailable::Locked`].
    Never,
}

/// A place where the operating system keeps short secrets for the account. The methods block.
pub trait Keychain: Send + Sync {
    /// What lies under this name; nothing if there is no such entry.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn read(&self, entry: &str, dialog: Dialog) -> Result<Option<Zeroizing<Vec<u8>>>, Unavailable>;

    /// Keeps something under a new name; never in place of what lies there, and never with a dialog. Give text:
    /// KWallet keeps nothing else.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn write(&self, entry: &str, text: &[u8]) -> Result<(), Unavailable>;
}

/// Why a keychain cannot be relied on; a clause for people, without a full stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Nothing to reach a keychain by.
    #[error("there is no session bus, over which a keychain would be reached")]
    NoBus,
    /// The bus is there, and nothing on it keeps secrets.
    #[error("no keychain such as GNOME Keyring or KWallet runs on this desktop")]
    NoProvider,
    /// A keychain, but none to put new things into.
    #[error("this account has no default keychain yet")]
    NoDefault,
    /// It is locked.
    #[error("the keychain is locked")]
    Locked,
    /// The person closed the dialog.
    #[error("the keychain is locked, and unlocking it was declined")]
    Declined,
    /// No answer in time.
    #[error("the keychain did not answer in time")]
    Hanging,
    /// Something lies there already.
    #[error("the keychain has an entry of this name already")]
    Taken,
    /// What was read back is not what was written.
    #[error("the keychain did not give back what was put into it")]
    Forgetful,
    /// Anything else.
    #[error("the keychain failed: {0}")]
    Failed(String),
}

/// The keychain of the account that runs this program. Making it asks nothing yet.
pub fn of_this_system() -> Arc<dyn Keychain> {
    #[cfg(all(unix, not(target_os = "macos")))]
    return Arc::new(secret_service::SecretService::default());
    #[cfg(any(target_os = "macos", windows))]
    return Arc::new(native::Native);
    #[cfg(not(any(unix, windows)))]
    return Arc::new(InMemory::in_mood(Mood::Fails(Unavailable::NoProvider)));
}

/// The keychain on the bus with this address: for tests.
#[cfg(all(unix, not(target_os = "macos")))]
pub fn on_bus(address: &str) -> Arc<dyn Keychain> {
    Arc::new(secret_service::SecretService {
        bus: Some(address.to_owned()),
    })
}

/// The question whether a keychain can be relied on, answered by use: looks, keeps, reads back and compares.
///
/// # Errors
/// [`Unavailable`]. Something may then lie under the name all the same.
pub fn keep_and_read_back(keychain: &dyn Keychain, entry: &str, text: &[u8]) -> Result<(), Unavailable> {
    keychain.write(entry, text)?;
    match keychain.read(entry, Dialog::Never)? {
        Some(back) if back.as_slice() == text => Ok(()),
        _ => Err(Unavailable::Forgetful),
    }
}
