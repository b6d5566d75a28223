//! The reader of the disk: a site's folder in, all of its source files out, sorted and immutable. It knows which folders
//! there are, and nothing of what their files mean. What is large and no text is read for its digest, and stays in its file.

mod inputs;
mod known;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use walkdir::{DirEntry, WalkDir};

pub use inputs::Inputs;
pub use known::{KnownFiles, Renewal, SETTLING_TIME, is_being_written};

pub use crate::bytes::ReadError;

use crate::bytes::Bytes;
use crate::config::Paths;
use crate::diagnostic::{Code, Diagnostic, Place, SourceText, Span};
use crate::tools::filter::Filtered;

use known::{Stamp, is_settling};

/// Everything that a build reads, in the order of the paths.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Pages, and files published where they stand.
    pub content: FileList,
    /// Partials.
    pub templates: FileList,
    /// Files published under `/static/`.
    pub static_files: FileList,
    /// Style sheets that are compiled.
    pub styles: FileList,
    /// Data that pages list.
    pub data: FileList,
    /// `_defaults.toml` in folders of pages, named by their path there.
    pub defaults: FileList,
    /// What was published before.
    pub past: Past,
    /// What `[[filters]]` gave for blocks of code in pages.
    pub filtered: Filtered,
}

/// Files of one kind. A list that no file of was touched stays the same one from edit to edit, so that what was made of it
/// is known without a look at its files.
pub type FileList = Arc<Vec<SourceFile>>;

/// The URLs that a site has published.
pub const LOCK_NAME: &str = "urls.lock";
/// What each of them said when it was recorded, in a few bytes.
pub const SKETCHES_NAME: &str = "urls.sketches";

/// What a site keeps of its past: two files at its root, either of which may be missing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Past {
    /// `urls.lock`.
    pub lock: Option<SourceText>,
    /// `urls.sketches`.
    pub sketches: Option<SourceText>,
}

/// Reads what a site keeps of its past, and reports what is no text.
///
/// # Errors
/// A file that is there and can't be read.
pub fn read_past(root: &Path) -> Result<(Past, Vec<Diagnostic>), ReadError> {
    let mut diagnostics = Vec::new();
    let mut read = |name: &str| -> Result<Option<SourceText>, ReadError> {
        let Some(bytes) = read_file_if_there(&root.join(name))? else { return Ok(None) };
        let file = SourceFile { path: name.into(), name: name.into(), bytes: bytes.into() };
        Ok(file.to_text().map_err(|mistake| diagnostics.push(mistake)).ok())
    };
    let past = Past { lock: read(LOCK_NAME)?, sketches: read(SKETCHES_NAME)? };
    Ok((past, diagnostics))
}

/// The file of front matter's defaults in a folder of pages.
pub const DEFAULTS_NAME: &str = "_defaults.toml";

/// One file as it was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceFile {
    /// From the site's root, with `/` between folders.
    pub path: Arc<str>,
    /// From its own folder (of pages, of partials, …).
    pub name: Arc<str>,
    /// Its bytes.
    pub bytes: Bytes,
}

impl SourceFile {
    /// The file's extension in lower case, or nothing.
    pub fn extension(&self) -> Cow<'_, str> {
        let extension = Path::new(&*self.name).extension().and_then(OsStr::to_str).unwrap_or_default();
        if extension.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return extension.to_ascii_lowercase().into();
        }
        extension.into()
    }

    /// The file's bytes, read again if they aren't held.
    ///
    /// # Errors
    /// A diagnostic if the file isn't what it was.
    pub fn read(&self) -> Result<Cow<'_, [u8]>, Diagnostic> {
        self.bytes.read().map_err(|ReadError { error, .. }| {
            let place = Place { path: Arc::clone(&self.path), span: Span::default() };
            let message = format!("`{}` can't be used: {error}", self.path);
            Diagnostic::new(Code::ChangedFile, place, message).with_help(LEAVE_ALONE)
        })
    }

    /// The file as text: UTF-8, without a byte order mark, with LF line ends.
    ///
    /// # Errors
    /// A diagnostic at the first byte that is not UTF-8, or that the file isn't what it was.
    pub fn to_text(&self) -> Result<SourceText, Diagnostic> {
        if let Some(text) = self.bytes.text()
            && !text.starts_with('\u{feff}')
            && !text.contains('\r')
        {
            return Ok(SourceText { path: Arc::clone(&self.path), text: Arc::clone(text) });
        }
        let bytes = self.read()?;
        let bytes = without_mark(&bytes);
        match str::from_utf8(bytes) {
            Ok(text) => Ok(SourceText { path: Arc::clone(&self.path), text: with_lf_line_ends(text).into() }),
            Err(error) => {
                let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
                let start = with_lf_line_ends(&valid).len();
                let span = Span::new(start, start + char::REPLACEMENT_CHARACTER.len_utf8());
                let place = Place { path: Arc::clone(&self.path), span };
                let message = "the file is not UTF-8: a byte here belongs to no character";
                Err(Diagnostic::new(Code::BadEncoding, place, message).with_help("save the file in the encoding UTF-8"))
            }
        }
    }

    /// The text that the places of diagnostics count in, whatever the file holds.
    pub fn to_shown_text(&self) -> Arc<str> {
        let bytes = self.bytes.read().unwrap_or_default();
        with_lf_line_ends(&String::from_utf8_lossy(without_mark(&bytes))).into()
    }
}

