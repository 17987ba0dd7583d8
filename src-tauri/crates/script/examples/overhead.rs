//! What one run costs, against a thread that does nothing: `cargo run --release -p countersign-script --example overhead`.

#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_script::{Engine, Limits, NoFetch};
use serde_json::{Map, Value, json};

const RUNS: u32 = 500;

#[tokio::main]
async fn main() {
    let engine = Engine::new(Limits::default(), Arc::new(NoFetch));
    let began = Instant::now();
    for _ in 0..RUNS {
        let (done, ended) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || done.send(()));
        let _ = ended.await;
    }
    println!("{:>10.1?}  a thread that does nothing", began.elapsed() / RUNS);
    let large: Vec<_> = (0..10_000).map(|i| json!({"i": i, "s": "some text"})).collect();
    let large = Map::from_iter([("$list".to_owned(), Value::Array(large))]);
    for (what, code, globals) in [
        ("return 42", "return 42", Map::new()),
        (
            "await one timer",
            "await new Promise((done) => setTimeout(done, 1)); return 1",
            Map::new(),
        ),
        (
            "URL and Buffer",
            "return new URL('http://h/').host + Buffer.from('x').toString('hex')",
            Map::new(),
        ),
        ("a list of 10,000 objects in and out", "return $list", large),
        (
            "a loop of 1,000,000 turns",
            "let sum = 0; for (let i = 0; i < 1e6; i++) sum += i; return sum",
            Map::new(),
        ),
    ] {
        let mut times = Vec::new();
        for _ in 0..RUNS / 10 {
            let began = Instant::now();
            let returned = engine.run(code, globals.clone(), "run").await;
            assert!(returned.is_ok(), "{returned:?}");
            times.push(began.elapsed());
        }
        times.sort_unstable();
        println!("{:>10.1?}  {what}", times[times.len() / 2]);
    }
    let began = Instant::now();
    let runs: Vec<_> = (0..RUNS)
        .map(|_| {
            let engine = engine.clone();
            tokio::spawn(async move { engine.run("return 42", Map::new(), "run").await })
        })
        .collect();
    for run in runs {
        let _ = run.await;
    }
    let each: Duration = began.elapsed() / RUNS;
    println!("{each:>10.1?}  return 42, each of {RUNS} at once");
}
