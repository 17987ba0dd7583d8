//! An engine, and a host for requests that is predictable.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_script::{
    Engine, Fetch, FetchFuture, FetchRequest, FetchResponse, Limits, NoFetch, ScriptError,
};
use serde_json::{Map, Value};

pub(crate) type Outcome = Result<Option<Value>, ScriptError>;

pub(crate) fn engine() -> Engine {
    Engine::new(Limits::default(), Arc::new(NoFetch))
}

pub(crate) fn small() -> Limits {
    Limits {
        time: Duration::from_millis(300),
        memory: 8 << 20,
        output: 64 << 10,
        ..Limits::default()
    }
}

pub(crate) async fn run(code: &str) -> Outcome {
    engine().run(code, Map::new(), "key").await
}

/// What a script returned that is expected to return something.
pub(crate) async fn value(code: &str) -> Value {
    match run(code).await {
        Ok(Some(value)) => value,
        other => panic!("{code}: {other:?}"),
    }
}

/// What a script threw.
pub(crate) async fn thrown(code: &str) -> String {
    match run(code).await {
        Err(ScriptError::Thrown(words)) => words,
        other => panic!("{code} should throw: {other:?}"),
    }
}

/// Answers requests by their URL and keeps them.
#[derive(Default)]
pub(crate) struct Answers {
    bodies: HashMap<&'static str, &'static str>,
    seen: Mutex<Vec<FetchRequest>>,
}

impl Answers {
    pub(crate) fn new(bodies: impl IntoIterator<Item = (&'static str, &'static str)>) -> Arc<Self> {
        Arc::new(Self {
            bodies: bodies.into_iter().collect(),
            seen: Mutex::default(),
        })
    }

    pub(crate) fn seen(&self) -> Vec<FetchRequest> {
        self.seen.lock().unwrap().clone()
    }
}

impl Fetch for Answers {
    fn fetch(&self, request: FetchRequest) -> FetchFuture<'_> {
        let url = request.url.clone();
        self.seen.lock().unwrap().push(request);
        let body = self.bodies.get(url.as_str()).copied();
        Box::pin(async move {
            match url.as_str() {
                "http://never/" => std::future::pending().await,
                "http://slow/" => tokio::time::sleep(Duration::from_millis(50)).await,
                _ => {}
            }
            let body = body.ok_or_else(|| format!("connect ECONNREFUSED {url}"))?;
            Ok(FetchResponse {
                status: if body == "missing" { 404 } else { 200 },
                status_text: if body == "missing" { "Not Found" } else { "OK" }.to_owned(),
                url,
                headers: vec![
                    ("content-type".to_owned(), "application/json".to_owned()),
                    ("x-twice".to_owned(), "a".to_owned()),
                    ("x-twice".to_owned(), "b".to_owned()),
                ],
                body: body.as_bytes().to_vec(),
            })
        })
    }
}
