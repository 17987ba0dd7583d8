//! The run as it is stored: like [`Run`], but the payload stands in it once, and edge tokens are one letter each.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::{Names, PastMessage, Phase, Run, Said, Token};
use crate::nodes::Decision;
use crate::record::{Body, NodeFacts, Record, RecordStatus, Trigger};

/// Raised when a stored run cannot be read by an older program any more.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored<T, R, P, S> {
    version: u32,
    names: Names,
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
    records: Vec<R>,
    queue: VecDeque<usize>,
    tokens: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decision: Option<Decision>,
    steps: u32,
    phase: Phase,
}

/// Tells null from absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredRecord<F> {
    node: F,
    status: RecordStatus,
    input: StoredBody,
    output: StoredBody,
    state: Arc<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chat_history: Option<Arc<Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
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
        let records = self.records.iter().map(|record| StoredRecord {
            node: &*record.facts,
            status: record.status,
            input: StoredBody::of(&record.input),
            output: StoredBody::of(&record.output),
            state: record.state.clone(),
            chat_history: record.chat_history.clone(),
            error: record.error.clone(),
        });
        let tokens = self.tokens.iter().map(|token| match token {
            Token::Waiting => 'w',
            Token::Delivered => 'd',
            Token::Dead => 'x',
        });
        Stored::<&Trigger, StoredRecord<&NodeFacts>, &[PastMessage], &[Said]> {
            version: VERSION,
            names: self.names.clone(),
            trigger: &self.trigger,
            answered: self.answered.clone(),
            past: &self.past,
            runtime: &self.runtime,
            state: self.state.clone(),
            records: records.collect(),
            queue: self.queue.clone(),
            tokens: tokens.collect(),
            decision: self.decision.clone(),
            steps: self.steps,
            phase: self.phase.clone(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Run {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::<Trigger, StoredRecord<NodeFacts>, Vec<PastMessage>, Vec<Said>>::deserialize(
            deserializer,
        )?;
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
            'x' => Ok(Token::Dead),
            other => Err(de::Error::custom(format!("there is no edge token {other:?}"))),
        });
        let records = stored.records.into_iter().map(|record| Record {
            facts: Arc::new(record.node),
            status: record.status,
            input: record.input.restore(&trigger),
            output: record.output.restore(&trigger),
            state: record.state,
            chat_history: record.chat_history,
            error: record.error,
        });
        let mut run = Self {
            names: stored.names,
            answered: stored.answered,
            past: stored.past,
            runtime: stored.runtime,
            state: stored.state,
            records: records.collect(),
            queue: stored.queue,
            tokens: tokens.collect::<Result<_, _>>()?,
            decision: stored.decision,
            steps: stored.steps,
            phase: stored.phase,
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
