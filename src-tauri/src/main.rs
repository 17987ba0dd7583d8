//! Starts the desktop application.
#![cfg_attr(all(windows, not(debug_assertions)), windows_subsystem = "windows")]

use std::process::ExitCode;

use clap::Parser;
use countersign_desktop::Arguments;

fn main() -> ExitCode {
    countersign_desktop::run(Arguments::parse())
}
