//! Two copies never work on one data folder, and a taken port is said clearly.

use std::process::Stdio;
use std::time::{Duration, Instant};

use countersign_testkit::flows::FlowOptions;
use countersign_testkit::{flows, wait_for_end};
use serde_json::{Value, json};

use crate::support::installation;

#[test]
fn a_second_copy_says_so_and_ends_within_three_seconds() {
    let setup = installation();
    let serve = setup.start();
    let flow = serve.import("gate", &flows::start_gate_replies(&FlowOptions::sync()));
    serve.post(&flow, &json!({ "item": "v1" })).expect(200, "stopped");
    for _ in 0..3 {
        let started = Instant::now();
        let mut second = setup
            .command()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let status = wait_for_end(&mut second, Duration::from_secs(10));
        let took = started.elapsed();
        let said = std::io::read_to_string(second.stderr.take().expect("standard error")).expect("text");
        assert_eq!(status.code(), Some(3), "{said}");
        assert!(took < Duration::from_secs(3), "it took {took:?}");
        assert!(
            said.contains(&setup.data_dir().display().to_string()),
            "the folder is named: {said}"
        );
        assert!(said.contains("in-use"), "and the reason, for programs: {said}");
    }
    let told = std::fs::read_to_string(setup.data_dir().join("address")).expect("the address file");
    assert_eq!(
        told.trim(),
        serve.address,
        "the second copy has not touched the first one's address"
    );
    assert_eq!(serve.pending().len(), 1, "the first copy works on");
}

#[test]
fn the_folder_is_free_again_at_once_after_a_kill() {
    let setup = installation();
    for _ in 0..3 {
        setup.start().kill();
    }
    let serve = setup.start();
    assert!(
        serve.ready_after < Duration::from_secs(10),
        "{:?}",
        serve.ready_after
    );
}

#[test]
fn a_taken_port_is_named() {
    let setup = installation();
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("an address").to_string();
    let mut command = setup.bare_command();
    command
        .args([
            "serve",
            "--notifications",
            "off",
            "--listen",
            &address,
            "--data-dir",
        ])
        .arg(setup.data_dir());
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains(&address) && said.contains("--listen"),
        "the port and what to do: {said}"
    );
    assert!(output.stdout.is_empty(), "it is not ready and does not say so");
    drop(other);
    setup.start();
}

#[test]
fn a_data_folder_that_cannot_be_used_is_named() {
    let setup = installation();
    let file = setup.folder().join("file");
    std::fs::write(&file, "not a folder").expect("a file");
    let mut command = setup.bare_command();
    command
        .args([
            "serve",
            "--notifications",
            "off",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
        ])
        .arg(&file);
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        output.status.code().filter(|code| *code == 1 || *code == 2),
        output.status.code(),
        "{said}"
    );
    assert!(said.contains(&file.display().to_string()), "{said}");
    assert_eq!(
        std::fs::read_to_string(&file).ok().as_deref(),
        Some("not a folder"),
        "nothing was overwritten"
    );
}

#[test]
fn configuration_comes_from_file_environment_and_flag_in_this_order() {
    let setup = installation().with_config("listen = \"127.0.0.1:1\"\nlog = \"debug\"\n");
    let serve = setup.start();
    assert!(!serve.address.ends_with(":1"), "the flag wins over the file");
    drop(serve);
    let mut command = setup.bare_command();
    command
        .args(["serve", "--notifications", "off", "--json"])
        .env("COUNTERSIGN_DATA_DIR", setup.data_dir());
    command.env("COUNTERSIGN_LISTEN", "nonsense");
    let output = command.output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("COUNTERSIGN_LISTEN"),
        "the place of the mistake is named"
    );
    std::fs::write(setup.data_dir().join("countersign.toml"), "lisen = 5\n").expect("a file");
    let output = setup.command().output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("countersign.toml"),
        "the file is named"
    );
}

#[test]
fn a_log_filter_that_is_none_is_blamed_on_who_said_it() {
    for (flag, origin) in [(true, "--log"), (false, "COUNTERSIGN_LOG")] {
        let (status, said) = ended(|command| {
            command.env("COUNTERSIGN_LOG", "a=b=c");
            if flag {
                command.args(["--log", "a=b=c"]);
            }
        });
        assert_eq!(status, Some(2), "{said}");
        assert!(said.contains(&format!("{origin}: ")), "{said}");
        assert!(flag || !said.contains("--log"), "{said}");
    }
}

#[test]
fn a_start_that_fails_is_one_document_whatever_is_logged() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let (status, said) = ended(|command| {
        command.env("COUNTERSIGN_LOG", "trace");
        command.args(["--listen", &address]);
    });
    // The later flag does not count twice; whichever is refused, it is one document.
    assert!(matches!(status, Some(2 | 3)), "{said}");
    let failure: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert!(failure["code"].is_string(), "{failure}");

    let setup = installation();
    let output = setup
        .bare_command()
        .args(["serve", "--json", "--notifications", "off", "--log", "trace"])
        .args(["--listen", &address, "--data-dir"])
        .arg(setup.data_dir())
        .output()
        .expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    let failure: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(failure["code"], "in-use", "{failure}");
}

