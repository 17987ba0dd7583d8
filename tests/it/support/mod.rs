//! What only these tests need; the rest is in `countersign-testkit`.

use std::time::Duration;

use countersign_testkit::{CallbackReceiver, Headless, Installation};

/// An empty data folder for the command under test.
pub(crate) fn installation() -> Installation {
    Installation::new(env!("CARGO_BIN_EXE_countersign"))
}

/// Checks that so many callbacks have come and that none is still to come, nor a further attempt.
#[track_caller]
pub(crate) fn assert_only(count: usize, receiver: &CallbackReceiver, host: &Headless) {
    host.wait_until_idle(Duration::from_secs(15));
    let received = receiver.received();
    assert_eq!(received.len(), count, "unexpected callbacks: {received:?}");
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
