//! kill -9 at random moments while 16 clients post and decide: nothing acknowledged is lost.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Answer, Arrival, Connection, Dice, Receiver, Serve, Setup, eventually, flows};

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
    /// 200 to a decision: approval → (state, chat, whether the flow is asynchronous).
    decided: Vec<(String, String, String, bool)>,
}

struct Flows {
    sync: String,
    asynchronous: String,
}

/// Posts and decides until the host goes away. An answer that did not arrive completely is no promise.
fn client(
    number: usize,
    address: &str,
    token: &str,
    flows: &Flows,
    stop: &AtomicBool,
    log: &Mutex<Acknowledged>,
) {
    let Ok(mut connection) = Connection::open(address) else {
        return;
    };
    let bearer = format!("Bearer {token}");
    let managed = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let json_type = [("content-type", "application/json")];
    let mut item = 0;
    while !stop.load(Ordering::Relaxed) {
        item += 1;
        let body = json!({ "item": format!("{number}-{item}") }).to_string();
        let sent = match number % 4 {
            0 | 1 => {
                let flow = if number.is_multiple_of(4) {
                    &flows.sync
                } else {
                    &flows.asynchronous
                };
                connection.send(
                    "POST",
                    &format!("/api/v1/webhook/{flow}"),
                    &json_type,
                    Some(body.as_bytes()),
                )
            }
            _ => match decide_one(&mut connection, number, &managed, flows, log) {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let Ok(reply) = sent else { return };
        let answer = reply.json();
        let mut log = log.lock().expect("no client panics with the lock");
        match reply.status {
            200 => log
                .stopped
                .push((text(&answer["action"]["id"]), text(&answer["executionId"]))),
            202 => log.accepted.push(text(&answer["chatId"])),
            status => panic!("a good call was refused with {status}: {answer}"),
        }
    }
}

/// Looks at what waits and answers one of it, not always the newest.
fn decide_one(
    connection: &mut Connection,
    number: usize,
    managed: &[(&str, &str)],
    flows: &Flows,
    log: &Mutex<Acknowledged>,
) -> std::io::Result<()> {
    let page = connection
        .send("GET", "/api/v1/approvals?state=pending&limit=20", managed, None)?
        .json();
    let waiting = page["approvals"].as_array().cloned().unwrap_or_default();
    let Some(approval) = waiting.get(number % waiting.len().max(1)) else {
        std::thread::sleep(Duration::from_millis(2));
        return Ok(());
    };
    let id = text(&approval["id"]);
    let outcome = if number.is_multiple_of(2) {
        "approve"
    } else {
        "reject"
    };
    let body = json!({ "outcome": outcome }).to_string();
    let path = format!("/api/v1/approvals/{id}/decision");
    let reply = connection.send("POST", &path, managed, Some(body.as_bytes()))?;
    let answer = reply.json();
    match reply.status {
        200 => {
            let decided = (
                id,
                text(&answer["state"]),
                text(&answer["chatId"]),
                answer["flowId"] == flows.asynchronous,
            );
            log.lock()
                .expect("no client panics with the lock")
                .decided
                .push(decided);
        }
        409 => {}
        status => panic!("a decision was refused with {status}: {answer}"),
    }
    Ok(())
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

/// One life of the host: clients at work, then SIGKILL.
fn live_and_die(serve: Serve, flows: &Arc<Flows>, dice: &mut Dice) -> Acknowledged {
    let log = Arc::new(Mutex::new(Acknowledged::default()));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (address, token) = (serve.address.clone(), serve.token.clone());
            let (flows, stop, log) = (Arc::clone(flows), Arc::clone(&stop), Arc::clone(&log));
            std::thread::spawn(move || client(number, &address, &token, &flows, &stop, &log))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(dice.roll(20..400)));
    serve.kill();
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("no client fails");
    }
    Arc::try_unwrap(log)
        .expect("all clients are gone")
        .into_inner()
        .expect("no client panics with the lock")
}

/// Everything that was acknowledged before the kill is there after the start.
fn check_promises(serve: &Serve, said: &Acknowledged, flows: &Flows) {
    let decided: HashMap<&String, &String> = said.decided.iter().map(|(id, state, ..)| (id, state)).collect();
    for (approval, execution) in &said.stopped {
        let found = serve.get(&format!("/api/v1/approvals/{approval}"));
        assert_eq!(
            found["executionId"], **execution,
            "the question belongs to its run"
        );
        serve.get(&format!("/api/v1/executions/{execution}"));
    }
    for (approval, state) in &decided {
        let found = serve.get(&format!("/api/v1/approvals/{approval}"));
        assert_eq!(
            found["state"], ***state,
            "a decision that was acknowledged stands: {found}"
        );
    }
    for chat in &said.accepted {
        let path = format!(
            "/api/v1/executions?agentflowId={}&sessionId={chat}",
            flows.asynchronous
        );
        assert_eq!(serve.get(&path)["total"], 1, "the run of chat {chat} is there");
    }
}

#[test]
fn nothing_acknowledged_is_lost_however_the_host_dies() {
    let setup =
        Setup::new().with_config("retry-plan-seconds = [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
    // Three of ten callbacks fail, in each of the ways in which a receiver can.
    let count = AtomicUsize::new(0);
    let receiver = Receiver::answering(move |_, _| match count.fetch_add(1, Ordering::Relaxed) % 10 {
        2 => Answer::Status(500),
        5 => Answer::Drop,
        8 => Answer::Late(Duration::from_millis(60)),
        _ => Answer::Status(200),
    });
    let mut serve = setup.start();
    let flows = Arc::new(Flows {
        sync: serve.import("sync", &flows::gate(json!({}))),
        asynchronous: serve.import(
            "async",
            &flows::gate(flows::calling_back(&receiver.url("/cb"), SECRET)),
        ),
    });
    let mut dice = Dice::new();
    let mut all = Acknowledged::default();
    let mut slowest = Duration::ZERO;
    let started = Instant::now();
    for _ in 0..rounds() {
        let said = live_and_die(serve, &flows, &mut dice);
        serve = setup.start();
        slowest = slowest.max(serve.ready_after);
        check_promises(&serve, &said, &flows);
        all.stopped.extend(said.stopped);
        all.accepted.extend(said.accepted);
        all.decided.extend(said.decided);
    }
    eventually("every callback is delivered", Duration::from_secs(120), || {
        let page = serve.get("/api/v1/callbacks?state=waiting&limit=1");
        (page["waiting"] == 0).then_some(())
    });
    eventually("every run has stopped or ended", Duration::from_secs(30), || {
        (serve.get("/api/v1/executions?state=INPROGRESS")["total"] == 0).then_some(())
    });
    check_promises(&serve, &all, &flows);
    let abandoned = serve.get("/api/v1/callbacks?state=abandoned");
    assert_eq!(abandoned["callbacks"], json!([]), "no callback was given up");
    check_callbacks(&receiver.arrivals(), &all);
    println!(
        "{} rounds in {:?}: {} stops, {} accepted, {} decisions acknowledged; {} callbacks arrived; slowest start {slowest:?}",
        rounds(),
        started.elapsed(),
        all.stopped.len(),
        all.accepted.len(),
        all.decided.len(),
        receiver.arrivals().len(),
    );
    // Otherwise the kills came too early to show anything.
    assert!(
        all.stopped.len() + all.accepted.len() > rounds(),
        "the clients did too little: {all:?}"
    );
    assert!(!all.decided.is_empty(), "nobody decided anything");
}

/// No callback is missing, none is another one under the same id, none overtakes an earlier one of its run.
fn check_callbacks(arrivals: &[Arrival], said: &Acknowledged) {
    let mut bodies: BTreeMap<String, &[u8]> = BTreeMap::new();
    let mut taken: HashMap<String, Vec<String>> = HashMap::new();
    for arrival in arrivals {
        let id = arrival.id();
        let first = bodies.entry(id.clone()).or_insert(&arrival.body);
        assert_eq!(*first, arrival.body, "two bodies under the id {id}");
        if !arrival.taken {
            continue;
        }
        let chat = taken.entry(arrival.chat()).or_default();
        let status = arrival.status();
        if !chat.contains(&status) {
            chat.push(status);
        }
    }
    for arrival in arrivals.iter().step_by(97) {
        let flowise = format!(
            "sha256={}",
            hex::encode(crate::support::receiver::digest(SECRET.as_bytes(), &arrival.body))
        );
        assert_eq!(
            arrival.header("x-flowise-signature"),
            Some(flowise.as_str()),
            "also a repeated callback is signed"
        );
    }
    for chat in &said.accepted {
        let told = taken.get(chat).cloned().unwrap_or_default();
        assert_eq!(
            told.first().map(String::as_str),
            Some("STOPPED"),
            "the stop of chat {chat} was told: {told:?}"
        );
    }
    for (approval, _, chat, _) in said.decided.iter().filter(|(.., asynchronous)| *asynchronous) {
        let told = taken.get(chat).cloned().unwrap_or_default();
        assert_eq!(
            told,
            ["STOPPED", "SUCCESS"],
            "the end of approval {approval} was told, after its stop"
        );
    }
    // One message a kind and chat: a second id for the same fact would be a second effect at the receiver.
    let mut facts: HashMap<(String, String), String> = HashMap::new();
    for arrival in arrivals {
        let first = facts
            .entry((arrival.chat(), arrival.status()))
            .or_insert_with(|| arrival.id())
            .clone();
        assert_eq!(
            first,
            arrival.id(),
            "two ids for one fact: {}",
            String::from_utf8_lossy(&arrival.body)
        );
    }
}
