//! Packs: append-only files for the records of finished runs that nobody waits for.
//!
//! Put into sled one by one, the keys of such an execution (itself, its chat, the chat's messages) cost 45 µs (measured, release build), which two cores cannot pay thirty thousand times a
//! second. So the writer appends such runs in chunks to a pack, and sled gets pages of list entries much later
//! ([`crate::recent`]).
//!
//! ```text
//! chunk = head (32 bytes), entries (69 bytes each), data
//! head  = "CSPK", format 1, 3 zero bytes, number of entries u32, CRC-32 of the entries u32,
//!         length of data u64, CRC-32 of the 24 bytes before u32, 4 zero bytes
//! data  = for each entry its execution as JSON
//! ```
//! All numbers are little endian. A chunk that was cut by a crash is never acknowledged and is skipped; the next
//! one goes to a new file.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::key::{self, IdBytes};
use crate::value::Meta;
use crate::{StoreError, disk};

/// A pack is not continued beyond this size.
const PACK_MAX: u64 = 256 << 20;
const MAGIC: &[u8; 4] = b"CSPK";
const FORMAT: u8 = 1;
const HEAD: usize = 32;
/// Length of an entry in a chunk and in a page.
pub(crate) const ENTRY: usize = 69;
const OPEN_FILES: usize = 16;

/// Where an execution lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) pack: u32,
    pub(crate) offset: u64,
    pub(crate) length: u32,
    pub(crate) checksum: u32,
}

/// A run in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: IdBytes,
    pub(crate) meta: Meta,
    pub(crate) location: Location,
}

impl Entry {
    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.id);
        to.push(self.meta.state);
        to.extend_from_slice(&self.meta.flow);
        to.extend_from_slice(&self.meta.chat);
        to.extend_from_slice(&self.location.pack.to_le_bytes());
        to.extend_from_slice(&self.location.offset.to_le_bytes());
        to.extend_from_slice(&self.location.length.to_le_bytes());
        to.extend_from_slice(&self.location.checksum.to_le_bytes());
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        Some(Self {
            id: bytes.get(..16)?.try_into().ok()?,
            meta: Meta::read(bytes.get(16..49)?)?,
            location: Location {
                pack: number(49)?,
                offset: u64::from_le_bytes(bytes.get(53..61)?.try_into().ok()?),
                length: number(61)?,
                checksum: number(65)?,
            },
        })
    }
}

/// The entries of a chunk or a page.
pub(crate) fn read_entries(bytes: &[u8]) -> impl DoubleEndedIterator<Item = Entry> + '_ {
    bytes.chunks_exact(ENTRY).filter_map(Entry::read)
}

fn checksum(id: &IdBytes, execution: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(id);
    hasher.update(execution);
    hasher.finalize()
}

/// A position in the packs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) pack: u32,
    pub(crate) offset: u64,
}

impl Position {
    const fn start_of(pack: u32) -> Self {
        Self { pack, offset: 0 }
    }
}

/// The folder of packs, for readers.
#[derive(Debug)]
pub(crate) struct Packs {
    dir: PathBuf,
    files: Mutex<HashMap<u32, Arc<File>>>,
}

impl Packs {
    pub(crate) fn open(dir: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        Ok(Self {
            dir,
            files: Mutex::default(),
        })
    }

    fn path(&self, pack: u32) -> PathBuf {
        self.dir.join(format!("{pack:08}.pack"))
    }

    fn file(&self, pack: u32) -> io::Result<Arc<File>> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(&pack) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(File::open(self.path(pack))?);
        if files.len() >= OPEN_FILES {
            files.clear();
        }
        files.insert(pack, Arc::clone(&file));
        Ok(file)
    }

    /// Reads an execution, as JSON.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the file is missing or too short, or the checksum is wrong.
    pub(crate) fn read(&self, id: &IdBytes, at: &Location) -> Result<Vec<u8>, StoreError> {
        let damaged = || StoreError::Damaged {
            key: key::describe(&key::with_id(key::EXECUTION, id)),
        };
        let gone = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => damaged(),
            _ => error.into(),
        };
        let mut execution = vec![0; at.length as usize];
        let file = self.file(at.pack).map_err(gone)?;
        disk::read_exact_at(&file, &mut execution, at.offset).map_err(gone)?;
        if checksum(id, &execution) != at.checksum {
            return Err(damaged());
        }
        Ok(execution)
    }

    /// The numbers of the packs, ascending.
    fn numbers(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "pack")
                && let Some(number) = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok())
            {
                numbers.push(number);
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Calls `found` with the entries of every chunk from `from` on, without reading the data. Answers where to
    /// go on writing, and what was wrong.
    pub(crate) fn scan(
        &self,
        from: Position,
        mut found: impl FnMut(Vec<Entry>, Position) -> Result<(), StoreError>,
    ) -> Result<(Position, Vec<String>), StoreError> {
        let mut faults = Vec::new();
        let mut end = from;
        let numbers = self.numbers()?;
        if from.offset > 0 && !numbers.contains(&from.pack) {
            faults.push(format!(
                "pack {} with recorded runs is missing; new runs go to the next one",
                from.pack
            ));
            end = Position::start_of(from.pack + 1);
        }
        for pack in numbers.into_iter().filter(|pack| *pack >= from.pack) {
            let start = if pack == from.pack { from.offset } else { 0 };
            end = Position { pack, offset: start };
            let file = File::open(self.path(pack))?;
            let length = file.metadata()?.len();
            if length < start {
                faults.push(format!(
                    "pack {pack} with recorded runs has lost its end; new runs go to the next one"
                ));
                end = Position::start_of(pack + 1);
                continue;
            }
            while end.offset < length {
                match read_chunk_head(&file, end.offset, length)? {
                    ChunkHead::Whole { entries, next } => {
                        end.offset = next;
                        match entries {
                            Some(entries) => found(entries, end)?,
                            None => faults.push(format!("a list of recorded runs in pack {pack} is damaged")),
                        }
                    }
                    ChunkHead::Cut => {
                        // The rest was never acknowledged. Never write behind it: start the next file.
                        end = Position::start_of(pack + 1);
                        break;
                    }
                    ChunkHead::Damaged => {
                        let at = end.offset;
                        faults.push(format!("pack {pack} is damaged from byte {at} on"));
                        end = Position::start_of(pack + 1);
                        break;
                    }
                }
            }
        }
        Ok((end, faults))
    }
}

