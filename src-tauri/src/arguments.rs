//! The flags of the desktop application.

use std::path::PathBuf;

use countersign_app::Flags;

/// What the command line said.
#[derive(Debug, Clone, Default, clap::Parser)]
#[command(
    name = "countersign-desktop",
    version,
    about = "Countersign: approve what automations ask"
)]
pub struct Arguments {
    /// The data folder.
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// The address for webhooks, on this machine only; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// What is logged to standard error, for instance info or countersign=debug.
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// Whether outgoing calls may go to this machine: configured, allow or deny.
    #[arg(long, value_name = "WORD")]
    pub outbound_loopback: Option<String>,
    /// Whether the key of the secrets may lie in the keychain of the system: auto or off.
    #[arg(long, value_name = "WORD")]
    pub keychain: Option<String>,
    /// Start with the tray icon only, if this desktop shows tray icons.
    #[arg(long)]
    pub hidden: bool,
    /// Import this flow if there is none yet.
    #[arg(long, value_name = "FILE")]
    pub import_example: Option<PathBuf>,
}

impl Arguments {
    /// Who said what is logged.
    pub(crate) fn log_origin(&self) -> &'static str {
        if self.log.is_some() {
            "--log"
        } else if std::env::var_os("COUNTERSIGN_LOG").is_some_and(|filter| !filter.is_empty()) {
            "COUNTERSIGN_LOG"
        } else {
            "countersign.toml: log"
        }
    }

    /// The part that concerns the application as a whole.
    pub(crate) fn flags(&self) -> Flags {
        Flags {
            data_dir: self.data_dir.clone(),
            listen: self.listen.clone(),
            log: self.log.clone(),
            outbound_loopback: self.outbound_loopback.clone(),
            keychain: self.keychain.clone(),
        }
    }
}
