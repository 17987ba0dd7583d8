//! When a callback is tried again.

use std::time::Duration;

use countersign_domain::Timestamp;

/// The waits between the attempts at one callback. The first entry is the wait before the first attempt.
///
/// The default is three quick attempts as in Flowise (webhook spec §9: 0 s, 3 s, 6 s), then wider ones up to
/// ten hours: 11 attempts over 28 hours and 12 minutes, longer than the receivers of most people sleep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPlan(Vec<Duration>);

impl Default for RetryPlan {
    fn default() -> Self {
        Self::from_seconds(&[0, 3, 6, 30, 120, 600, 3600, 7200, 18_000, 36_000, 36_000])
    }
}

impl RetryPlan {
    /// A plan with these waits. Without any there is still one attempt, at once.
    pub fn new(waits: Vec<Duration>) -> Self {
        if waits.is_empty() {
            Self(vec![Duration::ZERO])
        } else {
            Self(waits)
        }
    }

    /// The same, in seconds.
    pub fn from_seconds(seconds: &[u32]) -> Self {
        Self::new(
            seconds
                .iter()
                .map(|s| Duration::from_secs(u64::from(*s)))
                .collect(),
        )
    }

    /// The waits.
    pub fn waits(&self) -> &[Duration] {
        &self.0
    }

    /// When a callback that is written now is due for the first time.
    pub fn first(&self, now: Timestamp) -> Timestamp {
        now.plus(self.0.first().copied().unwrap_or_default())
    }

    /// When the next attempt is due after `attempts_so_far` planned ones have failed, the last of them just
    /// now; `None` if that was the last one.
    ///
    /// What the receiver asked for by `Retry-After` is heard between the planned wait and twice that.
    pub fn after_failure(
        &self,
        attempts_so_far: usize,
        now: Timestamp,
        retry_after: Option<Duration>,
    ) -> Option<Timestamp> {
        let planned = *self.0.get(attempts_so_far)?;
        Some(
            now.plus(
                retry_after
                    .unwrap_or_default()
                    .clamp(planned, planned.saturating_mul(2)),
            ),
        )
    }

    /// Whether a due time counts as reached. One that lies further ahead than any plan could have put it is
    /// the work of a clock that was set back since, and counts as reached too; else the queue would stand
    /// still until the clock is there again.
    pub fn is_due(&self, due: Timestamp, now: Timestamp) -> bool {
        due <= now || due > now.plus(self.horizon())
    }

    /// How far ahead a due time may lie: the whole plan, or the longest wait when a receiver doubles it.
    pub fn horizon(&self) -> Duration {
        let whole = self
            .0
            .iter()
            .fold(Duration::ZERO, |sum, wait| sum.saturating_add(*wait));
        let longest = self.0.iter().max().copied().unwrap_or_default();
        whole.max(longest.saturating_mul(2))
    }
}
