//! What goes in and what comes out.

use std::collections::BTreeMap;

use countersign_script::{Console, ScriptError};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::support::{engine, run, thrown, value};

#[tokio::test]
async fn what_is_returned_comes_back_as_json() {
    let cases = [
        ("return 'text'", json!("text")),
        ("return 42", json!(42)),
        ("return 0", json!(0)),
        ("return 1.5", json!(1.5)),
        ("return 2 ** 53", json!(9007199254740992_u64)),
        ("return false", json!(false)),
        ("return null", json!(null)),
        ("return {a: 1, b: [2]}", json!({"a": 1, "b": [2]})),
        ("return [1, undefined, () => 1]", json!([1, null, null])),
        (
            "return {z: 1, a: undefined, m: new Date(0)}",
            json!({"z": 1, "m": "1970-01-01T00:00:00.000Z"}),
        ),
        ("return new Date(0)", json!("\"1970-01-01T00:00:00.000Z\"")),
        ("return new String('boxed')", json!("\"boxed\"")),
        ("return NaN", json!("NaN")),
        ("return -Infinity", json!("-Infinity")),
        ("return new Map([[1, 2]])", json!({})),
        ("return 'é😀\\u0000'", json!("é😀\0")),
        ("return '\\ud800x\\\\ud800'", json!("\u{fffd}x\\ud800")),
        ("return Promise.resolve({later: 1})", json!({"later": 1})),
        ("return {then(done) { done('a thenable') }}", json!("a thenable")),
        (
            "return await new Promise((done) => setTimeout(done, 5, 'after a while'))",
            json!("after a while"),
        ),
        (
            "const { a } = await {a: 1}; return a // the last line is a comment",
            json!(1),
        ),
        ("x = 5; return x + this.x", json!(10)),
    ];
    for (code, expected) in cases {
        assert_eq!(value(code).await, expected, "{code}");
    }
    for code in [
        "",
        "return",
        "return undefined",
        "return () => 1",
        "return {toJSON() {}}",
    ] {
        assert_eq!(run(code).await, Ok(None), "{code}");
    }
}

#[tokio::test]
async fn what_is_thrown_comes_back_as_it_is() {
    let cases = [
        (
            "throw new Error(\"broken on purpose\")",
            "Error: broken on purpose",
        ),
        ("throw new TypeError('x')", "TypeError: x"),
        ("return Promise.reject(\"later\")", "later"),
        ("throw 'later'", "later"),
        ("throw 42", "42"),
        ("throw null", "null"),
        ("throw undefined", "undefined"),
        ("throw {code: 3}", "{\"code\":3}"),
        ("throw Object.create(null)", "[object]"),
        ("throw {toString() { return 'mine' }}", "mine"),
        ("throw {toString() { throw 1 }}", "[object]"),
        (
            "await null; throw new RangeError('behind an await')",
            "RangeError: behind an await",
        ),
        (
            "return {get a() { throw new Error('while it is written') }}",
            "Error: while it is written",
        ),
        (
            "setTimeout(() => { throw new Error('in a timer') }); await new Promise(() => {})",
            "Error: in a timer",
        ),
        (
            "class Mine extends Error { name = 'Mine' } throw new Mine('own')",
            "Mine: own",
        ),
    ];
    for (code, expected) in cases {
        assert_eq!(thrown(code).await, expected, "{code}");
    }
    for (code, beginning) in [
        ("return ((", "SyntaxError: "),
        ("nothing.there", "ReferenceError: "),
        ("null.x", "TypeError: "),
        ("return 10n", "TypeError: "),
        ("const a = {}; a.a = a; return a", "TypeError: "),
        ("\0", "Error: "),
        ("throw 'x'.repeat(1e6)", "xxx"),
    ] {
        let words = thrown(code).await;
        assert!(words.starts_with(beginning), "{code:?}: {words:.200}");
        assert!(words.len() <= 4096, "an error has a length for people");
    }
}

#[tokio::test]
async fn a_result_that_cannot_be_kept_is_refused() {
    let deep = "let a = []; for (let i = 0; i < 500; i++) a = [a]; return a";
    let refused = run(deep).await.unwrap_err();
    assert!(matches!(refused, ScriptError::NoJson(_)), "{refused:?}");
    assert!(refused.to_string().contains("recursion limit"), "{refused}");
}

#[tokio::test]
async fn nothing_is_left_to_wait_for() {
    for code in [
        "await new Promise(() => {})",
        "return new Promise(() => {})",
        "const timer = setTimeout(() => {}, 1e6); clearTimeout(timer); await new Promise(() => {})",
    ] {
        assert_eq!(run(code).await, Err(ScriptError::NeverSettles), "{code}");
    }
}

#[tokio::test]
async fn globals_are_there_by_their_names() {
    let globals = json!({
        "$input": "ask", "$flow": {"state": {"count": "1"}, "chatHistory": []}, "$vars": {"V": "secret"}, "$none": null,
        "$ü name": 7, "$big": 1e300,
    });
    let Value::Object(globals) = globals else {
        panic!("an object")
    };
    let code = "const $vars2 = $vars; return [$input, $flow.state.count, $vars2.V, $none, globalThis['$ü name'], $big, \
                typeof $other]";
    let returned = engine().run(code, globals.clone(), "key").await;
    assert_eq!(
        returned,
        Ok(Some(json!(["ask", "1", "secret", null, 7, 1e300, "undefined"])))
    );
    let shadowed = "const $input = 1; var $flow = 2; return $input + $flow";
    assert_eq!(engine().run(shadowed, globals, "key").await, Ok(Some(json!(3))));
}

