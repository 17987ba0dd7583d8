//! The application as a whole: what it is made of, how it starts and how it ends.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use countersign_delivery::{AddressGuard, Client, Dispatcher, DispatcherHandle};
use countersign_domain::{Clock, ErrorCode, Execution, Ids, ResponseMode, SystemClock};
use countersign_keychain::Keychain;
use countersign_model::ModelClient;
use countersign_notify::{BrokerHandle, Notifier};
use countersign_script::{Engine, Limits};
use countersign_store::{Acknowledged, OpenError, Store, StoreError};
use tokio::sync::watch;

use crate::config::{Config, KeychainUse};
use crate::connections::Connection;
use crate::events::Events;
use crate::flows::Flows;
use crate::host::ScriptRequests;
use crate::outbox::CallbackOutbox;
use crate::redact::LastRedact;
use crate::register::Register;
use crate::repeats::CallsUnderWay;
use crate::running::{ADDRESS_FILE, ADDRESS_PROBLEM_FILE};
use crate::settings::Settings;
use crate::token::{ApiToken, write_private};
use crate::variables::Variable;
use crate::vault::Vault;
use crate::view::{EventView, StatusView};
use crate::{Error, OpenRequest, notifications};

/// How long a shutdown waits for runs that are under way.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// What an [`App`] is started with.
pub struct Options {
    /// The start-up configuration.
    pub config: Config,
    /// How notifications are shown.
    pub notifier: Box<dyn Notifier>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives new ids and randomness.
    pub ids: Arc<dyn Ids>,
    /// Where the operating system keeps secrets. It is asked only if the configuration says so.
    pub keychain: Arc<dyn Keychain>,
}

/// The keychain of the account that runs this program.
pub fn keychain_of_this_system() -> Arc<dyn Keychain> {
    countersign_keychain::of_this_system()
}

/// The program cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another copy works on the same data folder.
    #[error("{0}")]
    InUse(String),
    /// The data folder cannot be used.
    #[error("the data folder {folder} cannot be used: {problem}")]
    DataFolder {
        /// The folder.
        folder: String,
        /// What is wrong, for people.
        problem: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The application. A cheap handle; all clones are the same application.
#[derive(Clone)]
pub struct App {
    pub(crate) inner: Arc<Inner>,
}

/// What all handles share.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub(crate) settings: RwLock<Settings>,
    pub(crate) variables: Register<Variable>,
    pub(crate) connections: Register<Connection>,
    pub(crate) redact: LastRedact,
    pub(crate) flows: Flows,
    pub(crate) calls: CallsUnderWay,
    pub(crate) events: Events,
    pub(crate) notifications: BrokerHandle,
    pub(crate) open_requests: tokio::sync::broadcast::Sender<OpenRequest>,
    pub(crate) client: Client,
    pub(crate) scripts: Engine,
    pub(crate) models: ModelClient,
    dispatcher: OnceLock<DispatcherHandle>,
    token: ApiToken,
    address: RwLock<Address>,
    /// Whether this desktop shows tray icons, if the host has one and knows.
    tray_host: RwLock<Option<bool>>,
    /// Held while flows or settings are read, changed, stored and taken into memory, so that two changes at once
    /// neither undo each other nor leave memory and disk apart.
    pub(crate) changing: tokio::sync::Mutex<()>,
    closing: AtomicBool,
    /// How many runs are under way.
    running: watch::Sender<usize>,
}

#[derive(Debug, Clone, Default)]
struct Address {
    bound: Option<SocketAddr>,
    problem: Option<String>,
}

