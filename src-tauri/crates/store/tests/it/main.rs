//! The store through its public surface.

mod damage;
mod decisions;
mod disk_full;
mod folder;
mod given;
mod journal;
mod kill;
mod lists;
mod model;
mod records;
mod round_trip;
