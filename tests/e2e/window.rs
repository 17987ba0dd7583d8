//! The inbox window, driven by WebKit's own WebDriver.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::desktop::{Desktop, Kept, start, wait_for};
use crate::program;

/// How long the page may take to show something.
const LIMIT: Duration = Duration::from_secs(20);

/// The program with its window under control.
pub(crate) struct Window {
    client: Client,
    driver: Kept,
    data_dir: PathBuf,
}

impl Window {
    /// Starts the program through the driver and waits until it listens, unless its port is taken.
    pub(crate) async fn open(desktop: &Desktop, data_dir: &Path, more: &[&str]) -> Self {
        program::assert_page_is_built();
        let port = free_port();
        let driver = start(
            desktop
                .command("WebKitWebDriver")
                .arg(format!("--port={port}"))
                .env("TAURI_WEBVIEW_AUTOMATION", "true")
                .stdout(Stdio::null())
                .stderr(desktop.log()),
            "webkit2gtk-driver",
        );
        let driver = Kept(driver);
        let capabilities = json!({
            "webkitgtk:browserOptions": {
                "binary": program::BINARY,
                "args": program::arguments(data_dir, more),
            },
        });
        let capabilities = capabilities.as_object().expect("an object").clone();
        wait_for("WebKit's driver listens", LIMIT, || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities);
        let client = builder.connect(&format!("http://127.0.0.1:{port}")).await;
        let client = client.unwrap_or_else(|error| panic!("WebKit's driver starts the program: {error}"));
        Self {
            client,
            driver,
            data_dir: data_dir.to_owned(),
        }
    }

    /// Turns to the program's new window after the one before was closed.
    pub(crate) async fn follow(&self) {
        let begun = std::time::Instant::now();
        loop {
            match self.client.windows().await.as_deref() {
                Ok([window]) if self.client.switch_to_window(window.clone()).await.is_ok() => return,
                other => assert!(
                    begun.elapsed() < LIMIT,
                    "the driver knows the new window: {other:?}"
                ),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A client of the program's server.
    pub(crate) fn http(&self) -> countersign_testkit::HttpClient {
        program::client(&self.data_dir)
    }

    /// Waits until the page shows this text somewhere.
    pub(crate) async fn wait_for_text(&self, text: &str) -> Element {
        let path = format!("//*[text()[contains(normalize-space(.), \"{text}\")]]");
        match self
            .client
            .wait()
            .at_most(LIMIT)
            .for_element(Locator::XPath(&path))
            .await
        {
            Ok(element) => element,
            Err(error) => panic!(
                "the page shows {text:?} ({error}); it shows: {}",
                self.text().await
            ),
        }
    }

    /// Everything the page shows.
    pub(crate) async fn text(&self) -> String {
        match self.client.find(Locator::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(error) => error.to_string(),
        }
    }

    /// Waits until the page is drawn as it stands, for a picture.
    pub(crate) async fn wait_until_drawn(&self) {
        self.run_async(
            "const done = arguments[0]; const next = () => new Promise((frame) => requestAnimationFrame(frame));\
             document.fonts.ready.then(next).then(next).then(() => setTimeout(done, 400));",
        )
        .await;
    }

    /// Goes to a page by its address, `#/settings`.
    pub(crate) async fn go(&self, fragment: &str) {
        let script = format!("window.location.hash = {}", json!(fragment));
        self.client
            .execute(&script, Vec::new())
            .await
            .expect("the page runs a script");
    }

    /// Presses a key, wherever the focus is.
    pub(crate) async fn key(&self, key: &str) {
        let active = self
            .client
            .active_element()
            .await
            .expect("something has the focus");
        active.send_keys(key).await.expect("keys can be pressed");
    }

    /// Presses a button by what it says.
    pub(crate) async fn click(&self, label: &str) {
        let path = format!("//button[contains(normalize-space(.), \"{label}\")]");
        let found = self
            .client
            .wait()
            .at_most(LIMIT)
            .for_element(Locator::XPath(&path))
            .await;
        let button = match found {
            Ok(button) => button,
            Err(error) => panic!(
                "there is a button {label:?} ({error}); the page shows: {}",
                self.text().await
            ),
        };
        button.click().await.expect("it can be pressed");
    }

    /// What the page's own address bar would say.
    pub(crate) async fn address(&self) -> String {
        self.client
            .current_url()
            .await
            .expect("the page has an address")
            .to_string()
    }

    /// Runs a script in the page and gives what it returns.
    pub(crate) async fn run(&self, script: &str) -> serde_json::Value {
        self.client
            .execute(script, Vec::new())
            .await
            .expect("the page runs a script")
    }

    /// Runs a script that calls back with its result.
    pub(crate) async fn run_async(&self, script: &str) -> serde_json::Value {
        self.client
            .execute_async(script, Vec::new())
            .await
            .expect("the page runs a script")
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // The driver starts the program, so the program is looked for among its children.
        for pid in children_of(self.driver.0.id()) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn children_of(parent: u32) -> Vec<Pid> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{parent}/task")) else {
        return Vec::new();
    };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<i32>>()
        })
        .filter_map(Pid::from_raw)
        .collect()
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it has an address").port()
}
