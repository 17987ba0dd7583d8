//! Runs that are watched while they run: the events of the webhook spec §8.3.

use std::sync::atomic::{AtomicBool, Ordering};

use countersign_flow::{Record, RecordStatus, RunEvent};
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;

/// How many events wait for a slow reader at most. One that falls further behind loses the stream, not the run.
const EVENTS_WAITING_MAX: usize = 1024;

/// One event, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEvent {
    /// The JSON text `{"event":…,"data":…}`.
    pub json: String,
}

/// The events of a run, in their order. Dropping it leaves the run alone.
#[derive(Debug)]
pub struct RunStream(mpsc::Receiver<StreamEvent>);

impl RunStream {
    /// The next event; `None` after the last one.
    pub async fn next(&mut self) -> Option<StreamEvent> {
        self.0.recv().await
    }
}

/// Hears what happens in a run and passes it on, without ever making the run wait.
#[derive(Debug)]
pub(crate) struct Listener {
    events: mpsc::Sender<StreamEvent>,
    /// Whether the reader is gone or too slow.
    lost: AtomicBool,
}

/// A listener and the stream of what it hears.
pub(crate) fn listen() -> (Listener, RunStream) {
    let (events, receiver) = mpsc::channel(EVENTS_WAITING_MAX);
    let listener = Listener {
        events,
        lost: AtomicBool::new(false),
    };
    (listener, RunStream(receiver))
}

#[derive(Serialize)]
struct Event<'a, T: ?Sized> {
    event: &'a str,
    data: &'a T,
}

impl Listener {
    pub(crate) fn hear(&self, event: &RunEvent<'_>) {
        match event {
            RunEvent::StepBegan { node_id, node_label } => self.tell(
                "nextAgentFlow",
                &json!({"nodeId": node_id, "nodeLabel": node_label, "status": "INPROGRESS"}),
            ),
            RunEvent::Token(text) => self.tell("token", *text),
            RunEvent::StepEnded {
                node_id,
                node_label,
                status,
                error,
            } => {
                let mut data = json!({"nodeId": node_id, "nodeLabel": node_label, "status": status});
                if *status == RecordStatus::Error {
                    data["error"] = json!(error);
                }
                self.tell("nextAgentFlow", &data);
            }
            _ => {}
        }
    }

    /// What has run so far.
    pub(crate) fn executed(&self, records: &[Record]) {
        self.tell("agentFlowExecutedData", records);
    }

    /// Sends one event. A reader that does not keep up is left.
    pub(crate) fn tell<T: Serialize + ?Sized>(&self, event: &str, data: &T) {
        if self.lost.load(Ordering::Relaxed) {
            return;
        }
        let Ok(json) = serde_json::to_string(&Event { event, data }) else {
            return;
        };
        if self.events.try_send(StreamEvent { json }).is_err() {
            self.lost.store(true, Ordering::Relaxed);
            tracing::info!("whoever watched a run has gone or fell behind; the run goes on");
        }
    }
}
