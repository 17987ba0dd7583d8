//! Opening a data folder: lock, recovery, and bringing tree, journal and packs together.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::{Duration, Instant};

use countersign_domain::{ApprovalState, Clock, JournalEvent};

use crate::blob::Blobs;
use crate::damage::Damage;
use crate::disk::{self, FolderState};
use crate::error::{EngineError, as_the_system_said_it, error_chain};
use crate::journal::{self, Head, JOURNAL_FILE, Journal, JournalDamage, JournalFault};
use crate::key;
use crate::loss::Loss;
use crate::pack::{PackEnd, Packs};
use crate::queue::Queue;
use crate::recent::{Mark, Place, Recent, Run, SETTLE_AT};
use crate::restore::{Past, Restored};
use crate::salvage;
use crate::shared::{Counts, Shared, count_waiting};
use crate::transaction::Overlay;
use crate::writer::{Failure, Writer};
use crate::{OpenError, Options, StoreError};

/// sled's folder in the data folder.
pub(crate) const ENGINE: &str = "db";
pub(crate) const LOCK_FILE: &str = "countersign.lock";
/// sled may let go of its lock a moment after it was dropped (sled#1289), and a program that is just closing
/// holds ours a moment longer.
const LOCK_PATIENCE: Duration = Duration::from_millis(1500);
const LOCK_STEP: Duration = Duration::from_millis(50);
const CACHE: u64 = 64 << 20;

/// A folder that is ready.
pub(crate) struct Opened {
    pub(crate) writer: Writer,
    /// What had to be repaired, for people.
    pub(crate) repairs: Vec<String>,
    /// How much of the journal has not been checked yet, in bytes from its beginning.
    pub(crate) unchecked: u64,
}

/// Opens the folder.
pub(crate) fn open(options: &Options, clock: Arc<dyn Clock>) -> Result<Opened, OpenError> {
    let dir = &options.dir;
    let new = !dir.exists();
    disk::private_folder(dir)?;
    let lock = lock(dir)?;
    // Without colons, which Windows does not allow in names.
    let stamp = clock.now().to_string().replace(':', "-");
    let mut repairs = Vec::new();

    let engine_dir = dir.join(ENGINE);
    let io = |action: &'static str, error| OpenError::io(action, dir, error);
    let blobs = Blobs::open(dir.join("blobs")).map_err(|error| io("open the blob folder of", error))?;
    salvage::finish(&engine_dir).map_err(|error| io("finish a repair of", error))?;
    let mut db = open_engine(dir, &engine_dir, &stamp, options.flush_every, &mut repairs)?;
    let counted = catch_unwind(AssertUnwindSafe(|| count_waiting(&blobs, &db)));
    let counted = match counted {
        Ok(Ok((counts, true))) => Some(counts),
        _ => None,
    };
    if counted.is_none() {
        salvage::salvage(db, &engine_dir, &stamp, &mut repairs).map_err(|error| io("repair", error))?;
        db = open_engine(dir, &engine_dir, &stamp, options.flush_every, &mut repairs)?;
    }
    let packs = Packs::open(dir.join("records")).map_err(|error| io("open the record folder of", error))?;
    let journal = Journal::open(dir).map_err(|error| io("open the journal of", error))?;
    let engine_file = engine_dir.join("db");
    let engine = File::options()
        .read(true)
        .write(true)
        .open(&engine_file)
        .map_err(|error| OpenError::io("open", engine_file, error))?;
    // sled creates and renames files without syncing the folder (sled#1077).
    let parent = if new {
        dir.parent().filter(|parent| !parent.as_os_str().is_empty())
    } else {
        None
    };
    for folder in [engine_dir.as_path(), dir.as_path()].into_iter().chain(parent) {
        disk::sync_folder(folder).map_err(|error| OpenError::io("sync the folder", folder, error))?;
    }

    let tree = sled::Tree::clone(&db);
    // Lines are written after the database has them: where there are some, it was never empty.
    let gone = tree.is_empty() && has_lines(dir);
    let known = or_repair(Head::load(&tree), &mut repairs).flatten();
    let mark = or_repair(Mark::load(&tree), &mut repairs).unwrap_or_default();
    let shared = Arc::new(Shared {
        dir: dir.clone(),
        clock,
        tree: RwLock::new(Some(tree.clone())),
        blobs,
        packs,
        recent: Mutex::new(Recent::default()),
        counts: Mutex::new(Counts::default()),
        queue: Queue::default(),
        failed: OnceLock::new(),
        damage: Damage::default(),
    });
    let mut writer = Writer {
        shared,
        tree,
        engine,
        journal,
        head: known.unwrap_or_default(),
        pack: PackEnd::at(mark.position),
        mark,
        flush_every: options.flush_every,
        unsynced: None,
        tree_unsynced: true,
        pack_unsynced: false,
        lock,
    };
    let joined = catch_unwind(AssertUnwindSafe(|| -> Result<_, Failure> {
        if gone {
            let loss = Loss::found(writer.shared.clock.now());
            repairs.push(loss.for_people());
            writer.note_loss(Some(&loss))?;
        }
        let counted = writer.upgrade_callbacks(counted)?;
        let restored = writer.join_journal(counted, &stamp, &mut repairs)?;
        writer.join_packs(&mut repairs)?;
        writer.sync()?;
        match Loss::load(&writer.tree) {
            Ok(loss) => loss
                .iter()
                .for_each(|loss| writer.shared.damage.note(loss.with_advice())),
            Err(error) => writer.shared.damage.note(error.to_string()),
        }
        // What was restored from it was checked before.
        Ok(if restored { 0 } else { writer.journal.length()? })
    }));
    let damaged = |reason: String| OpenError::Damaged {
        dir: dir.clone(),
        reason,
    };
    let unchecked = joined
        .map_err(|_| damaged("it stopped while it was read".to_owned()))?
        .map_err(|error| damaged(error_chain(error.as_ref())))?;
    for repair in &repairs {
        tracing::warn!(dir = %dir.display(), "{repair}");
    }
    Ok(Opened {
        writer,
        repairs,
        unchecked,
    })
}

