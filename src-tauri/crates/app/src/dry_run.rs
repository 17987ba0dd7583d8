//! Runs that touch nothing: what a flow would do with this input.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use countersign_domain::{DocumentHash, ErrorCode, Outcome, Timestamp, display_line};
use countersign_flow::{
    Advance, Answer, CalledFlow, Host, HostFuture, HttpRequest, HttpResponse, Incoming, Lookup, ModelReply,
    ModelRequest, Passage, Plan, Run, RunInput, Script, StartTrigger,
};
use countersign_script::{Engine, Fetch, FetchFuture, FetchRequest, FetchResponse, Limits};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::app::Inner;
use crate::host::{RunHost, run_script};
use crate::redact::Redact;
use crate::view::{DryRunOutcome, DryRunQuestion, DryRunRequest, DryRunView};
use crate::webhook::{WebhookRequest, incoming};
use crate::{App, Error};

/// How long a dry run may take.
const LIMIT: Duration = Duration::from_secs(60);

/// How many questions are answered.
const QUESTIONS: usize = 100;

/// How much is told of what would have been sent, in characters.
const TOLD: usize = 500;

/// What counts as the answer to every request.
const ANSWER: &[u8] = b"{}";

/// Its status in words, for whoever reads the steps.
const NOT_SENT: &str = "Not sent";

impl App {
    /// Runs a flow without outside effects and without a trace in the store: requests are not sent, models not asked,
    /// nobody is asked either. Requests, those of code too, count as answered by 200 and `{}`; models say that they were
    /// not asked, or the plainest thing that fits where a step needs an answer of some form; and each question gets the
    /// answer that the request names.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] for an unknown flow; what a call of its webhook with this body would be refused with;
    /// [`ErrorCode::RunFailed`] if it takes longer than a minute.
    pub async fn dry_run(&self, id: &str, request: DryRunRequest) -> Result<DryRunView, Error> {
        self.ready()?;
        let live = self.live_flow(id)?;
        let incoming = given(&live.plan, id, &request)?;
        let name = || self.inner.ids.random().to_string();
        let chat_id = name();
        let run = Run::begin(
            &live.plan,
            RunInput {
                incoming,
                execution_id: name(),
                session_id: chat_id.clone(),
                chat_id,
                flow_id: live.flow.id.to_string(),
                api_message_id: name(),
                past_history: Vec::new(),
            },
        );
        let effects = Effects::default();
        let host = DryHost {
            world: RunHost::new(&self.inner, None),
            scripts: Engine::new(Limits::default(), Arc::new(effects.clone())),
            inner: &self.inner,
            effects,
        };
        let done = to_end(run, &live.plan, &host, request.answer);
        tokio::time::timeout(LIMIT, done).await.map_err(|_| {
            Error::new(
                ErrorCode::RunFailed,
                "The dry run took longer than a minute and was given up. Nothing was kept.",
            )
        })
    }
}

/// What begins the run.
fn given(plan: &Plan, id: &str, request: &DryRunRequest) -> Result<Incoming, Error> {
    let start = plan.start();
    Ok(match start.trigger {
        StartTrigger::WebhookTrigger | StartTrigger::Unknown => {
            let content_type = start.content_type.clone();
            let body = request.body.clone().unwrap_or_else(|| json!({}));
            let body = body_of_call(body, content_type.as_deref())?;
            incoming(
                start,
                WebhookRequest {
                    flow_id: id.to_owned(),
                    method: start.method.clone().unwrap_or_else(|| "POST".to_owned()),
                    headers: vec![(
                        "content-type".to_owned(),
                        content_type.unwrap_or_else(|| "application/json".to_owned()),
                    )],
                    query: json!({}),
                    body: Some(body),
                    raw_body: None,
                },
            )?
        }
        StartTrigger::FormInput => Incoming::Form(request.body.clone().unwrap_or_else(|| json!({}))),
        StartTrigger::ChatInput => Incoming::Message(match &request.body {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }),
        StartTrigger::ScheduleInput => match &start.schedule {
            Some(Ok(schedule)) => schedule.input(),
            _ => Incoming::Message(" ".to_owned()),
        },
    })
}

/// The body as a call of the webhook would bring it.
fn body_of_call(body: Value, content_type: Option<&str>) -> Result<Value, Error> {
    let is_form = content_type.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    match body {
        Value::Object(_) | Value::Array(_) => Ok(body),
        Value::String(text) if is_form => {
            let fields = url::form_urlencoded::parse(text.as_bytes());
            Ok(fields
                .map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())))
                .collect::<Map<_, _>>()
                .into())
        }
        _ => Err(Error::invalid(
            "The body has to be a JSON object or list: the flow is started by a webhook, which takes nothing else. \
             Nothing ran.",
        )),
    }
}

