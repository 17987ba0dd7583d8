//! Prepares the Tauri build: permissions from the list of commands, and a page to embed when the UI is not
//! built yet.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

include!("src/commands/list.rs");

macro_rules! names {
    ($($module:ident :: $name:ident),* $(,)?) => { &[$(stringify!($name)),*] };
}

const COMMANDS: &[&str] = with_commands!(names);

const PLACEHOLDER: &str = r#"<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Countersign</title></head>
<body data-placeholder>
<h1>The window is not built yet</h1>
<p>Webhooks, notifications and the command line work. For the window run <code>npm ci</code> and
<code>npm run build</code> in the folder <code>ui</code>, then build Countersign again. <code>script/run</code> does all of it.</p>
</body>
</html>
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in [
        "src-tauri/build.rs",
        "src-tauri/src/commands/list.rs",
        "src-tauri/capabilities",
        "ui/dist",
    ] {
        println!("cargo:rerun-if-changed={path}");
    }
    placeholder_page(Path::new("ui/dist"))?;
    let permissions = permission_file()?;
    let attributes = tauri_build::Attributes::new()
        .capabilities_path_pattern("./src-tauri/capabilities/**/*")
        .app_manifest(tauri_build::AppManifest::new().permissions_path_pattern(permissions));
    tauri_build::try_build(attributes)?;
    Ok(())
}

/// Declares one permission per command, `allow-list-approvals` for `list_approvals`. Without them every
/// local window could call every command.
///
/// The file is written here and not by `AppManifest::commands`, which would leave a folder at the root of
/// the repository.
fn permission_file() -> Result<&'static str, Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::var("OUT_DIR")?).join("command-permissions");
    fs::create_dir_all(&folder)?;
    let mut text = String::new();
    for command in COMMANDS {
        let name = command.replace('_', "-");
        writeln!(
            text,
            "[[permission]]\nidentifier = \"allow-{name}\"\ndescription = \"Lets a window call {command}.\"\n\
             commands.allow = [\"{command}\"]\n"
        )?;
    }
    fs::write(folder.join("commands.toml"), text)?;
    Ok(Box::leak(
        folder
            .join("*.toml")
            .to_string_lossy()
            .into_owned()
            .into_boxed_str(),
    ))
}

/// Puts a page into `dist` when none is there, because embedding fails without one and a fresh clone should
/// compile before Node is installed.
///
/// Its time lies in the past: a file newer than this run would make Cargo run the script again next time.
fn placeholder_page(dist: &Path) -> std::io::Result<()> {
    let page = dist.join("index.html");
    if page.exists() {
        return Ok(());
    }
    fs::create_dir_all(dist)?;
    fs::write(&page, PLACEHOLDER)?;
    for path in [page.as_path(), dist] {
        fs::File::open(path)?.set_modified(SystemTime::UNIX_EPOCH)?;
    }
    Ok(())
}
