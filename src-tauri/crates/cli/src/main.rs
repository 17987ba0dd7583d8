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

use std::process::ExitCode;

use clap::Parser;

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
    // A wrong command line ends inside `parse` with status 2, a request for help with status 0.
    let arguments = Arguments::parse();
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

/// Runs a command that talks to a running Countersign.
fn run_remote(arguments: &Arguments, command: &Command, output: &Output) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("The command could not start: {error}.")))?;
    runtime.block_on(async {
        if matches!(command, Command::Doctor) {
            return doctor::run(&arguments.target, output).await;
        }
        let client = Client::new(locate::server(&arguments.target)?);
        match command {
            Command::Import(import) => flows::import(&client, import, output).await,
            Command::Flows => flows::list(&client, output).await,
            Command::Run(run) => dry_run::run(&client, run, output).await,
            Command::List(list) => approvals::list(&client, list, output).await,
            Command::Show(show) => approvals::show(&client, show, output).await,
            Command::Approve(decide) => approvals::approve(&client, decide, output).await,
            Command::Reject(decide) => approvals::reject(&client, decide, output).await,
            Command::Cancel(approval) => cancel::run(&client, approval, output).await,
            Command::Continue(execution) => continue_execution::run(&client, execution, output).await,
            Command::Callbacks(arguments) => callbacks::run(&client, arguments, output).await,
            Command::Doctor | Command::Serve(_) => Ok(Exit::Done),
        }
    })
}
