//! The commands against a running host: what they print, and their exit status.

use std::process::Output;
use std::time::Duration;

use countersign_testkit::flows::FlowOptions;
use countersign_testkit::{
    CallbackReceiver, Connection, Headless, Installation, ScriptedReply, eventually, flows,
};
use serde_json::{Value, json};

use crate::support::installation;

const SOON: Duration = Duration::from_secs(10);

pub(crate) struct Console<'a> {
    pub(crate) setup: &'a Installation,
}

impl Console<'_> {
    fn run(&self, arguments: &[&str]) -> Output {
        self.setup
            .bare_command()
            .env("USER", "ada")
            .arg("--data-dir")
            .arg(self.setup.data_dir())
            .args(arguments)
            .output()
            .expect("the command runs")
    }

    /// Runs it and checks its exit status; its standard output.
    #[track_caller]
    pub(crate) fn expect(&self, status: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{out}\n{err}");
        if status != 0 {
            assert!(
                arguments.contains(&"doctor") || err.len() > 10,
                "a failure says why: {err:?}"
            );
        }
        out.into_owned()
    }

    /// Runs it with `--json`; the document it prints.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.push("--json");
        let text = self.expect(0, &all);
        assert_eq!(text.lines().count(), 1, "one document, one line: {text}");
        serde_json::from_str(&text).expect("it is JSON")
    }
}

fn gate_file(setup: &Installation) -> String {
    let file = setup.folder().join("release gate.json");
    std::fs::write(&file, flows::start_gate_replies(&FlowOptions::sync())).expect("a file");
    file.display().to_string()
}

fn ask(serve: &Headless, flow: &str, item: &str) -> String {
    let stopped = serve
        .post(flow, &json!({ "item": item }))
        .expect(200, "stopped")
        .json();
    stopped["action"]["id"].as_str().expect("an id").to_owned()
}

#[test]
fn import_list_show_and_answer() {
    let setup = installation();
    let serve = setup.start();
    let console = Console { setup: &setup };
    assert!(console.expect(0, &["list"]).contains("Nothing waits"));
    assert!(console.expect(0, &["flows"]).contains("import"));

    let flow = console.json(&["import", &gate_file(&setup)]);
    assert_eq!(
        flow["name"], "release gate",
        "the file's name, where the file has none"
    );
    let id = flow["id"].as_str().expect("an id");
    assert_eq!(
        flow["webhookUrl"],
        format!("http://{}/api/v1/webhook/{id}", serve.address)
    );
    let listed = console.json(&["flows"]);
    assert_eq!(
        (&listed[0]["id"], &listed[0]["flowData"]),
        (&json!(id), &Value::Null)
    );
    let table = console.expect(0, &["flows"]);
    assert!(
        table
            .lines()
            .next()
            .is_some_and(|line| line.starts_with("NAME") && line.contains("POST TO")),
        "{table}"
    );
    assert!(table.contains("release gate") && table.contains(id), "{table}");

    let first = ask(&serve, id, "v1");
    let second = ask(&serve, id, "v2");
    let listed = console.json(&["list"]);
    let ids: Vec<&Value> = listed["approvals"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["id"])
        .collect();
    assert_eq!(ids, [&json!(second), &json!(first)], "newest first");
    let table = console.expect(0, &["list"]);
    assert!(
        table.contains("Release v1 now?") && table.contains("just now"),
        "{table}"
    );
    assert!(
        !table.contains('\u{1b}'),
        "no colours when nobody looks: {table:?}"
    );

    let short = &first[first.len() - 8..];
    assert!(table.contains(short), "the list shows the end of the id: {table}");
    let page = console.expect(0, &["show", short]);
    for part in [
        "Release v1 now?",
        "release gate",
        "Gate",
        "If approved",
        "released",
        "If rejected",
        "held",
        &first,
    ] {
        assert!(page.contains(part), "{part:?} is missing in\n{page}");
    }
    assert_eq!(console.json(&["show", &first])["id"], first);

    let decided = console.json(&["approve", short, "--feedback", "looks good"]);
    assert_eq!(decided["state"], "approved");
    let decision = &decided["decision"];
    assert_eq!(
        (&decision["surface"], &decision["person"], &decision["feedback"]),
        (&json!("cli"), &json!("ada"), &json!("looks good"))
    );
    assert!(
        console
            .expect(0, &["reject", &second])
            .contains("Rejected: Release v2 now?")
    );
    let table = console.expect(0, &["list", "--state", "all"]);
    assert!(
        table.contains("approved") && table.contains("rejected"),
        "{table}"
    );
    assert!(
        console.expect(0, &["show", &first]).contains("by ada"),
        "who answered is shown"
    );
}

