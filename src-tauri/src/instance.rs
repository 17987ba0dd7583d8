//! One copy a data folder: the name on the session bus that the copies find each other by.
//!
//! The bus is the friendly way, by which a second start shows the inbox of the first. Without a bus the
//! lock of the store still keeps a second copy out.

use std::path::{Path, PathBuf};

/// The name for this data folder, without the ending that the plugin adds.
///
/// Copies on different folders are different programs, so the folder is part of the name. FNV-1a, because
/// the name must be the same in every version of the program.
pub(crate) fn bus_name(data_dir: &Path) -> String {
    let hash = real_path(data_dir)
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("dev.countersign.desktop.folder{hash:016x}")
}

/// The one path of a folder, however it is written, and the same before it exists and after.
fn real_path(folder: &Path) -> PathBuf {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let real = absolute
        .ancestors()
        .find_map(|ancestor| Some((ancestor, ancestor.canonicalize().ok()?)));
    match real {
        Some((ancestor, real)) => match absolute.strip_prefix(ancestor) {
            Ok(rest) if rest.as_os_str().is_empty() => real,
            Ok(rest) => real.join(rest),
            Err(_) => absolute,
        },
        None => absolute,
    }
}

/// Whether a copy owns that name, so that this one can say what is about to happen. Wrong answers do no
/// harm: the plugin and the lock decide.
#[cfg(target_os = "linux")]
pub(crate) async fn is_running(bus_name: &str) -> bool {
    let ask = async {
        let connection = zbus::Connection::session().await?;
        let bus = zbus::fdo::DBusProxy::new(&connection).await?;
        let name = zbus::names::BusName::try_from(format!("{bus_name}.SingleInstance"))?;
        Ok::<bool, zbus::Error>(bus.name_has_owner(name).await?)
    };
    matches!(
        tokio::time::timeout(std::time::Duration::from_secs(1), ask).await,
        Ok(Ok(true))
    )
}

/// See the Linux form.
#[cfg(not(target_os = "linux"))]
pub(crate) async fn is_running(_bus_name: &str) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::bus_name;

    #[test]
    fn a_folder_always_has_the_same_valid_name_and_two_folders_differ() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        std::fs::create_dir(&two).expect("a folder");
        let name = bus_name(&one);
        std::fs::create_dir(&one).expect("a folder");
        assert_eq!(
            name,
            bus_name(&one),
            "the first start makes the folder and keeps its name"
        );
        assert_eq!(
            name,
            bus_name(&folder.path().join("two/../one")),
            "how the folder is written does not matter"
        );
        assert_ne!(name, bus_name(&two), "another folder is another program");
        zbus::names::WellKnownName::try_from(format!("{name}.SingleInstance")).expect("a name the bus takes");
    }
}
