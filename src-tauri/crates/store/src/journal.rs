//! The journal file: one JSON object a line, each with its number and the SHA-256 of the line before.
//!
//! **Order of a commit.** The tree comes first: its batch holds the changes, the number and hash of the newest
//! line ([`Head`]) and, cut into pieces, the text of the lines themselves. Only when that is synced are the lines
//! appended to the file and synced; then the commit is acknowledged. So after a crash in between
//! - the tree is ahead of the file by at most one commit, whose lines are in the pieces: they are appended;
//! - a line that was cut while it was written is set aside and appended again from the pieces;
//! - a file that is ahead of the tree means that the tree has lost commits: its lines are applied to the tree.
//!
//! Written the other way round, lines of a commit that never happened could not be told from lines that a damaged
//! tree has forgotten.
//!
//! **Damage** is never mended and never removed. Once somebody has acknowledged it, the file is set aside under a dated
//! name, and the first line of the next one names it. Numbers and hashes go on, and what was set aside is still read
//! when a tree is rebuilt.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use countersign_domain::{JournalEvent, JournalLine, Timestamp};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::error::error_chain;
use crate::key;
use crate::value::{INLINE_MAX, Slot, Stored};
use crate::{StoreError, disk};

/// The file's name in the data folder.
pub const JOURNAL_FILE: &str = "journal.jsonl";

const PIECE: usize = INLINE_MAX;

/// The newest line, as the tree knows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// Its number; 0 before the first line.
    pub(crate) number: u64,
    /// Its SHA-256.
    pub(crate) hash: [u8; 32],
    /// The length of the lines of the newest commit that wrote any.
    held: u64,
}

impl Head {
    pub(crate) const fn at(number: u64, hash: [u8; 32]) -> Self {
        Self {
            number,
            hash,
            held: 0,
        }
    }

    pub(crate) fn key() -> Vec<u8> {
        vec![key::JOURNAL_HEAD]
    }

    pub(crate) fn load(tree: &sled::Tree) -> Result<Option<Self>, StoreError> {
        let key = Self::key();
        let Some(bytes) = tree.get(&key)? else {
            return Ok(None);
        };
        let stored = Stored::read(&key, bytes)?;
        let parse = || {
            let bytes = stored.meta();
            Some(Self {
                number: u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?),
                held: u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?),
                hash: bytes.get(16..48)?.try_into().ok()?,
            })
        };
        parse().map(Some).ok_or_else(|| StoreError::Damaged {
            key: key::describe(&key),
        })
    }

    pub(crate) fn slot(&self) -> Slot {
        let mut meta = Vec::with_capacity(48);
        meta.extend_from_slice(&self.number.to_le_bytes());
        meta.extend_from_slice(&self.held.to_le_bytes());
        meta.extend_from_slice(&self.hash);
        Slot::new(meta, Vec::new())
    }

    /// The lines of the newest commit, from the pieces.
    pub(crate) fn held_lines(&self, tree: &sled::Tree) -> Result<Vec<u8>, StoreError> {
        let mut text = Vec::new();
        let mut piece = 0_u32;
        while (text.len() as u64) < self.held {
            let key = piece_key(piece);
            let damaged = || StoreError::Damaged {
                key: key::describe(&key),
            };
            let stored = Stored::read(&key, tree.get(&key)?.ok_or_else(damaged)?)?;
            text.extend_from_slice(stored.inline_payload());
            piece += 1;
        }
        text.truncate(usize::try_from(self.held).unwrap_or(usize::MAX));
        Ok(text)
    }
}

fn piece_key(piece: u32) -> Vec<u8> {
    key::with_bytes(key::JOURNAL_PIECE, &piece.to_be_bytes())
}

/// Lines that were not written yet.
pub(crate) struct Lines {
    /// What is appended to the file.
    pub(crate) text: Vec<u8>,
    /// The newest line after that.
    pub(crate) head: Head,
    /// What the tree has to hold of them: keys and values.
    pub(crate) pieces: Vec<(Vec<u8>, Slot)>,
}

