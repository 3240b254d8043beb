//! Folders for temporary files and installed peers.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::{BenchError, Context};

/// Returns the target folder of the build.
pub(crate) fn target() -> Result<PathBuf, BenchError> {
    let this = std::env::current_exe().context("find this program")?;
    let folder = this.ancestors().nth(2).map(Path::to_owned);
    folder.ok_or_else(|| BenchError::new("this program is not in a target folder"))
}

/// Creates a folder on the disk of the build: the folder for temporary files may be in memory.
pub(crate) fn on_disk() -> Result<TempDir, BenchError> {
    tempfile::tempdir_in(target()?).context("make a folder")
}
