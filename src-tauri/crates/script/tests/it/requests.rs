//! `fetch`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_script::{Engine, Limits, ScriptError};
use serde_json::{Map, json};

use crate::support::{Answers, run, small, thrown};

#[tokio::test]
async fn a_request_reaches_the_host_and_its_answer_the_script() {
    let answers = Answers::new([
        ("http://h/a", r#"{"ok": true, "list": [1, 2]}"#),
        ("http://h/none", "missing"),
    ]);
    let engine = Engine::new(Limits::default(), answers.clone());
    let code = r"
        const one = await fetch('http://h/a', {
            method: 'post', headers: {'X-One': 1, Authorization: 'Bearer t'}, body: JSON.stringify({a: 'é'}),
        });
        const two = await fetch(new URL('http://h/none'));
        const three = await fetch('http://h/a', {method: 'PUT', body: new URLSearchParams({a: 'b c'})});
        return [one.status, one.ok, one.statusText, one.headers.get('Content-Type'), one.headers.get('x-twice'),
            await one.json(), (await one.text()).length, two.status, two.ok, two.statusText, two.url, three.ok];";
    let returned = engine.run(code, Map::new(), "run:node:0").await.unwrap();
    assert_eq!(
        returned,
        Some(json!([
            200, true, "OK", "application/json", "a, b", {"ok": true, "list": [1, 2]}, 28, 404, false, "Not Found",
            "http://h/none", true,
        ]))
    );
    let seen = answers.seen();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(seen[0].method, "POST");
    assert_eq!(seen[0].body.as_deref(), Some("{\"a\":\"é\"}"));
    assert_eq!(
        seen[0].headers,
        [
            pair("authorization", "Bearer t"),
            pair("content-type", "text/plain;charset=UTF-8"),
            pair("x-one", "1"),
        ]
    );
    assert_eq!(
        (seen[1].method.as_str(), &seen[1].body, seen[1].headers.len()),
        ("GET", &None, 0)
    );
    assert_eq!(seen[2].body.as_deref(), Some("a=b+c"));
    assert_eq!(
        seen[2].headers,
        [pair(
            "content-type",
            "application/x-www-form-urlencoded;charset=UTF-8"
        )]
    );
    let keys: Vec<_> = seen
        .iter()
        .map(|request| request.idempotency_key.as_str())
        .collect();
    assert_eq!(
        keys,
        ["run:node:0:0", "run:node:0:1", "run:node:0:2"],
        "each request has its own key, equal when repeated"
    );
    assert!(
        seen.iter()
            .all(|request| request.timeout <= Limits::default().time)
    );
}

#[tokio::test]
async fn a_request_that_fails_rejects_its_promise() {
    let answers = Answers::new([]);
    let engine = Engine::new(Limits::default(), answers.clone());
    let failed = engine
        .run("await fetch('http://closed/')", Map::new(), "key")
        .await;
    let words = "TypeError: connect ECONNREFUSED http://closed/".to_owned();
    assert_eq!(failed, Err(ScriptError::Thrown(words)));
    let caught =
        "try { await fetch('http://closed/') } catch (e) { return e instanceof TypeError && e.message }";
    assert_eq!(
        engine.run(caught, Map::new(), "key").await,
        Ok(Some(json!("connect ECONNREFUSED http://closed/")))
    );
    assert_eq!(
        thrown("await fetch('http://h/')").await,
        "TypeError: requests are not available here"
    );
}

#[tokio::test]
async fn requests_that_cannot_be_made_do_not_reach_the_host() {
    let answers = Answers::new([("http://h/", "x")]);
    let engine = Engine::new(Limits::default(), answers.clone());
    for code in [
        "await fetch('http://h/', {method: 'POST', body: {a: 1}})",
        "await fetch('http://h/', {body: 'x'})",
        "await fetch('http://h/', {headers: {'a\\r\\nb': 'x'}})",
        "await fetch('http://h/', {headers: {a: 'x\\r\\ny: z'}})",
        "await fetch('http://h/', {signal: AbortSignal.abort(new TypeError('no more'))})",
        "await fetch({toString() { throw new TypeError('no address') }})",
    ] {
        let failed = engine.run(code, Map::new(), "key").await.unwrap_err();
        assert!(failed.to_string().starts_with("TypeError: "), "{code}: {failed}");
    }
    assert_eq!(answers.seen(), [], "none was made");
}

#[tokio::test]
async fn requests_go_side_by_side_and_can_be_given_up() {
    let answers = Answers::new([
        ("http://slow/", "slow"),
        ("http://never/", "never"),
        ("http://h/", "quick"),
    ]);
    let engine = Engine::new(Limits::default(), answers.clone());
    let began = Instant::now();
    let code =
        "return Promise.all(Array.from({length: 20}, () => fetch('http://slow/').then((r) => r.text())))";
    let returned = engine.run(code, Map::new(), "key").await.unwrap();
    assert_eq!(returned, Some(json!(vec!["slow"; 20])));
    assert!(
        began.elapsed() < Duration::from_millis(700),
        "one after the other: {:?}",
        began.elapsed()
    );

    let code =
        "try { await fetch('http://never/', {signal: AbortSignal.timeout(20)}) } catch (e) { return e.name }";
    assert_eq!(
        engine.run(code, Map::new(), "key").await,
        Ok(Some(json!("TimeoutError")))
    );
    let code = "return Promise.race([fetch('http://never/'), new Promise((done) => setTimeout(done, 20, 'gave up'))])";
    assert_eq!(
        engine.run(code, Map::new(), "key").await,
        Ok(Some(json!("gave up")))
    );
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "nothing waits for what was given up"
    );
}

