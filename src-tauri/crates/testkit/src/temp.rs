//! A data folder that is gone after the test.

use std::path::{Path, PathBuf};

/// A fresh folder in the system's place for temporary files, removed on drop.
#[derive(Debug)]
pub struct TempDataDir(tempfile::TempDir);

impl TempDataDir {
    /// Makes one.
    ///
    /// # Panics
    /// If the system gives none.
    #[expect(clippy::new_without_default, reason = "it makes a folder on disk")]
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("countersign-test-").tempdir();
        Self(dir.expect("a temporary folder can be made"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A path in it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }
}
