//! What the scripts install, and where: over a system that is made up of small programs.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use countersign_testkit::checkout;

/// A folder with programs that stand for those of the system.
struct System(tempfile::TempDir);

impl System {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn has(&self, name: &str, script: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, format!("#!/bin/bash\n{script}\n")).expect("a program");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("rights");
    }

    /// Runs a line after `script/packages` was read; status, standard output, standard error.
    fn run(&self, line: &str) -> (Option<i32>, String, String) {
        let tools = self.path("tools");
        std::fs::create_dir_all(&tools).expect("a folder");
        for tool in ["bash", "sed", "env", "readlink", "cat"] {
            let real = ["/usr/bin", "/bin"]
                .iter()
                .map(|folder| Path::new(folder).join(tool))
                .find(|path| path.exists())
                .expect("a tool");
            let link = tools.join(tool);
            if !link.exists() {
                std::os::unix::fs::symlink(real, link).expect("a link");
            }
        }
        let output = Command::new("/bin/bash")
            .args(["-euo", "pipefail", "-c"])
            .arg(format!("source script/packages; {line}"))
            .current_dir(checkout())
            .env(
                "PATH",
                format!("{}:{}", self.path("bin").display(), tools.display()),
            )
            .env_remove("CHROMIUM")
            .output()
            .expect("bash");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    }
}

/// A system on which apt knows `git` and `openbox`, `dbus` is installed, and `chromium` is only spoken of.
fn ubuntu() -> System {
    let system = System::new();
    system.has("bin/sudo", r#"exec "$@""#);
    system.has(
        "bin/apt-get",
        &format!(r#"echo "$@" >>{}"#, system.path("asked").display()),
    );
    system.has(
        "bin/dpkg-query",
        r#"[ "${!#}" = dbus ] && echo -n installed || exit 1"#,
    );
    system.has(
        "bin/apt-cache",
        r#"case $2 in
git | openbox) echo "$2:"; echo "  Installed: (none)"; echo "  Candidate: 1:2.3" ;;
chromium) echo "$2:"; echo "  Installed: (none)"; echo "  Candidate: (none)" ;;
esac"#,
    );
    system
}

#[test]
fn what_apt_does_not_have_is_left_out_and_said() {
    let system = ubuntu();
    let (status, out, err) =
        system.run("packages_x=(dbus git chromium no-such-thing) packages_y=(openbox); install_groups x y");
    assert_eq!(status, Some(0), "the rest goes on: {out}{err}");
    assert!(out.contains("Installing: git openbox"), "{out}");
    assert!(err.contains("no package called chromium no-such-thing"), "{err}");
    let asked = std::fs::read_to_string(system.path("asked")).expect("apt was asked");
    let lines: Vec<&str> = asked.lines().collect();
    assert_eq!(lines.len(), 2, "{asked}");
    assert!(
        lines[0].starts_with("update") && lines[1].ends_with("git openbox"),
        "{asked}"
    );

    // Nothing that could be installed is no call, and no failure.
    let (status, out, err) = system.run("packages_x=(dbus chromium); install_groups x");
    assert_eq!((status, out.as_str()), (Some(0), ""), "{err}");
    let (status, out, err) = system.run("packages_x=(dbus); install_groups x");
    assert_eq!(
        (status, out.as_str(), err.as_str()),
        (Some(0), "", ""),
        "all is there"
    );
}

#[test]
fn a_browser_that_is_only_the_stub_of_a_snap_is_none() {
    let system = ubuntu();
    let found = || system.run("browser_of_system || echo none").1;
    assert_eq!(found(), "none\n");
    system.has(
        "bin/chromium-browser",
        "echo 'Command requires the chromium snap to be installed.' >&2; exit 1",
    );
    assert_eq!(found(), "none\n", "a stub");
    system.has("snap/bin/chromium", "echo 'Chromium 156.0.8078.79 snap'");
    std::os::unix::fs::symlink(system.path("snap/bin/chromium"), system.path("bin/chromium"))
        .expect("a link");
    assert_eq!(found(), "none\n", "a snap");
    system.has("bin/google-chrome", "echo 'Google Chrome 156.0.8078.79'");
    assert_eq!(
        found(),
        format!("{}\n", system.path("bin/google-chrome").display()),
        "a browser of its own"
    );
    let (_, named, _) = system.run("CHROMIUM=/opt/mine browser_of_tests");
    assert_eq!(named, "/opt/mine\n", "the one that is named wins");

    // Without any, Playwright's is taken, and installed once.
    let system = ubuntu();
    let browser = system.path("playwright/chrome");
    system.has("bin/node", &format!("echo {}", browser.display()));
    system.has(
        "bin/npx",
        &format!(
            r#"echo "$@" >>{asked}; mkdir -p {folder}; printf '#!/bin/bash\n' >{browser}; chmod +x {browser}"#,
            asked = system.path("asked").display(),
            folder = system.path("playwright").display(),
            browser = browser.display()
        ),
    );
    for tool in ["mkdir", "chmod"] {
        let real = Path::new("/bin").join(tool);
        std::os::unix::fs::symlink(real, system.path("bin").join(tool)).expect("a link");
    }
    for _ in 0..2 {
        let (status, out, err) = system.run("browser_of_tests");
        assert_eq!(
            (status, out),
            (Some(0), format!("{}\n", browser.display())),
            "{err}"
        );
    }
    let asked = std::fs::read_to_string(system.path("asked")).expect("it was installed");
    assert_eq!(
        asked,
        "--no-install playwright-core install --with-deps chromium\n"
    );
}