/// The lines for these events.
pub(crate) fn compose(head: Head, at: Timestamp, events: &[Vec<u8>]) -> Lines {
    let mut head = head;
    let mut text = Vec::with_capacity(events.iter().map(|event| event.len() + 180).sum());
    for event in events {
        let start = text.len();
        head.number += 1;
        let fields = format!(
            r#"{{"number":{},"at":"{at}","previous":"{}","#,
            head.number,
            hex::encode(head.hash)
        );
        text.extend_from_slice(fields.as_bytes());
        // The event is an object; its fields go on behind ours.
        text.extend_from_slice(&event[1..]);
        head.hash = hash(&text[start..]);
        text.push(b'\n');
    }
    head.held = text.len() as u64;
    let pieces = text
        .chunks(PIECE)
        .zip(0_u32..)
        .map(|(piece, number)| (piece_key(number), Slot::new(Vec::new(), piece.to_vec())))
        .collect();
    Lines { text, head, pieces }
}

fn hash(line: &[u8]) -> [u8; 32] {
    Sha256::digest(line).into()
}

/// The open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
}

/// The last complete line of the file.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct End {
    pub(crate) number: u64,
    pub(crate) hash: [u8; 32],
}

impl Journal {
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join(JOURNAL_FILE);
        let file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(&path)?;
        Ok(Self { file, path })
    }

    pub(crate) fn append(&mut self, text: &[u8]) -> io::Result<()> {
        self.file.write_all(text)?;
        disk::sync_data(&self.file)
    }

    /// How long the file is, in bytes.
    pub(crate) fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Moves an incomplete last line to a file of its own. Answers that file's name if there was one.
    pub(crate) fn set_torn_line_aside(&mut self, stamp: &str) -> io::Result<Option<String>> {
        let length = self.file.metadata()?.len();
        let complete = self.last_line_end(length)?;
        if complete == length {
            return Ok(None);
        }
        let mut torn = Vec::new();
        self.file.seek(SeekFrom::Start(complete))?;
        (&self.file).take(length - complete).read_to_end(&mut torn)?;
        let name = format!("{JOURNAL_FILE}.torn-{stamp}");
        let mut aside = File::create(self.path.with_file_name(&name))?;
        aside.write_all(&torn)?;
        aside.sync_all()?;
        self.file.set_len(complete)?;
        self.file.sync_all()?;
        Ok(Some(name))
    }

    /// Where the last line feed before `end` is, plus one.
    fn last_line_end(&self, end: u64) -> io::Result<u64> {
        let mut end = end;
        let mut buffer = vec![0; 64 << 10];
        while end > 0 {
            let start = end.saturating_sub(buffer.len() as u64);
            let part = &mut buffer[..usize::try_from(end - start).unwrap_or(0)];
            crate::disk::read_exact_at(&self.file, part, start)?;
            if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
                return Ok(start + at as u64 + 1);
            }
            end = start;
        }
        Ok(0)
    }

    /// The last line; `None` if it is not a journal line.
    pub(crate) fn end(&mut self) -> io::Result<Option<End>> {
        let length = self.file.metadata()?.len();
        if length == 0 {
            return Ok(Some(End::default()));
        }
        let start = self.last_line_end(length - 1)?;
        let mut line = Vec::new();
        self.file.seek(SeekFrom::Start(start))?;
        (&self.file).take(length - 1 - start).read_to_end(&mut line)?;
        let parsed = serde_json::from_slice::<JournalLine>(&line);
        Ok(parsed.ok().map(|parsed| End {
            number: parsed.number,
            hash: hash(&line),
        }))
    }

    /// Puts a file with this text in its place and keeps the one that was there under another name, which must be free.
    /// After a crash either the one or the other is in place.
    pub(crate) fn begin_anew(&mut self, aside: &str, text: &[u8]) -> io::Result<()> {
        let new = self.path.with_file_name(format!("{JOURNAL_FILE}.new"));
        let mut file = File::create(&new)?;
        file.write_all(text)?;
        file.sync_all()?;
        let kept = self.path.with_file_name(aside);
        if let Err(error) = fs::hard_link(&self.path, &kept) {
            if error.kind() == io::ErrorKind::AlreadyExists {
                return Err(error);
            }
            // Not every file system has links.
            let mut copy = OpenOptions::new().write(true).create_new(true).open(&kept)?;
            io::copy(&mut File::open(&self.path)?, &mut copy)?;
            copy.sync_all()?;
        }
        fs::rename(&new, &self.path)?;
        if let Some(folder) = self.path.parent() {
            crate::disk::sync_folder(folder)?;
        }
        self.file = OpenOptions::new().read(true).append(true).open(&self.path)?;
        Ok(())
    }

    /// Calls `found` with every line that can be read, its text and its hash, those of files that were set aside first.
    /// Answers how many could not.
    pub(crate) fn read(&mut self, mut found: impl FnMut(JournalLine, &[u8], [u8; 32])) -> io::Result<u64> {
        let mut unreadable = 0;
        for path in self.files()?.iter().rev() {
            unreadable += read_lines(path, &mut found)?;
        }
        Ok(unreadable)
    }

    /// This file and those that were set aside before it, the newest first. One that is gone ends the list.
    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = vec![self.path.clone()];
        while let Some(newest) = files.last() {
            let mut first = Vec::new();
            BufReader::new(File::open(newest)?).read_until(b'\n', &mut first)?;
            let Ok(JournalLine {
                event: JournalEvent::DamageAcknowledged { file, .. },
                ..
            }) = serde_json::from_slice(&first)
            else {
                break;
            };
            // A name, and not a way out of the folder.
            let path = self
                .path
                .with_file_name(Path::new(&file).file_name().unwrap_or_default());
            if !path.is_file() || files.contains(&path) {
                break;
            }
            files.push(path);
        }
        Ok(files)
    }
}

