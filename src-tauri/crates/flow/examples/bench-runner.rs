//! The runner alone, beside a bare loop that does the same work without a graph, references or records of their own
//! kind: what it costs that a flow is data. `script/bench` builds and starts this.
//!
//! Each figure is taken at a quarter of its size too. "grows" is the power of the size that the time follows: 1 is
//! linear, 2 would be a thing to mend.
//!
//! `bench-runner [SECONDS] [WORD]`: how long each figure is measured, and which ones: those with that word.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that cannot go on must stop and say why"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_domain::Timestamp;
use countersign_flow::{
    Advance, Host, HostFuture, HttpRequest, HttpResponse, Incoming, Plan, Run, RunInput, Scope, Template,
};
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use uuid::Uuid;

/// A host whose targets answer at once.
struct Instantly;

impl Host for Instantly {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_123)
    }

    fn new_id(&self) -> Uuid {
        Uuid::from_u128(1)
    }

    fn variable(&self, _name: &str) -> Option<String> {
        None
    }

    fn http(&self, request: HttpRequest) -> HostFuture<'_, Result<HttpResponse, String>> {
        Box::pin(std::future::ready(Ok(HttpResponse {
            status: 200,
            status_text: "OK".to_owned(),
            headers: Vec::new(),
            body: answer_of(&request.url).into_bytes(),
        })))
    }
}

fn answer_of(url: &str) -> String {
    format!("{{\"url\":\"{url}\",\"n\":1}}")
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds: u64 = arguments.next().map_or(1, |seconds| {
        seconds.parse().expect("usage: bench-runner [SECONDS]")
    });
    let time = Duration::from_secs(seconds);
    let word = arguments.next().unwrap_or_default();
    let show = |name: &str, unit: &str, size: usize, pair: fn(usize) -> Pair| {
        if name.contains(&word) {
            measure(name, unit, size, time, pair);
        }
    };

    println!(
        "{:<52} {:>14} {:>14} {:>7} {:>6}",
        "figure", "runner", "bare loop", "ratio", "grows"
    );
    show("chain of 1,000 nodes", "nodes", 1000, chain);
    show("the same, each refers to the first", "nodes", 1000, back_chain);
    show("fan-out to 100 requests and a join", "nodes", 100, fan_out);
    show("Iteration over 10,000 items", "items", 10_000, iteration);
    show(
        "the same, each refers to a step around it",
        "items",
        10_000,
        outer_iteration,
    );
    show("Condition of 1,000 rows", "rows", 1000, rows);
    show(
        "template of 1 MB with 20,000 references",
        "bytes",
        1_000_000,
        template,
    );
    show(
        "the same, references to nothing",
        "bytes",
        1_000_000,
        empty_template,
    );
    show("reading a flow of 1,000 nodes", "nodes", 1000, reading);
    show("a run of 1,000 records stored and read", "nodes", 1000, stored);
    show("Iteration of requests, kept before each", "items", 400, kept);
    if "memory".contains(&word) {
        memory();
    }
}

/// Two ways of doing the same.
struct Pair {
    ours: Box<dyn FnMut()>,
    bare: Box<dyn FnMut()>,
}

/// Measures a pair at its size and at a quarter of it, and prints the line.
fn measure(name: &str, unit: &str, size: usize, time: Duration, pair: fn(usize) -> Pair) {
    let mut small = pair(size / 4);
    let mut full = pair(size);
    // In turns, so that a busy moment of the machine hits all of them.
    let mut rounds = [Vec::new(), Vec::new(), Vec::new()];
    let until = Instant::now() + time;
    while rounds[0].len() < 5 || Instant::now() < until {
        for (round, work) in rounds
            .iter_mut()
            .zip([&mut small.ours, &mut full.ours, &mut full.bare])
        {
            let began = Instant::now();
            work();
            round.push(began.elapsed().as_secs_f64());
        }
    }
    let [quarter, ours, bare] = rounds.map(|mut round| {
        round.sort_by(f64::total_cmp);
        round[round.len() / 2]
    });
    let rate = |seconds: f64| format!("{}/s", short(size as f64 / seconds));
    println!(
        "{:<52} {:>14} {:>14} {:>7.3} {:>6.2}",
        format!("{name} ({unit})"),
        rate(ours),
        rate(bare),
        bare / ours,
        (ours / quarter).log(4.0)
    );
}

