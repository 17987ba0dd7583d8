//! The command `countersign`: the headless host (`serve`) and a remote control for a running Countersign.

mod approvals;
mod args;
mod callbacks;
mod cancel;
mod client;
mod continue_execution;
mod doctor;
mod dry_run;
mod exit;
mod flows;
mod input;
mod locate;
mod output;
mod serve;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use countersign_domain::display_line;

use crate::args::{Arguments, Command};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// What a stop costs beside its commit is mostly memory taken and given back, by several threads at once: a third less
/// processor time than with the allocator of glibc, for 4 MiB (`script/bench`). mimalloc is as fast and takes 25 MiB.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return not_understood(&error),
    };
    let output = Output::new(arguments.target.json);
    let done = match &arguments.command {
        Command::Serve(serve) => serve::run(&arguments.target, serve, &output),
        remote => run_remote(&arguments, remote, &output),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output.failure(&failure);
            failure.exit().into()
        }
    }
}

/// A wrong command line ends with status 2, a request for help with status 0. For programs it is one document, like
/// any other failure.
fn not_understood(error: &clap::Error) -> ExitCode {
    let for_programs = std::env::args_os()
        .skip(1)
        .take_while(|word| word != "--")
        .any(|word| word == "--json");
    if !error.use_stderr() {
        let printed = error.print().and_then(|()| std::io::stdout().flush());
        Output::new(for_programs).printed(printed);
        return Exit::Done.into();
    }
    if !for_programs {
        error.exit();
    }
    let failure = Failure::usage(match error.kind() {
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "A command is missing; `countersign --help` lists them.".to_owned()
        }
        _ => {
            let text = error.render().to_string();
            let what = text.split("\n\nUsage:").next().unwrap_or_default();
            let what = what.split("\n\nFor more information").next().unwrap_or_default();
            let what = display_line(what.trim_start_matches("error: "), 500);
            format!("{what}. `countersign --help` says more.")
        }
    });
    Output::new(true).failure(&failure);
    failure.exit().into()
}

/// Runs a command that talks to a running Countersign.
fn run_remote(arguments: &Arguments, command: &Command, output: &Output) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("The command could not start: {error}.")))?;
    runtime.block_on(async {
        if let Command::Doctor(doctor) = command {
            return match doctor.acknowledge_damage {
                true => doctor::acknowledge_damage(&arguments.target, output),
                false => doctor::run(&arguments.target, output).await,
            };
        }
        let client = Client::new(locate::server(&arguments.target)?);
        match command {
            Command::Import(import) => flows::import(&client, import, output).await,
            Command::Flows => flows::list(&client, output).await,
            Command::MoveSecrets(named) => flows::move_secrets(&client, named, output).await,
            Command::Run(run) => dry_run::run(&client, run, output).await,
            Command::List(list) => approvals::list(&client, list, output).await,
            Command::Show(show) => approvals::show(&client, show, output).await,
            Command::Approve(decide) => approvals::approve(&client, decide, output).await,
            Command::Reject(decide) => approvals::reject(&client, decide, output).await,
            Command::Cancel(approval) => cancel::run(&client, approval, output).await,
            Command::Continue(execution) => continue_execution::run(&client, execution, output).await,
            Command::Callbacks(arguments) => callbacks::run(&client, arguments, output).await,
            Command::Doctor(_) | Command::Serve(_) => Ok(Exit::Done),
        }
    })
}
