//! Where the files of this checkout lie.

use std::path::PathBuf;

/// The top of the workspace whose tests run.
///
/// Asked when a test runs and not when it is compiled: checkouts may share one build folder, and then a test would read
/// the files of the checkout that compiled it.
///
/// # Panics
/// If the test was not started by cargo.
pub fn checkout() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("started by cargo, which names the package");
    let package = PathBuf::from(package);
    let top = package
        .ancestors()
        .find(|folder| folder.join("tauri.conf.json").is_file());
    top.expect("the package lies in the workspace").to_owned()
}
