//! A screen nobody sees.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// An `Xvfb` of our own with 1280x800 pixels, ended on drop.
#[derive(Debug)]
pub struct VirtualDisplay {
    child: Child,
    name: String,
}

impl VirtualDisplay {
    /// Starts one on a free display number.
    ///
    /// # Panics
    /// If `Xvfb` is not installed or does not start.
    pub fn start() -> Self {
        // The server chooses a free number and writes it to the descriptor; here its standard output.
        let folder = tempfile::Builder::new()
            .prefix("csdisplay-")
            .tempdir()
            .expect("a temporary folder can be made");
        let file = folder.path().join("number");
        let output = std::fs::File::create(&file).expect("a file can be made");
        let child = Command::new("Xvfb")
            .args([
                "-displayfd",
                "1",
                "-screen",
                "0",
                "1280x800x24",
                "-nolisten",
                "tcp",
            ])
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb can be started (Debian package: xvfb)");
        let mut display = Self {
            child,
            name: String::new(),
        };
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(15) {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if text.ends_with('\n') {
                display.name = format!(":{}", text.trim());
                return display;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("Xvfb did not become ready");
    }

    /// What `DISPLAY` must be.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for VirtualDisplay {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
