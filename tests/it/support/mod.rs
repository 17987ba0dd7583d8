//! What the tests stand on: the host as a process, an HTTP client without opinions, a callback receiver, flows.

pub(crate) mod flows;
pub(crate) mod http;
pub(crate) mod receiver;
pub(crate) mod serve;

use std::time::{Duration, Instant};

pub(crate) use http::{Connection, Reply};
pub(crate) use receiver::{Answer, Arrival, Receiver};
pub(crate) use serve::{Serve, Setup};

/// Asks again and again until there is an answer.
///
/// # Panics
/// If there is none in time; `what` says what was waited for.
pub(crate) fn eventually<T>(what: &str, within: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < within, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Numbers that differ from run to run, for moments that no plan should hit.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new() -> Self {
        let mut bytes = [0_u8; 8];
        countersign_domain::Ids::fill(&countersign_domain::RandomIds, &mut bytes);
        Self(u64::from_le_bytes(bytes) | 1)
    }

    /// A number in the range (xorshift64*).
    pub(crate) fn roll(&mut self, range: std::ops::Range<u64>) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        range.start + self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % (range.end - range.start)
    }
}