async fn to_end(mut run: Run, plan: &Plan, host: &DryHost<'_>, answer: Option<Outcome>) -> DryRunView {
    let mut questions = Vec::new();
    let mut error = None;
    let outcome = loop {
        match run.advance(plan, host).await {
            Advance::Ran { .. } => {}
            Advance::Finished => break DryRunOutcome::Finished,
            Advance::Failed(failure) => {
                error = Some(failure.message);
                break DryRunOutcome::Failed;
            }
            Advance::Stopped(stop) => {
                let outcome = answer.unwrap_or(Outcome::Approve);
                questions.push((stop.node_label.clone(), stop.description.clone(), outcome));
                if questions.len() >= QUESTIONS {
                    error = Some(format!(
                        "It asks more than {QUESTIONS} times, so the dry run ends here."
                    ));
                    break DryRunOutcome::Failed;
                }
                let answer = Answer {
                    outcome,
                    feedback: None,
                    arguments: None,
                    start_node_id: None,
                };
                if let Err(refused) = run.answer(plan, host, answer, Vec::new()) {
                    error = Some(refused.to_string());
                    break DryRunOutcome::Failed;
                }
            }
        }
    };
    let redact = Redact::of(host.inner);
    let told = |text: &str| display_line(&redact.text(text), TOLD);
    DryRunView {
        outcome,
        text: redact.text(&run.final_text()),
        error: error.map(|error| redact.text(&error)),
        questions: questions
            .into_iter()
            .map(|(step, text, answer)| DryRunQuestion {
                step,
                text: redact.text(&text),
                answer,
            })
            .collect(),
        effects: host.effects.all().iter().map(|effect| told(effect)).collect(),
        steps: run
            .explain(plan, host)
            .iter()
            .map(|step| redact.step(step))
            .collect(),
    }
}

/// What would have left this machine.
#[derive(Debug, Clone, Default)]
struct Effects(Arc<Mutex<Vec<String>>>);

impl Effects {
    fn note(&self, effect: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(effect);
    }

    fn note_request(&self, method: &str, url: &str, body: Option<&str>) {
        let body = body.map(|body| format!(": {body}")).unwrap_or_default();
        self.note(format!("{method} {url}{body}"));
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn json_headers() -> Vec<(String, String)> {
    vec![("content-type".to_owned(), "application/json".to_owned())]
}

/// The requests of scripts.
impl Fetch for Effects {
    fn fetch(&self, request: FetchRequest) -> FetchFuture<'_> {
        self.note_request(&request.method, &request.url, request.body.as_deref());
        Box::pin(std::future::ready(Ok(FetchResponse {
            status: 200,
            status_text: NOT_SENT.to_owned(),
            url: request.url,
            headers: json_headers(),
            body: ANSWER.to_vec(),
        })))
    }
}

/// A world in which nothing happens.
struct DryHost<'a> {
    /// What only reads is really asked.
    world: RunHost<'a>,
    scripts: Engine,
    inner: &'a Inner,
    effects: Effects,
}

impl Host for DryHost<'_> {
    fn now(&self) -> Timestamp {
        self.world.now()
    }

    fn new_id(&self) -> Uuid {
        self.inner.ids.random()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.world.variable(name)
    }

    fn variables(&self) -> Map<String, Value> {
        self.world.variables()
    }

    fn sleep(&self, duration: Duration) -> HostFuture<'_, ()> {
        self.world.sleep(duration)
    }

    fn called_flow(&self, id: &str) -> Option<CalledFlow> {
        self.world.called_flow(id)
    }

    fn plan(&self, document: &DocumentHash) -> Option<Plan> {
        self.world.plan(document)
    }

    fn look_up(&self, lookup: Lookup) -> HostFuture<'_, Result<Vec<Passage>, String>> {
        self.world.look_up(lookup)
    }

    fn http(&self, request: HttpRequest) -> HostFuture<'_, Result<HttpResponse, String>> {
        let body = request.body.as_ref().map(|body| body.text.as_str());
        self.effects.note_request(&request.method, &request.url, body);
        Box::pin(std::future::ready(Ok(HttpResponse {
            status: 200,
            status_text: NOT_SENT.to_owned(),
            headers: json_headers(),
            body: ANSWER.to_vec(),
        })))
    }

    fn script(&self, script: Script) -> HostFuture<'_, Result<Option<Value>, String>> {
        run_script(&self.scripts, script)
    }

    fn model(&self, request: ModelRequest) -> HostFuture<'_, Result<ModelReply, String>> {
        let asks = format!(
            "“{}” would ask the language model {}",
            request.node_label, request.model.component
        );
        let form = request.answer_schema.as_ref().or(request.expected.as_ref());
        let content = match form {
            Some(form) => {
                let answer = sample(form).to_string();
                self.effects
                    .note(format!("{asks}; here it counts as answered by {answer}"));
                answer
            }
            None => {
                self.effects.note(asks);
                "(a dry run asks no language model)".to_owned()
            }
        };
        Box::pin(std::future::ready(Ok(ModelReply {
            content,
            ..ModelReply::default()
        })))
    }
}

/// The plainest value that fits a schema.
fn sample(schema: &Value) -> Value {
    if let Some(first) = schema
        .get("enum")
        .and_then(Value::as_array)
        .and_then(|values| values.first())
    {
        return first.clone();
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, schema)| (name.clone(), sample(schema)))
            .collect::<Map<_, _>>()
            .into(),
        Some("array") => json!([]),
        Some("number" | "integer") => json!(0),
        Some("boolean") => json!(false),
        _ => json!(""),
    }
}