#[test]
fn exit_statuses_are_the_documented_ones() {
    let setup = installation();
    let console = Console { setup: &setup };
    console.expect(3, &["list"]);
    let help = console.expect(0, &["--help"]);
    for line in [
        "0  done",
        "1  failed",
        "2  the command line is wrong",
        "3  nothing is running",
        "4  the approval had an answer",
        "5  there is nothing",
        "continue ",
        "standard error",
    ] {
        assert!(help.contains(line), "{line:?} is not documented:\n{help}");
    }
    for command in [
        "serve",
        "import",
        "flows",
        "list",
        "show",
        "approve",
        "reject",
        "continue",
        "callbacks",
        "doctor",
    ] {
        let help = console.expect(0, &[command, "--help"]);
        assert!(
            help.contains("Exit status:"),
            "{command} --help says nothing of it"
        );
    }
    let serve = setup.start();
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    let id = ask(&serve, &flow, "v1");
    console.expect(2, &["lst"]);
    console.expect(2, &["approve"]);
    console.expect(2, &["list", "--limit", "0"]);
    console.expect(2, &["approve", "ab"]);
    console.expect(2, &["approve", "../../secret"]);
    console.expect(2, &["--url", "http://192.0.2.1:8420", "list"]);
    console.expect(5, &["show", "0192f0c1-7b1e-7c3a-9d55-0a1b2c3d4e5f"]);
    console.expect(5, &["approve", "ffffffff"]);
    console.expect(1, &["approve", &id, "--content-hash", "0000"]);
    console.expect(0, &["approve", &id]);
    console.expect(4, &["reject", &id]);
    let output = console.run(&["reject", &id, "--json"]);
    let failure: Value = serde_json::from_slice(&output.stderr).expect("a failure in JSON on standard error");
    assert_eq!(
        (output.status.code(), &failure["code"]),
        (Some(4), &json!("already-decided"))
    );
    assert!(
        failure["message"]
            .as_str()
            .is_some_and(|message| message.contains("ada")),
        "{failure}"
    );

    let png = setup.folder().join("picture.png");
    std::fs::write(&png, b"\x89PNG\r\n\x1a\n\0\xff").expect("a file");
    console.expect(1, &["import", &png.display().to_string()]);
    console.expect(
        1,
        &[
            "import",
            &setup.folder().join("nowhere.json").display().to_string(),
        ],
    );
    serve.kill();
    console.expect(3, &["list"]);
    let wrong_token = setup.folder().join("token");
    std::fs::write(&wrong_token, "0000").expect("a file");
    let serve = setup.start();
    console.expect(1, &["--token-file", &wrong_token.display().to_string(), "list"]);
    let url = format!("http://{}", serve.address);
    console.expect(0, &["--url", &url, "list"]);
}

#[test]
fn a_wrong_command_line_is_one_document_for_programs() {
    let setup = installation();
    for (arguments, named) in [
        (&["--json", "nonsense"][..], "nonsense"),
        (&["--json", "list", "--limit", "0"], "--limit"),
        (&["show", "--json"], "<ID>"),
        (&["--json"], "command"),
    ] {
        let output = setup.bare_command().args(arguments).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
        let failure: Value = serde_json::from_str(&said).expect("it is JSON");
        assert_eq!(failure["code"], "usage", "{arguments:?}: {failure}");
        let message = failure["message"].as_str().expect("a message");
        assert!(message.contains(named), "{arguments:?}: {message}");
    }
    let output = setup.bare_command().args(["nonsense"]).output().expect("it runs");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("Usage:"),
        "people get the usual text"
    );
    let output = setup
        .bare_command()
        .args(["--json", "--help"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(0), "help is no failure");
}

/// A host that works and does not listen, as the desktop while its port is taken.
fn held(data_dir: &std::path::Path) -> std::fs::File {
    std::fs::create_dir_all(data_dir).expect("a folder");
    let lock = std::fs::File::create(data_dir.join("countersign.lock")).expect("a file");
    lock.lock().expect("the lock");
    lock
}

