//! A stand-in for the panel that shows tray icons: it takes icons and reads their menus, as a panel does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use zbus::message::Header;
use zbus::zvariant::{OwnedValue, Structure, Value};
use zbus::{Connection, Proxy};

const WATCHER: &str = "org.kde.StatusNotifierWatcher";

/// Who registered an icon: the name on the bus and the path of the object.
type Registered = Arc<Mutex<Vec<(String, String)>>>;

struct Watcher(Registered);

#[zbus::interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn protocol_version(&self) -> i32 {
        0
    }

    #[zbus(property)]
    fn registered_status_notifier_items(&self) -> Vec<String> {
        Vec::new()
    }

    fn register_status_notifier_item(&self, service: &str, #[zbus(header)] header: Header<'_>) {
        let sender = header.sender().expect("calls on a bus have a sender").to_string();
        self.0.lock().unwrap().push((sender, service.to_owned()));
    }

    fn register_status_notifier_host(&self, _service: &str) {}
}

/// The panel; it is there until it is dropped.
#[derive(Debug)]
pub struct TrayHost {
    connection: Connection,
    registered: Registered,
}

/// An entry of a menu.
#[derive(Debug, Clone)]
pub struct Entry {
    id: i32,
    /// What it says.
    pub label: String,
}

/// What a menu's layout is made of: id, properties, children.
type Layout = (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>);

impl TrayHost {
    /// Starts one on this bus.
    ///
    /// # Panics
    /// If there is a panel on it already.
    pub async fn start(connection: Connection) -> Self {
        let registered = Registered::default();
        let watcher = Watcher(Arc::clone(&registered));
        connection
            .object_server()
            .at("/StatusNotifierWatcher", watcher)
            .await
            .expect("the object can be served");
        connection.request_name(WATCHER).await.expect("the name is free");
        Self {
            connection,
            registered,
        }
    }

    /// The menu of the icon.
    async fn menu(&self) -> Proxy<'static> {
        let begun = Instant::now();
        loop {
            let icon = self.registered.lock().unwrap().first().cloned();
            if let Some((sender, path)) = icon {
                let icon = Proxy::new(
                    &self.connection,
                    sender.clone(),
                    path,
                    "org.kde.StatusNotifierItem",
                );
                let icon = icon.await.expect("the icon is on the bus");
                let menu: zbus::zvariant::OwnedObjectPath =
                    icon.get_property("Menu").await.expect("it has a menu");
                let menu = Proxy::new(&self.connection, sender, menu, "com.canonical.dbusmenu");
                return menu.await.expect("the menu is on the bus");
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "an icon is registered");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Its entries with a label.
    ///
    /// # Panics
    /// If no icon registers, or one without a menu.
    pub async fn entries(&self) -> Vec<Entry> {
        let menu = self.menu().await;
        let (_, (_, _, children)): (u32, Layout) = menu
            .call("GetLayout", &(0_i32, -1_i32, Vec::<&str>::new()))
            .await
            .expect("the menu has a layout");
        children.into_iter().filter_map(entry).collect()
    }

    /// Waits until an entry has this label.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn wait_for_entry(&self, label: &str) -> Entry {
        let begun = Instant::now();
        loop {
            let entries = self.entries().await;
            if let Some(entry) = entries.iter().find(|entry| entry.label == label) {
                return entry.clone();
            }
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "an entry {label:?}; there are: {entries:?}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Chooses an entry.
    ///
    /// # Panics
    /// If the menu does not take it.
    pub async fn choose(&self, entry: &Entry) {
        let menu = self.menu().await;
        let body = (entry.id, "clicked", Value::from(0_i32), 0_u32);
        menu.call::<_, _, ()>("Event", &body)
            .await
            .expect("an entry can be chosen");
    }
}

fn entry(child: OwnedValue) -> Option<Entry> {
    let structure = Structure::try_from(child).ok()?;
    let [id, properties, _] = structure.fields() else {
        return None;
    };
    let id = i32::try_from(id).ok()?;
    let properties: HashMap<String, Value<'_>> = properties.try_clone().ok()?.try_into().ok()?;
    let label = <&str>::try_from(properties.get("label")?).ok()?.to_owned();
    Some(Entry { id, label })
}
