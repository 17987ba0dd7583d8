//! The run as it is stored: like [`Run`], but the payload stands in it once, and edge tokens are one letter each.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use countersign_domain::{DocumentHash, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::child::Child;
use super::{Names, PastMessage, Phase, Run, Said, Token, UnderWay, Undone};
use crate::nodes::Decision;
use crate::record::{Body, Called, Item, NodeFacts, Record, RecordStatus, Trigger};

/// Raised when a stored run cannot be read by an older program any more.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored<N, T, P, S, C> {
    version: u32,
    names: N,
    trigger: T,
    /// Absent until the run is answered; then the feedback, which may be null.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    answered: Option<Option<String>>,
    past: P,
    runtime: S,
    state: Arc<Value>,
    records: Vec<StoredRecord>,
    queue: VecDeque<usize>,
    tokens: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decision: Option<Decision>,
    steps: u32,
    phase: Phase,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    turns: BTreeMap<usize, u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_loop: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    under_way: Option<UnderWay>,
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    child: Option<C>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    undone: Vec<Undone>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    item: Option<Arc<Item>>,
}

/// Tells null from absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A record as it is stored. Records of a called flow lie in the one that called it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredRecord {
    node: Arc<NodeFacts>,
    status: RecordStatus,
    input: StoredBody,
    output: StoredBody,
    state: Arc<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chat_history: Option<Arc<Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    item: Option<Arc<Item>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    called: Vec<StoredRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    called_document: Option<DocumentHash>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    console: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    began: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<Timestamp>,
}

impl StoredRecord {
    /// `inside` says that the record is of a called flow, whose trigger is not that of the run.
    fn of(record: &Record, inside: bool) -> Self {
        let body = |body| {
            if inside {
                StoredBody::Json(Arc::new(Body::to_value(body)))
            } else {
                StoredBody::of(body)
            }
        };
        Self {
            node: record.facts.clone(),
            status: record.status,
            input: body(&record.input),
            output: body(&record.output),
            state: record.state.clone(),
            chat_history: record.chat_history.clone(),
            error: record.error.clone(),
            item: record.item.clone(),
            called: record
                .called()
                .iter()
                .map(|called| Self::of(called, true))
                .collect(),
            called_document: record.called_document().cloned(),
            console: record.console().to_vec(),
            began: record.began,
            ended: record.ended,
        }
    }

    fn restore(self, trigger: &Arc<Trigger>) -> Record {
        let called: Vec<_> = self
            .called
            .into_iter()
            .map(|called| called.restore(trigger))
            .collect();
        Record {
            facts: self.node,
            status: self.status,
            input: self.input.restore(trigger),
            output: self.output.restore(trigger),
            state: self.state,
            chat_history: self.chat_history,
            error: self.error,
            item: self.item,
            called: (!called.is_empty()).then(|| {
                Arc::new(Called {
                    document: self.called_document,
                    records: called,
                })
            }),
            console: (!self.console.is_empty()).then(|| Arc::new(self.console)),
            began: self.began,
            ended: self.ended,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum StoredBody {
    Empty,
    /// What began the run, as input or output of Start.
    TriggerInput,
    TriggerOutput,
    Json(Arc<Value>),
}

impl StoredBody {
    fn of(body: &Body) -> Self {
        match body {
            Body::Empty => Self::Empty,
            Body::TriggerInput(_) => Self::TriggerInput,
            Body::TriggerOutput(_) => Self::TriggerOutput,
            Body::Json(value) => Self::Json(value.clone()),
        }
    }

    fn restore(self, trigger: &Arc<Trigger>) -> Body {
        match self {
            Self::Empty => Body::Empty,
            Self::TriggerInput => Body::TriggerInput(trigger.clone()),
            Self::TriggerOutput => Body::TriggerOutput(trigger.clone()),
            Self::Json(value) => Body::Json(value),
        }
    }
}

impl Serialize for Run {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tokens = self.tokens.iter().map(|token| match token {
            Token::Waiting => 'w',
            Token::Delivered => 'd',
            Token::NotTaken => 'n',
            Token::Dead => 'x',
        });
        Stored::<&Names, &Trigger, &[PastMessage], &[Said], &Child> {
            version: VERSION,
            names: &self.names,
            trigger: &self.trigger,
            answered: self.answered.clone(),
            past: &self.past,
            runtime: &self.runtime,
            state: self.state.clone(),
            records: self
                .records
                .iter()
                .map(|record| StoredRecord::of(record, false))
                .collect(),
            queue: self.queue.clone(),
            tokens: tokens.collect(),
            decision: self.decision.clone(),
            steps: self.steps,
            phase: self.phase.clone(),
            turns: self.turns.clone(),
            last_loop: self.last_loop,
            under_way: self.under_way.clone(),
            child: self.child.as_deref(),
            undone: self.undone.clone(),
            item: self.item.clone(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Run {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored =
            Stored::<Names, Trigger, Vec<PastMessage>, Vec<Said>, Box<Child>>::deserialize(deserializer)?;
        if stored.version != VERSION {
            return Err(de::Error::custom(format!(
                "a run of version {} cannot be read",
                stored.version
            )));
        }
        let trigger = Arc::new(stored.trigger);
        let tokens = stored.tokens.chars().map(|letter| match letter {
            'w' => Ok(Token::Waiting),
            'd' => Ok(Token::Delivered),
            'n' => Ok(Token::NotTaken),
            'x' => Ok(Token::Dead),
            other => Err(de::Error::custom(format!("there is no edge token {other:?}"))),
        });
        let records = stored.records.into_iter().map(|record| record.restore(&trigger));
        let mut run = Self {
            names: Arc::new(stored.names),
            answered: stored.answered,
            past: Arc::new(stored.past),
            runtime: stored.runtime,
            state: stored.state,
            records: records.collect(),
            queue: stored.queue,
            tokens: tokens.collect::<Result<_, _>>()?,
            decision: stored.decision,
            steps: stored.steps,
            phase: stored.phase,
            turns: stored.turns,
            last_loop: stored.last_loop,
            under_way: stored.under_way,
            child: stored.child,
            undone: stored.undone,
            item: stored.item,
            stop: None,
            trigger,
        };
        if matches!(run.phase, Phase::Stopped { .. }) {
            let stop = run
                .read_stop()
                .ok_or_else(|| de::Error::custom("a stopped run without its question"))?;
            run.stop = Some(Box::new(stop));
        }
        Ok(run)
    }
}
