//! One copy a data folder, and how a second start shows the inbox of the first.
//!
//! That goes over the session bus, by a name that the copies find each other by. Where the bus does not lead to the
//! other copy, because there is none or it is another session's, the management API does. What keeps a second copy out
//! is the lock of the store.

use std::path::{Path, PathBuf};
use std::time::Duration;

use countersign_app::{ErrorCode, running};
use countersign_server::client::{Call, Method, call};

/// How long the copy that runs may take to say that it shows its window. A second copy ends within three seconds.
const PATIENCE: Duration = Duration::from_secs(1);

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

/// What came of asking the copy that runs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It shows its window.
    Shows,
    /// It has none: why, for people.
    HasNone(String),
    /// Nobody was reached: nothing runs, or it starts, closes, or cannot listen.
    NotReached,
}

/// Asks whoever works on this folder to show its inbox, over its management API.
pub(crate) async fn ask_to_show(data_dir: &Path) -> Asked {
    let (address, token) = match (
        running::address(data_dir),
        running::token(&running::token_file(data_dir)),
    ) {
        (Ok(address), Ok(token)) => (address, token),
        (Err(error), _) => {
            tracing::debug!(%error, "no copy to ask");
            return Asked::NotReached;
        }
        (_, Err(error)) => {
            tracing::warn!(%error, "the token cannot be read, so the copy that runs cannot be asked");
            return Asked::NotReached;
        }
    };
    let open = Call {
        method: Method::POST,
        path: "/api/v1/open",
        body: Some(b"{}".to_vec()),
        headers: Vec::new(),
    };
    let reply = match call(&address, &token, open, PATIENCE).await {
        Ok(reply) => reply,
        Err(error) => {
            tracing::warn!(%error, "the copy that runs does not answer");
            return Asked::NotReached;
        }
    };
    if reply.status.is_success() {
        return Asked::Shows;
    }
    let refusal = reply.refusal();
    let message = refusal.message.unwrap_or_default();
    if refusal.code == Some(ErrorCode::NoWindow) {
        return Asked::HasNone(format!("{message} Open http://{address}/"));
    }
    tracing::warn!(status = %reply.status, message, "the copy that runs does not show its window");
    Asked::NotReached
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
