//! Who may depend on whom (src-tauri/ARCHITECTURE.md). Read from the manifests, so that a new line in one of
//! them cannot bend the house unnoticed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What each crate may use of ours. A crate that is not named here may use nothing.
const ALLOWED: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("flow", &["domain"]),
    ("signature", &["domain"]),
    ("store", &["domain"]),
    ("notify", &["domain"]),
    ("script", &[]),
    ("keychain", &[]),
    ("delivery", &["domain", "signature"]),
    ("model", &["delivery", "domain", "signature"]),
    (
        "app",
        &[
            "delivery",
            "domain",
            "flow",
            "keychain",
            "model",
            "notify",
            "script",
            "signature",
            "store",
        ],
    ),
    ("server", &["app", "domain", "signature"]),
    ("cli", &["app", "domain", "server"]),
    ("testkit", &["domain"]),
    ("desktop", &["app", "domain", "server"]),
];

/// Libraries with which a pure crate would reach the outside.
const OUTSIDE: &[&str] = &[
    "axum",
    "hyper",
    "hyper-util",
    "reqwest",
    "sled",
    "tokio",
    "zbus",
    "rustls",
];

/// Crates that do no I/O: their design leaves time, files and sockets to others.
const PURE: &[&str] = &["domain", "flow", "signature"];

struct Manifest {
    /// The name without `countersign-`.
    name: String,
    /// Everything that gets into the product: normal, build and target dependencies.
    shipped: BTreeSet<String>,
    /// Dependencies of tests only.
    tests: BTreeSet<String>,
}

fn checkout() -> PathBuf {
    // Not `env!`: checkouts may share one build folder.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the package");
    Path::new(&package).join("../../..")
}

fn manifests() -> Vec<Manifest> {
    let crates = checkout().join("src-tauri/crates");
    let mut found = vec![manifest(&checkout().join("Cargo.toml"))];
    for entry in std::fs::read_dir(crates).expect("the folder of the crates can be read") {
        let file = entry.expect("its entries can be read").path().join("Cargo.toml");
        if file.is_file() {
            found.push(manifest(&file));
        }
    }
    found
}

fn manifest(file: &Path) -> Manifest {
    let text = std::fs::read_to_string(file).expect("a manifest can be read");
    let document: toml::Table = text
        .parse()
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let name = document["package"]["name"]
        .as_str()
        .expect("a package has a name");
    let mut shipped = keys(&document, "dependencies");
    shipped.extend(keys(&document, "build-dependencies"));
    let mut tests = keys(&document, "dev-dependencies");
    for target in document
        .get("target")
        .and_then(toml::Value::as_table)
        .into_iter()
        .flat_map(|t| t.values())
    {
        let target = target.as_table().expect("a target is a table");
        shipped.extend(keys(target, "dependencies"));
        shipped.extend(keys(target, "build-dependencies"));
        tests.extend(keys(target, "dev-dependencies"));
    }
    let name = name
        .strip_prefix("countersign-")
        .expect("our packages are called countersign-…")
        .to_owned();
    Manifest { name, shipped, tests }
}

/// The names of the packages in a table of dependencies, also where one is renamed.
fn keys(table: &toml::Table, section: &str) -> BTreeSet<String> {
    let Some(section) = table.get(section).and_then(toml::Value::as_table) else {
        return BTreeSet::new();
    };
    section
        .iter()
        .map(|(key, value)| {
            value
                .get("package")
                .and_then(toml::Value::as_str)
                .unwrap_or(key)
                .to_owned()
        })
        .collect()
}

#[test]
fn each_crate_uses_only_what_the_design_allows() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let manifests = manifests();
    assert_eq!(
        manifests.len(),
        ALLOWED.len(),
        "every crate has its row in the rule"
    );
    for manifest in manifests {
        let may = allowed.get(manifest.name.as_str());
        let may = may.unwrap_or_else(|| panic!("countersign-{} has no row in the rule", manifest.name));
        for ours in manifest
            .shipped
            .iter()
            .filter_map(|name| name.strip_prefix("countersign-"))
        {
            assert!(
                may.contains(&ours),
                "countersign-{} must not use countersign-{ours}",
                manifest.name
            );
        }
    }
}

#[test]
fn only_the_root_package_knows_a_window() {
    for manifest in manifests().iter().filter(|manifest| manifest.name != "desktop") {
        for name in manifest.shipped.iter().chain(&manifest.tests) {
            let window = ["tauri", "wry", "tao", "gtk", "webkit2gtk"]
                .iter()
                .any(|w| name == w)
                || name.starts_with("tauri-");
            assert!(!window, "countersign-{} must not use {name}", manifest.name);
        }
    }
}

#[test]
fn pure_crates_have_no_way_to_the_outside() {
    for manifest in manifests()
        .iter()
        .filter(|manifest| PURE.contains(&manifest.name.as_str()))
    {
        for name in &manifest.shipped {
            assert!(
                !OUTSIDE.contains(&name.as_str()),
                "countersign-{} must not use {name}",
                manifest.name
            );
        }
    }
}

#[test]
fn test_helpers_do_not_get_into_the_product() {
    for manifest in manifests() {
        for helper in ["countersign-testkit", "proptest", "tempfile"] {
            let shipped = manifest.shipped.contains(helper);
            assert!(
                !shipped || manifest.name == "testkit",
                "countersign-{} ships {helper}",
                manifest.name
            );
        }
    }
}