fn short(number: f64) -> String {
    match number {
        n if n >= 1e9 => format!("{:.2} G", n / 1e9),
        n if n >= 1e6 => format!("{:.2} M", n / 1e6),
        n if n >= 1e3 => format!("{:.1} k", n / 1e3),
        n => format!("{n:.0}"),
    }
}

fn input() -> RunInput {
    RunInput {
        incoming: Incoming::Webhook(json!({"body": {"x": "Ada"}, "headers": {"host": "h"}, "query": {}})),
        execution_id: "execution-1".to_owned(),
        chat_id: "chat-1".to_owned(),
        session_id: "chat-1".to_owned(),
        flow_id: "flow-1".to_owned(),
        api_message_id: "message-1".to_owned(),
        past_history: Vec::new(),
    }
}

fn to_the_end(plan: &Plan) -> Run {
    let mut run = Run::begin(plan, input());
    loop {
        match run
            .advance(plan, &Instantly)
            .now_or_never()
            .expect("nothing waits")
        {
            Advance::Ran { .. } => {}
            Advance::Finished => return run,
            other => panic!("{other:?}"),
        }
    }
}

fn node(name: &str, number: usize, inputs: Value) -> Value {
    let id = format!("{name}_{number}");
    json!({"id": id, "data": {"id": id, "label": format!("Step {number}"), "name": name, "inputs": inputs}})
}

fn start() -> Value {
    node(
        "startAgentflow",
        0,
        json!({"startInputType": "webhookTrigger", "webhookInputMode": "text"}),
    )
}

fn reply(number: usize, text: &str) -> Value {
    node(
        "directReplyAgentflow",
        number,
        json!({"directReplyMessage": text}),
    )
}

fn edge(from: &str, output: &str, to: &str) -> Value {
    json!({"source": from, "sourceHandle": format!("{from}-output-{output}"), "target": to})
}

fn plan(nodes: Vec<Value>, edges: Vec<Value>) -> Plan {
    let text = json!({"nodes": nodes, "edges": edges}).to_string();
    Plan::parse(&text).unwrap_or_else(|refusal| panic!("{refusal}"))
}

fn ours(plan: Plan, records: usize) -> Box<dyn FnMut()> {
    Box::new(move || {
        let run = to_the_end(&plan);
        assert_eq!(run.records().len(), records, "all of it ran");
        black_box(run.final_text());
    })
}

/// What a bare loop keeps of a step.
struct Kept {
    id: Arc<str>,
    input: Arc<Value>,
    output: Arc<Value>,
}

fn keep(kept: &mut Vec<Kept>, ids: &[Arc<str>], place: usize, input: Value, output: Value) {
    kept.push(Kept {
        id: ids[place].clone(),
        input: Arc::new(input),
        output: Arc::new(output),
    });
}

fn see(kept: &[Kept]) {
    for step in kept {
        black_box((&step.id, &step.input, &step.output));
    }
}

fn ids(name: &str, count: usize) -> Arc<[Arc<str>]> {
    (0..count)
        .map(|number| format!("{name}_{number}").into())
        .collect()
}

/// Start and replies behind it, `count` nodes in all; each says `text` of its number.
fn chain_of(count: usize, text: fn(usize) -> String) -> Plan {
    let mut nodes = vec![start()];
    let mut edges = Vec::new();
    for number in 0..count - 1 {
        nodes.push(reply(number, &text(number)));
        let to = format!("directReplyAgentflow_{number}");
        edges.push(match number.checked_sub(1) {
            None => edge("startAgentflow_0", "startAgentflow", &to),
            Some(before) => edge(
                &format!("directReplyAgentflow_{before}"),
                "directReplyAgentflow",
                &to,
            ),
        });
    }
    plan(nodes, edges)
}