#[test]
fn who_runs_without_listening_is_told_from_who_does_not_run() {
    let setup = installation();
    let console = Console { setup: &setup };
    let said = |arguments: &[&str]| {
        let output = console.run(arguments);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).expect("text");
        (output.status.code(), text)
    };
    let lock = held(&setup.data_dir());
    let (status, text) = said(&["list"]);
    assert_eq!(status, Some(3), "{text}");
    assert!(
        text.contains("does not listen yet") && !text.contains("Nothing runs"),
        "{text}"
    );

    let problem = "Port 18999 is taken by another program. It is tried again by itself.";
    std::fs::write(setup.data_dir().join("address-problem"), problem).expect("a file");
    for command in ["list", "doctor"] {
        let (_, text) = said(&[command]);
        assert!(
            text.contains(problem) && !text.contains("Nothing runs") && !text.contains("is free"),
            "{command}: {text}"
        );
    }
    let (_, text) = said(&["list", "--json"]);
    let failure: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(failure["code"], "not-listening");

    // A kill leaves the note behind, and the lock not.
    drop(lock);
    let (status, text) = said(&["list"]);
    assert_eq!(status, Some(3), "{text}");
    assert!(text.contains("Nothing runs") && !text.contains("18999"), "{text}");
    let _serve = setup.start();
    console.expect(0, &["list"]);
    assert!(
        !setup.data_dir().join("address-problem").exists(),
        "an old note is gone"
    );
}

#[test]
fn a_data_folder_that_is_a_file_is_named_as_such() {
    let setup = installation();
    let file = setup.folder().join("notes.txt");
    std::fs::write(&file, "text").expect("a file");
    for command in ["list", "doctor", "serve"] {
        let output = setup
            .bare_command()
            .args([command, "--data-dir"])
            .arg(&file)
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{command}: {said}");
        assert!(
            said.contains(&format!("{} is a file, not a folder", file.display())),
            "{command}: {said}"
        );
    }
}

#[cfg(unix)]
#[test]
fn doctor_refuses_the_folder_that_a_start_would_refuse() {
    use std::os::unix::fs::PermissionsExt as _;

    let setup = installation();
    let folder = setup.folder().join("project");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("notes.txt"), "text").expect("a file");
    let doctor = || {
        let output = setup
            .bare_command()
            .args(["doctor", "--json", "--data-dir"])
            .arg(&folder)
            .output()
            .expect("it runs");
        let found: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
        let of_store = |check: &&Value| check["name"] == "store";
        found["checks"]
            .as_array()
            .and_then(|checks| checks.iter().find(of_store))
            .expect("a check")
            .clone()
    };
    for (mode, why) in [
        (0o755, "other files lie in it"),
        (0o1777, "it is shared by everybody"),
    ] {
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).expect("rights");
        let check = doctor();
        assert_eq!(check["verdict"], "problem");
        let advice = check["advice"].as_str().expect("advice");
        assert!(
            advice.contains(why) && advice.contains("name a folder of its own"),
            "{advice}"
        );
        let output = setup
            .bare_command()
            .args(["serve", "--data-dir"])
            .arg(&folder)
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(advice), "{said}");
        let left = std::fs::metadata(&folder)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o7777;
        assert_eq!(left, mode, "nothing was changed");
    }
    std::fs::remove_file(folder.join("notes.txt")).expect("it goes");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("rights");
    assert_eq!(
        doctor()["verdict"],
        "note",
        "the first start takes it away from others"
    );
}

#[test]
fn damage_of_the_journal_is_told_until_it_is_acknowledged() {
    let setup = installation();
    let serve = setup.start();
    let console = Console { setup: &setup };
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    let waits = ask(&serve, &flow, "v1");
    ask(&serve, &flow, "v2");
    serve.end();
    let whole = console.json(&["doctor", "--acknowledge-damage"]);
    assert_eq!(whole, json!({ "setAside": null, "loss": null, "repairs": [] }));
    let journal = setup.data_dir().join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).expect("the journal");
    let damaged = text.replacen("Release v1", "Release v7", 1);
    assert_ne!(text, damaged);
    std::fs::write(&journal, &damaged).expect("somebody changes it");

    let serve = setup.start();
    let told = eventually("the damage is told", SOON, || {
        let text = console.run(&["doctor"]).stdout;
        let text = String::from_utf8_lossy(&text).into_owned();
        text.contains("changed after it was written").then_some(text)
    });
    assert!(told.contains("countersign doctor --acknowledge-damage"), "{told}");
    let output = console.run(&["doctor", "--acknowledge-damage"]);
    assert_eq!(output.status.code(), Some(3), "not while it runs");
    assert_eq!(std::fs::read_to_string(&journal).expect("the journal"), damaged);
    serve.end();

    let said = console.expect(0, &["doctor", "--acknowledge-damage"]);
    let aside = said
        .split_whitespace()
        .find(|word| word.contains("journal.jsonl.damaged-"))
        .expect("the file is named");
    let kept = std::fs::read_to_string(aside.trim_end_matches(':')).expect("it is kept");
    assert_eq!(kept, damaged);

    let serve = setup.start();
    serve.decide(&waits, "approve").expect(200, "it goes on");
    let checks = console.json(&["doctor"])["checks"].clone();
    assert_eq!(
        (&checks[1]["name"], &checks[1]["verdict"]),
        (&json!("store"), &json!("ok")),
        "{checks}"
    );
}

