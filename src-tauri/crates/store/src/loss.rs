//! The loss of the whole database, which is told until somebody acknowledges it: what the journal does not carry has to
//! be entered again by a person, and a start later nothing else shows that it was ever there.

use countersign_domain::Timestamp;

use crate::transaction::Overlay;
use crate::value::{Slot, Stored};
use crate::writer::{Failure, Writer};
use crate::{StoreError, key};

/// When it was found that the database is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loss(String);

impl Loss {
    /// Found now.
    pub(crate) fn found(now: Timestamp) -> Self {
        Self(now.to_string())
    }

    fn key() -> Vec<u8> {
        vec![key::LOSS]
    }

    /// The one that nobody has acknowledged yet.
    pub(crate) fn load(tree: &sled::Tree) -> Result<Option<Self>, StoreError> {
        let key = Self::key();
        let Some(bytes) = tree.get(&key)? else {
            return Ok(None);
        };
        let stored = Stored::read(&key, bytes)?;
        Ok(Some(Self(String::from_utf8_lossy(stored.meta()).into_owned())))
    }

    /// What is gone and what is not, for people.
    pub(crate) fn for_people(&self) -> String {
        format!(
            "the database was gone at the start of {}: the flows with their settings and secrets, the settings, the \
             variables and the connections were in it and are lost; questions and callbacks were restored from the journal",
            self.0
        )
    }

    /// The same with what to do about it.
    pub(crate) fn with_advice(&self) -> String {
        format!(
            "{} (put the folder db back from a backup while Countersign is closed, or import the flows again and enter \
             callback URL, secrets, variables and connections again; then close it: `countersign doctor \
             --acknowledge-damage` ends this warning)",
            self.for_people()
        )
    }
}

impl Writer {
    /// Keeps the loss until it is acknowledged, or forgets it.
    pub(crate) fn note_loss(&mut self, loss: Option<&Loss>) -> Result<(), Failure> {
        let mut overlay = Overlay::default();
        let slot = loss.map(|Loss(time)| Slot::new(time.clone().into_bytes(), Vec::new()));
        overlay.values.insert(Loss::key(), slot);
        self.write(overlay)?;
        Ok(())
    }

    /// Forgets the loss; what it was, for people.
    pub(crate) fn acknowledge_loss(&mut self) -> Result<Option<String>, Failure> {
        // A note that cannot be read goes as well.
        let loss = Loss::load(&self.tree).unwrap_or_default();
        if self.tree.contains_key(Loss::key())? {
            self.note_loss(None)?;
            self.sync()?;
        }
        Ok(loss.map(|loss| loss.for_people()))
    }
}
