//! `doctor`: looks at everything that must work, one line each, with advice.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use countersign_app::running;
use countersign_app::view::{SettingsView, StatusView};
use countersign_app::{Config, Flags, FolderState, StartError, look_at_folder};
use serde::Serialize;
use serde_json::json;

use crate::args::Target;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::locate::{self, with_causes};
use crate::output::{Output, cell};

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// All well.
    Ok,
    /// It works, but something is worth knowing.
    Note,
    /// Something does not work.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    /// `server`, `store`, `notifications`, `secrets`, `callbacks` or `folder`.
    name: &'static str,
    /// How it came out.
    verdict: Verdict,
    /// What was found, and what to do about it.
    advice: String,
}

impl Check {
    fn new(name: &'static str, verdict: Verdict, advice: impl Into<String>) -> Self {
        Self {
            name,
            verdict,
            advice: advice.into(),
        }
    }
}

/// `countersign doctor`. Status 1 if anything is a problem.
pub(crate) async fn run(target: &Target, output: &Output) -> Result<Exit, Failure> {
    let mut checks = match locate::server(target) {
        Ok(server) => {
            let client = Client::new(server);
            match client.get::<StatusView>("/api/v1/status").await {
                Ok(status) => with_server(target, &client, &status).await?,
                Err(failure) => without_server(target, &failure)?,
            }
        }
        Err(failure) if failure.exit() == Exit::Usage => return Err(failure),
        Err(failure) => without_server(target, &failure)?,
    };
    if !checks.iter().any(|check| check.name == FOLDER) {
        checks.push(folder(
            target,
            &locate::config(target, Flags::default())?.data_dir,
        ));
    }
    output.print(&json!({ "checks": checks }), || lines(&checks));
    let problem = checks.iter().any(|check| check.verdict == Verdict::Problem);
    Ok(if problem { Exit::Failed } else { Exit::Done })
}

/// `countersign doctor --acknowledge-damage`. Works on the folder itself, so nobody else may.
pub(crate) fn acknowledge_damage(target: &Target, output: &Output) -> Result<Exit, Failure> {
    let dir = locate::config(target, Flags::default())?.data_dir;
    let done = countersign_app::acknowledge_damage(&dir).map_err(|error| match error {
        StartError::InUse(_) => Failure::in_use(format!(
            "Countersign works on the data folder {}. Close it, then acknowledge the damage. Nothing was set aside.",
            dir.display()
        )),
        error => Failure::failed(with_causes(&error)),
    })?;
    let set_aside = done
        .set_aside
        .as_ref()
        .map(|journal| json!({ "file": journal.file, "damage": journal.damage }));
    let document = json!({ "setAside": set_aside, "loss": done.loss, "repairs": done.repairs });
    output.print(&document, || {
        let mut text = match &done.set_aside {
            None if done.loss.is_some() => "The journal is whole.".to_owned(),
            None => format!("The journal in {} is whole: there is nothing to acknowledge.", dir.display()),
            Some(journal) => format!(
                "The damaged journal was set aside as {}: {}. A new one goes on from there, and its first line names the \
                 other. Keep that file: it is the audit log up to now, and what is whole in it is still read when the \
                 database has to be rebuilt.",
                dir.join(&journal.file).display(),
                cell(&journal.damage, 500)
            ),
        };
        if let Some(loss) = &done.loss {
            text.push_str(&format!("\nNot told any more: {}.", cell(loss, 1_000)));
        }
        for repair in &done.repairs {
            text.push_str(&format!("\nRepaired on the way: {}.", cell(repair, 500)));
        }
        text
    });
    Ok(Exit::Done)
}

fn lines(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let verdict = match check.verdict {
            Verdict::Ok => "ok",
            Verdict::Note => "note",
            Verdict::Problem => "problem",
        };
        text.push_str(&format!(
            "{verdict:<8} {:<14} {}\n",
            check.name,
            cell(&check.advice, 2_000)
        ));
    }
    text
}

/// The name of the check that says where things lie.
const FOLDER: &str = "folder";

/// Where the data folder is, and the token.
fn folder(target: &Target, data_dir: &Path) -> Check {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let data_dir = absolute(data_dir);
    let token_file = match &target.token_file {
        Some(file) => absolute(file),
        None => running::token_file(&data_dir),
    };
    let made = match token_file.exists() || target.url.is_some() {
        true => "",
        false => ", which the first start makes",
    };
    Check::new(
        FOLDER,
        Verdict::Ok,
        format!(
            "the data folder is {}; the token of the API lies in {}{made}",
            data_dir.display(),
            token_file.display()
        ),
    )
}