/// A damaged journal that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The name of the file in the data folder.
    pub file: String,
    /// What is wrong with it, for people.
    pub damage: String,
}

/// What became of the journal of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// The damaged journal; `None` if it was whole.
    pub set_aside: Option<SetAside>,
    /// That the database was gone once, for people; it is not told any more.
    pub loss: Option<String>,
    /// What had to be repaired when the folder was opened, for people, as in [`Store::repairs`](crate::Store::repairs).
    pub repairs: Vec<String>,
}

/// Checks the journal of a folder that nobody works on. If it is damaged it is set aside as it is, and the next one
/// begins with a line that names it. That the database was gone once is told no more either.
///
/// # Errors
/// As [`Store::open`](crate::Store::open). Then the journal is where it was.
pub fn acknowledge_damage(options: &Options, clock: Arc<dyn Clock>) -> Result<Acknowledged, OpenError> {
    if disk::look_at_folder(&options.dir)? == FolderState::Missing {
        return Ok(Acknowledged::default());
    }
    let stamp = clock.now().to_string().replace(':', "-");
    let opened = open(options, clock)?;
    let (mut writer, repairs) = (opened.writer, opened.repairs);
    let done = writer
        .set_journal_aside(&stamp)
        .and_then(|set_aside| Ok((set_aside, writer.acknowledge_loss()?)));
    writer.end();
    let done = done.map(|(set_aside, loss)| Acknowledged {
        set_aside,
        loss,
        repairs,
    });
    done.map_err(|error| OpenError::Io {
        action: "set aside the journal of",
        path: options.dir.clone(),
        source: io::Error::other(error),
    })
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join(LOCK_FILE);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path);
    let file = file.map_err(|error| OpenError::io("open the lock file", &path, error))?;
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if started.elapsed() < LOCK_PATIENCE => {
                std::thread::sleep(LOCK_STEP)
            }
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { dir: dir.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(OpenError::io("lock", &path, error)),
        }
    }
}

