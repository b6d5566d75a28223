//! A build that would make what is there already: the same program with the same input, and its output where it belongs.
//! Then nothing is made and nothing is written. What was made lies in the cache, under everything that the build read.

use std::path::Path;

use bundle::Digest;
use serde::{Deserialize, Serialize};

use crate::assets::ImageCounts;
use crate::cache::{Cache, CacheKey};
use crate::output::BUNDLE_NAME;
use crate::pipeline::{BuildOptions, Counts};
use crate::source::{self, Sources};

/// Hexadecimal digits of a whole digest.
pub(super) const DIGITS: usize = 2 * Digest::BYTES;

/// What a build left behind, and what it told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// The digest of the bundle, in hexadecimal digits.
    pub(super) bundle: String,
    /// The files beside it, each with its digest.
    pub(super) texts: Vec<(String, String)>,
    /// The bundle's length.
    pub(super) bytes: usize,
    pub(super) counts: Counts,
    pub(super) images: ImageCounts,
}

/// The name under which a build of this input is kept. `None`: it can't be told whether this program is the one that
/// made it.
pub(super) fn find_key(sources: &Sources, settings: &str, options: &BuildOptions, cache: &Cache) -> Option<CacheKey> {
    let Sources { content, templates, static_files, styles, data, defaults, past, filtered } = sources;
    let lists = [content, templates, static_files, styles, data, defaults].map(|files| source::digest_files(files));
    let past = format!("{past:?}");
    let filtered = format!("{filtered:?}");
    let options = format!("{options:?}");
    let mut parts: Vec<&[u8]> = vec![settings.as_bytes(), options.as_bytes()];
    parts.extend([past.as_bytes(), filtered.as_bytes()]);
    parts.extend(lists.iter().map(|list| list.as_bytes().as_slice()));
    cache.program_key("build 3", &parts)
}

/// What tells this program from every other one.
pub(super) fn program_identity() -> Option<String> {
    let program = std::env::current_exe().ok()?.metadata().ok()?;
    Some(format!("{} {} {:?}", env!("CARGO_PKG_VERSION"), program.len(), program.modified().ok()?))
}

/// What the last build of this input left in `folder`, if all of it is still there.
pub(super) fn find(cache: &Cache, key: &CacheKey, folder: &Path) -> Option<Record> {
    let record: Record = serde_json::from_slice(&cache.find(key)?).ok()?;
    let is_there = |(name, digest): &(String, String)| {
        source::read_file(&folder.join(name)).is_ok_and(|bytes| digest_text(&bytes) == *digest)
    };
    // It is read and not held: it may be larger than the memory that there is.
    let bundle = bundle::open_front(&mut source::open_file(&folder.join(BUNDLE_NAME)).ok()?).ok()?.ok()?;
    let is_same = bundle.digest().hex(DIGITS) == record.bundle && record.texts.iter().all(is_there);
    is_same.then_some(record)
}

/// Keeps what a build left behind.
pub(super) fn keep(cache: &Cache, key: &CacheKey, record: &Record) {
    let text = serde_json::to_vec(record).expect("numbers and texts are JSON");
    cache.keep(key, &text);
}

/// A digest as a record has it.
pub(super) fn digest_text(bytes: &[u8]) -> String {
    Digest::of(bytes).hex(DIGITS)
}
