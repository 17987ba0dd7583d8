//! Whether this desktop shows tray icons at all.
//!
//! Creating an icon succeeds either way (measured), so the bus is asked.

/// Whether something draws tray icons: a watcher is on the bus and a host is registered with it.
#[cfg(target_os = "linux")]
pub(crate) async fn is_present() -> bool {
    const WATCHER: &str = "org.kde.StatusNotifierWatcher";
    let ask = async {
        let connection = zbus::Connection::session().await?;
        let bus = zbus::fdo::DBusProxy::new(&connection).await?;
        if !bus.name_has_owner(WATCHER.try_into()?).await? {
            return Ok(false);
        }
        let watcher = zbus::Proxy::new(&connection, WATCHER, "/StatusNotifierWatcher", WATCHER).await?;
        watcher
            .get_property::<bool>("IsStatusNotifierHostRegistered")
            .await
    };
    let answer: Result<Result<bool, zbus::Error>, _> =
        tokio::time::timeout(std::time::Duration::from_secs(2), ask).await;
    matches!(answer, Ok(Ok(true)))
}

/// Windows and macOS always do.
#[cfg(not(target_os = "linux"))]
pub(crate) async fn is_present() -> bool {
    true
}