/// Whether somebody works on this data folder, as far as that can be seen from outside.
pub fn is_in_use(dir: &Path) -> bool {
    // The lock is given back at once; whoever starts at this very moment waits longer than that.
    File::open(dir.join(LOCK_FILE))
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

enum EngineFault {
    Locked,
    Io(io::Error),
    Damaged(String),
}

/// sled reports damage by an error or by a panic (sled#1387).
fn try_engine(path: &Path, flush_every: Duration) -> Result<sled::Db, EngineFault> {
    let config = sled::Config::new()
        .path(path)
        .cache_capacity(CACHE)
        .flush_every_ms(Some(
            u64::try_from(flush_every.as_millis())
                .unwrap_or(500)
                .clamp(1, 500),
        ));
    // A thread of its own keeps what a panic leaves behind away from this one.
    let opened = std::thread::spawn(move || catch_unwind(AssertUnwindSafe(|| config.open()))).join();
    match opened.unwrap_or_else(Err) {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(sled::Error::Io(error))) if error.to_string().contains("could not acquire lock") => {
            Err(EngineFault::Locked)
        }
        Ok(Err(sled::Error::Io(error))) if error.kind() != io::ErrorKind::UnexpectedEof => {
            Err(EngineFault::Io(as_the_system_said_it(&error).unwrap_or(error)))
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "the database engine does not open its files");
            Err(EngineFault::Damaged(EngineError(error).to_string()))
        }
        Err(panic) => {
            // Where it stopped is for the log, which has the panic; what it says there is not for people.
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            tracing::warn!(
                panic = text,
                "the database engine stopped while it opened its files"
            );
            Err(EngineFault::Damaged("reading it broke off".to_owned()))
        }
    }
}

fn engine_with_patience(
    dir: &Path,
    path: &Path,
    flush_every: Duration,
) -> Result<Result<sled::Db, String>, OpenError> {
    let started = Instant::now();
    loop {
        match try_engine(path, flush_every) {
            Ok(db) => return Ok(Ok(db)),
            Err(EngineFault::Locked) if started.elapsed() < LOCK_PATIENCE => std::thread::sleep(LOCK_STEP),
            Err(EngineFault::Locked) => return Err(OpenError::InUse { dir: dir.to_owned() }),
            Err(EngineFault::Io(error)) => return Err(OpenError::io("open the database", path, error)),
            Err(EngineFault::Damaged(reason)) => return Ok(Err(reason)),
        }
    }
}

/// Opens sled, rung by rung: as it is; without its snapshot files, from which it recovers by its log; anew, if a
/// journal is there to rebuild from. What does not open is set aside under a dated name.
fn open_engine(
    dir: &Path,
    path: &Path,
    stamp: &str,
    flush_every: Duration,
    repairs: &mut Vec<String>,
) -> Result<sled::Db, OpenError> {
    let mut reason = match engine_with_patience(dir, path, flush_every)? {
        Ok(db) => return Ok(db),
        Err(reason) => reason,
    };
    if set_snapshots_aside(path, stamp)
        .map_err(|error| OpenError::io("set aside snapshots in", path, error))?
    {
        repairs.push(format!(
            "the database did not open ({reason}); its snapshot files were set aside"
        ));
        match engine_with_patience(dir, path, flush_every)? {
            Ok(db) => return Ok(db),
            Err(again) => reason = again,
        }
    }
    if !has_lines(dir) {
        return Err(OpenError::Damaged {
            dir: dir.to_owned(),
            reason,
        });
    }
    let aside = dir.join(format!("{ENGINE}.damaged-{stamp}"));
    fs::rename(path, &aside).map_err(|error| OpenError::io("set aside the database", path, error))?;
    repairs.push(format!(
        "the database did not open ({reason}). It was set aside as {} and is rebuilt from the journal, which has no runs \
         that wait, no flows and no settings",
        aside.display()
    ));
    match engine_with_patience(dir, path, flush_every)? {
        Ok(db) => Ok(db),
        Err(reason) => Err(OpenError::Damaged {
            dir: dir.to_owned(),
            reason,
        }),
    }
}

