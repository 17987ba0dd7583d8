//! One run: an engine that is made for it, on the thread that it has for itself.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use rquickjs::context::EvalOptions;
use rquickjs::function::Opt;
use rquickjs::promise::PromiseState;
use rquickjs::{Context, Ctx, Exception, Function, Object, Persistent, Promise, Runtime, Value as JsValue};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

use crate::address;
use crate::console::Console;
use crate::error::ScriptError;
use crate::fetch::{Fetch, FetchRequest, FetchResponse};
use crate::limits::Limits;

const CORE: &str = include_str!("js/core.js");
const OUTSIDE: &str = include_str!("js/outside.js");
const WEB: &str = include_str!("js/web.js");
const BYTES: &str = include_str!("js/bytes.js");

/// Lines that the console takes from one run, and letters of one.
const CONSOLE_LINES: u32 = 200;
const CONSOLE_LETTERS: u32 = 4096;

/// Requests that one run has under way at the same time; their answers are held until the script takes them.
const REQUESTS_AT_ONCE: usize = 8;

/// What is to be run.
pub(crate) struct Task {
    pub(crate) code: String,
    pub(crate) globals: Map<String, Value>,
    pub(crate) idempotency_key: String,
    pub(crate) limits: Limits,
    pub(crate) fetch: Arc<dyn Fetch>,
    /// Who hears what it writes.
    pub(crate) console: Console,
    /// Where requests are made.
    pub(crate) handle: Handle,
    pub(crate) happened: Sender<Happened>,
    pub(crate) happens: Receiver<Happened>,
    pub(crate) cancelled: Arc<AtomicBool>,
}

/// What a run that waits wakes up for.
pub(crate) enum Happened {
    Answered {
        request: u32,
        answer: Result<FetchResponse, String>,
        turn: Option<OwnedSemaphorePermit>,
    },
    Cancelled,
}

/// Runs it to its end.
pub(crate) fn run(task: Task) -> Result<Option<Value>, ScriptError> {
    let deadline = Instant::now() + task.limits.time;
    let stopper = Stopper {
        deadline,
        limit: task.limits.time,
        cancelled: task.cancelled.clone(),
        stopped: Rc::default(),
    };
    let runtime = Runtime::new().map_err(|error| ScriptError::Engine(error.to_string()))?;
    runtime.set_max_stack_size(task.limits.stack);
    let context = Context::full(&runtime).map_err(|error| ScriptError::Engine(error.to_string()))?;
    // Not before: the engine needs some memory before it can say that there is not enough.
    runtime.set_memory_limit(task.limits.memory);
    let interrupt = stopper.clone();
    runtime.set_interrupt_handler(Some(Box::new(move || interrupt.stops())));
    let outside = Rc::new(Outside {
        limits: task.limits,
        fetch: task.fetch,
        console: task.console,
        handle: task.handle,
        happened: task.happened,
        idempotency_key: task.idempotency_key,
        deadline,
        made: Cell::new(0),
        turns: Arc::new(Semaphore::new(REQUESTS_AT_ONCE)),
        open: RefCell::default(),
        timers: RefCell::default(),
    });
    let machine = Machine {
        runtime,
        context,
        stopper,
        outside,
        happens: task.happens,
    };
    let result = machine.run(&task.code, &task.globals);
    match result {
        // Without memory for an error the engine throws `null`, and often there is memory again when that arrives here.
        // A script throws `null` only if it says so.
        Err(ScriptError::Thrown(words))
            if words == "null" && (machine.is_full() || !task.code.contains("null")) =>
        {
            Err(ScriptError::MemoryLimit(machine.outside.limits.memory))
        }
        result => result,
    }
}

/// Says when a run has to end.
#[derive(Clone)]
struct Stopper {
    deadline: Instant,
    limit: Duration,
    cancelled: Arc<AtomicBool>,
    /// Whether it said so.
    stopped: Rc<Cell<bool>>,
}

impl Stopper {
    fn stops(&self) -> bool {
        if Instant::now() >= self.deadline || self.cancelled.load(Ordering::Relaxed) {
            self.stopped.set(true);
        }
        self.stopped.get()
    }