/// What a running Countersign says about itself.
async fn with_server(target: &Target, client: &Client, status: &StatusView) -> Result<Vec<Check>, Failure> {
    let mut checks = vec![match &status.address_problem {
        None => Check::new(
            "server",
            Verdict::Ok,
            format!(
                "version {} answers at http://{}; {} approvals wait",
                status.version,
                client.address(),
                status.pending
            ),
        ),
        Some(problem) => Check::new("server", Verdict::Problem, problem.clone()),
    }];
    checks.push(match &status.storage_problem {
        None if !status.storage_damage.is_empty() => Check::new(
            "store",
            Verdict::Problem,
            format!(
                "takes and keeps work, but the data folder is damaged: {}; keep a copy of it and compare it with a backup",
                status.storage_damage.join("; ")
            ),
        ),
        None if status.storage_repairs.is_empty() => Check::new("store", Verdict::Ok, "takes and keeps work"),
        None => Check::new(
            "store",
            Verdict::Note,
            format!(
                "takes and keeps work; repaired at the start: {}",
                status.storage_repairs.join("; ")
            ),
        ),
        Some(problem) => Check::new(
            "store",
            Verdict::Problem,
            format!("{problem}; free some space, then start again"),
        ),
    });
    checks.push(notifications(status));
    let settings = client.get::<SettingsView>("/api/v1/settings").await;
    checks.push(match &settings {
        Ok(settings) => secrets(settings),
        Err(failure) => Check::new("secrets", Verdict::Problem, failure.message()),
    });
    // Who was found by an address has a folder of its own.
    if let (Some(_), Ok(settings)) = (&target.url, &settings) {
        checks.push(folder(target, Path::new(&settings.data_dir)));
    }
    if status.failing_callbacks > 0 {
        checks.push(Check::new(
            "callbacks",
            Verdict::Note,
            format!(
                "{} have failed and are tried again; `countersign callbacks --state waiting` shows why",
                status.failing_callbacks
            ),
        ));
    }
    Ok(checks)
}

fn notifications(status: &StatusView) -> Check {
    let found = &status.notifications;
    let named = found
        .server
        .clone()
        .unwrap_or_else(|| "a notification server".to_owned());
    let note = found.note.clone().unwrap_or_default();
    match (found.available, found.buttons) {
        (true, true) => Check::new("notifications", Verdict::Ok, format!("{named} shows buttons")),
        (true, false) => Check::new(
            "notifications",
            Verdict::Note,
            format!("{named} shows no buttons: a click opens the inbox instead. {note}"),
        ),
        (false, _) => Check::new(
            "notifications",
            Verdict::Note,
            match note.trim() {
                "" => {
                    "no notification server: questions wait in the inbox and in `countersign list`".to_owned()
                }
                why => format!("{why} `countersign list` shows what waits"),
            },
        ),
    }
}

fn secrets(settings: &SettingsView) -> Check {
    if let Some(problem) = &settings.secret_problem {
        return Check::new("secrets", Verdict::Problem, problem.clone());
    }
    if settings.secret_protection == "keychain" {
        Check::new(
            "secrets",
            Verdict::Ok,
            "encrypted with a key in the keychain of the system",
        )
    } else {
        let because = match &settings.secret_note {
            Some(why) => format!(" (why not in the keychain, when the folder was made: {why})"),
            None => String::new(),
        };
        Check::new(
            "secrets",
            Verdict::Note,
            format!(
                "encrypted with a key file in the data folder that only this account can read{because}; keep backups of the folder private"
            ),
        )
    }
}

/// What can be seen from outside while nothing answers.
fn without_server(target: &Target, why: &Failure) -> Result<Vec<Check>, Failure> {
    let config = locate::config(target, Flags::default())?;
    let why = match why.is_not_listening() {
        // It was told its address in its own way, which is not seen from here.
        true => why.message().to_owned(),
        false => format!("{} {}", why.message(), port_advice(&config)),
    };
    let mut checks = vec![Check::new("server", Verdict::Problem, why)];
    checks.push(data_dir(&config.data_dir));
    checks.push(match std::env::var("DBUS_SESSION_BUS_ADDRESS") {
        Ok(address) if !address.is_empty() => Check::new(
            "notifications",
            Verdict::Note,
            "there is a session bus; the rest shows once Countersign runs",
        ),
        _ => Check::new(
            "notifications",
            Verdict::Note,
            "no session bus here: questions will wait in the inbox",
        ),
    });
    checks.push(Check::new(
        "secrets",
        Verdict::Note,
        "how they are kept shows once Countersign runs",
    ));
    Ok(checks)
}

fn port_advice(config: &Config) -> String {
    let address: SocketAddr = config.forced_listen.unwrap_or(config.listen);
    match TcpListener::bind(address) {
        Ok(_) => format!("The port {} is free.", address.port()),
        Err(_) => format!(
            "The port {} is taken by another program: choose one with --listen 127.0.0.1:PORT or in countersign.toml.",
            address.port()
        ),
    }
}

/// What starting on this folder would say of it. Nothing is changed.
fn data_dir(dir: &Path) -> Check {
    let shown = dir.display();
    match look_at_folder(dir) {
        Ok(FolderState::Missing) => Check::new(
            "store",
            Verdict::Note,
            format!("{shown} is not there yet; the first start creates it"),
        ),
        Ok(FolderState::Open) => Check::new(
            "store",
            Verdict::Note,
            format!("{shown} is there, and others may use it until the next start takes it away from them"),
        ),
        Ok(FolderState::Private) => Check::new("store", Verdict::Ok, format!("{shown} is there")),
        Err(error) => Check::new("store", Verdict::Problem, with_causes(&error)),
    }
}
