//! kill -9 at random moments while 16 clients post and decide: nothing acknowledged is lost.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use countersign_testkit::flows::FlowOptions;
use countersign_testkit::{
    CallbackReceiver, Connection, Headless, HttpResponse, Received, ScriptedReply, eventually, flows,
};
use serde_json::{Value, json};

use crate::support::{Dice, installation};

const SECRET: &str = "the receiver's secret";
const CLIENTS: usize = 16;

/// 50 rounds in CI; `COUNTERSIGN_KILL_ROUNDS=300` by hand.
fn rounds() -> usize {
    std::env::var("COUNTERSIGN_KILL_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(50)
}

/// What the host has said yes to.
#[derive(Debug, Default)]
struct Acknowledged {
    /// 200 with an action: approval → execution.
    stopped: Vec<(String, String)>,
    /// 202: chats of asynchronous calls.
    accepted: Vec<String>,
    /// Decisions.
    decided: Vec<Decided>,
}

impl Acknowledged {
    fn extend(&mut self, later: Self) {
        self.stopped.extend(later.stopped);
        self.accepted.extend(later.accepted);
        self.decided.extend(later.decided);
    }
}

/// A decision that was acknowledged.
#[derive(Debug)]
struct Decided {
    approval: String,
    /// `approved` or `rejected`.
    state: &'static str,
    chat: String,
    /// Whether the flow is asynchronous.
    asynchronous: bool,
    /// Whether the answer came over the webhook.
    webhook: bool,
}

struct Flows {
    sync: String,
    asynchronous: String,
}

/// Speaks to one life of the host on one connection.
struct Client {
    number: usize,
    connection: Connection,
    bearer: String,
    flows: Arc<Flows>,
    log: Arc<Mutex<Acknowledged>>,
}

impl Client {
    fn send(&mut self, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<HttpResponse> {
        let headers = [
            ("authorization", self.bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let body = body.map(Value::to_string);
        let headers = if body.is_some() {
            &headers[..]
        } else {
            &headers[..1]
        };
        self.connection
            .send(method, path, headers, body.as_deref().map(str::as_bytes))
    }

    /// Posts and decides until the host goes away. An answer that did not arrive completely is no promise.
    fn work(mut self, stop: &AtomicBool) {
        let mut item = 0;
        while !stop.load(Ordering::Relaxed) {
            item += 1;
            let done = match self.number % 4 {
                0 | 1 => self.call(item),
                _ => self.decide(),
            };
            if done.is_err() {
                return;
            }
        }
    }

    fn call(&mut self, item: usize) -> std::io::Result<()> {
        let flow = if self.number.is_multiple_of(4) {
            &self.flows.sync
        } else {
            &self.flows.asynchronous
        };
        let path = format!("/api/v1/webhook/{flow}");
        let body = json!({ "item": format!("{}-{item}", self.number) });
        let reply = self.send("POST", &path, Some(&body))?;
        let answer = reply.json();
        let mut log = self.log.lock().expect("no client panics with the lock");
        match reply.status {
            200 => log
                .stopped
                .push((text(&answer["action"]["id"]), text(&answer["executionId"]))),
            202 => log.accepted.push(text(&answer["chatId"])),
            status => panic!("a good call was refused with {status}: {answer}"),
        }
        Ok(())
    }

    /// Looks at what waits and answers one of it, not always the newest: over the API, or over the webhook.
    fn decide(&mut self) -> std::io::Result<()> {
        let page = self
            .send("GET", "/api/v1/approvals?state=pending&limit=20", None)?
            .json();
        let waiting = page["approvals"].as_array().cloned().unwrap_or_default();
        let Some(approval) = waiting.get(self.number % waiting.len().max(1)) else {
            std::thread::sleep(Duration::from_millis(2));
            return Ok(());
        };
        let id = text(&approval["id"]);
        let webhook = self.number % 4 == 3;
        let approve = (self.number / 4).is_multiple_of(2);
        let (path, body) = if webhook {
            let word = if approve { "proceed" } else { "reject" };
            (
                format!("/api/v1/webhook/{}", text(&approval["flowId"])),
                json!({ "chatId": approval["chatId"], "humanInput": { "type": word } }),
            )
        } else {
            let outcome = if approve { "approve" } else { "reject" };
            (
                format!("/api/v1/approvals/{id}/decision"),
                json!({ "outcome": outcome }),
            )
        };
        let reply = self.send("POST", &path, Some(&body))?;
        match reply.status {
            200 | 202 => {
                let decided = Decided {
                    approval: id,
                    state: if approve { "approved" } else { "rejected" },
                    chat: text(&approval["chatId"]),
                    asynchronous: approval["flowId"] == self.flows.asynchronous,
                    webhook,
                };
                let mut log = self.log.lock().expect("no client panics with the lock");
                log.decided.push(decided);
            }
            409 => {}
            status => panic!("a decision was refused with {status}: {}", reply.text()),
        }
        Ok(())
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

/// One life of the host: clients at work, then SIGKILL.
fn live_and_die(host: Headless, flows: &Arc<Flows>, dice: &mut Dice) -> Acknowledged {
    let log = Arc::new(Mutex::new(Acknowledged::default()));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let client = Client {
                number,
                connection: host.connect(),
                bearer: format!("Bearer {}", host.token),
                flows: Arc::clone(flows),
                log: Arc::clone(&log),
            };
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || client.work(&stop))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(dice.roll(20..400)));
    host.kill();
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("no client fails");
    }
    Arc::try_unwrap(log)
        .expect("all clients are gone")
        .into_inner()
        .expect("no client panics with the lock")
}

/// An approval as the list shows it.
struct Listed {
    state: String,
    execution: String,
    chat: String,
    flow: String,
}

/// The approvals that the host has, read page by page, each once.
#[derive(Default)]
struct Register {
    of_id: HashMap<String, Listed>,
    of_chat: HashMap<String, String>,
    /// Up to where it was read. Ids begin with the time.
    newest: String,
}

impl Register {
    /// Reads what is newer than what was read before.
    fn read(&mut self, host: &Headless) {
        let mut newest = self.newest.clone();
        let mut path = "/api/v1/approvals?limit=200".to_owned();
        loop {
            let page = host.get(&path);
            for approval in page["approvals"].as_array().expect("a list") {
                let id = text(&approval["id"]);
                if id <= self.newest {
                    self.newest = newest;
                    return;
                }
                newest = newest.max(id.clone());
                let listed = Listed {
                    state: text(&approval["state"]),
                    execution: text(&approval["executionId"]),
                    chat: text(&approval["chatId"]),
                    flow: text(&approval["flowId"]),
                };
                self.of_chat.insert(listed.chat.clone(), id.clone());
                self.of_id.insert(id, listed);
            }
            match page["next"].as_str() {
                Some(next) => path = format!("/api/v1/approvals?limit=200&cursor={next}"),
                None => {
                    self.newest = newest;
                    return;
                }
            }
        }
    }

    /// Everything that was acknowledged is there. `states`: whether the register is as new as the decisions.
    fn check(&self, said: &Acknowledged, flows: &Flows, states: bool) {
        for (approval, execution) in &said.stopped {
            let found = self
                .of_id
                .get(approval)
                .expect("a question that was asked is there");
            assert_eq!(&found.execution, execution, "the question belongs to its run");
        }
        for chat in &said.accepted {
            let id = self.of_chat.get(chat);
            let id = id.unwrap_or_else(|| panic!("the run of chat {chat} is gone"));
            assert_eq!(self.of_id[id].flow, flows.asynchronous);
        }
        for decided in said.decided.iter().filter(|_| states) {
            assert_eq!(
                self.of_id[&decided.approval].state, decided.state,
                "a decision that was acknowledged stands: {decided:?}"
            );
        }
    }
}

/// Waits until all that goes on by itself has come to rest.
fn settle(host: &Headless) {
    eventually("every run has stopped or ended", Duration::from_secs(30), || {
        (host.get("/api/v1/executions?state=INPROGRESS&limit=1")["total"] == 0).then_some(())
    });
}

/// Each decided run has come to its end, or was interrupted with its caller gone and can go on. How many were.
fn check_ends(host: &Headless, register: &Register, said: &Acknowledged, flows: &Flows) -> usize {
    let answered: HashMap<&String, &Decided> = said
        .decided
        .iter()
        .map(|decided| (&decided.approval, decided))
        .collect();
    let mut interrupted = 0;
    for (id, listed) in register
        .of_id
        .iter()
        .filter(|(_, listed)| listed.state != "pending")
    {
        let path = format!("/api/v1/executions/{}", listed.execution);
        let execution = host.get(&path);
        if execution["state"] == "ERROR" {
            assert_eq!(execution["interrupted"], true, "{execution}");
            assert_eq!(
                listed.flow, flows.sync,
                "an asynchronous run goes on by itself: {execution}"
            );
            assert!(
                !answered.contains_key(id),
                "an end that was told to its caller is on record: {execution}"
            );
            let on = format!("{path}/continue");
            host.manage("POST", &on, None).expect(200, "it goes on");
            host.manage("POST", &on, None).expect(409, "once only");
            interrupted += 1;
        }
        let finished = host.wait_for_execution(&listed.execution, "FINISHED");
        let (ran, other) = if listed.state == "approved" {
            ("released", "held")
        } else {
            ("held", "released")
        };
        let data = text(&finished["executionData"]);
        assert!(
            data.contains(&format!("{ran} ")) && !data.contains(&format!("{other} ")),
            "the chosen branch ran, and no other: {data}"
        );
    }
    interrupted
}

#[test]
fn nothing_acknowledged_is_lost_however_the_host_dies() {
    let setup =
        installation().with_config("retry-plan-seconds = [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
    // Three of ten callbacks fail, in each of the ways in which a receiver can.
    let count = AtomicUsize::new(0);
    let receiver =
        CallbackReceiver::answering(move |_, _| match count.fetch_add(1, Ordering::Relaxed) % 10 {
            2 => ScriptedReply::status(500),
            5 => ScriptedReply::dropped(),
            8 => ScriptedReply::status(200).after(Duration::from_millis(60)),
            _ => ScriptedReply::status(200),
        });
    let mut host = setup.start();
    let flows = Arc::new(Flows {
        sync: host.import("sync", &flows::start_gate_replies(&FlowOptions::sync())),
        asynchronous: host.import(
            "async",
            &flows::start_gate_replies(&FlowOptions::callback(receiver.url("/cb"), Some(SECRET))),
        ),
    });
    let mut dice = Dice::new();
    let mut all = Acknowledged::default();
    let mut register = Register::default();
    let mut slowest = Duration::ZERO;
    let started = Instant::now();
    for _ in 0..rounds() {
        let said = live_and_die(host, &flows, &mut dice);
        host = setup.start();
        slowest = slowest.max(host.ready_after);
        settle(&host);
        register.read(&host);
        register.check(&said, &flows, false);
        for decided in &said.decided {
            let found = host.get(&format!("/api/v1/approvals/{}", decided.approval));
            assert_eq!(
                found["state"], decided.state,
                "a decision that was acknowledged stands: {found}"
            );
        }
        all.extend(said);
    }
    eventually("every callback is delivered", Duration::from_secs(120), || {
        (host.get("/api/v1/callbacks?state=waiting&limit=1")["waiting"] == 0).then_some(())
    });
    settle(&host);
    let mut register = Register::default();
    register.read(&host);
    register.check(&all, &flows, true);
    let interrupted = check_ends(&host, &register, &all, &flows);
    let abandoned = host.get("/api/v1/callbacks?state=abandoned");
    assert_eq!(abandoned["callbacks"], json!([]), "no callback was given up");
    check_callbacks(&receiver.received(), &all);
    let over_webhook = all.decided.iter().filter(|decided| decided.webhook).count();
    println!(
        "{} rounds in {:?}: {} stops, {} accepted, {} decisions acknowledged ({over_webhook} over the webhook); \
         {interrupted} runs interrupted and continued; {} callbacks arrived; slowest start {slowest:?}",
        rounds(),
        started.elapsed(),
        all.stopped.len(),
        all.accepted.len(),
        all.decided.len(),
        receiver.received().len(),
    );
    // Otherwise the kills came too early to show anything.
    assert!(
        all.stopped.len() + all.accepted.len() > rounds(),
        "the clients did too little: {all:?}"
    );
    assert!(
        over_webhook > 0 && over_webhook < all.decided.len(),
        "nobody decided by one of the two ways"
    );
}

/// No callback is missing, none is another one under the same id, none overtakes an earlier one of its run.
fn check_callbacks(received: &[Received], said: &Acknowledged) {
    let mut bodies: BTreeMap<String, &[u8]> = BTreeMap::new();
    let mut taken: HashMap<String, Vec<String>> = HashMap::new();
    // One message a kind and chat: a second id for the same fact would be a second effect at the receiver.
    let mut facts: HashMap<(String, String), String> = HashMap::new();
    for (index, one) in received.iter().enumerate() {
        let (id, chat, status) = (one.id(), one.chat(), one.status());
        let first = bodies.entry(id.clone()).or_insert(&one.body);
        assert_eq!(*first, one.body, "two bodies under the id {id}");
        let first = facts
            .entry((chat.clone(), status.clone()))
            .or_insert_with(|| id.clone());
        assert_eq!(*first, id, "two ids for one fact: {}", one.json());
        if one.taken {
            let told = taken.entry(chat).or_default();
            if !told.contains(&status) {
                told.push(status);
            }
        }
        // Also a repeated callback is signed; a sample of them is enough.
        if index.is_multiple_of(97) {
            one.assert_signed(SECRET);
        }
    }
    for chat in &said.accepted {
        let told = taken.get(chat).cloned().unwrap_or_default();
        assert_eq!(
            told.first().map(String::as_str),
            Some("STOPPED"),
            "the stop of chat {chat} was told: {told:?}"
        );
    }
    for decided in said.decided.iter().filter(|decided| decided.asynchronous) {
        let told = taken.get(&decided.chat).cloned().unwrap_or_default();
        assert_eq!(
            told,
            ["STOPPED", "SUCCESS"],
            "the end was told, after the stop: {decided:?}"
        );
    }
}