    fn why(&self) -> ScriptError {
        if self.cancelled.load(Ordering::Relaxed) {
            ScriptError::Cancelled
        } else {
            ScriptError::TimeLimit(self.limit)
        }
    }
}

/// The host's side of what scripts can reach.
struct Outside {
    limits: Limits,
    fetch: Arc<dyn Fetch>,
    console: Console,
    handle: Handle,
    happened: Sender<Happened>,
    idempotency_key: String,
    deadline: Instant,
    /// Requests that were made.
    made: Cell<usize>,
    turns: Arc<Semaphore>,
    /// Requests without an answer.
    open: RefCell<HashMap<u32, AbortHandle>>,
    timers: RefCell<Timers>,
}

#[derive(Default)]
struct Timers {
    /// The next one first; equal times in the order in which they were set.
    queue: BinaryHeap<Reverse<(Instant, u64, u32)>>,
    /// The entry of the queue that counts for each timer; another one was cleared.
    live: HashMap<u32, u64>,
    entries: u64,
}

/// A request as `core.js` writes it.
#[derive(Deserialize)]
struct Wanted {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

impl Outside {
    /// Makes a request. The error is for the script.
    fn fetch(&self, id: u32, wanted: &str) -> Result<(), String> {
        let wanted: Wanted =
            serde_json::from_str(wanted).map_err(|error| format!("this request cannot be made: {error}"))?;
        let made = self.made.get();
        if made >= self.limits.requests {
            return Err(format!(
                "a script may make {} requests and no more",
                self.limits.requests
            ));
        }
        self.made.set(made + 1);
        let timeout = self.deadline.saturating_duration_since(Instant::now());
        let request = FetchRequest {
            method: wanted.method,
            url: wanted.url,
            headers: wanted.headers,
            body: wanted.body,
            idempotency_key: format!("{}:{made}", self.idempotency_key),
            timeout,
            response_limit: self.limits.response,
        };
        let (fetch, happened, turns) = (self.fetch.clone(), self.happened.clone(), self.turns.clone());
        let limit = self.limits.response;
        let made = self.handle.spawn(async move {
            let exchange = async {
                let turn = turns.acquire_owned().await.ok();
                (fetch.fetch(request).await, turn)
            };
            let late = || Err("the time of the script was over before an answer came".to_owned());
            let exchange = tokio::time::timeout(timeout, exchange).await;
            let (answer, turn) = exchange.unwrap_or_else(|_| (late(), None));
            let answer = answer.and_then(|answer| match answer.body.len() {
                length if length > limit => Err(format!("the answer has {length} bytes, more than {limit}")),
                _ => Ok(answer),
            });
            // Nobody listens to what a script did not wait for.
            let _ = happened.send(Happened::Answered {
                request: id,
                answer,
                turn,
            });
        });
        self.open.borrow_mut().insert(id, made.abort_handle());
        Ok(())
    }

    fn abort(&self, id: u32) {
        if let Some(request) = self.open.borrow_mut().remove(&id) {
            request.abort();
        }
    }

    fn set_timer(&self, id: u32, milliseconds: f64) {
        let after = Duration::try_from_secs_f64(milliseconds / 1000.0).unwrap_or(Duration::MAX);
        // One that lies behind the end of the run never comes.
        let Some(due) = Instant::now().checked_add(after) else {
            return;
        };
        let timers = &mut *self.timers.borrow_mut();
        timers.entries += 1;
        timers.live.insert(id, timers.entries);
        timers.queue.push(Reverse((due, timers.entries, id)));
    }

    fn forget_timer(&self, id: u32) {
        self.timers.borrow_mut().live.remove(&id);
    }

    /// When the next timer comes.
    fn next_due(&self) -> Option<Instant> {
        let timers = &mut *self.timers.borrow_mut();
        while let Some(Reverse((due, entry, id))) = timers.queue.peek() {
            if timers.live.get(id) == Some(entry) {
                return Some(*due);
            }
            timers.queue.pop();
        }
        None
    }

    /// A timer whose time has come.
    fn take_due(&self) -> Option<u32> {
        if self.next_due()? > Instant::now() {
            return None;
        }
        let timers = &mut *self.timers.borrow_mut();
        let Reverse((_, _, id)) = timers.queue.pop()?;
        timers.live.remove(&id);
        Some(id)
    }

