//! What the operator keeps under names of their own: variables, connections. All of one sort are one entry of the store,
//! and in memory, so that a run reads no file.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use countersign_domain::{ErrorCode, display_line};
use countersign_store::{Changes, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::app::storage;
use crate::settings::SettingsError;

/// The longest name, in characters.
pub(crate) const NAME_LIMIT: usize = 100;

/// One sort of them.
pub(crate) trait Entry: Clone + Serialize + DeserializeOwned {
    /// Under which name they lie in the store.
    const KEY: &'static str;
    /// What one of them is called, for people.
    const ONE: &'static str;
    /// How many there can be.
    const COUNT_LIMIT: usize;
}

/// All of one sort by name, as they were when somebody asked. Cheap to clone.
pub(crate) type Entries<T> = Arc<BTreeMap<String, T>>;

/// All of one sort. Changes are made one at a time, under [`crate::app::Inner::changing`].
#[derive(Debug)]
pub(crate) struct Register<T>(RwLock<Entries<T>>);

impl<T: Entry> Register<T> {
    pub(crate) fn load(store: &Store) -> Result<Self, SettingsError> {
        let kept = store.setting(T::KEY)?;
        let entries: BTreeMap<String, T> = kept.map(serde_json::from_value).transpose()?.unwrap_or_default();
        Ok(Self(RwLock::new(Arc::new(entries))))
    }

    pub(crate) fn now(&self) -> Entries<T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether one more can be kept, if this is a new one.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`]
    pub(crate) fn check_room(&self, name: &str) -> Result<(), Error> {
        let new = !self.now().contains_key(name);
        self.check_room_for(usize::from(new))
    }

    /// Whether so many new ones can be kept.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`]
    pub(crate) fn check_room_for(&self, new: usize) -> Result<(), Error> {
        if new == 0 || self.now().len() + new <= T::COUNT_LIMIT {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "There are {} {}s already, which is the most. Delete one first.",
            T::COUNT_LIMIT,
            T::ONE
        )))
    }

    /// Keeps one, durably.
    ///
    /// # Errors
    /// The storage failed.
    pub(crate) async fn put(&self, store: &Store, name: &str, entry: T) -> Result<(), Error> {
        self.put_all(store, vec![(name.to_owned(), entry)], Changes::new())
            .await
    }

    /// Keeps several, durably, in one commit with these changes.
    ///
    /// # Errors
    /// The storage failed.
    pub(crate) async fn put_all(
        &self,
        store: &Store,
        new: Vec<(String, T)>,
        with: Changes,
    ) -> Result<(), Error> {
        let mut entries = self.now();
        Arc::make_mut(&mut entries).extend(new);
        self.keep(store, entries, with).await
    }

    /// Deletes one, durably.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] for an unknown one; the storage failed.
    pub(crate) async fn delete(&self, store: &Store, name: &str) -> Result<(), Error> {
        let mut entries = self.now();
        if Arc::make_mut(&mut entries).remove(name).is_none() {
            let message = format!("There is no {} {}.", T::ONE, display_line(name, NAME_LIMIT));
            return Err(Error::new(ErrorCode::NotFound, message));
        }
        self.keep(store, entries, Changes::new()).await
    }

    async fn keep(&self, store: &Store, entries: Entries<T>, mut changes: Changes) -> Result<(), Error> {
        let value = serde_json::to_value(&*entries).map_err(crate::execute::not_json)?;
        changes.put_setting(T::KEY, &value);
        store.commit(changes).await.map_err(storage)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = entries;
        Ok(())
    }
}
