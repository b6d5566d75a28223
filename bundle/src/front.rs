//! The front of a bundle: all of it before the first body. It is what the index is read from; of the bodies only the
//! digest is wanted, so that they can be read in pieces that are not kept.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use crate::digest::{Digest, Hasher};
use crate::layout::{self, Section, u32_at, u64_at};

/// What a bundle's index is read from.
#[derive(Clone, Copy)]
pub(crate) struct Front<'a> {
    /// At least all before the first body, if the bundle is well formed.
    pub(crate) bytes: &'a [u8],
    /// The list of patterns, which lies behind the bodies; empty if there is none, or if it is too long to be one.
    pub(crate) patterns: &'a [u8],
    /// Length of the whole bundle.
    pub(crate) total_len: usize,
    /// The digest of all that the header's digest covers.
    pub(crate) digest: Digest,
}

impl<'a> Front<'a> {
    /// Of a bundle that lies in memory.
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        let digest = Digest::of(bytes.get(layout::HASHED_FROM..).unwrap_or_default());
        let patterns = bytes.get(patterns_range(bytes)).unwrap_or_default();
        Self { bytes, patterns, total_len: bytes.len(), digest }
    }
}

/// The same, read from somewhere.
pub(crate) struct ReadFront {
    bytes: Vec<u8>,
    patterns: Vec<u8>,
    total_len: usize,
    digest: Digest,
}

/// How much of the bodies is read at a time. Measured: as fast as any larger piece, and it stays in the cache.
const PIECE_BYTES: usize = 256 * 1024;

impl ReadFront {
    /// Reads up to `len_max` bytes, to the end.
    pub(crate) fn read(reader: &mut impl Read, len_max: usize) -> io::Result<Self> {
        let bytes = read_to_first_body(reader, len_max)?;
        let mut left = len_max - bytes.len();
        let patterns_range = patterns_range(&bytes);
        let mut patterns = Vec::new();
        let mut total_len = bytes.len();
        let mut hasher = Hasher::default();
        hasher.update(bytes.get(layout::HASHED_FROM..).unwrap_or_default());
        let mut piece = vec![0; PIECE_BYTES.min(left)];
        while left > 0 {
            let piece_len = piece.len().min(left);
            let len = match reader.read(&mut piece[..piece_len]) {
                Ok(0) => break,
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hasher.update(&piece[..len]);
            let piece_range = patterns_range.start.max(total_len)..patterns_range.end.min(total_len + len);
            if !piece_range.is_empty() {
                patterns.extend_from_slice(&piece[piece_range.start - total_len..piece_range.end - total_len]);
            }
            (total_len, left) = (total_len + len, left - len);
        }
        Ok(Self { bytes, patterns, total_len, digest: hasher.finish() })
    }

    /// Reads what isn't a body, and takes the header's word for the digest.
    pub(crate) fn read_unverified(reader: &mut (impl Read + Seek)) -> io::Result<Self> {
        // First, since it may grow meanwhile: what is promised to be there has to be read.
        let total_len = usize::try_from(reader.seek(SeekFrom::End(0))?).map_err(io::Error::other)?;
        reader.seek(SeekFrom::Start(0))?;
        let bytes = read_to_first_body(reader, total_len)?;
        if bytes.len() < first_body(&bytes).unwrap_or(total_len).min(total_len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Range { start, end } = patterns_range(&bytes);
        let mut patterns = Vec::new();
        reader.seek(SeekFrom::Start(start as u64))?;
        reader.take((end - start) as u64).read_to_end(&mut patterns)?;
        let digest = bytes.get(layout::DIGEST_OFFSET..layout::HASHED_FROM).and_then(|digest| digest.try_into().ok());
        Ok(Self { bytes, patterns, total_len, digest: Digest::from_bytes(digest.unwrap_or_default()) })
    }

    /// All before the first body.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn as_front(&self) -> Front<'_> {
        Front { bytes: &self.bytes, patterns: &self.patterns, total_len: self.total_len, digest: self.digest }
    }
}

/// All before the first body, but no more than `len_max` bytes.
fn read_to_first_body(reader: &mut impl Read, len_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut read_to = |end: usize, bytes: &mut Vec<u8>| -> io::Result<()> {
        let wanted = end.min(len_max).saturating_sub(bytes.len());
        reader.take(wanted as u64).read_to_end(bytes)?;
        Ok(())
    };
    read_to(layout::SECTION_TABLE_OFFSET, &mut bytes)?;
    read_to(table_end(&bytes), &mut bytes)?;
    read_to(first_body(&bytes).unwrap_or(len_max), &mut bytes)?;
    Ok(bytes)
}

/// Where the section table ends, as far as the header can be believed.
fn table_end(bytes: &[u8]) -> usize {
    let is_whole = bytes.starts_with(&layout::MAGIC) && bytes.len() == layout::SECTION_TABLE_OFFSET;
    let count = if is_whole { u32_at(bytes, layout::HASHED_FROM).min(layout::SECTION_COUNT_MAX) } else { 0 };
    layout::SECTION_TABLE_OFFSET + count as usize * layout::SECTION_ENTRY_BYTES
}

/// Where the list of patterns lies, as the table says; what it says is checked later on.
fn patterns_range(bytes: &[u8]) -> Range<usize> {
    const LEN_MAX: u64 = (layout::PATTERN_COUNT_MAX * layout::PATTERN_BYTES) as u64;
    let end = table_end(bytes.get(..layout::SECTION_TABLE_OFFSET).unwrap_or_default());
    let table = bytes.get(layout::SECTION_TABLE_OFFSET..end).unwrap_or_default();
    let entries = table.as_chunks::<{ layout::SECTION_ENTRY_BYTES }>().0;
    let found = entries.iter().find(|entry| u32_at(*entry, 0) == Section::Patterns as u32);
    let range = found.map(|entry| (u64_at(entry, 8), u64_at(entry, 16))).filter(|(_, len)| *len <= LEN_MAX);
    let range = range.and_then(|(start, len)| Some(start..start.checked_add(len)?));
    let range = range.and_then(|range| Some(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?));
    range.unwrap_or_default()
}

/// Where the first section of bodies begins, as the table says; what it says is checked later on.
fn first_body(bytes: &[u8]) -> Option<usize> {
    let table = bytes.get(layout::SECTION_TABLE_OFFSET..)?;
    let entries = table.as_chunks::<{ layout::SECTION_ENTRY_BYTES }>().0;
    let bodies = entries.iter().find(|entry| u32_at(*entry, 0) >= Section::SmallBodies as u32)?;
    usize::try_from(u64_at(bodies, 8)).ok()
}
