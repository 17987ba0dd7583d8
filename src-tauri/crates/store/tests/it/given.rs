//! Records and stores for the tests.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use countersign_domain::{
    Approval, ApprovalId, ApprovalState, Attempt, AttemptTrigger, Callback, CallbackId, CallbackKind,
    CallbackState, Clock, Decision, DocumentHash, Execution, ExecutionId, ExecutionState, Flow, FlowId, Ids,
    JournalEvent, Message, MessageId, Outcome, Question, RandomIds, ResponseMode, Role, Surface, SystemClock,
    Timestamp, UrlSource,
};
use countersign_store::{Changes, Options, Store};
use serde_json::json;
use serde_json::value::RawValue;

pub(crate) static FLOW: LazyLock<FlowId> =
    LazyLock::new(|| FlowId::from_uuid(uuid::Uuid::from_u128(7 << 76)));

pub(crate) fn store(dir: &Path) -> Store {
    Store::open(Options::new(dir), Arc::new(SystemClock)).expect("the store opens")
}

/// Closes a store and opens its folder again.
pub(crate) async fn store_again(before: &Store, dir: &Path) -> Store {
    before.close().await;
    store(dir)
}

pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

/// A time-ordered id that is larger than every one before, also within a millisecond.
pub(crate) fn next_id() -> uuid::Uuid {
    RandomIds.ordered(now())
}

pub(crate) fn execution(chat_id: &str, state: ExecutionState, run_bytes: usize) -> Execution {
    let run = json!({ "queue": [], "text": "x".repeat(run_bytes) }).to_string();
    Execution {
        id: ExecutionId::from_uuid(next_id()),
        flow_id: *FLOW,
        flow_name: "Deploy gate".to_owned(),
        document: DocumentHash::of("{}"),
        chat_id: chat_id.to_owned(),
        state,
        mode: ResponseMode::Sync,
        caller_callback_url: None,
        approval_id: None,
        run: RawValue::from_string(run).expect("JSON"),
        messages: Vec::new(),
        signed: false,
        interrupted: false,
        outdated: false,
        failed_step: None,
        error: None,
        created_at: now(),
        updated_at: now(),
        stopped_at: None,
    }
}

pub(crate) fn approval(chat_id: &str, body_bytes: usize) -> Approval {
    let id = ApprovalId::from_uuid(next_id());
    let question = Question {
        title: "Release 1.2.3?".to_owned(),
        body: format!("**Diff** follows: {}", "y".repeat(body_bytes)),
        feedback_enabled: true,
        call: None,
        payload_hash: "ab".repeat(32),
        payload_bytes: 2,
        if_approved: vec!["Reply “released”".to_owned()],
        if_rejected: vec!["Reply “stopped”".to_owned()],
    };
    Approval {
        id,
        state: ApprovalState::Pending,
        flow_id: *FLOW,
        flow_name: "Deploy gate".to_owned(),
        execution_id: ExecutionId::from_uuid(next_id()),
        chat_id: chat_id.to_owned(),
        node_id: "humanInputAgentflow_0".to_owned(),
        node_label: "Release?".to_owned(),
        called_flows: Vec::new(),
        content_hash: question.hash(id),
        question,
        signed: true,
        created_at: now(),
        decision: None,
    }
}

pub(crate) fn decision(approval: &Approval, outcome: Outcome, person: &str) -> Decision {
    Decision {
        outcome,
        feedback: Some("fine".to_owned()),
        arguments: None,
        surface: Surface::Inbox,
        person: Some(person.to_owned()),
        decided_at: now(),
        content_hash: approval.content_hash.clone(),
    }
}

/// A callback with one attempt that failed.
pub(crate) fn callback(state: CallbackState) -> Callback {
    let mut callback = untried(state);
    fail(&mut callback);
    callback
}

/// Adds an attempt that failed.
pub(crate) fn fail(callback: &mut Callback) {
    callback.attempts.push(Attempt {
        number: u32::try_from(callback.attempts.len()).expect("few") + 1,
        trigger: AttemptTrigger::Scheduled,
        started_at: now(),
        ended_at: Some(now()),
        status: Some(503),
        error: Some("the receiver answered 503".to_owned()),
        response: None,
    });
}

/// A callback without an attempt.
pub(crate) fn untried(state: CallbackState) -> Callback {
    Callback {
        id: CallbackId::from_uuid(next_id()),
        execution_id: ExecutionId::from_uuid(next_id()),
        flow_id: *FLOW,
        flow_name: "Deploy gate".to_owned(),
        chat_id: "chat".to_owned(),
        kind: CallbackKind::Stopped,
        url: "http://127.0.0.1:9000/hook".to_owned(),
        url_source: UrlSource::Operator,
        signed: false,
        state,
        attempts: Vec::new(),
        created_at: now(),
        next_attempt_at: Some(now()),
    }
}

