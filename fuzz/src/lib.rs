//! What the targets share: a world in which nothing answers, and runs within limits.

use countersign_domain::{Outcome, Timestamp};
use countersign_flow::{Advance, Answer, Host, Incoming, Plan, Run, RunInput};
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use uuid::Uuid;

/// How many steps of a run are tried. A text can ask for a thousand, and the first few say as much.
const STEPS: usize = 100;

/// A host that offers nothing but time.
pub struct Nobody;

impl Host for Nobody {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_123)
    }

    fn new_id(&self) -> Uuid {
        Uuid::from_u128(1)
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "V").then(|| "of V".to_owned())
    }
}

/// Runs a plan with this call, says yes to every question, and keeps the run as text in between.
pub fn run(plan: &Plan, body: Value) {
    let input = RunInput {
        incoming: Incoming::Webhook(json!({"body": body, "headers": {"host": "h"}, "query": {}})),
        execution_id: "execution".to_owned(),
        chat_id: "chat".to_owned(),
        session_id: "chat".to_owned(),
        flow_id: "flow".to_owned(),
        api_message_id: "message".to_owned(),
        past_history: Vec::new(),
    };
    let mut run = Run::begin(plan, input);
    for _ in 0..STEPS {
        match run.advance(plan, &Nobody).now_or_never() {
            Some(Advance::Ran { .. }) => {}
            Some(Advance::Stopped(_)) => {
                for approve in [true, false] {
                    run.what_follows(plan, &Nobody, approve);
                }
                run = again(&run);
                let answer = Answer {
                    outcome: Outcome::Approve,
                    feedback: Some("note".into()),
                    start_node_id: None,
                };
                if let Err(error) = run.answer(plan, &Nobody, answer, Vec::new()) {
                    panic!("the answer to the question that waits is refused: {error}");
                }
            }
            Some(Advance::Finished | Advance::Failed(_)) | None => break,
        }
    }
    let text = serde_json::to_string(run.records());
    assert!(text.is_ok(), "records can be written: {text:?}");
    let _ = (run.final_text(), run.user_message(), again(&run));
}

/// The run as it is after a restart.
fn again(run: &Run) -> Run {
    let text = serde_json::to_string(run).unwrap_or_else(|error| panic!("a run cannot be written: {error}"));
    let read: Run =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("a run cannot be read again: {error}"));
    let once_more = serde_json::to_string(&read).unwrap_or_default();
    assert_eq!(once_more, text, "a run that is read is the one that was written");
    read
}