/// Whether there is a journal to rebuild from.
fn has_lines(dir: &Path) -> bool {
    fs::metadata(dir.join(JOURNAL_FILE)).is_ok_and(|found| found.len() > 0)
}

/// Moves sled's snapshot files into a dated folder beside the database. Answers whether there were any.
fn set_snapshots_aside(path: &Path, stamp: &str) -> io::Result<bool> {
    let mut snapshots = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("snap.") {
            snapshots.push(entry);
        }
    }
    if snapshots.is_empty() {
        return Ok(false);
    }
    let aside = path.with_file_name(format!("{ENGINE}.snapshots-{stamp}"));
    fs::create_dir_all(&aside)?;
    for entry in snapshots {
        fs::rename(entry.path(), aside.join(entry.file_name()))?;
    }
    disk::sync_folder(&aside)?;
    disk::sync_folder(path)?;
    Ok(true)
}

/// A damaged position is worked out again from the files; that is a repair, not an end.
fn or_repair<T>(loaded: Result<T, StoreError>, repairs: &mut Vec<String>) -> Option<T> {
    loaded
        .map_err(|error| repairs.push(format!("{error}; it was worked out again")))
        .ok()
}

impl Writer {
    /// Brings tree and journal file to the same line; see [`crate::journal`] for the cases.
    /// `counted` is what waits, if all of it is there. Answers whether something was restored from the journal.
    fn join_journal(
        &mut self,
        counted: Option<Counts>,
        stamp: &str,
        repairs: &mut Vec<String>,
    ) -> Result<bool, Failure> {
        if let Some(name) = self.journal.set_torn_line_aside(stamp)? {
            repairs.push(format!(
                "the last line of the journal was cut; it was set aside as {name}"
            ));
        }
        let end = self.journal.end()?;
        let number = end.map_or(0, |end| end.number);
        if end.is_none() {
            repairs.push("the last line of the journal is not readable".to_owned());
        }
        if number < self.head.number || end.is_none() {
            self.append_held(number, repairs)?;
        } else if number == self.head.number && end.is_some_and(|end| end.hash != self.head.hash) {
            repairs.push("the last line of the journal was changed after it was written".to_owned());
        }
        if let Some(counts) = counted
            && number <= self.head.number
        {
            *self.shared.counts() = counts;
            return Ok(false);
        }
        self.restore(repairs)?;
        let (counts, whole) = count_waiting(&self.shared.blobs, &self.tree)?;
        if !whole {
            repairs.push("something that waits is damaged, and the journal does not have it".to_owned());
        }
        *self.shared.counts() = counts;
        Ok(true)
    }

    /// The file is behind: a crash came between tree and journal.
    fn append_held(&mut self, number: u64, repairs: &mut Vec<String>) -> Result<(), Failure> {
        let held = or_repair(self.head.held_lines(&self.tree), repairs).unwrap_or_default();
        let missing = journal::lines_above(&held, number);
        let count = missing.iter().filter(|byte| **byte == b'\n').count() as u64;
        if count > 0 {
            self.journal.append(missing)?;
            tracing::info!(
                lines = count,
                "journal lines of the last commit were appended after a crash"
            );
        }
        if number + count < self.head.number {
            let first = number + 1;
            let last = self.head.number - count;
            repairs.push(format!("the journal has lost its lines {first} to {last}"));
        }
        Ok(())
    }

