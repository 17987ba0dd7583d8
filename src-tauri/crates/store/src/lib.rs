//! Durable storage: one writer over sled, blob files, packs and the journal.
//!
//! ```text
//! data folder/           mode 0700
//!   countersign.lock     held while the store is open
//!   db/                  sled: one tree, every value at most 6 KiB with format byte and checksum
//!   blobs/               larger values, named by their SHA-256
//!   records/             finished runs that nobody waited for, in chunks
//!   journal.jsonl        the audit log, a hash chain; approvals and the outbox can be rebuilt from it
//! ```
//!
//! What a caller may rely on:
//! - [`Store::commit`] and [`Store::transact`] answer `Ok` only when everything is durable: batch, `flush`,
//!   `sync_data` on sled's file, journal line, `sync_data` on the journal. All or nothing.
//! - [`Store::record`] is for what nobody waits for: visible at once, durable with the next commit or after
//!   [`Options::flush_every`].
//! - A damaged value is [`StoreError::Damaged`], never absent. It hides nothing else: a list leaves it out, and
//!   [`Store::damage`] names it.
//! - After the first storage error nothing is accepted any more ([`Store::failed`]); reads go on.
//! - Nothing that is damaged is deleted; it is set aside under a dated name.

mod blob;
mod changes;
mod damage;
mod disk;
mod error;
mod journal;
mod key;
mod loss;
mod open;
mod pack;
mod pieces;
mod query;
mod queue;
mod recent;
mod restore;
mod salvage;
mod shared;
mod store;
mod transaction;
mod upgrade;
mod value;
mod writer;

pub use changes::Changes;
pub use disk::{FolderState, look_at_folder};
pub use error::{OpenError, StoreError};
pub use journal::{JOURNAL_FILE, JournalDamage, JournalFault, JournalSummary, verify_journal};
pub use open::{Acknowledged, SetAside, acknowledge_damage, is_in_use};
pub use query::{ApprovalFilter, ApprovalQuery, CallbackQuery, ExecutionQuery, Listed, Page};
pub use store::{Options, Store};
pub use transaction::Transaction;
