//! Random flows of every kind that steers a run, killed at random moments: what comes out is what comes out of a run
//! that nobody disturbs, and the world hears of nothing that it does not hear of there.
//!
//! A kill is what it is in the application: the run that was stored last is read again and goes on. It was stored when
//! it began, before each step that touches the world and after it, when it stopped, and with each answer.
//!
//! `PROPTEST_CASES=10000 cargo test --release -p countersign-flow random_flows` tries many.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use countersign_domain::Outcome;
use countersign_flow::{
    Advance, HttpRequest, ModelMessage, ModelReply, ModelRequest, OnError, PastMessage, Plan, Record, Run,
    RunPolicy, Script, StepPolicy,
};
use futures_util::FutureExt as _;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{
    TestHost, answer, back, call, chat, condition, each, flow, gate, http, id, input, inside, node, ok,
    plain, reply, says, start, wants,
};

/// One node as it was drawn; what its numbers mean depends on where it stands.
#[derive(Debug, Clone)]
struct Drawn {
    kind: u8,
    /// Where its first edge comes from.
    from: (u16, u8),
    /// Where others come from.
    more: Vec<(u16, u8)>,
    choice: u16,
    /// The earlier node that its texts refer to.
    refers: u16,
    /// What lies in it, if it is an Iteration.
    inside: Vec<Drawn>,
}

/// Flows: the first one runs, and each can call the later ones.
type Flows = Vec<Vec<Drawn>>;

fn drawn(inside: BoxedStrategy<Vec<Drawn>>) -> impl Strategy<Value = Drawn> {
    let edge = || (any::<u16>(), 0_u8..3);
    let more = prop::collection::vec(edge(), 0..3);
    (0_u8..13, edge(), more, any::<u16>(), any::<u16>(), inside).prop_map(
        |(kind, from, more, choice, refers, inside)| Drawn {
            kind,
            from,
            more,
            choice,
            refers,
            inside,
        },
    )
}

fn flows() -> impl Strategy<Value = Flows> {
    let part = |most: usize| {
        let nothing = Just(Vec::new()).boxed();
        let inside = prop::collection::vec(drawn(nothing), 0..4).boxed();
        prop::collection::vec(drawn(inside), 1..most)
    };
    let called = prop::collection::vec(part(5), 0..3);
    (part(9), called).prop_map(|(first, mut called)| {
        called.insert(0, first);
        called
    })
}

/// What a drawn node is where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Reply,
    Check,
    Gate,
    Http,
    Function,
    Fetch,
    Loop,
    Iteration,
    Call,
    Model,
    Agent,
    Judge,
}

/// A part of a flow while it is written: its nodes after each other, Start as the first at the top.
struct Part<'a> {
    drawn: &'a [Drawn],
    /// The number of the first node.
    numbers: usize,
    /// The Iteration around it.
    around: Option<&'a str>,
    /// What can be called from here.
    calls: std::ops::Range<usize>,
    /// The nodes around it that can be referred to.
    outer: &'a [String],
}