pub(crate) fn message(role: Role, content: &str) -> Message {
    Message {
        id: MessageId::from_uuid(next_id()),
        role,
        content: content.to_owned(),
    }
}

pub(crate) fn flow(name: &str, document: &str) -> Flow {
    Flow {
        id: FlowId::from_uuid(RandomIds.random()),
        name: name.to_owned(),
        document: DocumentHash::of(document),
        created_at: now(),
        updated_at: now(),
    }
}

/// A finished run with its two messages.
pub(crate) fn run(chat_id: &str, bytes: usize) -> (Execution, Changes) {
    let mut execution = execution(chat_id, ExecutionState::Finished, bytes);
    execution.messages = vec![
        message(Role::User, "deploy 1.2.3"),
        message(Role::Assistant, "released"),
    ];
    let mut changes = Changes::new();
    changes.put_execution(&execution);
    (execution, changes)
}

/// What a callback sends. Every third is large enough for a file.
pub(crate) fn body(callback: &Callback) -> String {
    let size = if callback.id.as_bytes()[15].is_multiple_of(3) {
        12_000
    } else {
        20
    };
    format!("{{\"id\":\"{}\",\"text\":\"{}\"}}", callback.id, "b".repeat(size))
}

/// Changes that store a new callback.
pub(crate) fn new_callback(callback: &Callback) -> Changes {
    let mut changes = Changes::new();
    changes.put_new_callback(callback, &body(callback));
    changes
}

/// Works on the tree of a store that is closed.
pub(crate) fn with_tree<T>(dir: &Path, work: impl FnOnce(&sled::Db) -> T) -> T {
    // sled lets go of its lock a moment after it was dropped (sled#1289).
    let db = (0..100)
        .find_map(|_| {
            let opened = sled::open(dir.join("db")).ok();
            if opened.is_none() {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            opened
        })
        .expect("sled lets go of its lock within five seconds");
    let worked = work(&db);
    db.flush().expect("sled works");
    worked
}

/// A value as it lies in the tree, with the payload inside.
pub(crate) fn framed(key: &[u8], meta: &[u8], payload: &[u8]) -> Vec<u8> {
    frame(key, 1, meta, payload)
}

/// A value as it lies in the tree; format 2 has hash and length of a file for its payload.
pub(crate) fn frame(key: &[u8], format: u8, meta: &[u8], payload: &[u8]) -> Vec<u8> {
    let rest = [&[u8::try_from(meta.len()).expect("short")], meta, payload].concat();
    let sum = crc32fast::hash(&[key, &[format], &rest].concat());
    [&[format][..], &sum.to_le_bytes(), &rest].concat()
}

/// What a stop at a human step stores.
pub(crate) fn stop(approval: &Approval, execution: &Execution, callback: &Callback) -> Changes {
    let mut changes = Changes::new();
    changes.put_execution(execution);
    changes.put_approval(approval);
    changes.put_new_callback(callback, &body(callback));
    changes.journal(&JournalEvent::ApprovalOpened {
        approval: Box::new(approval.clone()),
    });
    changes.journal(&JournalEvent::CallbackQueued {
        callback: Box::new(callback.clone()),
        body: body(callback),
    });
    changes
}

pub(crate) fn same(a: &Execution, b: &Execution) -> bool {
    serde_json::to_string(a).expect("JSON") == serde_json::to_string(b).expect("JSON")
}

/// Decides as the application does.
pub(crate) async fn decide(
    store: &Store,
    id: ApprovalId,
    outcome: Outcome,
    person: &str,
) -> Result<Approval, Box<Approval>> {
    let person = person.to_owned();
    let decided = store.transact(move |transaction| {
        let mut approval = transaction.approval(id).expect("readable").expect("it exists");
        let decision = decision(&approval, outcome, &person);
        approval.decide(decision).map_err(|already| already.0)?;
        transaction.put_approval(&approval);
        transaction.journal(&JournalEvent::ApprovalDecided {
            approval: Box::new(approval.clone()),
        });
        Ok(approval)
    });
    decided.await.expect("the store works")
}

/// Copies a folder with all that is in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("folder");
    for entry in std::fs::read_dir(from).expect("folder") {
        let entry = entry.expect("entry");
        if entry.file_type().expect("type").is_dir() {
            copy_folder(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copy");
        }
    }
}