/// What helps if a file isn't what it was.
pub const LEAVE_ALONE: &str = "leave the site's files alone while it is built, and build again";

fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

fn with_lf_line_ends(text: &str) -> Cow<'_, str> {
    if !text.contains('\r') {
        return text.into();
    }
    text.replace("\r\n", "\n").replace('\r', "\n").into()
}

/// Reads a file that may be absent.
///
/// # Errors
/// What the system said, other than that there is no such file.
pub fn read_file_if_there(path: &Path) -> Result<Option<Vec<u8>>, ReadError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ReadError { path: path.to_owned(), error }),
    }
}

/// Reads a file that must be there.
///
/// # Errors
/// What the system said.
pub fn read_file(path: &Path) -> Result<Vec<u8>, ReadError> {
    std::fs::read(path).map_err(|error| ReadError { path: path.to_owned(), error })
}

/// Opens a file to read it.
///
/// # Errors
/// What the system said.
pub fn open_file(path: &Path) -> Result<File, ReadError> {
    File::open(path).map_err(|error| ReadError { path: path.to_owned(), error })
}

/// A source's bytes; large ones that are no text stay in the file.
fn read_bytes(path: &Path) -> Result<Bytes, ReadError> {
    Bytes::read_rest(&mut open_file(path)?, path).map_err(|error| ReadError { path: path.to_owned(), error })
}

impl Sources {
    /// All files, each list in the order of the paths.
    pub fn lists(&self) -> [&[SourceFile]; 6] {
        let Self { content, templates, static_files, styles, data, defaults, past: _, filtered: _ } = self;
        [content, templates, static_files, styles, data, defaults]
    }

    /// Reads all folders of a site. A folder that isn't there is empty. Files are read in parallel.
    ///
    /// # Errors
    /// Every file that can't be read.
    pub fn read(root: &Path, paths: &Paths) -> Result<(Self, Vec<Diagnostic>), Vec<ReadError>> {
        Self::read_changed(root, paths, &mut KnownFiles::default())
    }

    /// The same, where files that look as they did when they became known are not read again.
    ///
    /// # Errors
    /// Every file that can't be read.
    pub fn read_changed(
        root: &Path,
        paths: &Paths,
        known: &mut KnownFiles,
    ) -> Result<(Self, Vec<Diagnostic>), Vec<ReadError>> {
        let mut walk = Walk { root, diagnostics: Vec::new(), errors: Vec::new(), is_settling: false };
        let folders = [&paths.content, &paths.templates, &paths.static_files, &paths.styles, &paths.data];
        let [content, templates, static_files, styles, data] = folders.map(|folder| walk.files_below(folder));
        let Walk { mut diagnostics, mut errors, is_settling, .. } = walk;
        known.is_settling = is_settling;
        let mut stamps = HashMap::new();
        let (past, mistakes) = read_past(root).unwrap_or_else(|error| {
            errors.push(error);
            Default::default()
        });
        diagnostics.extend(mistakes);
        let mut read_all = |found: Vec<FoundFile>| -> Vec<SourceFile> {
            stamps.extend(found.iter().filter_map(|file| Some((Arc::clone(&file.path), file.stamp?))));
            let read = |file: FoundFile| known.find(&file).map_or_else(|| file.read(), Ok);
            let results: Vec<_> = found.into_par_iter().map(read).collect();
            results.into_iter().filter_map(|result| result.map_err(|error| errors.push(error)).ok()).collect()
        };
        let is_defaults = |file: &SourceFile| file.name.rsplit('/').next() == Some(DEFAULTS_NAME);
        let (defaults, content): (Vec<_>, Vec<_>) = read_all(content).into_iter().partition(is_defaults);
        let sources = Self {
            content: content.into(),
            templates: read_all(templates).into(),
            static_files: read_all(static_files).into(),
            styles: read_all(styles).into(),
            data: read_all(data).into(),
            defaults: defaults.into(),
            past,
            filtered: Filtered::default(),
        };
        if !errors.is_empty() {
            return Err(errors);
        }
        let files = sources.lists().into_iter().flatten();
        known.replace(files.filter_map(|file| Some((file, *stamps.get(&file.path)?))));
        Ok((sources, diagnostics))
    }

    /// Keeps the lists of an earlier reading that are as they were.
    pub fn keep_lists(&mut self, before: &Self) {
        let Self { content, templates, static_files, styles, data, defaults, past: _, filtered: _ } = self;
        let lists = [
            (content, &before.content),
            (templates, &before.templates),
            (static_files, &before.static_files),
            (styles, &before.styles),
            (data, &before.data),
            (defaults, &before.defaults),
        ];
        for (list, before) in lists {
            if list == before {
                *list = Arc::clone(before);
            }
        }
    }
}

