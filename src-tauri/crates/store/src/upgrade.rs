//! Callbacks as older versions stored them.
//!
//! They kept the body inside the callback, in the tree and in the journal, and noted neither its execution nor
//! whether an attempt had failed. Such a callback is taken apart when the folder is opened and not where it is
//! read, because the first attempt would write it back without its body, and because lists and totals are kept by
//! what was noted. The journal stays as it is: its lines are a hash chain.

use countersign_domain::Callback;
use serde::Deserialize;

use crate::changes::Changes;
use crate::key;
use crate::shared::{Counts, count_waiting};
use crate::transaction::{Layers, OutboxChange, Overlay};
use crate::value::{CallbackMeta, Stored};
use crate::writer::{Failure, Writer};

/// So many bytes of callbacks are written at once, about.
const PART: usize = 4 << 20;

#[derive(Deserialize)]
struct Body {
    body: String,
}

/// The body in a line that an older version wrote when it queued a callback.
pub(crate) fn body_in_line(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Line {
        callback: Body,
    }
    let line: Line = serde_json::from_slice(line).ok()?;
    Some(line.callback.body)
}

impl Writer {
    /// Takes apart the callbacks of an older version. `counted` is what waits, if all of it is there; answers what
    /// waits now. A crash on the way leaves some of them for the next start.
    pub(crate) fn upgrade_callbacks(&mut self, counted: Option<Counts>) -> Result<Option<Counts>, Failure> {
        if !Counts::are_older(&self.tree)? {
            return Ok(counted);
        }
        let mut older = Vec::new();
        for found in self.tree.scan_prefix([key::CALLBACK]) {
            let (key, value) = found?;
            // What is damaged is left for the reader to report.
            if Stored::read(&key, value).is_ok_and(|stored| CallbackMeta::is_older(stored.meta())) {
                older.push(key);
            }
        }
        let mut part = Overlay::default();
        let mut size = 0;
        for key in &older {
            let Some((callback, body)) = self.older_callback(key)? else {
                continue;
            };
            let mut changes = Changes::new();
            changes.put_new_callback(&callback, &body);
            changes.check()?;
            size += changes.size();
            let layers = Layers {
                shared: &self.shared,
                tree: &self.tree,
                below: &Overlay::default(),
            };
            layers.apply(&mut part, changes)?;
            if size >= PART {
                self.write_uncounted(std::mem::take(&mut part))?;
                size = 0;
            }
        }
        self.write_uncounted(part)?;
        if counted.is_none() {
            // What was lost is counted when it was restored.
            return Ok(None);
        }
        let (counts, whole) = count_waiting(&self.shared.blobs, &self.tree)?;
        let mut totals = Overlay::default();
        let slot = counts.slot_after(0, OutboxChange::default());
        totals.values.insert(Counts::key(), Some(slot));
        self.write_uncounted(totals)?;
        if !older.is_empty() {
            self.sync()?;
            tracing::info!(
                callbacks = older.len(),
                "callbacks of an older version were taken over"
            );
        }
        Ok(whole.then_some(counts))
    }

    fn older_callback(&self, key: &[u8]) -> Result<Option<(Callback, String)>, Failure> {
        let Some(value) = self.tree.get(key)? else {
            return Ok(None);
        };
        let Ok(Some(payload)) = Stored::read(key, value)?
            .payload(key, &self.shared.blobs)
            .map(|payload| payload.map(std::borrow::Cow::into_owned))
        else {
            return Ok(None);
        };
        let callback = serde_json::from_slice::<Callback>(&payload);
        let body = serde_json::from_slice::<Body>(&payload);
        Ok(callback
            .ok()
            .zip(body.ok())
            .map(|(callback, Body { body })| (callback, body)))
    }

    /// Writes what was counted before and is counted again afterwards.
    fn write_uncounted(&mut self, mut overlay: Overlay) -> Result<(), Failure> {
        overlay.outbox = OutboxChange::default();
        self.write(overlay)?;
        Ok(())
    }
}