impl Part<'_> {
    fn kind(&self, place: usize) -> Kind {
        let inside = self.around.is_some();
        match self.drawn[place].kind {
            1 => Kind::Check,
            2 if !inside => Kind::Gate,
            2 | 3 => Kind::Http,
            4 => Kind::Function,
            5 => Kind::Fetch,
            6 if !self.before(place).is_empty() => Kind::Loop,
            7 | 8 if !inside => Kind::Iteration,
            9 if !self.calls.is_empty() => Kind::Call,
            10 => Kind::Model,
            11 => Kind::Agent,
            12 => Kind::Judge,
            _ => Kind::Reply,
        }
    }

    fn short(&self, place: usize) -> String {
        let letter = match self.kind(place) {
            Kind::Reply => 'd',
            Kind::Check => 'c',
            Kind::Gate => 'h',
            Kind::Http => 't',
            Kind::Function | Kind::Fetch => 'f',
            Kind::Loop => 'l',
            Kind::Iteration => 'i',
            Kind::Call => 'e',
            Kind::Model => 'm',
            Kind::Agent => 'a',
            Kind::Judge => 'p',
        };
        format!("{letter}{}", self.numbers + place)
    }

    fn outputs(&self, place: usize) -> Option<usize> {
        match self.kind(place) {
            Kind::Check | Kind::Judge => Some(2 + usize::from(self.drawn[place].choice % 2)),
            Kind::Gate => Some(2),
            _ => None,
        }
    }

    /// The nodes that lead to a node, by place; without Start.
    fn before(&self, place: usize) -> BTreeSet<usize> {
        let mut before = BTreeSet::new();
        let mut open = vec![place];
        while let Some(place) = open.pop() {
            let drawn = &self.drawn[place];
            let edges = std::iter::once(&drawn.from).chain(&drawn.more);
            let sources = edges.filter_map(|(from, _)| (usize::from(*from) % (place + 1)).checked_sub(1));
            open.extend(sources.filter(|source| before.insert(*source)));
        }
        before
    }

    /// The node that a Loop leads back to.
    fn target(&self, place: usize) -> usize {
        let before: Vec<_> = self.before(place).into_iter().collect();
        before[usize::from(self.drawn[place].choice) % before.len()]
    }

    /// The source of an edge to a node; `None` if it has none.
    fn source(&self, place: usize, (from, output): (u16, u8)) -> Option<String> {
        // At the top the first node is Start; inside, one more means that no edge leads to it.
        let from = usize::from(from) % (place + 1);
        let from = match (from.checked_sub(1), self.around) {
            (Some(from), _) => from,
            (None, None) => return Some("s".to_owned()),
            (None, Some(_)) => return None,
        };
        let short = self.short(from);
        Some(match self.outputs(from) {
            Some(outputs) => format!("{short}.{}", usize::from(output) % outputs),
            None => short,
        })
    }

    fn write(&self, nodes: &mut Vec<Value>, edges: &mut Vec<(String, String)>) {
        for (place, drawn) in self.drawn.iter().enumerate() {
            let short = self.short(place);
            let edges_here = std::iter::once(&drawn.from).chain(&drawn.more);
            let sources = edges_here.filter_map(|edge| self.source(place, *edge));
            edges.extend(sources.map(|source| (source, short.clone())));
            let mut written = self.node(place, &short);
            if let Some(around) = self.around {
                written = inside(around, written);
            }
            nodes.push(written);
            if self.kind(place) == Kind::Iteration {
                let earlier: Vec<String> = (0..place).map(|place| self.short(place)).collect();
                let part = Part {
                    drawn: &drawn.inside,
                    numbers: 100 + 10 * place,
                    around: Some(&short),
                    calls: self.calls.clone(),
                    outer: &earlier,
                };
                part.write(nodes, edges);
            }
        }
    }

    fn node(&self, place: usize, short: &str) -> Value {
        let drawn = &self.drawn[place];
        let choice = usize::from(drawn.choice);
        let earlier = (0..place).map(|place| self.short(place));
        let known: Vec<String> = self.outer.iter().cloned().chain(earlier).collect();
        let refers = match known.len() {
            0 => "{{ question }}".to_owned(),
            count => format!("{{{{ {} }}}}", id(&known[usize::from(drawn.refers) % count])),
        };
        let item = "{{ $iteration }}";
        match self.kind(place) {
            Kind::Reply => reply(short, &format!("{short}: {refers} {{{{ loop_count }}}} {item}")),
            Kind::Check => {
                let one = ["a", "{{ loop_count }}", &refers, item][choice / 2 % 4];
                let two = ["a", "1", "b"][choice / 8 % 3];
                let row =
                    |two: &str| json!({"type": "string", "value1": one, "operation": "equal", "value2": two});
                let rows = [row(two), row("0")];
                condition(short, json!(rows[..=choice % 2]))
            }
            Kind::Gate => gate(short, &format!("{short}? {refers}")),
            Kind::Http => {
                let fails = if choice % 5 == 0 { "fail" } else { "get" };
                let url = format!("http://x/{fails}/{short}?{item}");
                http(
                    short,
                    json!({"method": "POST", "url": url, "bodyType": "raw", "body": refers}),
                )
            }
            kind @ (Kind::Function | Kind::Fetch) => {
                let code = if kind == Kind::Fetch { "fetch" } else { "pure" };
                let updates = match choice % 3 {
                    0 => json!([{"key": format!("k{}", choice % 2), "value": "{{ output }}"}]),
                    _ => json!([]),
                };
                let inputs = json!({
                    "customFunctionJavascriptFunction": format!("{code} {short}"),
                    "customFunctionInputVariables": [{"variableName": "x", "variableValue": refers}],
                    "customFunctionUpdateState": updates,
                });
                let mut function = node(short, "Run", inputs);
                function["data"].as_object_mut().unwrap().remove("inputParams");
                function
            }
            Kind::Loop => {
                let target = self.short(self.target(place));
                let limit = 1 + choice / 16 % 3;
                back(
                    short,
                    &target,
                    json!({"maxLoopCount": limit, "fallbackMessage": format!("end {refers}")}),
                )
            }
            Kind::Iteration => each(short, ["[1, 2, 3]", "[]", "[\"a\", {\"b\": 0}]"][choice % 3]),
            Kind::Call => {
                let called = self.calls.start + choice % self.calls.len();
                call(short, &flow_id(called), &refers)
            }
            Kind::Model => {
                let says = json!([{"role": "user", "content": format!("Say {short} of {refers} {item}")}]);
                plain(
                    short,
                    "Say",
                    with_memory("llm", choice, json!({"llmMessages": says})),
                )
            }
            Kind::Agent => {
                let says = json!([{"role": "user", "content": format!("Do {short} of {refers} {item}")}]);
                // Nobody is asked inside an Iteration.
                let gated = self.around.is_none() && choice % 4 != 0;
                let tools = json!([tool("pay", gated), tool("fail", false)]);
                let inputs = json!({"agentMessages": says, "agentTools": tools});
                plain(short, "Work", with_memory("agent", choice, inputs))
            }
            Kind::Judge => {
                let scenarios =
                    (0..2 + choice % 2).map(|number| json!({"scenario": format!("it is {number}")}));
                let inputs = json!({
                    "conditionAgentInput": format!("{short} {refers} {item}"),
                    "conditionAgentInstructions": "Sort it",
                    "conditionAgentScenarios": scenarios.collect::<Vec<_>>(),
                });
                plain(short, "Judge", with_memory("conditionAgent", choice, inputs))
            }
        }
    }
}

