//! What takes too much ends, and harms nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_script::{Console, Engine, Limits, NoFetch, ScriptError};
use serde_json::{Map, Value, json};

use crate::support::{Outcome, small};

fn limited(limits: Limits) -> Engine {
    Engine::new(limits, Arc::new(NoFetch))
}

async fn run(engine: &Engine, code: &str) -> Outcome {
    engine.run(code, Map::new(), "key").await
}

/// Scripts that would go on for ever.
const ENDLESS: &[&str] = &[
    "while (true) {}",
    "for (;;) { try { while (true) {} } catch {} finally { continue } }",
    "await null; while (true) {}",
    "const again = () => { Promise.resolve().then(again) }; again(); await new Promise(() => {})",
    "for (;;) await null",
    "setInterval(() => {}, 1); await new Promise(() => {})",
    "const f = () => setTimeout(f, 0); f(); await new Promise(() => {})",
    "await new Promise((done) => setTimeout(done, 1e9))",
    "return /^(a+)+$/.test('a'.repeat(40) + 'b')",
    "return new Array(2 ** 32 - 1).indexOf(1)",
    "return Array.prototype.includes.call({length: 2 ** 53 - 1}, 1)",
    "const o = {get x() { return this.x2 }, get x2() { for (;;) {} }}; return JSON.stringify(o)",
    "return {toJSON() { for (;;) {} }}",
    "throw {toString() { for (;;) {} }}",
    "function* g() { for (;;) yield 1 } for (const x of g()) {}",
    "new Array(1e5).fill(0).sort(() => { for (;;) {} })",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_never_ends_is_ended() {
    let engine = limited(small());
    for code in ENDLESS {
        let began = Instant::now();
        let ended = run(&engine, code).await;
        assert_eq!(ended, Err(ScriptError::TimeLimit(small().time)), "{code}");
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "{code} took {:?}",
            began.elapsed()
        );
    }
    assert_eq!(run(&engine, "return 'fine'").await, Ok(Some(json!("fine"))));
}

