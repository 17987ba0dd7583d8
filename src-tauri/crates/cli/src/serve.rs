//! `serve`: the headless host.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use countersign_app::{
    App, Config, Flags, Options, StartError, keychain_of_this_system, notifier_for_this_desktop,
    switched_off_notifier,
};
use countersign_domain::{RandomIds, SystemClock};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::args::{Notifications, Serve, Target};
use crate::exit::{Exit, Failure};
use crate::locate::{self, with_causes};
use crate::output::Output;

/// How long calls that wait for an answer may go on after the first signal.
const GRACE: Duration = Duration::from_secs(10);

/// How long the storage may take to close. What was acknowledged is durable before that.
const CLOSING: Duration = Duration::from_secs(5);

/// `countersign serve`
pub(crate) fn run(target: &Target, arguments: &Serve, output: &Output) -> Result<Exit, Failure> {
    if target.url.is_some() || target.token_file.is_some() {
        return Err(Failure::usage(
            "serve runs a server of its own: --url and --token-file do not go with it.",
        ));
    }
    let config = locate::config(
        target,
        Flags {
            data_dir: None,
            listen: arguments.listen.clone(),
            log: arguments.log.clone(),
            outbound_loopback: arguments.outbound_loopback.clone(),
            keychain: arguments.keychain.clone(),
        },
    )?;
    let log = Log::start(&config.log, filter_origin(arguments), output.is_json())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("The program could not start: {error}.")))?;
    let done = runtime.block_on(host(config, arguments, output, &log));
    // A thread that hangs in a system call must not keep the process: everything that counts is closed by now.
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

async fn host(config: Config, arguments: &Serve, output: &Output, log: &Log) -> Result<Exit, Failure> {
    let dist = pages(arguments.ui.as_deref())?;
    let app = App::start(Options {
        config,
        notifier: match arguments.notifications {
            Notifications::Auto => notifier_for_this_desktop(),
            Notifications::Off => switched_off_notifier(),
        },
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
        keychain: keychain_of_this_system(),
    })
    .await
    .map_err(|error| match &error {
        StartError::InUse(_) => Failure::in_use(with_causes(&error)),
        _ => Failure::failed(with_causes(&error)),
    })?;

    let wanted = app.listen_address();
    let listener = match TcpListener::bind(wanted).await {
        Ok(listener) => listener,
        Err(error) => {
            let _ = tokio::time::timeout(CLOSING, app.shutdown()).await;
            return Err(Failure::in_use(format!(
                "Cannot listen on {wanted}: {}. Stop the program that has this port, or choose another with --listen 127.0.0.1:PORT.",
                why_not(&error)
            )));
        }
    };
    let address = listener
        .local_addr()
        .map_err(|error| Failure::failed(format!("The address cannot be read: {error}.")))?;
    let stop = signals().map_err(|error| Failure::failed(format!("Signals cannot be received: {error}.")))?;
    app.set_address(Some(address), None);

    let token_file = std::path::absolute(app.token_file()).unwrap_or_else(|_| app.token_file().to_owned());
    // JSON is text, and a path need not be: what is no text in it is shown as such, here as for people.
    let token_file = token_file.display();
    let ready = json!({ "address": address.to_string(), "tokenFile": token_file.to_string() });
    let with_pages = dist.is_some();
    output.print(&ready, || {
        let pages = if with_pages {
            format!("\nInbox for the browser: http://{address}/ (sign in with the token)")
        } else {
            String::new()
        };
        format!("Countersign listens on http://{address}\nToken: {token_file}{pages}")
    });
    log.flow();

    let options = countersign_server::Options {
        dist,
        ..Default::default()
    };
    let mut asked = stop.clone();
    let serving = countersign_server::serve(app.clone(), listener, options, async move {
        // A sender that is gone counts as a signal: nobody could stop the server any more.
        let _ = asked.wait_for(|stopping| *stopping).await;
    });
    let served = within_grace(serving, stop, output).await;
    if tokio::time::timeout(CLOSING, app.shutdown()).await.is_err() {
        output.remark("countersign: the storage took too long to close; what was acknowledged is safe.");
    }
    served.map(|()| Exit::Done)
}

