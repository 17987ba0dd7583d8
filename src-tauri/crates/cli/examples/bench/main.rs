//! The figures of the product, as ratios in one run on one machine. `script/bench` builds and starts this.
//!
//! `bench HOST BARE DESKTOP [SECONDS]`: HOST is the command `countersign`, BARE the server crate's example of that name,
//! DESKTOP the desktop application.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that cannot go on must stop and say why"
)]

mod desktop;
mod host;
mod load;
mod storage;

use std::path::PathBuf;
use std::time::Duration;

use countersign_testkit::flows::{FlowOptions, start_gate_replies, start_reply};

use crate::host::{Host, Place};
use crate::load::Load;

/// The host's, so that the store alone is measured with the same one.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How many clients are at work at once.
const CLIENTS: usize = 64;

/// How many times each pair is measured, in turns, so that a busy moment of the machine hits both.
const TURNS: usize = 3;

/// How many approvals wait in the large store.
const MANY: usize = 10_000;

/// One line of the table.
struct Figure {
    name: &'static str,
    ours: String,
    reference: String,
    ratio: String,
    goal: String,
    reached: bool,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: bench HOST BARE DESKTOP [SECONDS]";
    let host: PathBuf = arguments.next().expect(usage).into();
    let bare: PathBuf = arguments.next().expect(usage).into();
    let desktop: PathBuf = arguments.next().expect(usage).into();
    let seconds: u64 = arguments
        .next()
        .map_or(5, |seconds| seconds.parse().expect(usage));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let time = Duration::from_secs(seconds);

    let mut figures = runtime.block_on(async {
        let mut figures = answers(&host, &bare, time).await;
        figures.push(stops(&host, time).await);
        figures
    });
    figures.extend(idle(&host));
    figures.push(without_window(&desktop));
    figures.extend(runtime.block_on(large(&host)));

    println!();
    let row = |cells: [&str; 6]| {
        println!(
            "{:<44} {:>16} {:>16} {:>8} {:>10}  {}",
            cells[0], cells[1], cells[2], cells[3], cells[4], cells[5]
        );
    };
    row(["figure", "countersign", "reference", "ratio", "goal", ""]);
    for figure in &figures {
        let verdict = if figure.reached { "reached" } else { "MISSED" };
        row([
            figure.name,
            &figure.ours,
            &figure.reference,
            &figure.ratio,
            &figure.goal,
            verdict,
        ]);
    }
    if figures.iter().any(|figure| !figure.reached) {
        std::process::exit(1);
    }
}

/// Start → Direct Reply in sync mode, beside a server that does nothing but answer the same bytes.
async fn answers(host: &std::path::Path, bare: &std::path::Path, time: Duration) -> Vec<Figure> {
    let place = Place::new();
    let ours = Host::start(host, &place);
    let flow = ours.import("hello", &start_reply(&FlowOptions::sync())).await;
    let path = format!("/api/v1/webhook/{flow}");
    let body = br#"{"who":"Ada","service":"api","version":"2.4.1"}"#;
    let sample = load::once(&ours.address, "POST", &path, None, body).await;
    let file = place.path("answer.json");
    std::fs::write(&file, &sample).unwrap();
    let reference = Host::start_bare(bare, &file);

    let request = |address: &str| Load::new(address, "POST", &path, None, body);
    // Both are warm before anything is counted.
    request(&ours.address).run(CLIENTS, Duration::from_secs(1)).await;
    request(&reference.address)
        .run(CLIENTS, Duration::from_secs(1))
        .await;
    let (mut rates, mut tails) = (Vec::new(), Vec::new());
    for turn in 1..=TURNS {
        let theirs = request(&reference.address).run(CLIENTS, time).await;
        let mine = request(&ours.address).run(CLIENTS, time).await;
        println!("sync answer, turn {turn}: bare {theirs}; countersign {mine}");
        rates.push((mine.rate, theirs.rate));
        tails.push((mine.p99.as_secs_f64(), theirs.p99.as_secs_f64()));
    }
    println!("countersign after that: {} MiB", ours.memory() / 1024);
    let (mine, theirs, rate) = middle(rates);
    let (my_tail, their_tail, tail) = middle(tails);
    vec![
        Figure {
            name: "sync Start → Direct Reply, 64 connections",
            ours: format!("{mine:.0}/s"),
            reference: format!("{theirs:.0}/s bare"),
            ratio: format!("{rate:.2}"),
            goal: "≥ 0.35".to_owned(),
            reached: rate >= 0.35,
        },
        Figure {
            name: "the same, 99 of 100 answered within",
            ours: format!("{:.2} ms", my_tail * 1e3),
            reference: format!("{:.2} ms bare", their_tail * 1e3),
            ratio: format!("{tail:.2}"),
            goal: "< 5".to_owned(),
            reached: tail < 5.0,
        },
    ]
}