fn read_lines(path: &Path, found: &mut impl FnMut(JournalLine, &[u8], [u8; 32])) -> io::Result<u64> {
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut unreadable = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(unreadable);
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        match serde_json::from_slice(text) {
            Ok(parsed) => found(parsed, text, hash(text)),
            Err(_) => unreadable += 1,
        }
    }
}

/// The complete lines with a number above `number`.
pub(crate) fn lines_above(text: &[u8], number: u64) -> &[u8] {
    let mut rest = text;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = serde_json::from_slice::<JournalLine>(&rest[..end]);
        if line.is_ok_and(|line| line.number > number) {
            return rest;
        }
        rest = &rest[end + 1..];
    }
    &[]
}

/// A journal that was read from end to end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalSummary {
    /// How many lines it has.
    pub lines: u64,
    /// SHA-256 of the last line, in hexadecimal; 64 zeros without one.
    pub last_hash: String,
}

/// Where a journal is not what was written.
#[derive(Debug, thiserror::Error)]
pub enum JournalFault {
    /// It cannot be read.
    #[error("the journal cannot be read")]
    Read(#[source] io::Error),
    /// A line is not a journal line, or it was cut.
    #[error("line {line} of the journal is not readable")]
    Unreadable {
        /// The line in the file, 1 for the first.
        line: u64,
    },
    /// Lines are missing, or stand twice or in another order.
    #[error("line {line} of the journal has the number {number}")]
    Number {
        /// The line in the file, 1 for the first.
        line: u64,
        /// Its number.
        number: u64,
    },
    /// The line before was changed.
    #[error("the line before line {line} of the journal was changed after it was written")]
    Chain {
        /// The line in the file, 1 for the first.
        line: u64,
    },
}

impl JournalFault {
    /// Where it is in the file, 1 for the first line.
    pub const fn line(&self) -> Option<u64> {
        match self {
            Self::Read(_) => None,
            Self::Unreadable { line } | Self::Number { line, .. } | Self::Chain { line } => Some(*line),
        }
    }
}

/// A journal that is not what was written.
#[derive(Debug, thiserror::Error)]
#[error("the journal is damaged in {places} of its {lines} lines, up to line {last}")]
pub struct JournalDamage {
    /// What is wrong first.
    #[source]
    pub first: JournalFault,
    /// At how many lines something is wrong.
    pub places: u64,
    /// The last of these lines.
    pub last: u64,
    /// How many lines were looked at.
    pub lines: u64,
}

impl JournalDamage {
    /// The same with what to do about it.
    pub(crate) fn with_advice(&self) -> String {
        format!(
            "{} (once you have looked at it, close Countersign: `countersign doctor --acknowledge-damage` keeps it beside \
             a new one)",
            self.for_people()
        )
    }