fn bare_chain(count: usize) -> Box<dyn FnMut()> {
    let ids = ids("directReplyAgentflow", count);
    let call = json!({"body": {"x": "Ada"}});
    Box::new(move || {
        let mut kept = Vec::new();
        for number in 0..count - 1 {
            let who = call["body"]["x"].as_str().unwrap();
            let text = format!("{number} says {who}");
            keep(
                &mut kept,
                &ids,
                number,
                json!({"directReplyMessage": text}),
                json!({"content": text}),
            );
        }
        see(&kept);
    })
}

fn chain(count: usize) -> Pair {
    let text = |number| format!("{number} says {{{{ $webhook.body.x }}}}");
    Pair {
        ours: ours(chain_of(count, text), count),
        bare: bare_chain(count),
    }
}

fn back_chain(count: usize) -> Pair {
    let text = |number: usize| match number {
        0 => "Ada".to_owned(),
        _ => format!("{number} says {{{{ directReplyAgentflow_0 }}}}"),
    };
    Pair {
        ours: ours(chain_of(count, text), count),
        bare: bare_chain(count),
    }
}

fn fan_out(width: usize) -> Pair {
    let mut nodes = vec![start(), reply(0, "{{ httpAgentflow_0.output.http.status }}")];
    let mut edges = Vec::new();
    for number in 0..width {
        let url = format!("http://x/{number}/{{{{ $webhook.body.x }}}}");
        nodes.push(node(
            "httpAgentflow",
            number,
            json!({"method": "GET", "url": url}),
        ));
        let id = format!("httpAgentflow_{number}");
        edges.push(edge("startAgentflow_0", "startAgentflow", &id));
        edges.push(edge(&id, "httpAgentflow", "directReplyAgentflow_0"));
    }
    let ids = ids("httpAgentflow", width);
    Pair {
        ours: ours(plan(nodes, edges), width + 2),
        bare: Box::new(move || {
            let mut kept = Vec::new();
            for number in 0..width {
                let url = format!("http://x/{number}/Ada");
                let data: Value = serde_json::from_str(&answer_of(&url)).unwrap();
                keep(
                    &mut kept,
                    &ids,
                    number,
                    json!({"http": {"method": "GET", "url": url}}),
                    json!({"http": {"data": data, "status": 200, "statusText": "OK", "headers": {}}}),
                );
            }
            see(&kept);
        }),
    }
}

fn iteration_of(list: &str, inner: Value) -> Plan {
    let mut inner = inner;
    inner["parentNode"] = "iterationAgentflow_0".into();
    inner["extent"] = "parent".into();
    plan(
        vec![
            start(),
            reply(0, "around"),
            node("iterationAgentflow", 0, json!({"iterationInput": list})),
            inner,
        ],
        vec![
            edge("startAgentflow_0", "startAgentflow", "directReplyAgentflow_0"),
            edge(
                "directReplyAgentflow_0",
                "directReplyAgentflow",
                "iterationAgentflow_0",
            ),
        ],
    )
}

fn list(count: usize) -> String {
    Value::from_iter(0..count).to_string()
}

fn bare_iteration(count: usize) -> Box<dyn FnMut()> {
    let ids = ids("directReplyAgentflow", 2);
    let items = list(count);
    Box::new(move || {
        let mut kept = Vec::new();
        let mut results = Vec::new();
        let items: Vec<Value> = serde_json::from_str(&items).unwrap();
        for item in &items {
            let text = format!("item {item}");
            keep(
                &mut kept,
                &ids,
                1,
                json!({"directReplyMessage": text}),
                json!({"content": text}),
            );
            results.push(text);
        }
        black_box(results.join("\n"));
        see(&kept);
    })
}