    /// Whether anything is left that could wake the script.
    fn is_idle(&self) -> bool {
        self.open.borrow().is_empty() && self.next_due().is_none()
    }
}

struct Machine {
    runtime: Runtime,
    context: Context,
    stopper: Stopper,
    outside: Rc<Outside>,
    happens: Receiver<Happened>,
}

/// What the script and the machine share.
struct Hooks {
    hooks: Persistent<Object<'static>>,
    promise: Persistent<Promise<'static>>,
}

impl Machine {
    fn run(&self, code: &str, globals: &Map<String, Value>) -> Result<Option<Value>, ScriptError> {
        let begun = self.context.with(|ctx| self.begin(&ctx, code, globals))?;
        loop {
            self.run_jobs(&begun)?;
            if let Some(result) = self.context.with(|ctx| self.settled(&ctx, &begun)) {
                return result;
            }
            self.wait(&begun)?;
        }
    }

    /// Whether hardly any memory is left.
    fn is_full(&self) -> bool {
        let limit = self.outside.limits.memory;
        let used = usize::try_from(self.runtime.memory_usage().malloc_size).unwrap_or_default();
        used > limit - limit / 8
    }

    /// Prepares the globals and calls the script.
    fn begin(&self, ctx: &Ctx<'_>, code: &str, globals: &Map<String, Value>) -> Result<Hooks, ScriptError> {
        let native = self.native(ctx).map_err(|error| self.broken(ctx, &error))?;
        let prepare: Function<'_> =
            eval(ctx, CORE, "core", true).map_err(|error| self.broken(ctx, &error))?;
        let hooks: Object<'_> = prepare
            .call((native,))
            .map_err(|error| self.broken(ctx, &error))?;
        let failed = |error: rquickjs::Error| self.failed(ctx, &hooks, &error);
        let text = serde_json::to_string(globals).map_err(|error| ScriptError::Engine(error.to_string()))?;
        let values = ctx.json_parse(text).map_err(failed)?;
        let give: Function<'_> = hooks.get("globals").map_err(failed)?;
        give.call::<_, ()>((values,)).map_err(failed)?;
        // The line break keeps a comment in the last line from swallowing the end.
        let source = format!("(async function () {{{code}\n}})");
        let script: Function<'_> = eval(ctx, &source, "script", false).map_err(failed)?;
        let promise: Promise<'_> = script.call(()).map_err(failed)?;
        Ok(Hooks {
            hooks: Persistent::save(ctx, hooks.clone()),
            promise: Persistent::save(ctx, promise),
        })
    }

    fn run_jobs(&self, begun: &Hooks) -> Result<(), ScriptError> {
        loop {
            if self.stopper.stops() {
                return Err(self.stopper.why());
            }
            match self.runtime.execute_pending_job() {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(job) => {
                    return Err(job.0.with(|ctx| match begun.hooks.clone().restore(&ctx) {
                        Ok(hooks) => self.failed(&ctx, &hooks, &rquickjs::Error::Exception),
                        Err(error) => ScriptError::Engine(error.to_string()),
                    }));
                }
            }
        }
    }

    /// The result, if the script has come to its end.
    fn settled(&self, ctx: &Ctx<'_>, begun: &Hooks) -> Option<Result<Option<Value>, ScriptError>> {
        let engine = |error: rquickjs::Error| ScriptError::Engine(error.to_string());
        let promise = match begun.promise.clone().restore(ctx) {
            Ok(promise) => promise,
            Err(error) => return Some(Err(engine(error))),
        };
        if promise.state() == PromiseState::Pending {
            return None;
        }
        let hooks = match begun.hooks.clone().restore(ctx) {
            Ok(hooks) => hooks,
            Err(error) => return Some(Err(engine(error))),
        };
        let result = promise
            .result::<JsValue<'_>>()?
            .map_err(|error| self.failed(ctx, &hooks, &error))
            .and_then(|value| self.result(ctx, &hooks, value));
        Some(result)
    }

