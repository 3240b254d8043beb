//! Where benchmarks keep what they write and what they install.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::trouble::{During, Trouble};

/// The target folder of the build.
pub(crate) fn target() -> Result<PathBuf, Trouble> {
    let this = std::env::current_exe().during("find this program")?;
    let folder = this.ancestors().nth(2).map(Path::to_owned);
    folder.ok_or_else(|| Trouble::new("this program is in no target folder"))
}

/// A folder on the disk that the build is on: the one for temporary files may be in memory.
pub(crate) fn on_disk() -> Result<TempDir, Trouble> {
    tempfile::tempdir_in(target()?).during("make a folder")
}