fn iteration(count: usize) -> Pair {
    let inner = reply(1, "item {{ $iteration }}");
    Pair {
        ours: ours(iteration_of(&list(count), inner), count + 3),
        bare: bare_iteration(count),
    }
}

fn outer_iteration(count: usize) -> Pair {
    let inner = reply(1, "{{ directReplyAgentflow_0 }} {{ $iteration }}");
    Pair {
        ours: ours(iteration_of(&list(count), inner), count + 3),
        bare: bare_iteration(count),
    }
}

fn rows(count: usize) -> Pair {
    let row = |number: usize| {
        json!({
            "type": "string", "value1": "{{ $webhook.body.x }}", "operation": "equal",
            "value2": format!("name {number}"),
        })
    };
    let written: Vec<Value> = (0..count).map(row).collect();
    let nodes = vec![
        start(),
        node("conditionAgentflow", 0, json!({"conditions": written})),
    ];
    let edges = vec![edge("startAgentflow_0", "startAgentflow", "conditionAgentflow_0")];
    let names: Vec<String> = (0..count).map(|number| format!("name {number}")).collect();
    Pair {
        ours: ours(plan(nodes, edges), 2),
        bare: Box::new(move || {
            let mut input = serde_json::Map::new();
            let mut output = Vec::new();
            let mut taken = None;
            for (number, name) in names.iter().enumerate() {
                let row = json!({"type": "string", "value1": "Ada", "operation": "equal", "value2": name});
                if taken.is_none() && row["value1"] == row["value2"] {
                    taken = Some(number);
                }
                input.insert(number.to_string(), row.clone());
                output.push(row);
            }
            black_box((input, output, taken));
        }),
    }
}

/// A call.
struct Call(Value);

impl Scope for Call {
    fn webhook(&self) -> Option<&Value> {
        Some(&self.0)
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }
}

fn template_of(size: usize, reference: &'static str) -> Pair {
    let words = "forty characters of text between tokens ";
    let piece = format!("{words}{reference}");
    let text = piece.repeat(size / piece.len());
    let bare = text.clone();
    let call = Call(json!({"body": {"x": "Ada"}, "headers": {}, "query": {}}));
    Pair {
        ours: Box::new(move || {
            black_box(Template::parse(&text).render_text(&call));
        }),
        bare: Box::new(move || {
            let mut out = String::new();
            let mut rest = bare.as_str();
            while let Some((before, behind)) = rest.split_once("{{") {
                let (name, after) = behind.split_once("}}").unwrap();
                out.push_str(before);
                match name.trim() {
                    "$webhook.body.x" => out.push_str("Ada"),
                    other => write!(out, "{{{{ {other} }}}}").unwrap(),
                }
                rest = after;
            }
            out.push_str(rest);
            black_box(out);
        }),
    }
}

fn template(size: usize) -> Pair {
    template_of(size, "{{ $webhook.body.x }}")
}

fn empty_template(size: usize) -> Pair {
    template_of(size, "{{ output.missing }}")
}

/// The document as text, beside reading it as nothing but JSON.
fn reading(count: usize) -> Pair {
    let nodes: Vec<Value> = std::iter::once(start())
        .chain((0..count - 1).map(|number| reply(number, "{{ $webhook.body.x }}")))
        .collect();
    let edges = (0..count - 1).map(|number| match number.checked_sub(1) {
        None => edge("startAgentflow_0", "startAgentflow", "directReplyAgentflow_0"),
        Some(before) => edge(
            &format!("directReplyAgentflow_{before}"),
            "directReplyAgentflow",
            &format!("directReplyAgentflow_{number}"),
        ),
    });
    let text = json!({"nodes": nodes, "edges": edges.collect::<Vec<_>>()}).to_string();
    let bare = text.clone();
    Pair {
        ours: Box::new(move || {
            let plan = Plan::parse(&text).unwrap();
            black_box(plan.findings().len());
        }),
        bare: Box::new(move || {
            black_box(serde_json::from_str::<Value>(&bare).unwrap());
        }),
    }
}

