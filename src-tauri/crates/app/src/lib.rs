//! The use cases of Countersign, which every door calls.
//!
//! [`App`] is a cheap handle. The HTTP server, the window's commands and the command line are adapters
//! over it: they translate, make one call and translate back. Rules live here or below, never there.

mod app;
mod approvals;
mod callbacks;
mod cancel;
mod clear_text;
mod config;
mod connections;
mod decide;
mod dry_run;
mod error;
mod events;
mod execute;
mod executions;
mod explain;
mod flows;
mod host;
mod lost;
mod models;
mod notifications;
mod outbox;
mod policies;
mod prediction;
mod redact;
mod register;
mod repeats;
pub mod running;
mod runs;
mod schedules;
mod settings;
mod stores;
mod stream;
mod token;
mod variables;
mod vault;
pub mod view;
mod webhook;

pub use app::{App, Options, StartError, acknowledge_damage, keychain_of_this_system};
pub use config::{CONFIG_FILE, Config, ConfigError, DEFAULT_LISTEN, Flags, KeychainUse, RetryPlanError};
pub use countersign_domain::{ErrorCode, Outcome, RandomIds, Surface, SystemClock};
pub use countersign_flow::{OnError, RunPolicy, StepPolicy};
pub use countersign_store::{Acknowledged, FolderState, SetAside, look_at_folder};
pub use error::Error;
pub use executions::ExecutionQuery;
pub use notifications::{OpenRequest, headless_notifier, notifier_for_this_desktop, switched_off_notifier};
pub use prediction::PredictionRequest;
pub use stream::{RunStream, StreamEvent};
pub use webhook::{WebhookReply, WebhookRequest};