    /// The file is ahead, or the tree has lost something: approvals and callbacks that the tree does not know, or
    /// that changed in lines the tree does not know, are taken from the journal.
    fn restore(&mut self, repairs: &mut Vec<String>) -> Result<(), Failure> {
        if let Err(damage) = journal::verify(&self.shared.dir, u64::MAX, || true) {
            self.shared.damage.note(damage.with_advice());
        }
        let known = self.head.number;
        let mut head = self.head;
        let mut past = Past::default();
        let unreadable = self.journal.read(|line, text, hash| {
            if line.number > head.number {
                head = Head::at(line.number, hash);
            }
            past.add(line.event, text, line.number > known);
        })?;
        if unreadable > 0 {
            repairs.push(format!(
                "{unreadable} lines of the journal are not readable and were left out"
            ));
        }
        let (mut approvals, mut callbacks) = (0, 0);
        let mut part = Restored::new(self);
        let mut without_run = 0;
        for (approval, is_new) in past.approvals.into_values() {
            approvals += usize::from(part.approval(&approval, is_new)?);
            let run = key::with_id(key::EXECUTION, approval.execution_id.as_bytes());
            without_run += usize::from(
                approval.state == ApprovalState::Pending && !part.writer.tree.contains_key(&run)?,
            );
        }
        for (callback, body, is_new) in past.callbacks.into_values() {
            callbacks += usize::from(part.callback(&callback, body.as_deref(), is_new)?);
        }
        let outdated = part.outdated();
        part.end(head)?;
        // Of a database that is gone altogether it is said already.
        let besides = match known {
            0 => "",
            _ => {
                ". Flows, settings, variables and secrets are not in it: look whether they are as you left them"
            }
        };
        repairs.push(format!(
            "{} lines of the journal were not in the database; {approvals} approvals and {callbacks} callbacks \
             were restored from it{besides}",
            head.number - known
        ));
        if outdated > 0 {
            repairs.push(format!(
                "the records of {outdated} executions are older than the journal: they do not go on, so that nothing is \
                 asked or done twice"
            ));
        }
        if without_run > 0 {
            repairs.push(format!(
                "{without_run} of the questions that wait {} lost the run behind it, which is not in the journal: such a \
                 question can be taken back, but not answered",
                if without_run == 1 { "has" } else { "have" }
            ));
        }
        Ok(())
    }

    /// The file changes before the tree knows: after a crash in between it is ahead, and the tree learns of its line as
    /// of any other.
    fn set_journal_aside(&mut self, stamp: &str) -> Result<Option<SetAside>, Failure> {
        let damage = match journal::verify(&self.shared.dir, u64::MAX, || true) {
            Ok(_) => return Ok(None),
            // It is not damaged as far as anybody can tell.
            Err(JournalDamage {
                first: JournalFault::Read(error),
                ..
            }) => return Err(error.into()),
            Err(damage) => damage,
        };
        let done = SetAside {
            file: format!("{JOURNAL_FILE}.damaged-{stamp}"),
            damage: damage.for_people(),
        };
        let event = JournalEvent::DamageAcknowledged {
            file: done.file.clone(),
            sha256: journal::hash_of_file(&self.shared.dir.join(JOURNAL_FILE))?,
            lines: damage.lines,
            damage: done.damage.clone(),
        };
        let event = serde_json::to_vec(&event)?;
        let lines = journal::compose(self.head, self.shared.clock.now(), &[event]);
        self.journal.begin_anew(&done.file, &lines.text)?;
        self.head = lines.head;
        let mut overlay = Overlay::default();
        let pieces = lines.pieces.into_iter().map(|(key, slot)| (key, Some(slot)));
        overlay.values.extend(pieces);
        overlay.values.insert(Head::key(), Some(self.head.slot()));
        self.write(overlay)?;
        self.sync()?;
        Ok(Some(done))
    }

    /// Lists the recorded runs that have not settled.
    fn join_packs(&mut self, repairs: &mut Vec<String>) -> Result<(), Failure> {
        let shared = Arc::clone(&self.shared);
        let mut end = self.mark.position;
        let (position, faults) = shared.packs.scan(self.mark.position, |entries, next| {
            end = next;
            let mut recent = shared.recent();
            for entry in entries {
                recent.insert(
                    entry.id,
                    Run {
                        meta: entry.meta,
                        place: Place::Pack(entry.location),
                    },
                );
            }
            drop(recent);
            self.pack = PackEnd::at(end);
            // Only when the tree was lost: settle on the way, so that memory stays bounded.
            if shared.recent().in_packs() > 4 * SETTLE_AT {
                self.settle(0).map_err(StoreError::Read)?;
            }
            Ok(())
        })?;
        self.pack = PackEnd::at(position);
        repairs.extend(faults);
        Ok(())
    }
}
