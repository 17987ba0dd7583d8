//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The end of `--help`: what the exit status says.
const EXIT_STATUS: &str = "\
Exit status:
  0  done
  1  failed: the server refused or something broke; for doctor: something is a problem;
     for continue: the run was neither interrupted nor failed at a step, or goes on already
  2  the command line is wrong, or a part of an id fits more than one
  3  nothing is running to talk to, or it does not listen; for serve: the data folder or the port is in use
  4  the approval had an answer already; nothing was changed
  5  there is nothing under this id
With --json a failure is one document on standard error: {\"code\": …, \"message\": …};
once serve has started, its log is there too

Environment:
  COUNTERSIGN_DATA_DIR, COUNTERSIGN_LISTEN, COUNTERSIGN_LOG, COUNTERSIGN_OUTBOUND_LOOPBACK, COUNTERSIGN_KEYCHAIN
  stand for the options of the same names; COUNTERSIGN_UI for --ui";

/// Asks people before automations go on.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, about = "Approvals for automations, on your own machine", after_help = EXIT_STATUS)]
pub(crate) struct Arguments {
    /// To whom the command speaks, and how it prints.
    #[command(flatten)]
    pub(crate) target: Target,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The data folder [default: the one of this account]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Talk to this address instead of the one in the data folder
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The file with the API token [default: api-token in the data folder]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Print JSON, one document
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run without a window: webhook server, management API and the inbox for a browser
    #[command(after_help = EXIT_STATUS)]
    Serve(Serve),
    /// Import an AgentFlow v2 export
    #[command(after_help = EXIT_STATUS)]
    Import(Import),
    /// List the flows, where to post to them, and what about them will not work
    #[command(after_help = EXIT_STATUS)]
    Flows,
    /// Make the secrets that stand in a flow's document in clear text secret variables, which the flow reads from then on
    #[command(after_help = EXIT_STATUS)]
    MoveSecrets(MoveSecrets),
    /// Try a flow out: what it would do with this body, without sending, asking or keeping anything
    #[command(after_help = EXIT_STATUS)]
    Run(Run),
    /// List what waits for an answer, newest first
    #[command(after_help = EXIT_STATUS)]
    List(List),
    /// Show one approval with everything that is known about it
    #[command(after_help = EXIT_STATUS)]
    Show(Show),
    /// Say yes to an approval
    #[command(after_help = EXIT_STATUS)]
    Approve(Approve),
    /// Say no to an approval
    #[command(after_help = EXIT_STATUS)]
    Reject(Decide),
    /// Take a question back: nobody can answer it any more, and its run ends
    #[command(after_help = EXIT_STATUS)]
    Cancel(Cancel),
    /// Let a run go on that a restart interrupted or that failed at a step: from that step, what was answered stands
    #[command(after_help = EXIT_STATUS)]
    Continue(Continue),
    /// List callbacks with their last attempt, newest first; or show one with its attempts and its body
    #[command(after_help = EXIT_STATUS)]
    Callbacks(Callbacks),
    /// Check address, storage, notifications and secrets
    #[command(after_help = EXIT_STATUS)]
    Doctor(Doctor),
}

/// Options of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Set a damaged journal aside and let a new one go on from there, so that the damage is not told at each start;
    /// nothing is deleted, and Countersign must not run
    #[arg(long)]
    pub(crate) acknowledge_damage: bool,
}

/// Options of `serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The address to listen on, on this machine only; port 0 takes a free one [default: 127.0.0.1:8420]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// What is logged to standard error, such as info or countersign=debug
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// Whether callbacks may go to this machine: to addresses that the operator configured, to all, to none
    #[arg(long, value_name = "WHEN", value_parser = ["configured", "allow", "deny"])]
    pub(crate) outbound_loopback: Option<String>,
    /// Whether the key of the secrets may lie in the keychain of the system: if that works, or never [default: auto]
    #[arg(long, value_name = "WHEN", value_parser = ["auto", "off"])]
    pub(crate) keychain: Option<String>,
    /// Whether desktop notifications are shown if there is a desktop
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) notifications: Notifications,
    /// The folder with the pages for the browser [default: ui/dist beside the program]
    #[arg(long, value_name = "DIR")]
    pub(crate) ui: Option<PathBuf>,
}

/// Whether notifications are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Notifications {
    /// If there is a notification server.
    Auto,
    /// Never.
    Off,
}

/// Options of `import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The exported file; - reads standard input
    pub(crate) file: PathBuf,
    /// The flow's name [default: the one in the file, else the file's name]
    #[arg(long)]
    pub(crate) name: Option<String>,
}

/// Options of `list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Which ones
    #[arg(long, default_value = "pending", value_parser = ["pending", "decided", "approved", "rejected", "expired", "withdrawn", "all"])]
    pub(crate) state: String,
    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

/// Options of `show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The approval: its id, or the beginning or end of it
    pub(crate) id: String,
}

/// Options of `approve` and `reject`.
#[derive(Debug, Args)]
pub(crate) struct Decide {
    /// The approval: its id, or the beginning or end of it
    pub(crate) id: String,
    /// A note that goes with the answer
    #[arg(long, value_name = "TEXT")]
    pub(crate) feedback: Option<String>,
    /// Answer only if this is still what is asked (contentHash in the output of show --json)
    #[arg(long, value_name = "HASH")]
    pub(crate) content_hash: Option<String>,
}

/// Options of `approve`.
#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// What every answer has.
    #[command(flatten)]
    pub(crate) answer: Decide,
    /// Call the tool with these arguments instead of the ones that show prints: a JSON object, or @FILE, or @- for the
    /// standard input
    #[arg(long, value_name = "JSON")]
    pub(crate) arguments: Option<String>,
}

/// Options of `cancel`.
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// The approval: its id, or the beginning or end of it
    pub(crate) id: String,
}

/// Options of `move-secrets`.
#[derive(Debug, Args)]
pub(crate) struct MoveSecrets {
    /// The flow: its id or its name
    pub(crate) flow: String,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The flow: its id or its name
    pub(crate) flow: String,
    /// Touch nothing. Flows are run in earnest by their webhook, the prediction API, or their page
    #[arg(long, required = true)]
    pub(crate) dry: bool,
    /// What the call brings: JSON, or @FILE, or @- for the standard input; for a flow that starts with a message its text
    #[arg(long, value_name = "JSON")]
    pub(crate) body: Option<String>,
    /// Answer each question with no; else it is yes
    #[arg(long)]
    pub(crate) reject: bool,
}

/// Options of `continue`.
#[derive(Debug, Args)]
pub(crate) struct Continue {
    /// The execution: its id, or the beginning or end of it (`show` names it, and so does its callback)
    pub(crate) id: String,
}

/// Options of `callbacks`.
#[derive(Debug, Args)]
pub(crate) struct Callbacks {
    /// Show this one: its id, or the beginning or end of it
    #[arg(conflicts_with_all = ["state", "limit"])]
    pub(crate) id: Option<String>,
    /// Which ones
    #[arg(long, default_value = "all", value_parser = ["waiting", "delivered", "abandoned", "all"])]
    pub(crate) state: String,
    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Arguments::command().debug_assert();
    }
}
