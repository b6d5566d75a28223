//! What each command of `kiln` does, from values that the command line gave to text for people. The only place that
//! says which failure has which exit status.

pub mod apart;
pub mod build;
pub mod cache;
pub mod dev;
pub mod doctor;
pub mod documents;
pub mod export;
pub mod inspect;
mod memory;
pub mod new;
pub mod post;
mod progress;
pub(crate) mod signals;
mod unchanged;
pub mod urls;

use std::fmt;
use std::path::Path;

use bundle::BundleView;

use crate::bytes::OpenFile;
use crate::output::{PackError, Previous, WriteDistError};
use crate::source::{self, ReadError};

/// Why a command failed, with its exit status.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// 1: the site's sources or a bundle have errors. They are in the report already, or in this text.
    Site(String),
    /// 2: a wrong command line or environment, or no site in the folder.
    Usage(String),
    /// 4: the disk, a file or a folder.
    Io(String),
}

impl Failure {
    /// The exit status of the process.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Site(_) => 1,
            Self::Usage(_) => 2,
            Self::Io(_) => IO_EXIT_STATUS,
        }
    }
}

impl From<PackError> for Failure {
    fn from(error: PackError) -> Self {
        let text = error.to_string();
        match error {
            PackError::Read(_) => Self::Io(text),
            // The writer refuses only what an earlier stage should have reported, so this is not the site's mistake alone.
            PackError::Format(_) | PackError::Faults(_) => Self::Site(text),
        }
    }
}

/// The exit status if a tool is missing or failed.
pub(crate) const TOOL_EXIT_STATUS: u8 = 3;
/// The exit status if the disk, a file or a folder is in the way.
pub(crate) const IO_EXIT_STATUS: u8 = 4;

/// What a command has to say when it could do its work, even if what it found is bad.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// For standard output.
    pub result: String,
    /// For standard error.
    pub messages: String,
    /// The exit status of the process: 0; 1 if the site has errors; 3 if a tool is missing or failed; 4 if a file was
    /// changed meanwhile.
    pub exit_status: u8,
}

impl Report {
    /// Nothing but a result.
    pub fn result(result: String) -> Self {
        Self { result, ..Self::default() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Site(text) | Self::Usage(text) | Self::Io(text) => out.write_str(text),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::Io(error.to_string())
    }
}

impl From<WriteDistError> for Failure {
    fn from(error: WriteDistError) -> Self {
        Self::Io(error.to_string())
    }
}

/// Reads a bundle and checks it, and leaves its bodies where they are.
fn open_previous(path: &Path) -> Result<Previous, Failure> {
    let mut file = source::open_file(path)?;
    let view = bundle::open_front(&mut file)
        .map_err(|error| ReadError { path: path.to_owned(), error })?
        .map_err(|error| Failure::Site(format!("`{}` is {error}", path.display())))?;
    Ok(Previous { file: OpenFile::new(file, path), view })
}

/// What the last build left there, if it can be read: of a body that is taken from it, the digest is known.
fn open_last(path: &Path) -> Option<Previous> {
    let mut file = source::open_file(path).ok()?;
    let view = bundle::open_front_unverified(&mut file).ok()?.ok()?;
    Some(Previous { file: OpenFile::new(file, path), view })
}

/// Reads a bundle and checks it.
fn open_bundle(path: &Path) -> Result<BundleView<Vec<u8>>, Failure> {
    let bytes = source::read_file(path)?;
    BundleView::open(bytes).map_err(|error| Failure::Site(format!("`{}` is {error}", path.display())))
}