#[test]
fn the_token_file_is_named_in_full() {
    let setup = installation();
    let mut child = setup
        .bare_command()
        .current_dir(setup.folder())
        .args([
            "serve",
            "--json",
            "--notifications",
            "off",
            "--listen",
            "127.0.0.1:0",
        ])
        .args(["--data-dir", "here"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().expect("standard output"));
    std::io::BufRead::read_line(&mut out, &mut line).expect("a line");
    child.kill().expect("it ends");
    child.wait().expect("it ends");
    let ready: Value = serde_json::from_str(&line).expect("JSON");
    let named = std::path::Path::new(ready["tokenFile"].as_str().expect("a path"));
    assert_eq!(named, setup.folder().join("here").join("api-token"));
}

/// Starts it with what `arrange` says, and gives back its exit status and what it said.
fn ended(arrange: impl FnOnce(&mut std::process::Command)) -> (Option<i32>, String) {
    let setup = installation();
    let mut command = setup.command();
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    arrange(&mut command);
    let mut child = command.spawn().expect("it starts");
    let status = wait_for_end(&mut child, Duration::from_secs(10));
    let said = std::io::read_to_string(child.stderr.take().expect("standard error")).expect("text");
    (status.code(), said)
}

#[cfg(unix)]
#[test]
fn a_token_file_that_is_a_link_is_neither_trusted_nor_touched() {
    use std::os::unix::fs::PermissionsExt as _;

    let setup = installation();
    let outside = setup.folder().join("outside");
    std::fs::write(&outside, "a text of somebody else, longer than a token").expect("a file");
    std::fs::set_permissions(&outside, std::fs::Permissions::from_mode(0o644)).expect("its rights");
    drop(setup.start());
    let token = setup.data_dir().join("api-token");
    std::fs::remove_file(&token).expect("the token goes");
    std::os::unix::fs::symlink(&outside, &token).expect("a link");
    let output = setup.command().output().expect("it ends by itself");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("api-token"), "{said}");
    let mode = std::fs::metadata(&outside)
        .expect("it is there")
        .permissions()
        .mode()
        & 0o777;
    assert_eq!(mode, 0o644, "the rights of the other file stay");

    // A text that is no token is replaced by one.
    std::fs::remove_file(&token).expect("the link goes");
    std::fs::write(&token, "several words, which no header of a call could carry").expect("a file");
    drop(setup.start());
    let made = std::fs::read_to_string(&token).expect("a token");
    assert!(
        made.trim().len() == 64 && made.trim().bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{made}"
    );
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_told_and_an_empty_one_is_not_set() {
    use std::os::unix::ffi::OsStrExt as _;

    let no_text = std::ffi::OsStr::from_bytes(b"127.0.0.1:\xff");
    let (status, said) = ended(|command| {
        command.env("COUNTERSIGN_LISTEN", no_text);
    });
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("COUNTERSIGN_LISTEN"), "{said}");

    let setup = installation().with_environment("COUNTERSIGN_OUTBOUND_LOOPBACK", "");
    drop(setup.start());
}

/// On Linux every sequence of bytes without a slash is a name.
#[cfg(target_os = "linux")]
#[test]
fn a_data_folder_may_have_a_name_that_is_no_text() {
    use std::os::unix::ffi::OsStrExt as _;

    let setup = installation();
    let folder = setup.folder().join(std::ffi::OsStr::from_bytes(b"d\xffta"));
    let command = |arguments: &[&str]| {
        let mut command = setup.bare_command();
        command.env("COUNTERSIGN_DATA_DIR", &folder).args(arguments);
        command
    };
    for for_programs in [true, false] {
        let mut serve = command(&["serve", "--notifications", "off", "--listen", "127.0.0.1:0"]);
        if for_programs {
            serve.arg("--json");
        }
        let mut serve = serve.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        let mut out = std::io::BufReader::new(serve.stdout.take().expect("standard output"));
        std::io::BufRead::read_line(&mut out, &mut line).expect("a line");
        let found = command(&["list", "--json"]).output().expect("it runs");
        serve.kill().expect("it still runs");
        serve.wait().expect("it ends");
        assert!(line.contains("127.0.0.1"), "it is ready: {line:?}");
        assert!(
            found.status.success(),
            "{}",
            String::from_utf8_lossy(&found.stderr)
        );
    }
    assert!(folder.join("api-token").is_file(), "this folder was used");
    assert!(!setup.folder().join(".local").exists(), "and not the default one");
}

#[cfg(unix)]
#[test]
fn what_lies_under_the_name_of_a_draft_is_not_written_through() {
    let setup = installation();
    let outside = setup.folder().join("outside");
    std::fs::write(&outside, "a text of somebody else").expect("a file");
    drop(setup.start());
    for name in ["address.new", "api-token.new", "address-problem.new"] {
        std::os::unix::fs::symlink(&outside, setup.data_dir().join(name)).expect("a link");
    }
    std::fs::remove_file(setup.data_dir().join("api-token")).expect("the token goes");
    drop(setup.start());
    let text = std::fs::read_to_string(&outside).expect("it is there");
    assert_eq!(text, "a text of somebody else");
}

#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_cannot_be_written_is_no_success() {
    let setup = installation();
    let _serve = setup.start();
    for arguments in [
        &["list"][..],
        &["list", "--json"],
        &["doctor", "--json"],
        &["--help"],
        &["list", "--help"],
        &["--version"],
    ] {
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("the device");
        let output = setup
            .bare_command()
            .args(arguments)
            .env("COUNTERSIGN_DATA_DIR", setup.data_dir())
            .stdout(full)
            .output()
            .expect("the command runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("cannot be written"), "{arguments:?}: {said}");
        if arguments.contains(&"--json") {
            let failure: Value = serde_json::from_str(&said).expect("one document");
            assert_eq!(failure["code"], "failed", "{failure}");
        }
    }
}
