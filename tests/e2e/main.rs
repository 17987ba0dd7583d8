//! The real program on a real desktop: a display (Xvfb), a window manager, a private session bus, a
//! notification server that draws buttons, and WebKit's own driver for the window.
//!
//! These tests need the page in `ui/dist` to be built before the program is; `script/test` does both, and
//! installs what `script/packages` lists. Each has its own display, bus, folders and ports; nextest runs
//! them one after the other because they measure time.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be, and says where its picture is"
)]

mod desktop;
mod notification;
mod program;
mod screen;
mod window;

mod by_notification;
mod by_window;
mod importing;
mod living;
mod restart;
mod tray;
mod trouble;
