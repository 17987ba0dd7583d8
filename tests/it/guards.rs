//! Who may talk to the server: the machine's own programs, never a stranger's web page.

use countersign_testkit::flows::FlowOptions;
use countersign_testkit::{Headless, HttpResponse, Installation, flows};
use serde_json::Value;

use crate::support::installation;

struct Guarded {
    serve: Headless,
    flow: String,
    _setup: Installation,
}

impl Guarded {
    fn new() -> Self {
        let setup = installation();
        let serve = setup.start();
        let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
        Self {
            serve,
            flow,
            _setup: setup,
        }
    }

    fn call(&self, headers: &[(&str, &str)]) -> HttpResponse {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        let path = format!("/api/v1/webhook/{}", self.flow);
        self.serve.call("POST", &path, &all, Some(br#"{"item":"v1"}"#))
    }

    fn executions(&self) -> Value {
        self.serve.get("/api/v1/executions")["total"].clone()
    }
}

#[test]
fn a_web_page_of_a_stranger_has_no_effect() {
    let guarded = Guarded::new();
    let port = guarded
        .serve
        .address
        .rsplit(':')
        .next()
        .expect("a port")
        .to_owned();
    let own = format!("http://{}", guarded.serve.address);
    let rebound = format!("attacker.example:{port}");
    let any = format!("0.0.0.0:{port}");
    let suffix = format!("127.0.0.1.attacker.example:{port}");
    let number = format!("2130706433:{port}");
    let user = format!("x@127.0.0.1:{port}");
    let other_port = "http://127.0.0.1:1";
    let refused: Vec<Vec<(&str, &str)>> = vec![
        vec![("host", &rebound)],
        vec![("host", &any)],
        vec![("host", &suffix)],
        vec![("host", &number)],
        vec![("host", &user)],
        vec![("host", "")],
        vec![("host", "127.0.0.1"), ("host", &rebound)],
        vec![("origin", "https://attacker.example")],
        vec![("origin", "null")],
        vec![("origin", "")],
        vec![("origin", other_port)],
        vec![("origin", "https://127.0.0.1")],
        vec![("origin", "tauri://localhost")],
        vec![("origin", &own), ("origin", "https://attacker.example")],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")],
        vec![
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ],
    ];
    for headers in &refused {
        let reply = guarded.call(headers);
        assert!(
            (400..500).contains(&reply.status),
            "{headers:?} got {}",
            reply.status
        );
        assert!(
            reply.header("access-control-allow-origin").is_none(),
            "{headers:?} may read the answer"
        );
    }
    // Nobody can name the server by a whole URL either.
    let line = format!(
        "POST http://{rebound}/api/v1/webhook/{} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}",
        guarded.flow, guarded.serve.address
    );
    let reply = guarded
        .serve
        .connect()
        .send_raw(line.as_bytes())
        .expect("an answer");
    assert!(
        (400..500).contains(&reply.status),
        "a foreign request target got {}",
        reply.status
    );
    assert_eq!(guarded.executions(), 0, "nothing was started");
    assert!(guarded.serve.pending().is_empty());
}

#[test]
fn programs_of_this_machine_are_welcome_by_each_of_its_names() {
    let guarded = Guarded::new();
    let port = guarded
        .serve
        .address
        .rsplit(':')
        .next()
        .expect("a port")
        .to_owned();
    let own = format!("http://{}", guarded.serve.address);
    let localhost = format!("localhost:{port}");
    let tunnel = "localhost:9999";
    for (count, headers) in [
        vec![],
        vec![("host", localhost.as_str())],
        vec![("host", "127.0.0.1")],
        vec![("host", tunnel), ("origin", "http://localhost:9999")],
        vec![("origin", own.as_str()), ("sec-fetch-site", "same-origin")],
        vec![("sec-fetch-site", "none")],
    ]
    .iter()
    .enumerate()
    {
        guarded.call(headers).expect(200, &format!("{headers:?}"));
        assert_eq!(guarded.executions(), count + 1);
    }
}

#[test]
fn the_management_api_wants_the_token_on_every_route() {
    let guarded = Guarded::new();
    guarded.call(&[]).expect(200, "stopped");
    let approval = guarded.serve.pending().remove(0);
    let id = approval["id"].as_str().expect("an id");
    let routes = [
        ("GET", "/api/v1/chatflows".to_owned()),
        ("POST", "/api/v1/chatflows".to_owned()),
        ("GET", format!("/api/v1/chatflows/{}", guarded.flow)),
        ("PUT", format!("/api/v1/chatflows/{}", guarded.flow)),
        ("DELETE", format!("/api/v1/chatflows/{}", guarded.flow)),
        (
            "POST",
            format!("/api/v1/chatflows/{}/webhook-secret", guarded.flow),
        ),
        (
            "DELETE",
            format!("/api/v1/chatflows/{}/webhook-secret", guarded.flow),
        ),
        ("GET", "/api/v1/executions".to_owned()),
        (
            "GET",
            format!(
                "/api/v1/executions/{}",
                approval["executionId"].as_str().expect("an id")
            ),
        ),
        ("GET", "/api/v1/approvals".to_owned()),
        ("GET", format!("/api/v1/approvals/{id}")),
        ("GET", format!("/api/v1/approvals/{id}/wait")),
        ("POST", format!("/api/v1/approvals/{id}/decision")),
        ("GET", "/api/v1/callbacks".to_owned()),
        ("GET", "/api/v1/events".to_owned()),
        ("GET", "/api/v1/settings".to_owned()),
        ("PATCH", "/api/v1/settings".to_owned()),
        ("POST", "/api/v1/settings/test-callback".to_owned()),
        ("POST", "/api/v1/settings/test-notification".to_owned()),
        ("GET", "/api/v1/status".to_owned()),
    ];
    let token = guarded.serve.token.clone();
    let in_query = format!("?token={token}&access_token={token}");
    for (method, path) in &routes {
        let body = (*method != "GET").then_some(&b"{}"[..]);
        let json_type = ("content-type", "application/json");
        for (path, headers) in [
            (path.clone(), vec![json_type]),
            (format!("{path}{in_query}"), vec![json_type]),
            (path.clone(), vec![json_type, ("authorization", "Bearer ")]),
            (path.clone(), vec![json_type, ("authorization", token.as_str())]),
        ] {
            let reply = guarded.serve.call(method, &path, &headers, body);
            assert!(
                matches!(reply.status, 401 | 429),
                "{method} {path} {headers:?}: {}",
                reply.status
            );
            assert!(!reply.text().contains(&token), "the token is not repeated");
        }
    }
    assert_eq!(
        guarded.serve.pending(),
        std::slice::from_ref(&approval),
        "nothing was changed"
    );
    // Paths are matched by case; what is no route is at most a page, never data.
    let reply = guarded.serve.call("GET", "/API/v1/approvals", &[], None);
    let no_data = serde_json::from_slice::<Value>(&reply.body).is_err();
    assert!(reply.status != 200 || no_data, "{}", reply.text());
    assert!(!reply.text().contains(id), "{}", reply.text());
}

#[test]
fn many_wrong_tokens_lock_nobody_out() {
    let guarded = Guarded::new();
    let mut connection = guarded.serve.connect();
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    for guess in 0..200 {
        let guess = format!("Bearer {guess:064x}");
        let reply = connection.send("GET", "/api/v1/approvals", &[("authorization", &guess)], None);
        *statuses.entry(reply.expect("an answer").status).or_default() += 1;
    }
    assert_eq!(
        statuses.keys().copied().collect::<Vec<_>>(),
        [401, 429],
        "{statuses:?}"
    );
    assert!(statuses[&401] <= 20, "guesses that were compared: {statuses:?}");
    guarded.serve.get("/api/v1/approvals");
}

#[test]
fn other_machines_are_never_listened_to() {
    for listen in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0", "example.org:80", "8420"] {
        let setup = installation();
        let output = setup.command().args(["--listen", listen]).output();
        // The option is given twice; the parser or the check refuses it, with the status for wrong usage.
        assert_eq!(output.expect("it runs").status.code(), Some(2), "{listen}");
        let mut command = setup.bare_command();
        command
            .args(["serve", "--data-dir"])
            .arg(setup.data_dir())
            .args(["--listen", listen]);
        let output = command.output().expect("it runs");
        assert_eq!(
            output.status.code(),
            Some(2),
            "{listen}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