    fn result<'js>(
        &self,
        ctx: &Ctx<'js>,
        hooks: &Object<'js>,
        value: JsValue<'js>,
    ) -> Result<Option<Value>, ScriptError> {
        let failed = |error: rquickjs::Error| self.failed(ctx, hooks, &error);
        let json: Function<'_> = hooks.get("value").map_err(failed)?;
        let json: JsValue<'_> = json.call((value,)).map_err(failed)?;
        let Some(json) = json.into_string() else {
            return Ok(None);
        };
        let json = json.to_cstring().map_err(failed)?;
        let limit = self.outside.limits.output;
        if json.len() > limit {
            return Err(ScriptError::OutputLimit(limit));
        }
        let no_json = |error: serde_json::Error| ScriptError::NoJson(error.to_string());
        let json = json.as_str();
        serde_json::from_str(json)
            .or_else(|_| serde_json::from_str(&without_lone_surrogates(json)))
            .map(Some)
            .map_err(no_json)
    }

    /// Waits for a timer or an answer and lets the script know.
    fn wait(&self, begun: &Hooks) -> Result<(), ScriptError> {
        if let Some(timer) = self.outside.take_due() {
            return self.call(begun, |hooks| {
                hooks.get::<_, Function<'_>>("fire")?.call((timer,))
            });
        }
        if self.outside.is_idle() {
            return Err(ScriptError::NeverSettles);
        }
        let until = self
            .stopper
            .deadline
            .min(self.outside.next_due().unwrap_or(self.stopper.deadline));
        let happened = match self
            .happens
            .recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            Ok(happened) => happened,
            // The time of a timer or of the run has come. The other end cannot be gone: this machine has one.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(()),
        };
        let Happened::Answered {
            request,
            answer,
            turn,
        } = happened
        else {
            return Ok(());
        };
        drop(turn);
        if self.outside.open.borrow_mut().remove(&request).is_none() {
            return Ok(());
        }
        self.call(begun, |hooks| match answer {
            Ok(answer) => {
                let head = json!({
                    "status": answer.status, "statusText": answer.status_text, "url": answer.url,
                    "headers": answer.headers,
                });
                let body = String::from_utf8_lossy(&answer.body);
                let answered: Function<'_> = hooks.get("answered")?;
                answered.call((request, head.to_string(), body.trim_start_matches('\u{feff}')))
            }
            Err(message) => hooks.get::<_, Function<'_>>("failed")?.call((request, message)),
        })
    }

    fn call(
        &self,
        begun: &Hooks,
        call: impl for<'js> FnOnce(&Object<'js>) -> rquickjs::Result<()>,
    ) -> Result<(), ScriptError> {
        self.context.with(|ctx| {
            let hooks = begun.hooks.clone().restore(&ctx);
            let hooks = hooks.map_err(|error| ScriptError::Engine(error.to_string()))?;
            call(&hooks).map_err(|error| self.failed(&ctx, &hooks, &error))
        })
    }

    /// What the error of a call means.
    fn failed<'js>(&self, ctx: &Ctx<'js>, hooks: &Object<'js>, error: &rquickjs::Error) -> ScriptError {
        let thrown = ctx.catch();
        if self.stopper.stopped.get() {
            return self.stopper.why();
        }
        match error {
            rquickjs::Error::Exception => {}
            rquickjs::Error::Allocation => return ScriptError::MemoryLimit(self.outside.limits.memory),
            other => return ScriptError::Thrown(format!("Error: {other}")),
        }
        let words: rquickjs::Result<Option<String>> = hooks
            .get::<_, Function<'_>>("words")
            .and_then(|words| words.call((thrown,)));
        match words {
            Ok(Some(words)) => ScriptError::Thrown(words),
            _ if self.stopper.stopped.get() => self.stopper.why(),
            // No words for it, because there is no memory for them either.
            Ok(None) => ScriptError::MemoryLimit(self.outside.limits.memory),
            Err(_) if is_out_of_memory(&ctx.catch()) => ScriptError::MemoryLimit(self.outside.limits.memory),
            Err(_) => ScriptError::Thrown("an error that cannot be described".to_owned()),
        }
    }

    /// What an error means before the script begins.
    fn broken(&self, ctx: &Ctx<'_>, error: &rquickjs::Error) -> ScriptError {
        let thrown = ctx.catch();
        if self.stopper.stopped.get() {
            return self.stopper.why();
        }
        if is_out_of_memory(&thrown) {
            return ScriptError::MemoryLimit(self.outside.limits.memory);
        }
        let words = thrown.as_exception().and_then(Exception::message);
        ScriptError::Engine(words.unwrap_or_else(|| error.to_string()))
    }

    /// What `core.js` calls `native`.
    fn native<'js>(&self, ctx: &Ctx<'js>) -> rquickjs::Result<Object<'js>> {
        let native = Object::new(ctx.clone())?;
        native.set("lines", CONSOLE_LINES)?;
        native.set("letters", CONSOLE_LETTERS)?;
        // Each place of an array that is filled takes 16 bytes.
        native.set("longest", (self.outside.limits.memory / 16) as f64)?;
        let outside = self.outside.clone();
        native.set(
            "log",
            Function::new(ctx.clone(), move |level: String, text: String| {
                tracing::debug!(target: "countersign_script::console", step = outside.idempotency_key, level, "{text}");
                outside.console.write(&level, &text);
            })?,
        )?;
        native.set(
            "load",
            Function::new(ctx.clone(), |ctx: Ctx<'js>, name: String| {
                let source = match name.as_str() {
                    "outside" => OUTSIDE,
                    "web" => WEB,
                    _ => BYTES,
                };
                eval::<Function<'js>>(&ctx, source, &name, true)
            })?,
        )?;
        let outside = self.outside.clone();
        native.set(
            "fetch",
            Function::new(ctx.clone(), move |ctx: Ctx<'js>, id: u32, wanted: String| {
                outside
                    .fetch(id, &wanted)
                    .map_err(|message| Exception::throw_type(&ctx, &message))
            })?,
        )?;
        let outside = self.outside.clone();
        native.set(
            "abort",
            Function::new(ctx.clone(), move |id: u32| outside.abort(id))?,
        )?;
        let outside = self.outside.clone();
        native.set(
            "timer",
            Function::new(ctx.clone(), move |id: u32, after: f64| {
                outside.set_timer(id, after)
            })?,
        )?;
        let outside = self.outside.clone();
        native.set(
            "forget",
            Function::new(ctx.clone(), move |id: u32| outside.forget_timer(id))?,
        )?;
        native.set(
            "url",
            Function::new(
                ctx.clone(),
                |text: String, base: Opt<Option<String>>, part: Opt<String>, value: Opt<String>| {
                    let set = part.0.as_deref().zip(value.0.as_deref());
                    address::parts(&text, base.0.flatten().as_deref(), set)
                },
            )?,
        )?;
        Ok(native)
    }
}