#[tokio::test]
async fn a_target_that_never_answers_ends_with_the_time_of_the_script() {
    let answers = Answers::new([("http://never/", "never")]);
    let engine = Engine::new(small(), answers.clone());
    let began = Instant::now();
    let failed = engine
        .run("await fetch('http://never/')", Map::new(), "key")
        .await
        .unwrap_err();
    // The request's time ends together with the script's; either may be told.
    let words = failed.to_string();
    assert!(
        words.contains("limit of 0.3 s") || words.contains("the time of the script was over"),
        "{words}"
    );
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn there_is_an_end_to_requests_and_to_answers() {
    let answers = Answers::new([("http://h/", "0123456789")]);
    let limits = Limits {
        requests: 3,
        response: 10,
        ..Limits::default()
    };
    let engine = Engine::new(limits.clone(), answers.clone());
    let code =
        "for (let i = 0; ; i++) { try { await fetch('http://h/') } catch (e) { return [i, e.message] } }";
    assert_eq!(
        engine.run(code, Map::new(), "key").await,
        Ok(Some(json!([3, "a script may make 3 requests and no more"])))
    );
    assert_eq!(answers.seen().len(), 3);
    let engine = Engine::new(
        Limits {
            response: 9,
            ..limits
        },
        answers,
    );
    let failed = engine
        .run("await fetch('http://h/')", Map::new(), "key")
        .await
        .unwrap_err();
    assert_eq!(
        failed.to_string(),
        "TypeError: the answer has 10 bytes, more than 9"
    );
}

#[tokio::test]
async fn a_request_that_nobody_awaits_is_made_all_the_same() {
    let answers = Answers::new([("http://slow/", "slow")]);
    let engine = Engine::new(Limits::default(), answers.clone() as Arc<_>);
    let began = Instant::now();
    assert_eq!(
        engine
            .run("fetch('http://slow/'); return 'gone on'", Map::new(), "key")
            .await,
        Ok(Some(json!("gone on")))
    );
    assert!(
        began.elapsed() < Duration::from_millis(45),
        "the script does not wait for it"
    );
    let deadline = Instant::now() + Duration::from_secs(5);
    while answers.seen().is_empty() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(answers.seen().len(), 1);
    assert_eq!(run("return 1").await, Ok(Some(json!(1))));
}