/// Scripts that would take all memory. Some of them can catch that there is no more, and go on without it.
const GREEDY: &[&str] = &[
    "const a = []; for (;;) a.push(new Array(1000).fill(1))",
    "let s = 'x'; for (;;) s += s",
    "return 'x'.repeat(2 ** 29)",
    "const o = {}; for (let i = 0; ; i++) o['k' + i] = i",
    "const a = []; for (;;) a.push(new Uint8Array(1e6))",
    "return new ArrayBuffer(1e9)",
    "const m = new Map(); for (let i = 0; ; i++) m.set(i, {i})",
    "const all = []; for (;;) all.push(new Promise(() => {}))",
    "const f = (n) => { const a = new Array(1e4).fill(n); return () => a[0] + f }; const all = []; for (;;) all.push(f(1))",
    "for (let n = 0; ; n++) setTimeout(() => {}, 1e6, new Array(1e4).fill(n))",
    "return JSON.stringify(new Array(1e8))",
    "const all = []; for (;;) { await null; all.push('y'.repeat(1e5) + all.length) }",
    "return Array.from({length: 1e9}, (_, i) => ({i}))",
    "return new Array(5e6).fill('z')",
    "const again = () => Promise.resolve().then(again); return again()",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_all_memory_is_ended() {
    let limits = Limits {
        time: Duration::from_secs(20),
        ..small()
    };
    let engine = limited(limits.clone());
    for code in GREEDY {
        let began = Instant::now();
        let ended = run(&engine, code).await.unwrap_err();
        let words = ended.to_string();
        let told = ended == ScriptError::MemoryLimit(limits.memory)
            || words.starts_with("RangeError")
            || words.starts_with("InternalError");
        assert!(told, "{code}: {words}");
        assert!(began.elapsed() < limits.time, "{code} took {:?}", began.elapsed());
    }
    let caught = "try { 'x'.repeat(2 ** 29) } catch (e) { return e.name + ': ' + e.message }";
    assert!(
        run(&engine, caught).await.is_ok(),
        "there is memory again after it was missing"
    );
    let stubborn = "const a = []; for (;;) { try { a.push(new Array(1000).fill(1)) } catch {} }";
    let engine = limited(small());
    assert_eq!(
        run(&engine, stubborn).await,
        Err(ScriptError::TimeLimit(small().time))
    );
    assert_eq!(
        ScriptError::MemoryLimit(64 << 20).to_string(),
        "the script needs more memory than its limit of 64 MiB"
    );
}

#[tokio::test]
async fn what_it_is_given_counts_too() {
    let engine = limited(small());
    let globals = Map::from_iter([("$input".to_owned(), Value::from("x".repeat(9 << 20)))]);
    let ended = engine.run("return 1", globals, "key").await;
    assert_eq!(ended, Err(ScriptError::MemoryLimit(small().memory)));
    let code = format!("return '{}'", "x".repeat(9 << 20));
    assert_eq!(
        run(&engine, &code).await,
        Err(ScriptError::MemoryLimit(small().memory))
    );
}

#[tokio::test]
async fn a_huge_result_is_refused() {
    let engine = limited(small());
    let limit = small().output;
    let just = format!("return 'x'.repeat({})", limit - 2);
    assert_eq!(
        run(&engine, &just).await.map(|value| value.is_some()),
        Ok(true),
        "with its quotes it fits"
    );
    for code in [
        format!("return 'x'.repeat({})", limit - 1),
        "return new Array(30000).fill({a: 1})".to_owned(),
    ] {
        assert_eq!(
            run(&engine, &code).await,
            Err(ScriptError::OutputLimit(limit)),
            "{code}"
        );
    }
}

#[tokio::test]
async fn deep_recursion_is_an_error_of_the_script() {
    let engine = limited(Limits::default());
    for code in [
        "const f = () => f() + 1; return f()",
        "const f = (n) => [n].map(f); return f(1)",
        "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a",
        "return JSON.parse('['.repeat(1e6))",
        "const o = {get a() { return o.a }}; return o.a",
        "const p = new Proxy({}, {get: (t, k, r) => r[k]}); return p.x",
        "return '('.repeat(1e5).match(new RegExp('('.repeat(1e5) + ')'.repeat(1e5)))",
        "class A { toString() { return `${this}` } } return String(new A())",
    ] {
        let ended = run(&engine, code).await.unwrap_err();
        assert!(matches!(ended, ScriptError::Thrown(_)), "{code}: {ended:?}");
    }
    let nested = format!("return {}1{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(
        matches!(run(&engine, &nested).await, Err(ScriptError::Thrown(_))),
        "deeply nested code"
    );
    let caught = "const f = () => f() + 1; try { f() } catch (e) { return e.name }";
    assert_eq!(
        run(&engine, caught).await,
        Ok(Some(json!("RangeError"))),
        "and can be caught"
    );
}

/// The engine cannot be interrupted inside these, so they are refused.
#[tokio::test]
async fn what_could_not_be_interrupted_is_refused() {
    let engine = limited(Limits::default());
    let huge = "new Array(2 ** 32 - 1)";
    for code in [
        format!("return [].concat({huge})"),
        format!("return {huge}.concat([])"),
        format!("return {huge}.copyWithin(0, 1)"),
        format!("return {huge}.flat()"),
        format!("return {huge}.join('')"),
        format!("return String({huge})"),
        format!("return {huge}.reverse()"),
        format!("return {huge}.shift()"),
        format!("return {huge}.slice(1)"),
        format!("return {huge}.sort()"),
        format!("return {huge}.splice(1)"),
        format!("return {huge}.unshift(1)"),
        "return Array.prototype.join.call({length: 2 ** 53 - 1}, '')".to_owned(),
        "return 'a'.repeat(2 ** 24).indexOf('a'.repeat(2 ** 20) + 'b')".to_owned(),
        "return 'a'.repeat(2 ** 24).split('a'.repeat(2 ** 20) + 'b')".to_owned(),
        "return 'a'.repeat(2 ** 24).replaceAll('a'.repeat(2 ** 20) + 'b', '')".to_owned(),
    ] {
        let ended = run(&engine, &code).await.unwrap_err().to_string();
        assert!(
            ended.starts_with("RangeError: ") && ended.contains("too long for"),
            "{code}: {ended}"
        );
    }
    let right = "const a = new Array(1e5).fill('x'); const s = 'ab'.repeat(1e5);
                 return [a.concat(a).slice(1).length, a.join('').length, s.split('b').length, s.indexOf('ba'), [3, 1, 2].sort(), 'a-b'.replace('-', '+'),
                 [1, [2]].flat(), [1, 2].reverse(), 'a1b'.split(/\\d/), [].concat.length === undefined]";
    assert_eq!(
        run(&engine, right).await,
        Ok(Some(json!([
            199_999,
            100_000,
            100_001,
            1,
            [1, 2, 3],
            "a+b",
            [1, 2],
            [2, 1],
            ["a", "b"],
            false
        ])))
    );
}

/// Code that means to can still get there. The run is given up, its caller goes on, and when too many are stuck no more
/// are begun until they end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_interrupted_is_given_up() {
    let search = |length: f64| {
        format!(
            "return 'a'.repeat(2 ** 20).indexOf({{ toString: () => 'a'.repeat({}) + 'b' }})",
            length.round()
        )
    };
    // How long it takes depends on the machine and on how the engine was built; the shortest of a few was disturbed least.
    let mut shortest = f64::INFINITY;
    for _ in 0..4 {
        let began = Instant::now();
        let found = run(&limited(Limits::default()), &search(50.0)).await;
        assert_eq!(found, Ok(Some(json!(-1))));
        shortest = shortest.min(began.elapsed().as_secs_f64());
    }
    let long = search(50.0 * 5.0 / shortest);
    let limits = Limits {
        time: Duration::from_millis(100),
        ..Limits::default()
    };
    let engine = limited(limits.clone());
    let runs: Vec<_> = (0..4)
        .map(|_| {
            let (engine, long) = (engine.clone(), long.clone());
            tokio::spawn(async move { run(&engine, &long).await })
        })
        .collect();
    let beside = limited(Limits::default());
    assert_eq!(run(&beside, "return 'beside'").await, Ok(Some(json!("beside"))));
    for run in runs {
        assert_eq!(run.await.unwrap(), Err(ScriptError::TimeLimit(limits.time)));
    }
    let refused = run(&engine, "return 1").await;
    assert_eq!(refused, Err(ScriptError::Exhausted(4)));
    let deadline = Instant::now() + Duration::from_secs(60);
    while run(&engine, "return 1").await != Ok(Some(json!(1))) {
        assert!(
            Instant::now() < deadline,
            "scripts run again when the stuck ones have ended"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Every way to go wrong at once, and between them runs that do right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_do_not_harm_one_another() {
    let engine = limited(Limits {
        time: Duration::from_secs(4),
        ..small()
    });
    let mut bad = Vec::new();
    for code in ENDLESS.iter().chain(GREEDY).take(26) {
        let engine = engine.clone();
        bad.push(tokio::spawn(async move { run(&engine, code).await }));
    }
    let mut good = Vec::new();
    for number in 0..200_u32 {
        let engine = engine.clone();
        good.push(tokio::spawn(async move {
            let globals = Map::from_iter([("$n".to_owned(), Value::from(number))]);
            let code = "await new Promise((done) => setTimeout(done, 1)); return $n * 2";
            engine.run(code, globals, "key").await
        }));
    }
    for (number, run) in good.into_iter().enumerate() {
        assert_eq!(
            run.await.unwrap(),
            Ok(Some(json!(number * 2))),
            "run {number} beside the bad ones"
        );
    }
    for run in bad {
        assert!(run.await.unwrap().is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_run_side_by_side_than_may() {
    let engine = limited(Limits {
        side_by_side: 2,
        ..Limits::default()
    });
    let began = Instant::now();
    let code = "await new Promise((done) => setTimeout(done, 100)); return 1";
    let runs: Vec<_> = (0..6)
        .map(|_| {
            let engine = engine.clone();
            tokio::spawn(async move { run(&engine, code).await })
        })
        .collect();
    for run in runs {
        assert_eq!(run.await.unwrap(), Ok(Some(json!(1))));
    }
    assert!(
        began.elapsed() >= Duration::from_millis(290),
        "three turns of two: {:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_group_leaves_turns_for_others() {
    let engine = limited(Limits {
        side_by_side: 8,
        ..Limits::default()
    });
    let sleeps = "await new Promise((done) => setTimeout(done, 1e6))";
    let greedy: Vec<_> = (0..40)
        .map(|_| {
            let engine = engine.clone();
            tokio::spawn(async move {
                engine
                    .run_for("greedy", sleeps, Map::new(), "key", &Console::default())
                    .await
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let console = Console::default();
    let other = engine.run_for("other", "return 1", Map::new(), "key", &console);
    let other = tokio::time::timeout(Duration::from_secs(10), other).await;
    assert_eq!(other, Ok(Ok(Some(json!(1)))), "long before the others end");
    for run in greedy {
        run.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_nobody_waits_for_any_more_ends() {
    let engine = limited(Limits {
        side_by_side: 1,
        ..Limits::default()
    });
    for code in [
        "for (;;) {}",
        "await new Promise((done) => setTimeout(done, 1e6))",
    ] {
        let given_up = tokio::time::timeout(Duration::from_millis(50), run(&engine, code)).await;
        assert!(given_up.is_err(), "{code} does not end by itself");
        let next = tokio::time::timeout(Duration::from_secs(5), run(&engine, "return 'next'")).await;
        assert_eq!(
            next,
            Ok(Ok(Some(json!("next")))),
            "the turn of {code} was given on"
        );
    }
}

/// Running out of memory at every moment of a run, from its first allocation on, is an error and nothing worse.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_may_run_out_at_any_moment() {
    let code = "
        const all = [];
        for (let i = 0; i < 200; i++) {
            const o = {i, s: 'x'.repeat(i), a: [i, {i}], f: () => i, m: new Map([[i, 'v']]), d: new Date(i), r: /a(b)?/.exec('ab')};
            all.push(o, await Promise.resolve(o), structured(o));
            if (i % 50 === 0) { console.log(o, new URL('http://h/' + i).href, Buffer.from('x' + i).toString('base64')); }
            if (i % 70 === 0) await new Promise((done) => setTimeout(done, 0));
            try { if (i % 3 === 0) throw new Error('e' + i) } catch (e) { all.push(e.stack) }
        }
        function structured(o) { return JSON.parse(JSON.stringify(o)) }
        class P { #x = 1; get x() { return this.#x } }
        function* g() { yield* [1, 2, 3] }
        return [all.length, [...g()], new P().x, `${all.length}`, Object.entries({a: 1})]";
    let mut enough = 0;
    for step in 0..220_usize {
        let engine = limited(Limits {
            memory: 150_000 + step * 4_001,
            ..Limits::default()
        });
        match run(&engine, code).await {
            Ok(Some(_)) => enough += 1,
            Err(ScriptError::MemoryLimit(_) | ScriptError::Thrown(_) | ScriptError::NeverSettles) => {}
            other => panic!("with {} bytes: {other:?}", 150_000 + step * 4_001),
        }
    }
    assert!(enough > 0, "it fits into the largest of the limits");
    assert!(enough < 220, "it does not fit into the smallest");
}