enum ChunkHead {
    Whole { entries: Option<Vec<Entry>>, next: u64 },
    Cut,
    Damaged,
}

fn read_chunk_head(file: &File, offset: u64, length: u64) -> Result<ChunkHead, StoreError> {
    let mut head = [0; HEAD];
    if offset + HEAD as u64 > length {
        return Ok(ChunkHead::Cut);
    }
    disk::read_exact_at(file, &mut head, offset)?;
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if &head[..4] != MAGIC || head[4] != FORMAT || crc32fast::hash(&head[..24]) != number(24) {
        return Ok(ChunkHead::Damaged);
    }
    let entries_length = number(8) as usize * ENTRY;
    let data_length = u64::from(number(16)) | u64::from(number(20)) << 32;
    let next = offset + (HEAD + entries_length) as u64 + data_length;
    if next > length {
        return Ok(ChunkHead::Cut);
    }
    let mut bytes = vec![0; entries_length];
    disk::read_exact_at(file, &mut bytes, offset + HEAD as u64)?;
    let entries = (crc32fast::hash(&bytes) == number(12)).then(|| read_entries(&bytes).collect());
    Ok(ChunkHead::Whole { entries, next })
}

/// The end of the newest pack, for the writer.
#[derive(Debug)]
pub(crate) struct PackEnd {
    position: Position,
    file: Option<File>,
}

impl PackEnd {
    pub(crate) const fn at(position: Position) -> Self {
        Self { position, file: None }
    }

    pub(crate) const fn position(&self) -> Position {
        self.position
    }

    /// Appends one chunk. Answers the entry of each run, in order. [`Self::sync`] makes it durable.
    pub(crate) fn append(
        &mut self,
        packs: &Packs,
        runs: &[(IdBytes, Meta, Arc<Vec<u8>>)],
    ) -> io::Result<Vec<Entry>> {
        if self.position.offset >= PACK_MAX {
            self.sync()?;
            self.position = Position::start_of(self.position.pack + 1);
            self.file = None;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let path = packs.path(self.position.pack);
                let file = OpenOptions::new().create(true).append(true).open(path)?;
                disk::sync_folder(&packs.dir)?;
                none.insert(file)
            }
        };
        let data: usize = runs.iter().map(|(_, _, run)| run.len()).sum();
        let data_start = HEAD + runs.len() * ENTRY;
        let mut entries = Vec::with_capacity(runs.len());
        let mut bytes = Vec::with_capacity(data_start + data);
        bytes.resize(HEAD, 0);
        let mut offset = self.position.offset + data_start as u64;
        let too_large = |_| io::Error::new(io::ErrorKind::InvalidInput, "a run is larger than 4 GiB");
        for (id, meta, run) in runs {
            let location = Location {
                pack: self.position.pack,
                offset,
                length: u32::try_from(run.len()).map_err(too_large)?,
                checksum: checksum(id, run),
            };
            offset += run.len() as u64;
            let entry = Entry {
                id: *id,
                meta: *meta,
                location,
            };
            entry.write(&mut bytes);
            entries.push(entry);
        }
        let entries_sum = crc32fast::hash(&bytes[HEAD..]);
        for (_, _, run) in runs {
            bytes.extend_from_slice(run);
        }
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4] = FORMAT;
        bytes[8..12].copy_from_slice(&u32::try_from(runs.len()).map_err(too_large)?.to_le_bytes());
        bytes[12..16].copy_from_slice(&entries_sum.to_le_bytes());
        bytes[16..24].copy_from_slice(&(data as u64).to_le_bytes());
        let head_sum = crc32fast::hash(&bytes[..24]);
        bytes[24..28].copy_from_slice(&head_sum.to_le_bytes());
        file.write_all(&bytes)?;
        self.position.offset += bytes.len() as u64;
        Ok(entries)
    }

    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), disk::sync_data)
    }
}