    /// What is wrong and how far it goes, for people.
    pub(crate) fn for_people(&self) -> String {
        let first = error_chain(&self.first);
        let extent = match self.places {
            0 | 1 => String::new(),
            places => format!(
                ", and {} more of its {} lines are not right either, the last of them line {}",
                places - 1,
                self.lines,
                self.last
            ),
        };
        format!("{first}{extent}: the audit log is not what was written")
    }
}

/// Checks number and hash chain of every line in the journal of a data folder. Reads only, so it may run beside a
/// working store; a line that is being written at this moment counts as cut.
///
/// # Errors
/// [`JournalDamage`], with the first fault and how far they go.
pub fn verify_journal(dir: &Path) -> Result<JournalSummary, JournalDamage> {
    let summary = verify(dir, u64::MAX, || true)?;
    Ok(summary.unwrap_or_default())
}

/// What the chain is made of. What happened is none of its business, and may be of a later version.
#[derive(Deserialize)]
struct Link {
    number: u64,
    previous: String,
}

/// What was found while a journal was read from line to line.
#[derive(Default)]
struct Check {
    lines: u64,
    first: Option<JournalFault>,
    places: u64,
    last: u64,
}

impl Check {
    fn fault(&mut self, fault: JournalFault) {
        self.places += 1;
        self.last = self.lines;
        self.first.get_or_insert(fault);
    }

    fn end(self, last_hash: [u8; 32]) -> Result<JournalSummary, JournalDamage> {
        let Self {
            lines,
            first,
            places,
            last,
        } = self;
        match first {
            None => Ok(JournalSummary {
                lines,
                last_hash: hex::encode(last_hash),
            }),
            Some(first) => Err(JournalDamage {
                first,
                places,
                last,
                lines,
            }),
        }
    }
}

/// Whether this line begins a journal that goes on where another one was set aside.
fn goes_on(line: &[u8]) -> bool {
    let parsed = serde_json::from_slice::<JournalLine>(line);
    parsed.is_ok_and(|parsed| matches!(parsed.event, JournalEvent::DamageAcknowledged { .. }))
}

/// The same for the first `length` bytes. Asks `go_on` after each mebibyte; `None` if that said no.
pub(crate) fn verify(
    dir: &Path,
    length: u64,
    mut go_on: impl FnMut() -> bool,
) -> Result<Option<JournalSummary>, JournalDamage> {
    let mut check = Check::default();
    let file = match File::open(dir.join(JOURNAL_FILE)) {
        Ok(file) => file,
        Err(error) => {
            check.fault(JournalFault::Read(error));
            return check.end([0; 32]).map(Some);
        }
    };
    let mut reader = BufReader::with_capacity(1 << 18, file.take(length));
    // The number and the hash of the line before; none where that is not known.
    let mut before = Some((0, [0; 32]));
    let mut text = Vec::new();
    let mut since_asked = 0;
    loop {
        text.clear();
        let read = match reader.read_until(b'\n', &mut text) {
            Ok(0) => return check.end(before.unwrap_or_default().1).map(Some),
            Ok(read) => read,
            Err(error) => {
                check.fault(JournalFault::Read(error));
                return check.end([0; 32]).map(Some);
            }
        };
        since_asked += read;
        if since_asked >= 1 << 20 {
            since_asked = 0;
            if !go_on() {
                return Ok(None);
            }
        }
        check.lines += 1;
        let line = check.lines;
        let whole = text.strip_suffix(b"\n");
        let link = whole.and_then(|text| Some((text, serde_json::from_slice::<Link>(text).ok()?)));
        let Some((text, Link { number, previous })) = link else {
            check.fault(JournalFault::Unreadable { line });
            before = None;
            continue;
        };
        if let Some((last, hash)) = before
            && !(line == 1 && goes_on(text))
        {
            if number != last + 1 {
                check.fault(JournalFault::Number { line, number });
            } else if previous != hex::encode(hash) {
                check.fault(JournalFault::Chain { line });
            }
        }
        before = Some((number, hash(text)));
    }
}

/// SHA-256 of a file in hexadecimal.
pub(crate) fn hash_of_file(path: &Path) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut file = File::open(path)?;
    let mut part = vec![0; 1 << 18];
    loop {
        match file.read(&mut part)? {
            0 => return Ok(hex::encode(digest.finalize())),
            read => digest.update(&part[..read]),
        }
    }
}