impl App {
    /// Opens the data folder and takes up what an earlier run of the program left: pending approvals are
    /// shown again, due callbacks go out, asynchronous runs go on, and synchronous runs whose caller is gone
    /// end as ERROR.
    ///
    /// # Errors
    /// [`StartError`], in words for people.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let Options {
            config,
            notifier,
            clock,
            ids,
            keychain,
        } = options;
        let dir = config.data_dir.clone();
        let unusable = |problem: &str, source: Box<dyn std::error::Error + Send + Sync>| {
            let folder = dir.display().to_string();
            StartError::DataFolder {
                folder,
                problem: problem.to_owned(),
                source,
            }
        };
        let store = open_store(&dir, clock.clone()).await?;
        // The clock may have been set back, or may have been far ahead once; the order of ids goes on from there.
        let newest = store.newest_id();
        if let Some(newest) = newest.map_err(|error| unusable("it is damaged", error.into()))? {
            ids.continue_after(newest);
        }
        let keychain = (config.keychain == KeychainUse::Auto).then_some(keychain);
        let vault = open_vault(&dir, ids.clone(), keychain)
            .await
            .map_err(|error| unusable("its key for secrets cannot be read", error))?;
        let token = ApiToken::open(&dir, ids.as_ref())
            .map_err(|error| unusable("its token file cannot be read or written", error.into()))?;
        let settings =
            Settings::load(&store).map_err(|error| unusable("its settings cannot be read", error.into()))?;
        let variables =
            Register::load(&store).map_err(|error| unusable("its variables cannot be read", error.into()))?;
        let connections = Register::load(&store)
            .map_err(|error| unusable("its connections cannot be read", error.into()))?;
        let flows =
            Flows::load(&store).map_err(|error| unusable("its flows cannot be read", error.into()))?;

        let (notifications, answers) = notifications::start(notifier, &settings);
        let client = Client::new(AddressGuard::new(config.outbound_loopback), clock.clone());
        let inner = Arc::new(Inner {
            models: ModelClient::new(client.clone()),
            scripts: Engine::new(Limits::default(), Arc::new(ScriptRequests(client.clone()))),
            client,
            config,
            clock,
            ids,
            store,
            vault,
            settings: RwLock::new(settings),
            variables,
            connections,
            flows,
            redact: LastRedact::default(),
            calls: CallsUnderWay::default(),
            events: Events::default(),
            notifications,
            open_requests: tokio::sync::broadcast::Sender::new(16),
            dispatcher: OnceLock::new(),
            token,
            address: RwLock::default(),
            tray_host: RwLock::default(),
            changing: tokio::sync::Mutex::new(()),
            closing: AtomicBool::new(false),
            running: watch::Sender::new(0),
        });
        let app = Self { inner };
        // A kill leaves the address of the last run behind; nobody must take it for this one's.
        app.set_address(None, None);
        // An answer may queue a callback at once, which must find the dispatcher.
        app.start_dispatcher();
        notifications::listen(&app, answers);
        app.take_up_where_it_was_left()
            .await
            .map_err(|error| unusable("it is damaged", error.into()))?;
        app.watch_the_clock();
        Ok(app)
    }

    fn start_dispatcher(&self) {
        let outbox = Arc::new(CallbackOutbox::new(Arc::downgrade(&self.inner)));
        let weak = Arc::downgrade(&self.inner);
        let fallback = self.inner.config.retry_plan.clone();
        let plan = move || {
            weak.upgrade()
                .map_or_else(|| fallback.clone(), |inner| inner.retry_plan())
        };
        let handle = Dispatcher::start(self.inner.client.clone(), plan, outbox, self.inner.clock.clone());
        let _ = self.inner.dispatcher.set(handle);
    }

    async fn take_up_where_it_was_left(&self) -> Result<(), Error> {
        let pending = self.inner.all_pending().map_err(storage)?;
        notifications::show_pending(self, &pending);
        self.settle_outdated(&pending).await?;
        for id in self.inner.store.unfinished_executions().map_err(storage)? {
            match self.inner.run_of(id)? {
                Ok(whole) => self.take_up(whole.execution).await?,
                // One run that is lost keeps nothing else from going on.
                Err(lost) => {
                    tracing::error!(execution = %id, why = lost.why, cause = ?lost.cause, "a run cannot go on after the restart");
                    if let Some(execution) = lost.execution {
                        self.end_lost(execution).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn take_up(&self, execution: Execution) -> Result<(), Error> {
        match execution.mode {
            ResponseMode::Async => {
                let app = self.clone();
                tokio::spawn(async move { app.go_on(execution).await });
                Ok(())
            }
            // Nobody is there any more to take the answer, and running steps unasked would surprise.
            ResponseMode::Sync => self.interrupted(execution).await,
        }
    }

    /// The address to listen on: flag or environment, else the settings panel, else the file or default.
    pub fn listen_address(&self) -> SocketAddr {
        let config = &self.inner.config;
        config
            .forced_listen
            .or_else(|| self.inner.settings().listen)
            .unwrap_or(config.listen)
    }

    /// Says where the program listens now, or why it does not.
    pub fn set_address(&self, bound: Option<SocketAddr>, problem: Option<String>) {
        let file = self.inner.config.data_dir.join(ADDRESS_FILE);
        let written = match bound {
            Some(address) => write_private(&file, &address.to_string()),
            None => std::fs::remove_file(&file).or(Ok(())),
        };
        if let Err(error) = written {
            tracing::warn!(%error, "the address could not be written down; the command line will not find it");
        }
        let file = self.inner.config.data_dir.join(ADDRESS_PROBLEM_FILE);
        let written = match &problem {
            Some(problem) => write_private(&file, problem),
            None => std::fs::remove_file(&file).or(Ok(())),
        };
        if let Err(error) = written {
            tracing::warn!(%error, "why there is no address could not be written down for the command line");
        }
        *self.inner.address.write().unwrap_or_else(PoisonError::into_inner) = Address { bound, problem };
        self.inner.events.tell(EventView::Status);
    }

    /// Says whether this desktop shows tray icons; a host without a tray says nothing.
    pub fn set_tray_host(&self, shown: Option<bool>) {
        *self
            .inner
            .tray_host
            .write()
            .unwrap_or_else(PoisonError::into_inner) = shown;
        self.inner.events.tell(EventView::Status);
    }

    /// The bearer token of the management API.
    pub fn api_token(&self) -> &str {
        self.inner.token.text()
    }

    /// Where that token lies.
    pub fn token_file(&self) -> &Path {
        self.inner.token.path()
    }

    /// How the program is doing.
    pub fn status(&self) -> StatusView {
        let address = self.inner.address();
        StatusView {
            address: address.bound.map(|address| address.to_string()),
            address_problem: address.problem,
            pending: u32::try_from(self.inner.store.pending_count()).unwrap_or(u32::MAX),
            failing_callbacks: self.failing_callbacks(),
            notifications: self.inner.notification_view(),
            storage_problem: self.inner.store.failed(),
            storage_repairs: self.inner.store.repairs().to_vec(),
            storage_damage: self.inner.store.damage(),
            tray_host: *self
                .inner
                .tray_host
                .read()
                .unwrap_or_else(PoisonError::into_inner),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            has_flows: !self.inner.flows.is_empty(),
        }
    }

    /// Ends everything in order: no new work, runs under way get a few seconds, callbacks stay in the
    /// outbox, notifications are taken back, the store is flushed and its lock released. Calling it twice
    /// does no harm.
    pub async fn shutdown(&self) {
        if self.inner.closing.swap(true, Ordering::SeqCst) {
            return;
        }
        let mut running = self.inner.running.subscribe();
        let quiet = running.wait_for(|count| *count == 0);
        if tokio::time::timeout(SHUTDOWN_GRACE, quiet).await.is_err() {
            tracing::warn!("some runs were still under way; they go on or are reported after the next start");
        }
        if let Some(dispatcher) = self.inner.dispatcher.get() {
            dispatcher.shutdown().await;
        }
        self.inner.notifications.shutdown().await;
        self.set_address(None, None);
        self.inner.store.close().await;
    }

    /// Sends what is due.
    pub(crate) fn wake_dispatcher(&self) {
        if let Some(dispatcher) = self.inner.dispatcher.get() {
            dispatcher.wake();
        }
    }

    pub(crate) fn dispatcher(&self) -> Option<&DispatcherHandle> {
        self.inner.dispatcher.get()
    }

    /// Refuses new work while the program closes or the storage has failed.
    pub(crate) fn ready(&self) -> Result<(), Error> {
        if self.is_closing() {
            return Err(Error::new(
                ErrorCode::ShuttingDown,
                "Countersign is closing and takes no new work. Nothing was changed; try again later.",
            ));
        }
        match self.inner.store.failed() {
            None => Ok(()),
            Some(problem) => Err(Error::new(
                ErrorCode::StorageUnavailable,
                format!(
                    "The storage failed ({problem}), so no work is taken. What was acknowledged is kept. Free some space or mend the disk, then start Countersign again."
                ),
            )),
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.inner.closing.load(Ordering::Relaxed)
    }

    /// Counts a run as under way until the guard is dropped.
    pub(crate) fn run_guard(&self) -> RunGuard {
        self.inner.running.send_modify(|count| *count += 1);
        RunGuard(self.inner.clone())
    }
}

/// Counts a run as under way.
pub(crate) struct RunGuard(Arc<Inner>);

impl Drop for RunGuard {
    fn drop(&mut self) {
        self.0.running.send_modify(|count| *count -= 1);
    }
}

impl Inner {
    pub(crate) fn settings(&self) -> Settings {
        self.settings
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn address(&self) -> Address {
        self.address
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn bound_address(&self) -> Option<SocketAddr> {
        self.address().bound
    }
}

/// A fault of the storage, for people.
pub(crate) fn storage(error: StoreError) -> Error {
    let message = "The storage failed. What was acknowledged is kept; nothing of this request was. Try again, and if it stays so, start Countersign again.";
    Error::new(ErrorCode::StorageUnavailable, message).caused_by(error)
}

/// Opening waits for a lock and reads files, so it happens off the async threads.
async fn open_store(dir: &Path, clock: Arc<dyn Clock>) -> Result<Store, StartError> {
    let options = countersign_store::Options::new(dir);
    let opened = tokio::task::spawn_blocking(move || Store::open(options, clock)).await;
    match opened {
        Ok(opened) => opened.map_err(|error| cannot_open(dir, error)),
        Err(error) => Err(StartError::DataFolder {
            folder: dir.display().to_string(),
            problem: "opening it failed unexpectedly".to_owned(),
            source: error.into(),
        }),
    }
}

fn cannot_open(dir: &Path, error: OpenError) -> StartError {
    match error {
        OpenError::InUse { .. } => StartError::InUse(error.to_string()),
        error => StartError::DataFolder {
            folder: dir.display().to_string(),
            problem: "its storage cannot be opened".to_owned(),
            source: error.into(),
        },
    }
}

/// Sets a damaged journal of a data folder aside, on which nobody may work at that time. Blocks.
///
/// # Errors
/// [`StartError`], in words for people. Then nothing was set aside.
pub fn acknowledge_damage(dir: &Path) -> Result<Acknowledged, StartError> {
    let options = countersign_store::Options::new(dir);
    countersign_store::acknowledge_damage(&options, Arc::new(SystemClock))
        .map_err(|error| cannot_open(dir, error))
}

/// Opening may wait for a keychain, so it happens off the async threads too.
async fn open_vault(
    dir: &Path,
    ids: Arc<dyn Ids>,
    keychain: Option<Arc<dyn Keychain>>,
) -> Result<Vault, Box<dyn std::error::Error + Send + Sync>> {
    let dir = dir.to_owned();
    let vault = tokio::task::spawn_blocking(move || Vault::open(&dir, ids, keychain)).await??;
    Ok(vault)
}