#[tokio::test]
async fn nothing_is_left_over_from_another_run() {
    let engine = engine();
    let spoil = "globalThis.left = 1; Array.prototype.map = Object.prototype.toJSON = JSON.parse = Promise.prototype.then \
                 = () => 'spoiled'; JSON.stringify = null; return 'spoiled'";
    let _ = engine.run(spoil, Map::new(), "key").await;
    let code =
        "return [typeof left, [1].map((x) => x + 1), JSON.stringify({a: 1}), await Promise.resolve(1)]";
    assert_eq!(
        engine.run(code, Map::new(), "key").await,
        Ok(Some(json!(["undefined", [2], "{\"a\":1}", 1])))
    );
}

#[tokio::test]
async fn timers_come_in_their_order() {
    let code = "
        const order = [];
        const note = (x) => order.push(x);
        setTimeout(note, 20, 'late');
        setTimeout(note, 5, 'first');
        setTimeout(note, 5, 'second');
        clearTimeout(setTimeout(note, 1, 'never'));
        setImmediate(note, 'at once');
        queueMicrotask(() => note('job'));
        let turns = 0;
        const beat = setInterval(() => { if (++turns === 3) clearInterval(beat); }, 1);
        await new Promise((done) => setTimeout(done, 40));
        return [order, turns]";
    assert_eq!(
        value(code).await,
        json!([["job", "at once", "first", "second", "late"], 3])
    );
}

#[tokio::test]
async fn helpers_work_as_in_node() {
    let cases = [
        ("return Buffer.from('user:pässword').toString('base64')", json!("dXNlcjpww6Rzc3dvcmQ=")),
        ("return Buffer.from('dXNlcjpww6Rzc3dvcmQ=', 'base64').toString()", json!("user:pässword")),
        ("return Buffer.from('😀').toString('hex') + Buffer.from([255, 254]).toString('base64url')", json!("f09f9880__4")),
        ("return require('buffer').Buffer.concat([Buffer.from('a'), Buffer.from('6263', 'hex')]).toString()", json!("abc")),
        ("return Buffer.from('a')", json!({"type": "Buffer", "data": [97]})),
        ("return [btoa('a\\xff'), atob('Yf8=') === 'a\\xff']", json!(["Yf8=", true])),
        ("return new TextDecoder().decode(new TextEncoder().encode('é€😀'))", json!("é€😀")),
        ("return new TextDecoder().decode(Uint8Array.of(0xe2, 0x82, 0x41, 0xff))", json!("\u{fffd}A\u{fffd}")),
        (
            "const u = new URL('../b?x=1&y=a+b#h', 'https://user:p@h.example:8443/a/c'); u.searchParams.append('z', 'ä&');
             u.pathname = '/neu/ü'; return [u.href, u.host, u.port, u.searchParams.get('y'), String(u) === JSON.parse(JSON.stringify(u))]",
            json!(["https://user:p@h.example:8443/neu/%C3%BC?x=1&y=a+b&z=%C3%A4%26#h", "h.example:8443", "8443", "a b", true]),
        ),
        ("return URL.canParse('nonsense')", json!(false)),
        (
            "const p = new URLSearchParams({a: 1, b: 'x y'}); p.append('a', '2'); p.set('c', '~'); p.delete('b');
             return [String(p), [...p.keys()], p.getAll('a'), p.size]",
            json!(["a=1&a=2&c=%7E", ["a", "a", "c"], ["1", "2"], 3]),
        ),
        ("const h = new Headers([['A', '1'], ['a', '2']]); return [h.get('A'), h.has('b'), [...h]]", json!(["1, 2", false, [["a", "1, 2"]]])),
    ];
    for (code, expected) in cases {
        assert_eq!(value(code).await, expected, "{code}");
    }
    assert_eq!(thrown("new URL('nonsense')").await, "TypeError: Invalid URL");
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON numbers", |float| float.is_finite())
            .prop_map(|float| {
                // What has no fraction comes back as an integer.
                if float.fract() == 0.0 {
                    json!(0.5)
                } else {
                    json!(float)
                }
            }),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map("[a-zé😀\\\\\"]{0,8}", inner, 0..5)
                .prop_map(|pairs: BTreeMap<String, Value>| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_value_comes_back_as_it_went_in(value in json_value()) {
        let globals = Map::from_iter([("$value".to_owned(), value.clone())]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let returned = runtime.block_on(engine().run("return $value", globals, "key"));
        prop_assert_eq!(returned, Ok(Some(value)));
    }

    /// Whatever the code is, a run ends with a result or an error.
    #[test]
    fn any_text_is_taken(code in any::<String>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ended = runtime.block_on(engine().run(&code, Map::new(), "key"));
        prop_assert!(!matches!(ended, Err(ScriptError::Engine(_))), "{:?}", ended);
    }
}

/// The last lines of the console are there, whatever came of the script, and never more than somebody reads.
#[tokio::test]
async fn what_a_script_wrote_last_is_kept() {
    let engine = engine();
    let console = Console::default();
    let code = "for (let at = 0; at < 120; at++) console.log('line', at); console.warn('x'.repeat(900)); throw new Error('no')";
    let ran = engine.run_for("flow", code, Map::new(), "key", &console).await;
    assert!(ran.is_err(), "{ran:?}");
    let lines = console.lines();
    assert_eq!((lines.len(), lines[48].as_str()), (50, "line 119"));
    assert!(
        lines[49].starts_with("warn: xxx") && lines[49].chars().count() < 520,
        "{}",
        lines[49]
    );
}
