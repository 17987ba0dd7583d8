//! The store through its public surface.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "what surrounds the test functions may fail like them"
)]

mod callbacks;
mod calls;
mod damage;
mod decisions;
mod disk_full;
mod folder;
mod given;
mod journal;
mod kill;
mod lists;
mod model;
mod older;
mod records;
mod round_trip;