/// The inputs of a node that asks a model, with one of the kinds of memory.
fn with_memory(prefix: &str, choice: usize, mut inputs: Value) -> Value {
    let memory = choice / 4 % 4;
    let kinds = ["allMessages", "allMessages", "windowSize", "conversationSummary"];
    inputs[format!("{prefix}Model")] = "chatOpenAI".into();
    inputs[format!("{prefix}ModelConfig")] = json!({"modelName": "g"});
    inputs[format!("{prefix}EnableMemory")] = (memory > 0).into();
    inputs[format!("{prefix}MemoryType")] = kinds[memory].into();
    inputs[format!("{prefix}ReturnResponseAs")] = ["userMessage", "assistantMessage"][choice / 2 % 2].into();
    inputs
}

/// A tool of an agent: a request to a target.
fn tool(name: &str, gated: bool) -> Value {
    json!({
        "agentSelectedTool": "requestsPost",
        "agentSelectedToolConfig": {"requestsPostUrl": format!("http://x/{name}"), "requestsPostName": name,
            "requestsPostDescription": "Does it", "requestsPostBodySchema": "{\"n\": {\"type\": \"number\"}}"},
        "agentSelectedToolRequiresHumanInput": gated,
    })
}

/// A model whose answers depend on nothing but what it is asked: some fail, some are of no use, and an agent wants tools
/// until it was given something twice.
fn model_says(request: &ModelRequest) -> Result<ModelReply, String> {
    let text = format!("{:?}", request.messages);
    let number = text.bytes().fold(7_u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u32::from(byte))
    }) as usize
        >> 8;
    if number.is_multiple_of(11) {
        return Err("the model is not there".to_owned());
    }
    if let Some(expected) = &request.expected {
        let scenarios = expected["properties"]["output"]["enum"].as_array().unwrap();
        return Ok(says(&match scenarios.get(number / 11 % (scenarios.len() + 2)) {
            Some(scenario) => json!({"output": scenario}).to_string(),
            None => ["nothing of these", "{\"output\": \"else\"}"][number % 2].to_owned(),
        }));
    }
    let given = |message: &&ModelMessage| matches!(message, ModelMessage::Tool { .. });
    let rounds = request.messages.iter().filter(given).count();
    if request.tools.is_empty() || rounds > 1 || number.is_multiple_of(4) {
        return Ok(says(&format!("answer {}", number % 100)));
    }
    let wanted = |bits: usize| {
        let name = ["pay", "pay", "fail", "unknown"][bits % 4];
        (name, json!({"body": {"n": bits % 10}}))
    };
    let calls = [wanted(number / 4), wanted(number / 64), wanted(number / 1024)];
    Ok(wants("I need", &calls[..1 + number % 3]))
}

