//! What scripts cannot reach.

use serde_json::json;

use crate::support::{run, thrown, value};

#[tokio::test]
async fn code_does_not_come_out_of_text() {
    for code in [
        "return eval('1+1')",
        "return (0, eval)('1+1')",
        "return new Function('return 1')()",
        "return Function('return 1')()",
        "return (() => {}).constructor('return 1')()",
        "return (async () => {}).constructor('return 1')()",
        "return (function* () {}).constructor('yield 1')().next()",
        "return (async function* () {}).constructor('yield 1')()",
        "return new (Object.getPrototypeOf((async () => {}).constructor).constructor)('return 1')()",
        "return Reflect.construct(Function, ['return 1'])()",
        "return [].map.constructor('return 1')()",
        "return fetch.constructor('return 1')()",
        "return console.log.constructor('return 1')()",
        "return class extends Function {}.constructor('return 1')()",
        "return new (class extends Function {})('return 1')()",
        "return require.constructor.constructor('return 1')()",
    ] {
        let words = thrown(code).await;
        let refused = words == "EvalError: Code generation from strings disallowed for this context";
        assert!(refused || words == "TypeError: not a function", "{code}: {words}");
    }
    assert_eq!(
        value("return (() => {}) instanceof Function && (async () => {}) instanceof Function").await,
        json!(true),
        "functions are functions all the same"
    );
}

#[tokio::test]
async fn there_are_no_modules() {
    for name in [
        "fs",
        "node:fs",
        "child_process",
        "net",
        "http",
        "axios",
        "node-fetch",
        "os",
        "constructor",
        "__proto__",
    ] {
        let words = thrown(&format!("return require('{name}')")).await;
        assert!(
            words.starts_with(&format!("Error: Cannot find module '{name}'")),
            "{words}"
        );
    }
    assert!(
        thrown("require('axios')").await.contains("fetch"),
        "it says what there is instead"
    );
    for code in ["return await import('fs')", "return import('./x.js')"] {
        let words = thrown(code).await;
        assert!(words.contains("fs") || words.contains("x.js"), "{code}: {words}");
    }
    assert!(run("import fs from 'fs'").await.is_err());
}

#[tokio::test]
async fn the_world_is_not_there() {
    let code = "return ['process', 'fs', 'child_process', 'util', 'Symbol', 'module', 'Deno', 'Bun', 'std', 'os', 'Atomics',
                'SharedArrayBuffer', 'XMLHttpRequest', 'WebSocket', 'Worker', 'print', 'gc', 'scriptArgs', 'WebAssembly']
                .filter((name) => typeof globalThis[name] !== 'undefined')";
    assert_eq!(value(code).await, json!([]));
    assert_eq!(
        value("return [typeof process, process === undefined, typeof fetch]").await,
        json!(["undefined", true, "function"])
    );
    assert_eq!(
        value("const all = []; for (const x of new Set([1, 2])) all.push(x); return [...all, ...'ab']").await,
        json!([1, 2, "a", "b"]),
        "the language needs no Symbol by name"
    );
}

#[tokio::test]
async fn the_host_side_is_out_of_reach() {
    // What the engine keeps for itself must not show in the global object or in the errors that scripts can look at.
    let code = "
        const before = new Set(['globalThis', 'global']);
        const odd = Object.getOwnPropertyNames(globalThis).filter((name) => /native|hook|core|host|__/i.test(name));
        return odd";
    assert_eq!(value(code).await, json!([]));
    // Replacing what the engine calls harms the script itself and no more.
    let code = "
        Map.prototype.get = Array.prototype.push = Object.defineProperty = String.prototype.slice = () => { throw 1 };
        Headers = URL = Error = TypeError = undefined;
        setTimeout(() => {}, 1);
        console.log('still', {a: 1});
        await new Promise((done) => setTimeout(done, 2));
        return 'fine'";
    assert_eq!(value(code).await, json!("fine"));
}
