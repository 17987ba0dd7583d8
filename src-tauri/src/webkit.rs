//! Known faults of WebKitGTK and what is done about them. Best effort, each only where the fault is.

#[cfg(target_os = "linux")]
const DMABUF_SWITCH: &str = "WEBKIT_DISABLE_DMABUF_RENDERER";

/// Sets the switches that this machine needs, by starting the program again with them in its environment:
/// the engine reads them before any of our code could change them safely.
///
/// With NVIDIA's own driver the DMA-BUF renderer leaves the window blank (Tauri's issues 9394 and 13885).
/// Whoever sets the variable, to anything, is left alone.
#[cfg(target_os = "linux")]
pub(crate) fn work_around_known_faults() -> anyhow::Result<()> {
    use anyhow::Context as _;
    use std::os::unix::process::CommandExt as _;

    let nvidia = std::path::Path::new("/proc/driver/nvidia/version").exists();
    if !needs_switch(nvidia, std::env::var_os(DMABUF_SWITCH).is_some()) {
        return Ok(());
    }
    tracing::info!("NVIDIA's driver was found: the window is drawn without DMA-BUF");
    let program = std::env::current_exe().context("the program does not find its own file")?;
    let error = std::process::Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(DMABUF_SWITCH, "1")
        .exec();
    Err(error).context("the program could not start itself again")
}

/// Elsewhere there is nothing to do.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the same form on every system")]
pub(crate) fn work_around_known_faults() -> anyhow::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
fn needs_switch(nvidia: bool, set_by_user: bool) -> bool {
    nvidia && !set_by_user
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::needs_switch;

    #[test]
    fn only_affected_machines_are_changed_and_never_against_the_user() {
        assert!(needs_switch(true, false), "the fault is there and nobody decided");
        assert!(!needs_switch(true, true), "the user decided");
        assert!(!needs_switch(false, false), "there is no fault to work around");
    }
}