#[test]
fn a_part_of_an_id_must_be_enough() {
    let setup = installation();
    let serve = setup.start();
    let console = Console { setup: &setup };
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    let (first, second) = (ask(&serve, &flow, "v1"), ask(&serve, &flow, "v2"));
    assert_eq!(first[..6], second[..6], "ids of the same moment begin alike");
    let output = console.run(&["approve", &first[..6]]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("fits 2"),
        "it says that it is not enough"
    );
    assert_eq!(serve.pending().len(), 2, "and answers nothing");
}

#[test]
fn callbacks_and_doctor_tell_how_it_is() {
    let setup = installation();
    let console = Console { setup: &setup };
    let folder = setup.data_dir().display().to_string();
    let token = setup.data_dir().join("api-token").display().to_string();
    let text = console.expect(1, &["doctor"]);
    assert!(
        text.contains(&format!("{token}, which the first start makes")),
        "{text}"
    );
    assert!(
        text.contains("problem") && text.contains("countersign serve"),
        "{text}"
    );

    let serve = setup.start();
    let checks = console.json(&["doctor"]);
    let names: Vec<&Value> = checks["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .map(|check| &check["name"])
        .collect();
    assert_eq!(names, ["server", "store", "notifications", "secrets", "folder"]);
    let text = console.expect(0, &["doctor"]);
    assert_eq!(text.lines().count(), 5, "one line each: {text}");
    assert!(
        text.contains(&serve.address) && text.contains("--notifications off"),
        "{text}"
    );
    let url = format!("http://{}", serve.address);
    let text_by_url = String::from_utf8(
        setup
            .bare_command()
            .args(["doctor", "--url", &url, "--token-file", &token])
            .output()
            .expect("it runs")
            .stdout,
    )
    .expect("text");
    for text in [&text, &text_by_url] {
        assert!(
            text.contains(&format!(
                "the data folder is {folder}; the token of the API lies in {token}\n"
            )),
            "{text}"
        );
    }

    let receiver = CallbackReceiver::new();
    assert!(console.expect(0, &["callbacks"]).contains("No callbacks"));
    let flow = serve.import(
        "hello",
        &flows::start_reply(&FlowOptions::callback(receiver.url("/cb"), Some("secret"))),
    );
    serve
        .post(&flow, &json!({ "who": "Ada" }))
        .expect(202, "accepted");
    eventually("the callback is delivered", SOON, || {
        let page = console.json(&["callbacks"]);
        (page["callbacks"][0]["state"] == "delivered").then_some(())
    });
    let table = console.expect(0, &["callbacks", "--state", "delivered"]);
    assert!(
        table.contains("SUCCESS") && table.contains("200") && table.contains(&receiver.url("/cb")),
        "{table}"
    );
}

#[test]
fn a_callback_is_shown_with_its_attempts_and_its_body() {
    let setup = installation();
    let serve = setup.start();
    let console = Console { setup: &setup };
    let receiver = CallbackReceiver::answering(|_, _| ScriptedReply::status(200).body("thank you"));
    let flow = serve.import(
        "hello",
        &flows::start_reply(&FlowOptions::callback(receiver.url("/cb"), Some("secret"))),
    );
    serve
        .post(&flow, &json!({ "who": "Ada" }))
        .expect(202, "accepted");
    serve.wait_until_idle(SOON);
    let sent = receiver.received().remove(0);
    let page = console.json(&["callbacks"]);
    let listed = &page["callbacks"][0];
    assert_eq!((&page["waiting"], &page["failing"]), (&json!(0), &json!(0)));
    assert!(listed.get("body").is_none(), "the list has no bodies: {listed}");

    let id = sent.id();
    let short = &id[id.len() - 8..];
    let shown = console.json(&["callbacks", short]);
    assert_eq!(
        (&shown["id"], shown["body"].as_str().map(str::as_bytes)),
        (&json!(id), Some(&sent.body[..]))
    );
    let text = console.expect(0, &["callbacks", &id]);
    for part in [
        "SUCCESS",
        "delivered",
        "200",
        "thank you",
        "Hello Ada!",
        &id,
        &receiver.url("/cb"),
    ] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
    console.expect(2, &["callbacks", "ab"]);
    console.expect(2, &["callbacks", short, "--state", "waiting"]);
    console.expect(5, &["callbacks", "ffffffff"]);
    console.expect(5, &["callbacks", "0192f0c1-7b1e-7c3a-9d55-0a1b2c3d4e5f"]);
}

#[test]
fn what_will_not_work_is_said_at_the_import_and_in_the_list() {
    let setup = installation();
    let serve = setup.start();
    let console = Console { setup: &setup };
    assert_eq!(
        console.json(&["import", &gate_file(&setup)])["problems"],
        json!([])
    );
    assert!(!console.expect(0, &["flows"]).contains("will not work"));
    let file = setup.folder().join("odd one.json");
    let import = |document: String| {
        std::fs::write(&file, document).expect("a file");
        let file = file.display().to_string();
        let text = console.expect(0, &["import", &file]);
        assert!(text.contains("What will not work in odd one"), "{text}");
        (text, console.json(&["import", &file]))
    };
    let (text, flow) = import(flows::start_reply(&FlowOptions::callback(
        "ftp://ci.example.org/cb",
        None,
    )));
    let problem = flow["problems"][0].as_str().expect("a problem");
    assert!(text.contains(problem), "{problem:?} is missing in\n{text}");
    assert!(
        !problem.contains("Invalid") && !problem.contains(".."),
        "whole sentences: {problem}"
    );
    for secret in ["whsec_not base64", "whsec_"] {
        let url = "https://ci.example.org/cb";
        let (text, _) = import(flows::start_reply(&FlowOptions::callback(url, Some(secret))));
        assert!(text.contains("is not base64"), "{text}");
    }
    let (text, _) = import(flows::start_reply(&FlowOptions::callback(
        "http://169.254.169.254/cb",
        None,
    )));
    assert!(text.contains("ever sent. Its callbacks"), "{text}");
    let (text, _) = import(flows::start_reply(
        &FlowOptions::sync().with(json!({ "startInputType": "telepathy" })),
    ));
    assert!(text.contains("nothing can start it"), "{text}");
    let table = console.expect(0, &["flows"]);
    assert!(
        table.contains("What will not work in odd one") && table.contains(problem),
        "{table}"
    );
    assert_eq!(serve.get("/api/v1/chatflows").as_array().map(Vec::len), Some(11));
}

/// A step with a credential, a variable and a secret of its own, and one that calls a flow.
fn needy_flow() -> String {
    let text = flows::start_http_reply(&FlowOptions::sync(), "https://example.org/{{ $vars.token }}");
    let mut flow: Value = serde_json::from_str(&text).expect("a flow");
    let http = &mut flow["nodes"][1]["data"];
    http["credential"] = json!("cred-7");
    http["inputs"]["headers"] = json!([{ "key": "Authorization", "value": "Bearer s3cret" }]);
    let reply = &mut flow["nodes"][2]["data"];
    reply["name"] = json!("executeFlowAgentflow");
    reply["inputs"] = json!({ "executeFlowSelectedFlow": "5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e02" });
    flow.to_string()
}

/// A secret in a file is made a secret variable by a command; doing it again changes nothing.
#[test]
fn secrets_of_a_flow_are_moved_out_of_its_document() {
    let setup = installation();
    let serve = setup.start();
    let console = Console { setup: &setup };
    let mut needy: Value = serde_json::from_str(&needy_flow()).expect("a flow");
    let params = needy["nodes"][1]["data"]["inputParams"]
        .as_array_mut()
        .expect("a list");
    params.push(json!({ "name": "headers", "type": "array", "acceptVariable": true }));
    let id = serve.import("needy", &needy.to_string());
    let flow = || serve.get(&format!("/api/v1/chatflows/{id}"));
    assert_eq!(flow()["clearTextSecrets"], 1);
    let said = console.expect(0, &["move-secrets", "needy"]);
    assert!(
        said.contains("needy-call-authorization") && !said.contains("s3cret"),
        "{said}"
    );
    let changed = flow();
    let document = changed["flowData"].as_str().expect("a document");
    let reads = "{{ $vars.needy-call-authorization }}";
    assert!(
        document.contains(reads) && !document.contains("s3cret"),
        "{document}"
    );
    assert_eq!(changed["clearTextSecrets"], 0);
    let variables = serve.get("/api/v1/variables");
    assert!(variables.to_string().contains("\"secret\"") && !variables.to_string().contains("s3cret"));
    let again = serve.manage("POST", &format!("/api/v1/chatflows/{id}/move-secrets"), None);
    assert_eq!(
        again.expect(200, "nothing to do").json(),
        json!({ "moved": [], "left": [] })
    );
    assert_eq!(flow(), changed);
    console.expect(5, &["move-secrets", "nobody"]);
    let path = "/api/v1/chatflows/5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7eff/move-secrets";
    serve.manage("POST", path, None).expect(404, "no such flow");
    let without = serve.call(
        "POST",
        &format!("/api/v1/chatflows/{id}/move-secrets"),
        &[],
        Some(b"{}"),
    );
    assert_eq!(without.status, 401, "only with the token");
}

/// What no export contains, and what is good to know, is in the answer of the API and in the text.
#[test]
fn an_import_tells_what_the_flow_needs_and_what_is_good_to_know() {
    let setup = installation();
    let serve = setup.start();
    let console = Console { setup: &setup };
    let file = setup.folder().join("needy.json");
    std::fs::write(&file, needy_flow()).expect("a file");
    let file = file.display().to_string();
    let flow = console.json(&["import", &file]);
    let lines = |key: &str| flow[key].as_array().expect("a list").clone();
    let (problems, notes) = (lines("problems"), lines("notes"));
    let told = |part: &str| {
        let all = problems.iter().chain(&notes);
        all.filter(|line| line.as_str().expect("a text").contains(part))
            .count()
    };
    for part in [
        "credential cred-7",
        "variable token",
        "flow 5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e02",
    ] {
        assert_eq!(told(part), 1, "{part:?} in {problems:?}");
    }
    assert_eq!((problems.len(), notes.len()), (3, 1), "{problems:?} {notes:?}");
    assert_eq!(told("s3cret"), 0);
    let text = console.expect(0, &["import", &file]);
    for line in problems.iter().chain(&notes) {
        assert!(
            text.contains(line.as_str().expect("a text")),
            "{line} is missing in\n{text}"
        );
    }

    // What is set or imported is no longer missing.
    let secret = json!({ "type": "secret", "value": "t0ken" });
    serve
        .manage("PUT", "/api/v1/variables/token", Some(&secret))
        .expect(200, "a variable");
    let id = flow["id"].as_str().expect("an id");
    let problems = serve.get(&format!("/api/v1/chatflows/{id}"))["problems"].clone();
    assert_eq!(problems.as_array().map(Vec::len), Some(2), "{problems}");

    // Without its credential the step sends nothing, and says so.
    let reply = serve.post(id, &json!({ "item": "v1" }));
    assert!(
        reply.status == 500 && reply.text().contains("credential cred-7"),
        "{}",
        reply.text()
    );
}

#[test]
fn a_question_is_taken_back_by_its_id() {
    let setup = installation();
    let serve = setup.start();
    let console = Console { setup: &setup };
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    let id = ask(&serve, &flow, "v1");
    let text = console.expect(0, &["cancel", &id]);
    assert!(text.contains("Taken back"), "{text}");
    assert_eq!(serve.pending().len(), 0);
    console.expect(4, &["cancel", &id]);
    console.expect(4, &["approve", &id]);
}

#[test]
fn taking_back_what_was_answered_leaves_the_next_question_alone() {
    let setup = installation();
    let serve = setup.start();
    let console = Console { setup: &setup };
    let flow = serve.import("two", &flows::start_two_gates(&FlowOptions::sync()));
    let first = ask(&serve, &flow, "v1");
    console.expect(0, &["approve", &first]);
    let second = serve.wait_for_pending(1);
    console.expect(4, &["cancel", &first]);
    assert_eq!(serve.pending(), second, "it waits as before");
    let second = second[0]["id"].as_str().expect("an id");
    console.expect(0, &["cancel", second]);
    assert_eq!(serve.pending().len(), 0);
}

/// Who was killed leaves its address behind, and its port may be anybody's since.
#[test]
fn the_token_is_not_sent_to_whoever_has_the_port_now() {
    let setup = installation();
    let serve = setup.start();
    let address = serve.address.clone();
    serve.kill();
    let other = std::net::TcpListener::bind(&address).expect("the port is free again");
    other.set_nonblocking(true).expect("a listener");
    let console = Console { setup: &setup };
    let output = console.run(&["list"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("Nothing runs"), "{text}");
    assert!(other.accept().is_err(), "nobody connected to it");
}

#[test]
fn the_list_is_short_and_show_is_whole() {
    let setup = installation();
    let serve = setup.start();
    let console = Console { setup: &setup };
    let long = format!("What\n{}\nthe end of it", "a line of the question\n".repeat(100));
    let options = FlowOptions::sync().asking(long);
    let flow = serve.import("gate", &flows::start_gate_replies(&options));
    let id = ask(&serve, &flow, "the payload");
    let listed = console.json(&["list"])["approvals"][0].clone();
    assert!(
        listed.get("payload").is_none() && !listed["body"].to_string().contains("the end of it"),
        "{listed}"
    );
    assert_eq!(listed["bodyTruncated"], true);
    let shown = console.json(&["show", &id[id.len() - 8..]]);
    assert_eq!(shown["payload"]["body"]["item"], "the payload");
    let page = console.expect(0, &["show", &id]);
    assert!(
        page.contains("the end of it") && page.contains("the payload"),
        "{page}"
    );
}

#[test]
fn only_an_interrupted_run_can_be_continued() {
    let setup = installation();
    let serve = setup.start();
    let console = Console { setup: &setup };
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    let id = ask(&serve, &flow, "v1");
    let execution = serve.get(&format!("/api/v1/approvals/{id}"))["executionId"].clone();
    let execution = execution.as_str().expect("an id");
    let before = serve.pending();
    let output = console.run(&["continue", execution, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let failure: Value = serde_json::from_slice(&output.stderr).expect("a failure in JSON on standard error");
    assert_eq!(failure["code"], "not-waiting", "{failure}");
    assert_eq!(serve.pending(), before, "the question waits as before");
    console.expect(0, &["approve", &id]);
    serve.wait_for_execution(execution, "FINISHED");
    console.expect(1, &["continue", execution]);
    console.expect(2, &["continue"]);
    console.expect(2, &["continue", "ab"]);
    console.expect(2, &["continue", "../../secret"]);
    console.expect(5, &["continue", "ffffffff"]);
    console.expect(5, &["continue", "0192f0c1-7b1e-7c3a-9d55-0a1b2c3d4e5f"]);
}

#[test]
fn long_lists_are_read_page_by_page() {
    let setup = installation();
    let serve = setup.start();
    let console = Console { setup: &setup };
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    for item in 0..230 {
        ask(&serve, &flow, &item.to_string());
    }
    let all = console.json(&["list", "--limit", "1000"]);
    assert_eq!(all["approvals"].as_array().map(Vec::len), Some(230));
    let some = console.json(&["list", "--limit", "7"]);
    assert_eq!(some["approvals"].as_array().map(Vec::len), Some(7));
}

#[test]
fn a_second_signal_does_not_wait() {
    let setup = installation();
    let mut serve = setup.start();
    // A call whose body never comes holds the first shutdown up; the second signal ends it at once.
    let mut connection = serve.connect();
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    let head = format!(
        "POST /api/v1/webhook/{flow} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
         content-length: 100\r\nexpect: 100-continue\r\n\r\n",
        serve.address
    );
    connection
        .write_raw(head.as_bytes())
        .expect("the host takes the head");
    let reply = connection.read_head().expect("an answer to the head");
    assert_eq!(reply.status, 100, "the host waits for the body now");

    serve.terminate();
    eventually("no new connection is taken", SOON, || {
        Connection::open(&serve.address).is_err().then_some(())
    });
    assert!(serve.is_running(), "the call that is under way is waited for");
    serve.terminate();
    let status = serve.wait(Duration::from_secs(3));
    assert_eq!(status.code(), Some(1), "it was cut off: {}", serve.log());
}

#[test]
fn a_dry_run_says_what_would_happen_and_nothing_does() {
    let setup = installation();
    let serve = setup.start();
    let console = Console { setup: &setup };
    let receiver = CallbackReceiver::new();
    let file = setup.folder().join("pay.json");
    std::fs::write(
        &file,
        flows::start_gate_http_reply(&FlowOptions::sync(), &receiver.url("/pay")),
    )
    .expect("a file");
    console.expect(0, &["import", &file.display().to_string()]);

    let told = console.expect(0, &["run", "pay", "--dry", "--body", r#"{"item":"v7"}"#]);
    for part in [
        "nothing was sent",
        "Would ask",
        "v7",
        "Would send",
        &receiver.url("/pay"),
        "Answer: ",
    ] {
        assert!(told.contains(part), "{part} is missing: {told}");
    }
    let rejected = console.json(&["run", "pay", "--dry", "--reject", "--body", r#"{"item":"v7"}"#]);
    assert_eq!(rejected["effects"], json!([]), "no leads past the request");
    assert_eq!(rejected["questions"][0]["answer"], "reject");

    console.expect(5, &["run", "pays", "--dry"]);
    console.expect(2, &["run", "pay"]);
    assert!(receiver.received().is_empty(), "nothing was sent");
    assert!(serve.pending().is_empty(), "nobody was asked");
    let runs = serve.get("/api/v1/executions?summary=true");
    assert_eq!(runs["runs"], json!([]), "nothing was kept");
}

#[test]
fn a_list_that_was_cut_says_so() {
    let setup = installation();
    let serve = setup.start();
    let console = Console { setup: &setup };
    let options = FlowOptions::callback("http://127.0.0.1:9/", None);
    let flow = serve.import("gate", &flows::start_gate_replies(&options));
    for n in 0..53 {
        serve
            .post(&flow, &json!({ "item": format!("v{n}") }))
            .expect(202, "accepted");
    }
    let ids = eventually("all are asked", SOON, || {
        let page = console.json(&["list", "--limit", "60"]);
        let ids = page["approvals"].as_array().expect("a list").iter();
        let ids: Vec<String> = ids
            .map(|one| one["id"].as_str().expect("an id").to_owned())
            .collect();
        (ids.len() == 53).then_some(ids)
    });

    let table = console.expect(0, &["list"]);
    assert_eq!(table.matches("Release v").count(), 50, "{table}");
    assert!(
        table.ends_with("\n3 more; --limit 53 shows them too.\n"),
        "{table}"
    );
    let table = console.expect(0, &["list", "--limit", "53"]);
    assert!(!table.contains("more"), "that is all of them: {table}");
    let page = console.json(&["list", "--limit", "4"]);
    assert_eq!(page["pending"], 53, "{page}");
    assert_eq!(page["next"], json!(ids[3]), "the cursor, as the API has it");
    let page = console.json(&["list", "--limit", "60"]);
    assert_eq!(
        (&page["next"], page["approvals"].as_array().map(Vec::len)),
        (&Value::Null, Some(53)),
        "the end"
    );

    for id in &ids[..3] {
        serve.decide(id, "approve").expect(200, "it goes on");
    }
    let table = console.expect(0, &["list", "--state", "approved", "--limit", "2"]);
    assert!(table.contains("There are more; --limit"), "{table}");
    let table = console.expect(0, &["callbacks", "--limit", "2"]);
    assert!(table.contains("There are more; --limit"), "{table}");
    let page = console.json(&["callbacks", "--limit", "2"]);
    assert!(
        page["next"].is_string() && page["waiting"].is_u64() && page["failing"].is_u64(),
        "{page}"
    );
}

#[test]
fn a_database_that_is_gone_is_a_problem_until_it_is_acknowledged() {
    let setup = installation();
    let serve = setup.start();
    let console = Console { setup: &setup };
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    ask(&serve, &flow, "v1");
    serve.end();
    std::fs::remove_dir_all(setup.data_dir().join("db")).expect("somebody removes it");
    for start in ["the first", "the second"] {
        let serve = setup.start();
        let text = console.expect(1, &["doctor"]);
        for told in [
            "the flows with their settings and secrets",
            "the variables",
            "import the flows again and enter callback URL, secrets",
            "countersign doctor --acknowledge-damage",
        ] {
            assert!(text.contains(told), "{start} start: {told:?} in {text}");
        }
        assert_eq!(serve.pending().len(), 1, "what waits is there");
        serve.end();
    }
    let said = console.expect(0, &["doctor", "--acknowledge-damage"]);
    assert!(
        said.contains("The journal is whole") && said.contains("the flows"),
        "{said}"
    );
    let _serve = setup.start();
    console.expect(0, &["doctor"]);
}