/// A file that a walk came by.
struct FoundFile {
    on_disk: PathBuf,
    path: Arc<str>,
    name: Arc<str>,
    /// How it looks, if that tells whether it changed.
    stamp: Option<Stamp>,
}

impl FoundFile {
    fn read(self) -> Result<SourceFile, ReadError> {
        let bytes = read_bytes(&self.on_disk)?;
        Ok(SourceFile { path: self.path, name: self.name, bytes })
    }
}

/// The folders of a site being listed, and what was wrong with them.
struct Walk<'a> {
    root: &'a Path,
    diagnostics: Vec<Diagnostic>,
    errors: Vec<ReadError>,
    /// Whether some file was changed a moment ago.
    is_settling: bool,
}

impl Walk<'_> {
    /// The files below a folder by path, links followed as long as they stay within the site.
    fn files_below(&mut self, folder: &str) -> Vec<FoundFile> {
        let top = self.root.join(folder);
        if !top.exists() {
            return Vec::new();
        }
        let mut found = Vec::new();
        let mut entries = WalkDir::new(&top).follow_links(true).sort_by_file_name().into_iter();
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.add_walk_error(error);
                    continue;
                }
            };
            let skip = entry.depth() > 0 && is_litter(entry.file_name()) || !self.stays_within(&entry);
            if skip && entry.file_type().is_dir() {
                entries.skip_current_dir();
            } else if !skip && !entry.file_type().is_dir() {
                found.extend(self.found_file(&entry, &top));
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    fn found_file(&mut self, entry: &DirEntry, top: &Path) -> Option<FoundFile> {
        // A named pipe or a device would make the build wait for ever.
        if !entry.file_type().is_file() {
            let error = io::Error::other("it is neither a file nor a folder");
            self.errors.push(ReadError { path: entry.path().to_owned(), error });
            return None;
        }
        let (path, name) = (text_path(entry.path(), self.root), text_path(entry.path(), top));
        let (Some(path), Some(name)) = (path, name) else {
            let shown = entry.path().to_string_lossy();
            self.add_diagnostic(Code::BadEncoding, &shown, "the name of the file is not UTF-8", "give it another name");
            return None;
        };
        let metadata = entry.metadata().ok();
        self.is_settling |= metadata.as_ref().is_some_and(is_settling);
        let stamp = metadata.as_ref().and_then(Stamp::of);
        Some(FoundFile { on_disk: entry.path().to_owned(), path: path.into(), name: name.into(), stamp })
    }

    /// Whether an entry, if it is a link, leads to a place within the site.
    fn stays_within(&mut self, entry: &DirEntry) -> bool {
        if !entry.path_is_symlink() {
            return true;
        }
        let target = entry.path().canonicalize().and_then(|target| Ok((target, self.root.canonicalize()?)));
        match target {
            Ok((target, root)) if target.starts_with(&root) => true,
            Ok((target, _)) => {
                let message = format!("the link leads out of the site, to `{}`", target.display());
                let path = text_path(entry.path(), self.root).unwrap_or_default();
                self.add_diagnostic(Code::LinkOutside, &path, &message, "copy what it leads to into the site");
                false
            }
            Err(error) => {
                self.errors.push(ReadError { path: entry.path().to_owned(), error });
                false
            }
        }
    }

    fn add_diagnostic(&mut self, code: Code, path: &str, message: &str, help: &str) {
        let place = Place { path: path.into(), span: Span::default() };
        self.diagnostics.push(Diagnostic::new(code, place, message).with_help(help));
    }

    fn add_walk_error(&mut self, error: walkdir::Error) {
        let path = error.path().unwrap_or(self.root).to_owned();
        let error = error.into_io_error().unwrap_or_else(|| io::Error::other("a link leads back to a folder above it"));
        self.errors.push(ReadError { path, error });
    }
}

/// A path below `base` with `/` between folders, or `None` if it is not UTF-8.
fn text_path(path: &Path, base: &Path) -> Option<String> {
    let below = path.strip_prefix(base).unwrap_or(path);
    let segments: Option<Vec<_>> = below.iter().map(OsStr::to_str).collect();
    Some(segments?.join("/"))
}

/// What editors and systems leave behind: never a source.
fn is_litter(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let exact = [".DS_Store", "Thumbs.db", "desktop.ini", ".git", ".hg", ".svn", ".gitkeep", ".gitignore"];
    exact.contains(&&*name)
        || name.ends_with('~')
        || name.starts_with(".#")
        || name.starts_with("._")
        || (name.starts_with('#') && name.ends_with('#'))
        || (name.starts_with('.') && (name.ends_with(".swp") || name.ends_with(".swo") || name.ends_with(".swx")))
        || name.ends_with(".swp")
}
