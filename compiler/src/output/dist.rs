//! What a build leaves on the disk. Each file is written beside its place, made durable and renamed, so that whatever
//! happens the last good one stays.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bundle::{Body, Digest, PackedBundle};

/// The file that is served.
pub const BUNDLE_NAME: &str = "site.bundle";

/// Why a build's files could not be written.
#[derive(Debug)]
pub struct WriteDistError {
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub error: io::Error,
}

impl fmt::Display for WriteDistError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "can't write `{}`: {}", self.path.display(), self.error)
    }
}

impl std::error::Error for WriteDistError {}

/// Writes the files of a build into a folder, the bundle last, and returns the bundle's digest. The folder itself is never
/// replaced: a running server watches it.
///
/// # Errors
/// What the system said of the first file that could not be written, or of a body that could not be read for it; the files
/// of the build before are still there.
pub fn write_dist<B: Body>(
    folder: &Path,
    texts: &[(&str, String)],
    bundle: &PackedBundle<B>,
) -> Result<Digest, WriteDistError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| WriteDistError { path, error }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let handle = File::open(folder).map_err(failed(folder))?;
    handle.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => failed(folder)(io::Error::other("another build is writing there")),
        TryLockError::Error(error) => failed(folder)(error),
    })?;
    let mut waiting = Waiting(Vec::new());
    for (name, text) in texts {
        waiting.write(folder, name, |file| file.write_all(text.as_bytes()))?;
    }
    let digest = waiting.write(folder, BUNDLE_NAME, |file| bundle.write_to(file))?;
    waiting.rename_all()?;
    handle.sync_all().map_err(failed(folder))?;
    Ok(digest)
}

/// Writes one file of the site itself in the same way: beside its place, made durable, renamed.
///
/// # Errors
/// What the system said; the file is then as it was.
pub fn write_text(path: &Path, text: &str) -> Result<(), WriteDistError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    fs::create_dir_all(folder).map_err(|error| WriteDistError { path: folder.to_owned(), error })?;
    let mut waiting = Waiting(Vec::new());
    waiting.write(folder, &name, |file| file.write_all(text.as_bytes()))?;
    waiting.rename_all()
}

/// Files written beside their places: (where it is, where it belongs). Those that never got there are removed.
struct Waiting(Vec<(PathBuf, PathBuf)>);

impl Waiting {
    fn write<T>(
        &mut self,
        folder: &Path,
        name: &str,
        write: impl FnOnce(&mut File) -> io::Result<T>,
    ) -> Result<T, WriteDistError> {
        let beside = folder.join(format!(".{name}.tmp"));
        self.0.push((beside.clone(), folder.join(name)));
        let write = || {
            let mut file = File::create(&beside)?;
            let written = write(&mut file)?;
            file.sync_all()?;
            Ok(written)
        };
        write().map_err(|error| WriteDistError { path: beside.clone(), error })
    }

    /// Puts all files in place in the order in which they were written.
    fn rename_all(mut self) -> Result<(), WriteDistError> {
        while let Some((beside, path)) = self.0.first() {
            fs::rename(beside, path).map_err(|error| WriteDistError { path: path.clone(), error })?;
            self.0.remove(0);
        }
        Ok(())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        for (beside, _) in &self.0 {
            // The build has failed already, and that is reported; a left-over is overwritten by the next.
            drop(fs::remove_file(beside));
        }
    }
}
