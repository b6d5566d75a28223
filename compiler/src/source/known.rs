//! The files of a site as they were read, so that the next reading takes only those that changed since.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{DEFAULTS_NAME, FileList, FoundFile, ReadError, SourceFile, Sources, is_litter, read_bytes};
use crate::bytes::Bytes;
use crate::config::Paths;

/// How long to wait for files that are being written.
pub const SETTLING_TIME: Duration = UNSURE_TIME_MAX;

/// A file that was changed so shortly before it was looked at may change again without a sign: systems count its time in
/// steps of up to 10 ms. Guessed, twice that.
const UNSURE_TIME_MAX: Duration = Duration::from_millis(20);

/// How a file looked when it was read: when it was changed, how long it was, which one it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    modified: SystemTime,
    bytes: u64,
    inode: u64,
}

/// Whether a file was changed a moment ago, so that somebody may still be writing it.
pub(super) fn is_settling(metadata: &Metadata) -> bool {
    let age = metadata.modified().ok().and_then(|modified| modified.elapsed().ok());
    age.is_some_and(|age| age <= UNSURE_TIME_MAX)
}

/// Whether a file was changed a moment ago, so that somebody may still be writing it. One that isn't there isn't written.
pub fn is_being_written(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| is_settling(&metadata))
}

impl Stamp {
    /// `None` if the file may still change without changing its stamp.
    pub(super) fn of(metadata: &Metadata) -> Option<Self> {
        let modified = metadata.modified().ok()?;
        // A time in the future says nothing about when the file will change again.
        let is_sure = modified.elapsed().is_ok_and(|age| age > UNSURE_TIME_MAX);
        is_sure.then(|| Self { modified, bytes: metadata.len(), inode: metadata.ino() })
    }
}

/// The files that were read, with how they looked then.
#[derive(Debug, Default)]
pub struct KnownFiles {
    by_path: HashMap<Arc<str>, (Stamp, Bytes)>,
    /// Whether some file was changed a moment before it was read: it may have been half written.
    pub is_settling: bool,
}

impl KnownFiles {
    /// What a file holds, if it looks as it did when it was read.
    pub(super) fn find(&self, file: &FoundFile) -> Option<SourceFile> {
        let (stamp, bytes) = self.by_path.get(&file.path)?;
        (file.stamp.as_ref() == Some(stamp)).then(|| SourceFile {
            path: Arc::clone(&file.path),
            name: Arc::clone(&file.name),
            bytes: bytes.clone(),
        })
    }

    /// Whether a file looks as it did when it was read.
    pub fn is_as_it_was(&self, root: &Path, path: &str) -> bool {
        let stamp = std::fs::symlink_metadata(root.join(path)).ok().as_ref().and_then(Stamp::of);
        stamp.is_some() && stamp == self.by_path.get(path).map(|(stamp, _)| *stamp)
    }

    /// Knows these files and no others.
    pub(super) fn replace<'a>(&mut self, files: impl Iterator<Item = (&'a SourceFile, Stamp)>) {
        let known = files.map(|(file, stamp)| (Arc::clone(&file.path), (stamp, file.bytes.clone())));
        self.by_path = known.collect();
    }

    /// Looks at a file anew at the next reading, whatever its stamp says.
    pub(super) fn forget(&mut self, path: &str) {
        self.by_path.remove(path);
    }
}

/// What a look at some files found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Renewal {
    /// The sources are as the disk is.
    Done,
    /// Something that only reading all folders can tell: a folder came or went, or there are links.
    WantsAll,
}

impl Sources {
    /// Reads some files again, named by their paths from the site's root.
    ///
    /// # Errors
    /// The first file that can't be read.
    pub fn renew<'a>(
        &mut self,
        root: &Path,
        paths: &Paths,
        touched: impl Iterator<Item = &'a str>,
        known: &mut KnownFiles,
    ) -> Result<Renewal, ReadError> {
        let mut renewal = Renewal::Done;
        for path in touched {
            known.forget(path);
            let Some((files, name)) = self.folder_of(path, paths) else { continue };
            if path.split('/').any(|part| is_litter(part.as_ref())) {
                continue;
            }
            let place = files.binary_search_by(|file| (*file.path).cmp(path));
            match std::fs::symlink_metadata(root.join(path)) {
                Ok(metadata) if metadata.is_file() && is_plain(root, path) => {
                    let bytes = read_bytes(&root.join(path))?;
                    let file = SourceFile { path: path.into(), name: name.into(), bytes };
                    match place {
                        Ok(index) if files[index].bytes == file.bytes => {}
                        Ok(index) => Arc::make_mut(files)[index] = file,
                        Err(index) => Arc::make_mut(files).insert(index, file),
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && place.is_ok() => {
                    drop(place.map(|index| Arc::make_mut(files).remove(index)));
                }
                // It came and went before anybody looked: editors write beside a file and rename.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && !self.has_below(path) => {}
                _ => renewal = Renewal::WantsAll,
            }
        }
        Ok(renewal)
    }

    /// Whether a path is that of a folder with files that were read.
    fn has_below(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        self.lists().into_iter().any(|files| {
            let first = files.partition_point(|file| *file.path < *folder);
            files.get(first).is_some_and(|file| file.path.starts_with(&folder))
        })
    }

    /// The files of the folder that a path belongs to, and the path within it.
    fn folder_of<'a>(&mut self, path: &'a str, paths: &Paths) -> Option<(&mut FileList, &'a str)> {
        let Self { content, templates, static_files, styles, data, defaults, .. } = self;
        let is_defaults = path.rsplit('/').next() == Some(DEFAULTS_NAME);
        let folders = [
            (if is_defaults { defaults } else { content }, &paths.content),
            (templates, &paths.templates),
            (static_files, &paths.static_files),
            (styles, &paths.styles),
            (data, &paths.data),
        ];
        folders.into_iter().find_map(|(files, folder)| {
            let name = path.strip_prefix(folder.as_str())?.strip_prefix('/')?;
            Some((files, name))
        })
    }
}

/// Whether no folder above a file is a link.
fn is_plain(root: &Path, path: &str) -> bool {
    let above = Path::new(path).ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
    above.map(|folder| root.join(folder)).all(|folder| !folder.is_symlink())
}