/// Durable stops at a Human Input, beside the store alone with the same bytes.
async fn stops(host: &std::path::Path, time: Duration) -> Figure {
    let place = Place::new();
    let ours = Host::start(host, &place);
    let flow = ours
        .import("gate", &start_gate_replies(&FlowOptions::sync()))
        .await;
    let path = format!("/api/v1/webhook/{flow}");
    let body = br#"{"item":"v1","service":"api","version":"2.4.1"}"#;
    load::once(&ours.address, "POST", &path, None, body).await;
    ours.end();
    let sample = storage::Sample::read(&place.data_dir());

    let mut rates = Vec::new();
    for turn in 1..=TURNS {
        // Fresh folders for both, so that neither pays for the size of an earlier turn.
        let alone = Place::new();
        let theirs = sample.commits_per_second(&alone.data_dir(), CLIENTS, time).await;
        let place = Place::new();
        let ours = Host::start(host, &place);
        let flow = ours
            .import("gate", &start_gate_replies(&FlowOptions::sync()))
            .await;
        let load = Load::new(
            &ours.address,
            "POST",
            &format!("/api/v1/webhook/{flow}"),
            None,
            body,
        );
        let mine = load.run(CLIENTS, time).await;
        println!("durable stop, turn {turn}: store alone {theirs:.0}/s; countersign {mine}");
        rates.push((mine.rate, theirs));
    }
    let (mine, theirs, ratio) = middle(rates);
    Figure {
        name: "durable stop at a Human Input, 64 writers",
        ours: format!("{mine:.0}/s"),
        reference: format!("{theirs:.0}/s store"),
        ratio: format!("{ratio:.2}"),
        goal: "≥ 0.5".to_owned(),
        reached: ratio >= 0.5,
    }
}

/// A host that does nothing on an empty store.
fn idle(host: &std::path::Path) -> Vec<Figure> {
    let mut ready = Vec::new();
    let mut memory = 0;
    for turn in 0..5 {
        let place = Place::new();
        let ours = Host::start(host, &place);
        ready.push(ours.ready_after.as_secs_f64());
        if turn == 0 {
            std::thread::sleep(Duration::from_secs(3));
            memory = ours.memory();
        }
    }
    let ready = median(&mut ready);
    vec![
        Figure {
            name: "idle memory (resident)",
            ours: format!("{:.1} MiB", memory as f64 / 1024.0),
            reference: String::new(),
            ratio: String::new(),
            goal: "< 30 MiB".to_owned(),
            reached: memory < 30 * 1024,
        },
        Figure {
            name: "ready on an empty store",
            ours: format!("{:.0} ms", ready * 1e3),
            reference: String::new(),
            ratio: String::new(),
            goal: "< 150 ms".to_owned(),
            reached: ready < 0.150,
        },
    ]
}

/// The desktop application with nothing but its tray icon.
fn without_window(binary: &std::path::Path) -> Figure {
    let memory = desktop::memory_without_window(binary);
    Figure {
        name: "desktop application without its window",
        ours: format!("{:.1} MiB", memory as f64 / 1024.0),
        reference: String::new(),
        ratio: String::new(),
        goal: "< 120 MiB".to_owned(),
        reached: memory < 120 * 1024,
    }
}

/// A host that starts with many approvals waiting.
async fn large(host: &std::path::Path) -> Vec<Figure> {
    let place = Place::new();
    let ours = Host::start(host, &place);
    let flow = ours
        .import("gate", &start_gate_replies(&FlowOptions::sync()))
        .await;
    let body = br#"{"item":"v1","service":"api","version":"2.4.1"}"#;
    let load = Load::new(
        &ours.address,
        "POST",
        &format!("/api/v1/webhook/{flow}"),
        None,
        body,
    );
    load.run_times(CLIENTS, MANY).await;
    ours.end();
    let mut ready = Vec::new();
    let mut memory = 0;
    for turn in 0..TURNS {
        let ours = Host::start(host, &place);
        ready.push(ours.ready_after.as_secs_f64());
        if turn == 0 {
            let token = ours.token();
            let page = load::once(
                &ours.address,
                "GET",
                "/api/v1/approvals?state=pending&limit=50",
                Some(&token),
                b"",
            )
            .await;
            let page: serde_json::Value = serde_json::from_slice(&page).expect("a page of approvals");
            assert_eq!(page["pending"], MANY, "all of them wait");
            std::thread::sleep(Duration::from_secs(2));
            memory = ours.memory();
        }
        ours.end();
    }
    println!("with {MANY} waiting: {} MiB", memory / 1024);
    let ready = median(&mut ready);
    vec![Figure {
        name: "ready with 10,000 approvals waiting",
        ours: format!("{:.0} ms", ready * 1e3),
        reference: String::new(),
        ratio: String::new(),
        goal: "< 1 s".to_owned(),
        reached: ready < 1.0,
    }]
}

/// The pair whose ratio lies in the middle, and that ratio.
fn middle(mut pairs: Vec<(f64, f64)>) -> (f64, f64, f64) {
    pairs.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let (ours, theirs) = pairs[pairs.len() / 2];
    (ours, theirs, ours / theirs)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