/// A run as the application keeps it, beside the same text as nothing but JSON.
fn stored(count: usize) -> Pair {
    let run = to_the_end(&chain_of(count, |number| {
        format!("{number} says {{{{ $webhook.body.x }}}}")
    }));
    let value = serde_json::to_value(&run).unwrap();
    Pair {
        ours: Box::new(move || {
            let text = serde_json::to_string(&run).unwrap();
            black_box(serde_json::from_str::<Run>(&text).unwrap());
        }),
        bare: Box::new(move || {
            let text = serde_json::to_string(&value).unwrap();
            black_box(serde_json::from_str::<Value>(&text).unwrap());
        }),
    }
}

/// What the application does around requests: the run is made text before each and after it.
fn kept(count: usize) -> Pair {
    let inner = node(
        "httpAgentflow",
        0,
        json!({"method": "GET", "url": "http://x/{{ $iteration }}"}),
    );
    let plan = iteration_of(&list(count), inner);
    Pair {
        ours: Box::new(move || {
            let mut run = Run::begin(&plan, input());
            let mut acted = false;
            loop {
                let acts = run.acts_next(&plan, &Instantly);
                if acts || (acted && run.has_more()) {
                    black_box(serde_json::to_string(&run).unwrap());
                }
                acted = acts;
                match run
                    .advance(&plan, &Instantly)
                    .now_or_never()
                    .expect("nothing waits")
                {
                    Advance::Ran { .. } => {}
                    Advance::Finished => return,
                    other => panic!("{other:?}"),
                }
            }
        }),
        bare: Box::new(move || {
            let mut kept = Vec::new();
            for number in 0..count {
                let url = format!("http://x/{number}");
                let data: Value = serde_json::from_str(&answer_of(&url)).unwrap();
                let step = json!({"http": {"data": data, "status": 200, "url": url}});
                // Only what is new is written, as a log would.
                black_box(serde_json::to_string(&step).unwrap());
                kept.push(step);
            }
            black_box(kept);
        }),
    }
}

/// 10,000 runs that wait, all in memory, as they never are in the application: there they lie in the store.
fn memory() {
    const MANY: usize = 10_000;
    let question = json!({
        "humanInputDescriptionType": "fixed", "humanInputDescription": "Release {{ $webhook.body.x }}?",
    });
    let plan = plan(
        vec![start(), node("humanInputAgentflow", 0, question), reply(0, "yes")],
        vec![
            edge("startAgentflow_0", "startAgentflow", "humanInputAgentflow_0"),
            edge("humanInputAgentflow_0", "0", "directReplyAgentflow_0"),
        ],
    );
    let paused = || {
        let mut run = Run::begin(&plan, input());
        while !matches!(
            run.advance(&plan, &Instantly)
                .now_or_never()
                .expect("nothing waits"),
            Advance::Stopped(_)
        ) {}
        run
    };
    let text = serde_json::to_string(&paused()).unwrap();
    let before = resident();
    let runs: Vec<Run> = (0..MANY).map(|_| paused()).collect();
    let ours = resident().saturating_sub(before);
    black_box(&runs);
    drop(runs);
    let before = resident();
    let texts: Vec<String> = (0..MANY).map(|_| text.clone()).collect();
    let bare = resident().saturating_sub(before);
    black_box(&texts);
    println!(
        "memory of {MANY} runs that wait: {:.1} MiB, {} bytes each; stored they have {} bytes each ({:.1} MiB)",
        ours as f64 / 1024.0,
        ours * 1024 / MANY,
        text.len(),
        bare.max(text.len() * MANY / 1024) as f64 / 1024.0,
    );
}

/// The resident memory of this process in KiB; 0 where that is not told.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or_default()
}
