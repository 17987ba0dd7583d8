//! macOS and Windows, whose keychains are part of the system: through the stores of `keyring`.

use keyring_core::api::CredentialStoreApi as _;
use keyring_core::{Entry, Error};

use crate::{Dialog, Keychain, SERVICE, Unavailable, Zeroizing};

/// The Keychain of macOS or the Credential Manager of Windows.
///
/// Windows knows no dialog. macOS opens one where it sees need, also for [`Dialog::Never`].
pub(crate) struct Native;

fn entry(name: &str) -> Result<Entry, Unavailable> {
    #[cfg(target_os = "macos")]
    let store = apple_native_keyring_store::keychain::Store::new();
    #[cfg(windows)]
    let store = windows_native_keyring_store::Store::new();
    store
        .and_then(|store| store.build(SERVICE, name, None))
        .map_err(|error| why(&error))
}

impl Keychain for Native {
    fn read(&self, name: &str, _: Dialog) -> Result<Option<Zeroizing<Vec<u8>>>, Unavailable> {
        match entry(name)?.get_secret() {
            Ok(text) => Ok(Some(Zeroizing::new(text))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(why(&error)),
        }
    }

    fn write(&self, name: &str, text: &[u8]) -> Result<(), Unavailable> {
        if self.read(name, Dialog::Never)?.is_some() {
            return Err(Unavailable::Taken);
        }
        entry(name)?.set_secret(text).map_err(|error| why(&error))
    }
}

fn why(error: &Error) -> Unavailable {
    match error {
        Error::NoStorageAccess(_) => Unavailable::Locked,
        // Not the error itself: some carry what was read.
        Error::BadEncoding(_) => Unavailable::Failed("it gave bytes that are no text".to_owned()),
        other => Unavailable::Failed(other.to_string()),
    }
}
