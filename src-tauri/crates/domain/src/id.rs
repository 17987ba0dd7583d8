//! Identifiers, and where new ones come from.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::Rng as _;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;

/// A text that is not a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not an identifier: it must be a UUID such as 0192f0c1-7b1e-7c3a-9d55-0a1b2c3d4e5f")]
pub struct InvalidId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The sixteen bytes, in the order that sorts like the text.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The UUID inside.
            pub const fn uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId)
            }
        }
    };
}

id!(
    /// A flow. A version 4 UUID, because webhook clients of Flowise expect one in the URL.
    FlowId
);
id!(
    /// One run of a flow. Time-ordered (version 7), so that lists page from the newest.
    ExecutionId
);
id!(
    /// One question. Also the `action.id` that a webhook client sees. Time-ordered (version 7).
    ApprovalId
);
id!(
    /// One outgoing message; the `webhook-id` of every attempt to deliver it. Time-ordered (version 7).
    CallbackId
);
id!(
    /// One message of a chat. Time-ordered (version 7).
    MessageId
);

impl FlowId {
    /// Reads a flow id from a URL. Only version 4 counts, as in Flowise (webhook spec §4 step 3).
    ///
    /// # Errors
    /// [`InvalidId`] for anything that is not a version 4 UUID in its usual form with hyphens.
    pub fn from_url(text: &str) -> Result<Self, InvalidId> {
        let uuid = Uuid::try_parse(text).map_err(|_| InvalidId)?;
        if text.len() == 36 && uuid.get_version_num() == 4 {
            Ok(Self(uuid))
        } else {
            Err(InvalidId)
        }
    }
}

/// A source of new identifiers and of random bytes.
pub trait Ids: Send + Sync {
    /// A random UUID (version 4).
    fn random(&self) -> Uuid;

    /// A time-ordered UUID (version 7) for this moment. Two calls never give the same one.
    fn ordered(&self, now: Timestamp) -> Uuid;

    /// Makes all ordered identifiers from now on larger than this one, which an earlier run of the program gave: the
    /// clock may have been set back since.
    fn continue_after(&self, last: Uuid);

    /// Fills the slice with unguessable bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// Unguessable identifiers.
#[derive(Debug, Default, Clone, Copy)]
pub struct RandomIds;

/// Milliseconds and a 12-bit counter in one number that only grows (RFC 9562 §6.2, method 1), so that two ids of one
/// millisecond, and ids after the clock was set back, still rise: the order of callbacks is the order of their ids.
static LAST: AtomicU64 = AtomicU64::new(0);

impl Ids for RandomIds {
    fn random(&self) -> Uuid {
        let mut bytes = [0_u8; 16];
        self.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    fn ordered(&self, now: Timestamp) -> Uuid {
        let wanted = u64::try_from(now.as_millis()).unwrap_or(0) << 12;
        let before = LAST
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(wanted.max(last + 1))
            })
            .unwrap_or_else(|last| last);
        let tick = wanted.max(before + 1);
        let mut rest = [0_u8; 10];
        self.fill(&mut rest[2..]);
        let [.., high, low] = (tick & 0x0fff).to_be_bytes();
        rest[0] = high;
        rest[1] = low;
        uuid::Builder::from_unix_timestamp_millis(tick >> 12, &rest).into_uuid()
    }

    fn continue_after(&self, last: Uuid) {
        // 48 bits of milliseconds, 4 of version, 12 of counter.
        let head = u64::try_from(last.as_u128() >> 64).unwrap_or_default();
        LAST.fetch_max(((head >> 16) << 12) | (head & 0x0fff), Ordering::Relaxed);
    }

    fn fill(&self, bytes: &mut [u8]) {
        // ChaCha, seeded anew from the operating system now and then: as unguessable, and without a system call
        // for each of the five ids that a webhook call takes.
        rand::rng().fill_bytes(bytes);
    }
}

/// Predictable identifiers for tests: each one is a counter in the last bytes.
#[derive(Debug, Default)]
pub struct SequentialIds(AtomicU64);

impl SequentialIds {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Ids for SequentialIds {
    fn random(&self) -> Uuid {
        let mut bytes = [0_u8; 16];
        self.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    fn ordered(&self, now: Timestamp) -> Uuid {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        let mut rest = [0_u8; 10];
        rest[2..].copy_from_slice(&self.next().to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(millis, &rest).into_uuid()
    }

    fn continue_after(&self, _last: Uuid) {
        // The counter rises whatever the time says, and starts anew in each test.
    }

    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
        let count = self.next().to_be_bytes();
        for (to, from) in bytes.iter_mut().rev().zip(count.iter().rev()) {
            *to = *from;
        }
    }
}