/// Whether this says that there is no more memory. Without memory for an error or its words, these are missing.
fn is_out_of_memory(thrown: &JsValue<'_>) -> bool {
    match thrown.as_exception() {
        Some(error) => error
            .message()
            .is_none_or(|message| message.is_empty() || message == "out of memory"),
        None => !thrown.is_object(),
    }
}

fn eval<'js, V: rquickjs::FromJs<'js>>(
    ctx: &Ctx<'js>,
    source: &str,
    name: &str,
    strict: bool,
) -> rquickjs::Result<V> {
    let mut options = EvalOptions::default();
    options.strict = strict;
    options.filename = Some(name.to_owned());
    ctx.eval_with_options(source, options)
}

/// JSON in which halves of characters, which JavaScript can hold and Rust cannot, have given way to the replacement
/// character. JavaScript writes them as escapes, and whole characters never.
fn without_lone_surrogates(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let half = escape
            .get(2..6)
            .filter(|_| escape.as_bytes()[1] == b'u')
            .and_then(|digits| u16::from_str_radix(digits, 16).ok())
            .is_some_and(|unit| (0xd800..0xe000).contains(&unit));
        let length = if half { 6 } else { 2 };
        out.push_str(if half { "\\ufffd" } else { &escape[..length] });
        rest = &escape[length..];
    }
    out.push_str(rest);
    out
}