fn flow_id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// The text of one of the flows.
fn text(flows: &Flows, number: usize) -> String {
    let mut nodes = vec![match number {
        0 => start(json!({})),
        _ => start(json!({"startInputType": "chatInput"})),
    }];
    let mut edges = Vec::new();
    let part = Part {
        drawn: &flows[number],
        numbers: 0,
        around: None,
        calls: number + 1..flows.len(),
        outer: &[],
    };
    part.write(&mut nodes, &mut edges);
    let edges: Vec<_> = edges
        .iter()
        .map(|(from, to)| (from.as_str(), to.as_str()))
        .collect();
    flow(nodes, &edges)
}

fn plan(flows: &Flows, policies: u16) -> Plan {
    let text = text(flows, 0);
    let plan = Plan::parse(&text).unwrap_or_else(|refusal| panic!("{refusal}: {text}"));
    let steps = plan.steps().into_iter().enumerate().map(|(place, step)| {
        let bit = |shift: usize| policies >> ((place + shift) % 16) & 1 == 1;
        let policy = StepPolicy {
            // Most failures are gone on from, so that more than their first step is tried.
            on_error: if bit(0) || bit(3) {
                OnError::Continue
            } else {
                OnError::Fail
            },
            stop_on_item_error: bit(5),
            ..StepPolicy::default()
        };
        (step.id, policy)
    });
    plan.with_policy(RunPolicy {
        steps: steps.collect(),
        ..RunPolicy::default()
    })
}

/// What the world hears of, and when it stops answering.
#[derive(Default)]
struct World {
    /// How many moments pass before each kill.
    kills: VecDeque<u16>,
    /// Whether somebody was just killed in the middle of an effect.
    died: bool,
    /// Everything that was heard: the key, and what was said with it.
    heard: BTreeMap<String, String>,
    /// How often anything was heard.
    times: usize,
    /// Keys of what is part of the stored run.
    kept: BTreeSet<String>,
    /// Keys of what was heard since it was stored.
    since: Vec<String>,
    /// How much of that touched the world.
    outside: usize,
}

