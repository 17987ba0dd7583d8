//! The keys of the one tree: a tag byte, then identifiers whose bytes sort by time.

use countersign_domain::{FlowId, SenderId};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Sixteen bytes of an identifier.
pub(crate) type IdBytes = [u8; 16];

/// Flow records: `F` flow.
pub(crate) const FLOW: u8 = b'F';
/// Documents: `D` and the 64 hexadecimal digits of the hash.
pub(crate) const DOCUMENT: u8 = b'D';
/// Executions: `X` execution.
pub(crate) const EXECUTION: u8 = b'X';
/// Executions by chat: `x` flow, chat, execution.
pub(crate) const EXECUTION_OF_CHAT: u8 = b'x';
/// Executions that run: `i` execution.
pub(crate) const IN_PROGRESS: u8 = b'i';
/// Executions whose record is older than the journal: `O` execution.
pub(crate) const OUTDATED: u8 = b'O';
/// Approvals: `A` approval.
pub(crate) const APPROVAL: u8 = b'A';
/// Approvals by chat: `a` flow, chat, approval.
pub(crate) const APPROVAL_OF_CHAT: u8 = b'a';
/// Approvals that wait: `p` approval; the metadata names the flow.
pub(crate) const PENDING: u8 = b'p';
/// Callbacks: `C` callback.
pub(crate) const CALLBACK: u8 = b'C';
/// What callbacks send: `c` callback.
pub(crate) const CALLBACK_BODY: u8 = b'c';
/// Callbacks by execution: `e` execution, callback.
pub(crate) const CALLBACK_OF_EXECUTION: u8 = b'e';
/// How many approvals and callbacks wait: `W`. Tells whether list entries were lost.
pub(crate) const WAITING: u8 = b'W';
/// Callbacks that have to go out: `o` callback; the metadata says whether an attempt has failed.
pub(crate) const OUTBOX: u8 = b'o';
/// Calls that carried an id of their sender: `K` flow, id; the metadata names the execution.
pub(crate) const CALL: u8 = b'K';
/// The same by execution, so the oldest first: `n` execution; the metadata is flow and id.
pub(crate) const CALL_OF_EXECUTION: u8 = b'n';
/// How many calls are remembered: `N`.
pub(crate) const CALL_COUNT: u8 = b'N';
/// The database was gone once, and nobody has acknowledged that yet: `L`.
pub(crate) const LOSS: u8 = b'L';
/// Settings: `S` name.
pub(crate) const SETTING: u8 = b'S';
/// How many times values name a blob file: `B` and the 32 bytes of its hash.
pub(crate) const BLOB_COUNT: u8 = b'B';
/// The newest journal line: `J`.
pub(crate) const JOURNAL_HEAD: u8 = b'J';
/// Pieces of the journal lines of the newest commit: `j` number of the piece.
pub(crate) const JOURNAL_PIECE: u8 = b'j';
/// Pages of recorded runs: `R` first execution of the page.
pub(crate) const RUN_PAGE: u8 = b'R';
/// Recorded runs by chat: `b` bucket, sequence number.
pub(crate) const RUN_BUCKET: u8 = b'b';
/// How far recorded runs are in pages: `k`.
pub(crate) const RUN_MARK: u8 = b'k';

/// A chat of a flow, in a fixed length: chat ids are chosen by callers and may be long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChatKey {
    pub(crate) flow: IdBytes,
    pub(crate) chat: IdBytes,
}

impl ChatKey {
    pub(crate) fn new(flow: FlowId, chat: &str) -> Self {
        Self {
            flow: *flow.as_bytes(),
            chat: chat_hash(chat),
        }
    }
}

/// The first half of the SHA-256 of a chat id.
pub(crate) fn chat_hash(chat: &str) -> IdBytes {
    let digest: [u8; 32] = Sha256::digest(chat.as_bytes()).into();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    half
}

pub(crate) fn with_id(tag: u8, id: &IdBytes) -> Vec<u8> {
    with_bytes(tag, id)
}

pub(crate) fn with_bytes(tag: u8, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + rest.len());
    key.push(tag);
    key.extend_from_slice(rest);
    key
}

pub(crate) fn chat_prefix(tag: u8, chat: &ChatKey) -> Vec<u8> {
    let mut key = Vec::with_capacity(49);
    key.push(tag);
    key.extend_from_slice(&chat.flow);
    key.extend_from_slice(&chat.chat);
    key
}

pub(crate) fn with_chat(tag: u8, chat: &ChatKey, id: &IdBytes) -> Vec<u8> {
    let mut key = chat_prefix(tag, chat);
    key.extend_from_slice(id);
    key
}

/// The key of a call: ids are chosen by senders and may be long.
pub(crate) fn call(flow: FlowId, sender_id: &SenderId) -> Vec<u8> {
    chat_prefix(CALL, &ChatKey::new(flow, &sender_id.to_string()))
}

/// The key of a callback in the list of its execution.
pub(crate) fn of_execution(execution: &IdBytes, callback: &IdBytes) -> Vec<u8> {
    let mut key = with_id(CALLBACK_OF_EXECUTION, execution);
    key.extend_from_slice(callback);
    key
}

/// The identifier at the end of a key.
pub(crate) fn id_of(key: &[u8]) -> Option<IdBytes> {
    key.last_chunk::<16>().copied()
}

/// Names a key for people.
pub(crate) fn describe(key: &[u8]) -> String {
    let Some((tag, rest)) = key.split_first() else {
        return "value without a key".to_owned();
    };
    let id = || id_of(rest).map_or_else(|| hex::encode(rest), |id| Uuid::from_bytes(id).to_string());
    match *tag {
        FLOW => format!("flow {}", id()),
        DOCUMENT => format!("document {}", String::from_utf8_lossy(rest)),
        EXECUTION => format!("execution {}", id()),
        APPROVAL => format!("approval {}", id()),
        CALLBACK => format!("callback {}", id()),
        SETTING => format!("setting {}", String::from_utf8_lossy(rest)),
        EXECUTION_OF_CHAT | IN_PROGRESS => format!("list entry of execution {}", id()),
        APPROVAL_OF_CHAT | PENDING => format!("list entry of approval {}", id()),
        CALLBACK_BODY => format!("body of callback {}", id()),
        CALL | CALL_COUNT => "memory of a call with an id of its sender".to_owned(),
        CALL_OF_EXECUTION => format!("memory of the call that began execution {}", id()),
        OUTBOX | CALLBACK_OF_EXECUTION => format!("list entry of callback {}", id()),
        RUN_PAGE | RUN_BUCKET | RUN_MARK => "list of recorded runs".to_owned(),
        JOURNAL_HEAD | JOURNAL_PIECE => "position of the journal".to_owned(),
        WAITING => "count of what waits".to_owned(),
        LOSS => "note that the database was gone".to_owned(),
        BLOB_COUNT => format!("count of file {}", hex::encode(rest)),
        _ => format!("value {}", hex::encode(key)),
    }
}