/// Waits for the server to end: by itself, or within the grace time after the first signal.
async fn within_grace<E: std::error::Error>(
    serving: impl Future<Output = Result<(), E>>,
    mut stop: watch::Receiver<bool>,
    output: &Output,
) -> Result<(), Failure> {
    let too_late = async {
        let _ = stop.wait_for(|stopping| *stopping).await;
        output.remark("countersign: closing; a second signal ends at once.");
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = serving => served.map_err(|error| Failure::failed(format!("The server broke down: {}.", with_causes(&error)))),
        () = too_late => {
            output.remark("countersign: some calls were still waiting and are cut off.");
            Ok(())
        }
    }
}

/// Turns to true at the first signal; the second one ends the process at once.
fn signals() -> std::io::Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    let mut next = Signals::new()?;
    tokio::spawn(async move {
        next.recv().await;
        // Nobody listening any more means that the server has ended already.
        let _ = sender.send(true);
        next.recv().await;
        std::process::exit(i32::from(Exit::Failed.status()));
    });
    Ok(receiver)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn recv(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn why_not(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "another program has the port".to_owned(),
        std::io::ErrorKind::PermissionDenied => "this account may not use the port".to_owned(),
        _ => error.to_string(),
    }
}

/// Who said what is logged.
fn filter_origin(arguments: &Serve) -> &'static str {
    if arguments.log.is_some() {
        "--log"
    } else if std::env::var_os("COUNTERSIGN_LOG").is_some_and(|filter| !filter.is_empty()) {
        "COUNTERSIGN_LOG"
    } else {
        "countersign.toml: log"
    }
}

/// The log, on standard error. For programs it is kept back until the start has succeeded, so that a start that
/// fails is one document there and nothing else.
#[derive(Clone)]
struct Log(Arc<Mutex<Option<Vec<u8>>>>);

impl Log {
    fn start(filter: &str, origin: &str, keep_back: bool) -> Result<Self, Failure> {
        let filter = filter
            .parse::<tracing_subscriber::EnvFilter>()
            .map_err(|error| Failure::usage(format!("{origin}: {filter:?} is not a log filter: {error}.")))?;
        let log = Self(Arc::new(Mutex::new(keep_back.then(Vec::new))));
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .init();
        Ok(log)
    }

    /// Writes what was kept back, and from now on each line as it comes.
    fn flow(&self) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lines) = kept.take() {
            // If nobody reads standard error there is nobody left to tell.
            let _ = std::io::stderr().write_all(&lines);
        }
    }
}

impl std::io::Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(kept) => kept.write(line),
            None => std::io::stderr().write(line),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The folder with the pages for the browser: the one that was named, else the one beside the program.
///
/// The current folder counts only if it is a checkout and this is a development build: a server that runs in a
/// stranger's folder must not serve pages from it.
fn pages(named: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    let has_index = |dir: &PathBuf| dir.join("index.html").is_file();
    let named = named.map(Path::to_owned).or_else(|| {
        std::env::var_os("COUNTERSIGN_UI")
            .filter(|dir| !dir.is_empty())
            .map(PathBuf::from)
    });
    if let Some(dir) = named {
        return if has_index(&dir) {
            Ok(Some(dir))
        } else {
            Err(Failure::usage(format!(
                "{} has no index.html; build the pages with `npm run build` in ui/.",
                dir.display()
            )))
        };
    }
    let beside = std::env::current_exe()
        .ok()
        .and_then(|program| program.parent().map(Path::to_owned));
    // A build for development finds the pages of the checkout it was built from, wherever it is started.
    #[cfg(debug_assertions)]
    let checkout = Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.."));
    #[cfg(not(debug_assertions))]
    let checkout = None;
    Ok([beside, checkout]
        .into_iter()
        .flatten()
        .map(|dir| dir.join("ui/dist"))
        .find(has_index))
}
