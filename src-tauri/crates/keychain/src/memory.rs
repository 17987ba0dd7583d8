//! A keychain in memory, for tests.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::{Dialog, Keychain, Unavailable, Zeroizing};

/// How a keychain behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mood {
    /// It works.
    Works,
    /// It answers everything with this.
    Fails(Unavailable),
    /// It answers nothing until its mood changes.
    Hangs,
    /// It takes everything and keeps something else.
    Garbles,
}

/// A keychain in memory. It counts how often it was asked.
#[derive(Debug)]
pub struct InMemory {
    inside: Mutex<Inside>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inside {
    mood: Mood,
    entries: BTreeMap<String, Vec<u8>>,
    asked: Vec<Dialog>,
}

impl Default for InMemory {
    fn default() -> Self {
        Self::in_mood(Mood::Works)
    }
}

impl InMemory {
    /// An empty one that behaves like this.
    pub fn in_mood(mood: Mood) -> Self {
        Self {
            inside: Mutex::new(Inside {
                mood,
                entries: BTreeMap::new(),
                asked: Vec::new(),
            }),
            changed: Condvar::new(),
        }
    }

    /// Makes it behave like this from now on, also towards who is waiting.
    pub fn change_mood(&self, mood: Mood) {
        self.inside().mood = mood;
        self.changed.notify_all();
    }

    /// What lies in it.
    pub fn entries(&self) -> BTreeMap<String, Vec<u8>> {
        self.inside().entries.clone()
    }

    /// Puts something in or takes it out, as a person does with a program for keychains.
    pub fn put(&self, entry: &str, text: Option<&[u8]>) {
        let mut inside = self.inside();
        match text {
            Some(text) => inside.entries.insert(entry.to_owned(), text.to_owned()),
            None => inside.entries.remove(entry),
        };
    }

    /// For each question so far, whether a dialog would have been allowed. Writing never allows one.
    pub fn asked(&self) -> Vec<Dialog> {
        self.inside().asked.clone()
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its inside, once it does not hang.
    fn answer(&self, dialog: Dialog) -> Result<MutexGuard<'_, Inside>, Unavailable> {
        let mut inside = self.inside();
        inside.asked.push(dialog);
        while inside.mood == Mood::Hangs {
            inside = self.changed.wait(inside).unwrap_or_else(PoisonError::into_inner);
        }
        match &inside.mood {
            Mood::Fails(why) => Err(why.clone()),
            _ => Ok(inside),
        }
    }
}

impl Keychain for InMemory {
    fn read(&self, entry: &str, dialog: Dialog) -> Result<Option<Zeroizing<Vec<u8>>>, Unavailable> {
        let inside = self.answer(dialog)?;
        Ok(inside.entries.get(entry).cloned().map(Zeroizing::new))
    }

    fn write(&self, entry: &str, text: &[u8]) -> Result<(), Unavailable> {
        let mut inside = self.answer(Dialog::Never)?;
        if inside.entries.contains_key(entry) {
            return Err(Unavailable::Taken);
        }
        let mut kept = text.to_owned();
        if inside.mood == Mood::Garbles {
            kept.reverse();
        }
        inside.entries.insert(entry.to_owned(), kept);
        Ok(())
    }
}
