//! Countersign on the desktop: the inbox window, the tray and notifications over [`countersign_app`].
//!
//! This is the only code that knows Tauri. Its commands are adapters; its rules about starting and ending
//! are pure functions in [`lifecycle`]. It listens for webhooks itself, so nothing else has to run.

#[macro_use]
#[path = "commands/list.rs"]
mod list;

mod arguments;
mod commands;
mod dropped;
mod events;
mod instance;
mod lifecycle;
mod listen;
mod person;
mod tray;
mod tray_host;
mod webkit;
mod window;

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use countersign_app::{App, Config, Options, RandomIds, StartError, SystemClock};
use tauri::Manager as _;

pub use arguments::Arguments;

use crate::lifecycle::{Lifecycle, Start};
use crate::window::{Inbox, Place};

/// What a start says that another copy was there before.
const SHOWS: &str = "countersign: Countersign already runs on this data folder and shows its inbox now.";

/// Runs the desktop application until it is told to quit.
///
/// Exit codes: 0 after Quit or a signal, and when the copy that runs already was told to show its inbox; 1 when something kept it
/// from starting; 3 when another copy works on the same data folder.
pub fn run(arguments: Arguments) -> ExitCode {
    match start_and_run(&arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            say(&format!("countersign: {error:#}"));
            ExitCode::from(lifecycle::exit_code_of(error.downcast_ref::<StartError>()))
        }
    }
}

fn start_and_run(arguments: &Arguments) -> anyhow::Result<u8> {
    let environment = |name: &str| std::env::var(name).ok();
    let config = Config::load(&arguments.flags(), |name| std::env::var_os(name))?;
    log_to_stderr(&config.log, arguments.log_origin())?;
    lifecycle::require_display(environment)?;
    webkit::work_around_known_faults()?;

    // The runtime is ours and handed to Tauri before its builder runs, so that both hosts start alike.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the program cannot start its threads")?;
    tauri::async_runtime::set(runtime.handle().clone());

    let data_dir = config.data_dir.clone();
    let bus_name = instance::bus_name(&data_dir);
    if runtime.block_on(instance::is_running(&bus_name)) {
        say(SHOWS);
    } else if let Some(code) = hand_over(&runtime, &data_dir) {
        return Ok(code);
    }
    // Must come before the store is opened: a second copy hands over here and ends.
    let desktop = build(&bus_name, &data_dir)?;
    let example = arguments.import_example.clone();
    let app = match runtime.block_on(start(config)) {
        Ok(app) => app,
        // The other copy may have been starting, too, when it was asked before.
        Err(error @ StartError::InUse(_)) => match hand_over(&runtime, &data_dir) {
            Some(code) => return Ok(code),
            None => return Err(error.into()),
        },
        Err(error) => return Err(error.into()),
    };
    if let Some(file) = example {
        runtime.block_on(import_example(&app, &file))?;
    }
    let code = run_until_quit(desktop, &app, arguments.hidden);
    // Whatever ended the loop, nothing is left half done: this returns at once if it was done already.
    runtime.block_on(lifecycle::bounded(app.shutdown()));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    Ok(u8::try_from(code).unwrap_or(1))
}

/// Lets the copy that works on this folder, if there is one that can be asked, show its inbox. The exit code then.
fn hand_over(runtime: &tokio::runtime::Runtime, data_dir: &Path) -> Option<u8> {
    match runtime.block_on(instance::ask_to_show(data_dir)) {
        instance::Asked::Shows => {
            say(SHOWS);
            Some(0)
        }
        instance::Asked::HasNone(why) => {
            say(&format!(
                "countersign: the data folder {} is in use. {why}, or quit it and start the desktop app again.",
                data_dir.display()
            ));
            Some(lifecycle::IN_USE)
        }
        instance::Asked::NotReached => None,
    }
}

fn build(bus_name: &str, data_dir: &Path) -> anyhow::Result<tauri::App> {
    macro_rules! handlers {
        ($($module:ident :: $name:ident),* $(,)?) => {
            tauri::generate_handler![$(commands::$module::$name),*]
        };
    }
    let single_instance = tauri_plugin_single_instance::Builder::new()
        .dbus_id(bus_name)
        .callback(|handle, _arguments, _folder| window::show(handle, Place::Inbox))
        .build();
    tauri::Builder::default()
        .plugin(single_instance)
        .plugin(tauri_plugin_dialog::init())
        .manage(Inbox::new(data_dir, bus_name))
        .manage(Lifecycle::default())
        .invoke_handler(with_commands!(handlers))
        .build(tauri::generate_context!())
        .context("the window system cannot be used")
}

async fn start(config: Config) -> Result<App, StartError> {
    App::start(Options {
        config,
        notifier: countersign_app::notifier_for_this_desktop(),
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
        keychain: countersign_app::keychain_of_this_system(),
    })
    .await
}

/// Imports a flow if there is none yet, so that a first start has something to try.
async fn import_example(app: &App, file: &Path) -> anyhow::Result<()> {
    if app.status().has_flows {
        return Ok(());
    }
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("the example {} cannot be read", file.display()))?;
    let name = commands::flows::name_of(file);
    app.import_flow(&text, Some(&name))
        .await
        .with_context(|| format!("the example {} cannot be imported", file.display()))?;
    Ok(())
}

fn run_until_quit(desktop: tauri::App, app: &App, hidden: bool) -> i32 {
    let handle = desktop.handle().clone();
    handle.manage(app.clone());
    // Before the server: who calls it finds a window.
    events::forward(&handle, app);
    handle.state::<Lifecycle>().serve(app.clone());
    lifecycle::end_on_signals(&handle);

    let mut started = false;
    let app = app.clone();
    desktop.run_return(move |handle, event| match event {
        tauri::RunEvent::Ready if !started => {
            started = true;
            ready(handle, &app, hidden);
        }
        tauri::RunEvent::ExitRequested { code, api, .. } if lifecycle::keeps_running(code) => {
            api.prevent_exit();
        }
        tauri::RunEvent::WindowEvent { label, event, .. } if label == window::LABEL => match event {
            tauri::WindowEvent::CloseRequested { .. } => window::close_requested(handle),
            tauri::WindowEvent::Destroyed => window::destroyed(handle, &app),
            tauri::WindowEvent::DragDrop(event) => dropped::on_event(handle, &event),
            _ => {}
        },
        _ => {}
    })
}

/// The event loop runs: the tray appears, and the window unless the start is to be a quiet one.
fn ready(handle: &tauri::AppHandle, app: &App, hidden: bool) {
    match tray::build(handle, &app.status()) {
        Ok(tray) => {
            handle.manage(tray);
        }
        Err(error) => {
            tracing::warn!(%error, "there is no tray icon; start Countersign again to see the inbox")
        }
    }
    if !hidden {
        window::show(handle, Place::Inbox);
    }
    let (handle, app) = (handle.clone(), app.clone());
    tauri::async_runtime::spawn(async move {
        let host = window::look_for_tray_host(&app).await;
        if hidden && lifecycle::at_start(hidden, host) == Start::Visible {
            tracing::warn!(
                "this desktop shows no tray icons, so the window is shown although --hidden was given"
            );
            window::show(&handle, Place::Inbox);
        }
    });
}

fn log_to_stderr(filter: &str, origin: &str) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter).with_context(|| {
        format!("{origin}: {filter:?} is not a filter; write for example info or countersign=debug")
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    Ok(())
}

/// A word to the person at the terminal, which is no log line.
#[expect(clippy::print_stderr, reason = "the one place that speaks to a terminal")]
fn say(text: &str) {
    eprintln!("{text}");
}
