//! `kilnd install`: a checked bundle put in place at once, so that nobody ever sees half of it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::reload::{LoadError, load};

/// Checks the bundle `new` and puts a copy of it at `path`: beside it first, then by renaming. A copy that was begun and
/// not finished is removed.
///
/// # Errors
/// Why `new` can't be served, or what the system says of `path`.
pub fn install(new: &Path, path: &Path) -> Result<(), InstallError> {
    load(new).map_err(InstallError::New)?;
    let beside = name_beside(path);
    put(new, path, &beside).map_err(|error| {
        // It may not even be there.
        fs::remove_file(&beside).ok();
        InstallError::Place(error)
    })
}

/// Why nothing was installed.
#[derive(Debug)]
pub enum InstallError {
    /// The new bundle can't be served.
    New(LoadError),
    /// It can't be put in place.
    Place(io::Error),
}

fn put(new: &Path, path: &Path, beside: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::copy(new, beside)?;
    // What was copied is what was checked, even if somebody wrote to `new` meanwhile.
    load(beside).map_err(io::Error::other)?;
    File::open(beside)?.sync_all()?;
    fs::rename(beside, path)?;
    File::open(folder)?.sync_all()
}

fn name_beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}
