//! What the notification server of a desktop is and can do.

/// What a server can do, asked anew before each batch: Do Not Disturb takes the buttons away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// It draws buttons.
    pub buttons: bool,
    /// It reads the body as markup, so `&`, `<` and `>` must be escaped.
    pub markup: bool,
    /// A note can be typed into a notification.
    pub reply: bool,
    /// It keeps notifications until they are dealt with.
    pub keeps: bool,
}

/// Whether a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerState {
    /// It answers.
    Up {
        /// Its name, `Xfce Notify Daemon`.
        name: String,
        /// Its version, as it tells it.
        version: String,
        /// What it can do now.
        capabilities: Capabilities,
        /// Counts servers: another number is another server (or the same one started again), on whose screen
        /// nothing of ours is.
        epoch: u64,
    },
    /// Nothing can be shown.
    Down {
        /// Why, in plain words for people.
        reason: String,
    },
}

impl ServerState {
    /// A state in which nothing can be shown, with the reason for people.
    pub fn down(reason: impl Into<String>) -> Self {
        Self::Down {
            reason: reason.into(),
        }
    }

    /// What it can do; nothing while it is down.
    pub fn capabilities(&self) -> Capabilities {
        match self {
            Self::Up { capabilities, .. } => *capabilities,
            Self::Down { .. } => Capabilities::default(),
        }
    }

    /// Whether it answers.
    pub const fn is_up(&self) -> bool {
        matches!(self, Self::Up { .. })
    }
}

/// How notifications stand, for the settings panel and for `doctor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerStatus {
    /// Whether a server answers.
    pub available: bool,
    /// Its name.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Whether it draws buttons at the moment.
    pub buttons: bool,
    /// Whether a note could be typed into a notification.
    pub reply: bool,
    /// What the person should know, in plain words: why there are no notifications or no buttons, or that some
    /// were held back.
    pub note: Option<String>,
    /// How many approvals are not shown one by one at the moment because their flow asked too often.
    pub held_back: usize,
}