impl World {
    /// Whether it happens now.
    fn kills_now(&mut self) -> bool {
        match self.kills.front_mut() {
            None => false,
            Some(0) => {
                self.kills.pop_front();
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
        }
    }

    fn hear(&mut self, key: &str, what: String, outside: bool) {
        assert!(
            !self.kept.contains(key),
            "{key} is done and stored, and is done again"
        );
        if let Some(earlier) = self.heard.insert(key.to_owned(), what.clone()) {
            assert_eq!(earlier, what, "what is done again under {key} is the same");
        }
        self.since.push(key.to_owned());
        self.times += 1;
        self.outside += usize::from(outside);
    }

    fn store(&mut self) {
        self.kept.extend(self.since.drain(..));
    }
}

/// A host whose answers depend on nothing but what it is asked.
fn host(world: &Arc<Mutex<World>>, flows: &Flows) -> TestHost {
    let mut host = TestHost::new()
        .with_http({
            let world = world.clone();
            move |request: &HttpRequest| {
                let mut world = world.lock().unwrap();
                let body = request.body.as_ref().map(|body| body.text.clone());
                world.hear(
                    &request.idempotency_key,
                    format!("{} {body:?}", request.url),
                    true,
                );
                if world.kills_now() {
                    // The target has got it; whoever asked will never know.
                    world.died = true;
                    return Box::pin(std::future::pending());
                }
                let answer = if request.url.contains("fail") {
                    Err("the target is not there".to_owned())
                } else {
                    Ok(ok(&json!({"url": request.url, "body": body})))
                };
                Box::pin(std::future::ready(answer))
            }
        })
        .with_slow_model({
            let world = world.clone();
            move |request: &ModelRequest| {
                let mut world = world.lock().unwrap();
                let asked = format!("{:?} {}", request.messages, request.tools.len());
                world.hear(&request.idempotency_key, asked, true);
                if world.kills_now() {
                    world.died = true;
                    return Box::pin(std::future::pending());
                }
                Box::pin(std::future::ready(model_says(request)))
            }
        })
        .with_scripts({
            let world = world.clone();
            move |script: &Script| {
                let mut world = world.lock().unwrap();
                let outside = script.code.starts_with("fetch");
                let what = format!("{} {}", script.code, Value::Object(script.globals.clone()));
                world.hear(&script.idempotency_key, what, outside);
                let x = &script.globals["$x"];
                Ok(Some(match x.as_str().map_or(0, str::len) % 3 {
                    0 => json!({"of": script.code, "x": x}),
                    1 => json!(x.as_str().map_or(0, str::len)),
                    _ => json!(format!("{} of {x}", script.code)),
                }))
            }
        });
    for number in 1..flows.len() {
        host = host.with_flow(&flow_id(number), &text(flows, number));
    }
    host
}

/// What the application keeps of a run.
#[derive(Clone)]
struct Stored {
    run: String,
    past: Vec<PastMessage>,
    /// How many questions were answered.
    answers: u32,
}

/// How a run went.
struct Went {
    run: String,
    records: String,
    counts: BTreeMap<String, usize>,
    end: Advance,
    /// The questions as they were answered: the step and what was asked.
    questions: Vec<(String, String)>,
    world: World,
}

/// Runs to the end as the application does. `answers` says yes or no by its bits.
fn go(flows: &Flows, policies: u16, answers: u32, kills: &[u16]) -> Went {
    let plan = plan(flows, policies);
    let world = Arc::new(Mutex::new(World {
        kills: kills.iter().copied().collect(),
        ..World::default()
    }));
    let host = host(&world, flows);
    let mut stored = Stored {
        run: serde_json::to_string(&Run::begin(&plan, input(json!({"x": 1})))).unwrap(),
        past: Vec::new(),
        answers: 0,
    };
    let mut questions = BTreeMap::new();
    let end = loop {
        world.lock().unwrap().since.clear();
        if let Some(end) = live(&plan, &host, &world, answers, &mut stored, &mut questions) {
            break end;
        }
    };
    let run: Run = serde_json::from_str(&stored.run).unwrap();
    let mut counts = BTreeMap::new();
    for record in run.records() {
        *counts.entry(record.node_id().to_owned()).or_default() += 1;
    }
    drop(host);
    Went {
        records: all_of(run.records()).to_string(),
        run: stored.run,
        counts,
        end,
        questions: questions.into_values().collect(),
        world: Arc::into_inner(world).unwrap().into_inner().unwrap(),
    }
}

/// From what is stored to the end, or to a kill: then `None`.
fn live(
    plan: &Plan,
    host: &TestHost,
    world: &Mutex<World>,
    answers: u32,
    stored: &mut Stored,
    questions: &mut BTreeMap<u32, (String, String)>,
) -> Option<Advance> {
    let killed = || world.lock().unwrap().kills_now();
    let store = |run: &Run, stored: &mut Stored| {
        stored.run = serde_json::to_string(run).unwrap();
        world.lock().unwrap().store();
    };
    let mut run: Run = serde_json::from_str(&stored.run).unwrap();
    assert_eq!(
        serde_json::to_string(&run).unwrap(),
        stored.run,
        "a run that is read is the one that was written"
    );
    let mut past = stored.past.clone();
    let mut acted = false;
    loop {
        let acts = run.acts_next(plan, host);
        if killed() {
            return None;
        }
        if acts || (acted && run.has_more()) {
            store(&run, stored);
            if killed() {
                return None;
            }
        }
        acted = acts;
        let before = world.lock().unwrap().outside;
        let Some(advance) = run.advance(plan, host).now_or_never() else {
            assert!(
                std::mem::take(&mut world.lock().unwrap().died),
                "only a kill holds a run up"
            );
            return None;
        };
        assert!(
            acts || world.lock().unwrap().outside == before,
            "the world is touched only where that was said beforehand"
        );
        if killed() {
            return None;
        }
        match advance {
            Advance::Ran { .. } => {}
            Advance::Stopped(stop) => {
                past.truncate(2 * stored.answers as usize);
                past.extend(chat(&run));
                store(&run, stored);
                if killed() {
                    return None;
                }
                let question = (stop.node_label, stop.text);
                let earlier = questions.insert(stored.answers, question.clone());
                assert!(
                    earlier.is_none_or(|earlier| earlier == question),
                    "the same question"
                );
                let yes = answers >> (stored.answers % 32) & 1 == 1;
                let outcome = if yes { Outcome::Approve } else { Outcome::Reject };
                let note = stored.answers.is_multiple_of(2).then_some("note");
                run.answer(plan, host, answer(outcome, note), past.clone())
                    .unwrap();
                stored.past.clone_from(&past);
                stored.answers += 1;
                store(&run, stored);
            }
            end => {
                store(&run, stored);
                return Some(end);
            }
        }
    }
}

/// Records with those of the flows that were called.
fn all_of(records: &[Record]) -> Value {
    let records = records
        .iter()
        .map(|record| json!([record, all_of(record.called())]));
    records.collect()
}

/// How often each node may run at most. Once for each token: an edge has one whenever its source ran and took it, and
/// keeps it for the turns of a Loop that its source has no part in; a Loop that leads back gives one. And once, and once
/// more for each time that a Loop led back to it or to something before it.
fn bounds(flows: &Flows, run: &Run) -> BTreeMap<String, usize> {
    let part = Part {
        drawn: &flows[0],
        numbers: 0,
        around: None,
        calls: 1..flows.len(),
        outer: &[],
    };
    let count = flows[0].len();
    let records_of = |place: usize| {
        let node = id(&part.short(place));
        run.records()
            .iter()
            .filter(move |record| record.node_id() == node)
    };
    let turns = |place: usize| {
        let led_back = |record: &&Record| {
            record
                .content()
                .is_some_and(|said| said.starts_with("Loop back to"))
        };
        records_of(place).filter(led_back).count()
    };
    // How often a node ran and took an output; one that decides nothing takes all that it has.
    let took = |place: usize, output: u8| match part.outputs(place) {
        None if part.kind(place) == Kind::Loop => records_of(place).count() - turns(place),
        None => records_of(place).count(),
        Some(outputs) => {
            let fulfilled = format!("/conditions/{}/isFulfilled", usize::from(output) % outputs);
            let takes = |record: &&Record| record.output().pointer(&fulfilled) == Some(&Value::Bool(true));
            records_of(place).filter(takes).count()
        }
    };
    let loops = || (0..count).filter(|place| part.kind(*place) == Kind::Loop);
    let lies_behind = |place: usize, target: usize| place == target || part.before(place).contains(&target);
    let turns_of = |wanted: &dyn Fn(usize) -> bool| -> usize {
        let wanted = loops().filter(|place| wanted(part.target(*place)));
        wanted.map(turns).sum()
    };
    let mut bounds = BTreeMap::new();
    for (place, drawn) in flows[0].iter().enumerate() {
        let edges = std::iter::once(&drawn.from).chain(&drawn.more);
        let tokens = edges.map(|(from, output)| {
            let source = (usize::from(*from) % (place + 1)).checked_sub(1);
            let kept = turns_of(&|target| {
                lies_behind(place, target) && !source.is_some_and(|source| lies_behind(source, target))
            });
            source.map_or(1, |source| took(source, *output)) * (1 + kept)
        });
        let tokens: usize = tokens.sum::<usize>() + turns_of(&|target| target == place);
        let again = turns_of(&|target| lies_behind(place, target));
        bounds.insert(id(&part.short(place)), tokens.min(1 + again));
    }
    bounds
}

/// Cuts the records where a Loop led back to a node or to something before it: in each piece the node runs at most once,
/// after everything that leads to it, and if one edge leads to it and was taken, it does run.
fn assert_whole_turns(flows: &Flows, run: &Run, finished: bool) {
    let part = Part {
        drawn: &flows[0],
        numbers: 0,
        around: None,
        calls: 1..flows.len(),
        outer: &[],
    };
    let count = flows[0].len();
    let places: BTreeMap<String, usize> = (0..count).map(|place| (id(&part.short(place)), place)).collect();
    for (place, drawn) in flows[0].iter().enumerate() {
        let before = part.before(place);
        let edges = std::iter::once(&drawn.from).chain(&drawn.more);
        let sources: BTreeSet<usize> = edges
            .filter_map(|(from, _)| (usize::from(*from) % (place + 1)).checked_sub(1))
            .collect();
        // Of two Loops in one turn only the first one runs.
        let must_follow = finished && drawn.more.is_empty() && part.kind(place) != Kind::Loop;
        let (mut ran, mut led) = (false, false);
        let assert_followed = |ran: bool, led: bool| {
            let name = id(&part.short(place));
            assert!(
                ran || !led || !must_follow,
                "{name} did not run in its turn in {:?}: {}",
                crate::support::order(run),
                text(flows, 0)
            );
        };
        for record in run.records() {
            let Some(at) = places.get(record.node_id()).copied() else {
                continue;
            };
            let name = record.node_id();
            assert!(
                !(ran && at == place),
                "{name} ran twice in one turn, in {}",
                text(flows, 0)
            );
            assert!(
                !(ran && sources.contains(&at)),
                "{name} ran after what it leads to, in {}",
                text(flows, 0)
            );
            ran |= at == place;
            let output = usize::from(drawn.from.1) % part.outputs(at).unwrap_or(1);
            let takes = match part.kind(at) {
                Kind::Check | Kind::Gate | Kind::Judge => {
                    let fulfilled = format!("/conditions/{output}/isFulfilled");
                    record.output().pointer(&fulfilled) == Some(&Value::Bool(true))
                }
                Kind::Loop => !record
                    .content()
                    .is_some_and(|said| said.starts_with("Loop back to")),
                _ => true,
            };
            led |= sources.contains(&at) && takes;
            let led_back = part.kind(at) == Kind::Loop
                && record
                    .content()
                    .is_some_and(|said| said.starts_with("Loop back to"));
            if led_back && (part.target(at) == place || before.contains(&part.target(at))) {
                assert_followed(ran, led);
                (ran, led) = (false, false);
            }
        }
        assert_followed(ran, led);
    }
}

/// 500, or as many as `PROPTEST_CASES` says.
fn cases() -> u32 {
    let said = std::env::var("PROPTEST_CASES").ok();
    said.map_or(500, |said| said.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn kills_change_nothing(
        flows in flows(),
        policies in any::<u16>(),
        answers in any::<u32>(),
        kills in prop::collection::vec(0_u16..12, 1..6),
    ) {
        let through = go(&flows, policies, answers, &[]);
        prop_assert_eq!(through.world.times, through.world.heard.len(), "each effect has a key of its own");
        let run: Run = serde_json::from_str(&through.run).unwrap();
        assert_whole_turns(&flows, &run, through.end == Advance::Finished);
        for (node, most) in bounds(&flows, &run) {
            let times = through.counts.get(&node).copied().unwrap_or_default();
            prop_assert!(
                times <= most,
                "{node} ran {times} times, and may {most} times, in {}",
                text(&flows, 0)
            );
        }

        let killed = go(&flows, policies, answers, &kills);
        prop_assert_eq!(&killed.end, &through.end);
        prop_assert_eq!(&killed.questions, &through.questions);
        prop_assert_eq!(&killed.records, &through.records);
        prop_assert_eq!(&killed.run, &through.run, "also what nobody sees of it");
        prop_assert_eq!(&killed.world.heard, &through.world.heard, "the world heard the same");
    }
}
