//! How a command ends.

use std::process::ExitCode;

use countersign_domain::ErrorCode;
use serde::Serialize;

/// The exit status. The numbers are promised in `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: done.
    Done,
    /// 1: the server refused, or something broke.
    Failed,
    /// 2: the command line is wrong. Also used by the argument parser itself.
    Usage,
    /// 3: nothing is running to talk to, or it does not listen; or the data folder or the port is in use.
    NotRunning,
    /// 4: the approval had an answer already.
    AlreadyDecided,
    /// 5: there is nothing under this id.
    NotFound,
}

impl Exit {
    /// The number.
    pub(crate) const fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotRunning => 3,
            Self::AlreadyDecided => 4,
            Self::NotFound => 5,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
    }
}

/// Why a command did not do what was asked. What `--json` prints on standard error.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    #[serde(skip)]
    exit: Exit,
    /// For programs: the server's code, or one of `usage`, `failed`, `not-running`, `not-listening`, `in-use`.
    code: String,
    /// For people.
    message: String,
}

impl Failure {
    /// Something broke.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Failed,
            code: "failed".to_owned(),
            message: message.into(),
        }
    }

    /// The command line is wrong in a way that only shows later.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            code: "usage".to_owned(),
            message: message.into(),
        }
    }

    /// Nobody answers.
    pub(crate) fn not_running(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::NotRunning,
            code: "not-running".to_owned(),
            message: message.into(),
        }
    }

    /// It runs, but cannot be talked to.
    pub(crate) fn not_listening(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::NotRunning,
            code: "not-listening".to_owned(),
            message: message.into(),
        }
    }

    /// Whether it runs, but cannot be talked to.
    pub(crate) fn is_not_listening(&self) -> bool {
        self.code == "not-listening"
    }

    /// Somebody else has it.
    pub(crate) fn in_use(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::NotRunning,
            code: "in-use".to_owned(),
            message: message.into(),
        }
    }

    /// There is nothing under this id.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::NotFound,
            code: "not-found".to_owned(),
            message: message.into(),
        }
    }

    /// The server said no, with this HTTP status and perhaps this code.
    pub(crate) fn refused(status: u16, code: Option<ErrorCode>, message: impl Into<String>) -> Self {
        let exit = match (code, status) {
            (Some(ErrorCode::AlreadyDecided), _) => Exit::AlreadyDecided,
            (Some(ErrorCode::NotFound), _) | (None, 404) => Exit::NotFound,
            _ => Exit::Failed,
        };
        let code = code
            .and_then(|code| serde_json::to_value(code).ok())
            .and_then(|code| code.as_str().map(str::to_owned))
            .unwrap_or_else(|| format!("http-{status}"));
        Self {
            exit,
            code,
            message: message.into(),
        }
    }

    /// The exit status.
    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }

    /// The text for people.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}
