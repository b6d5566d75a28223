//! The reading half: [`BundleView::open`] checks everything once; afterwards a look-up can't fail.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

use crate::digest::Digest;
use crate::front::{Front, ReadFront};
use crate::index::{EMPTY_SLOT, Index, OpenError, RouteRecord, VariantRecord, hash, location_of};
use crate::layout::{Encoding, RouteKind, Settings};

/// A checked bundle over any bytes that stay as they are: a map of a file, or a vector.
///
/// The index (paths, lengths, entity tags, what 304s say) is private memory; heads and bodies are handed out as slices of `B`, never
/// read here after [`open`](Self::open). A `B` whose `as_ref` changes its length between calls makes the accessors panic.
pub struct BundleView<B> {
    bytes: B,
    index: Index,
}

impl<B: AsRef<[u8]>> BundleView<B> {
    /// Checks a whole bundle and takes it. Reads every byte once.
    ///
    /// # Errors
    /// The first thing found wrong, as an [`OpenError`].
    pub fn open(bytes: B) -> Result<Self, OpenError> {
        let index = Index::read(&Front::of(bytes.as_ref()))?;
        Ok(Self { bytes, index })
    }

    /// The same, reading from `reader` and touching none of `bytes`, which must be the same as what is read. For a map of
    /// a file: reading a page that is cut off meanwhile would end the process, where a read is only short.
    ///
    /// # Errors
    /// What the reader reports; within that, the first thing found wrong.
    pub fn open_read(bytes: B, reader: &mut impl Read) -> io::Result<Result<Self, OpenError>> {
        // One byte more than there should be shows that there is more.
        let front = ReadFront::read(reader, bytes.as_ref().len().saturating_add(1))?;
        Ok(Index::read(&front.as_front()).and_then(|index| {
            let (promised, found) = (front.as_front().total_len as u64, bytes.as_ref().len() as u64);
            if promised == found { Ok(Self { bytes, index }) } else { Err(OpenError::Length { promised, found }) }
        }))
    }
}

/// All of a bundle but its bodies: of those it knows where they lie. What asks for their bytes panics.
pub type FrontView = BundleView<Vec<u8>>;

/// Checks a whole bundle as [`BundleView::open`] does, and keeps all of it but the bodies.
///
/// # Errors
/// What the reader reports; within that, the first thing found wrong.
pub fn open_front(reader: &mut impl Read) -> io::Result<Result<FrontView, OpenError>> {
    let front = ReadFront::read(reader, usize::MAX)?;
    Ok(Index::read(&front.as_front()).map(|index| BundleView { bytes: front.into_bytes(), index }))
}

impl<B: AsRef<[u8]>> BundleView<B> {
    /// The route that answers at a percent-decoded path. Takes constant time and touches private memory only.
    pub fn find(&self, path: &[u8]) -> Option<Route<'_>> {
        let mask = self.index.slots.len() - 1;
        let mut slot = hash(path) & mask;
        // The table is at most half full, so an empty slot ends every search.
        loop {
            let number = self.index.slots[slot];
            if number == EMPTY_SLOT {
                return None;
            }
            let record = &self.index.routes[number as usize];
            if self.index.path(record) == path {
                return Some(self.route(record));
            }
            slot = (slot + 1) & mask;
        }
    }

    /// The first pattern that takes a percent-decoded path, and where it leads it: nowhere if the path is gone. For paths
    /// at which no route answers; takes time in proportion to the number of patterns, and touches private memory only.
    pub fn find_pattern(&self, path: &[u8]) -> Option<(Route<'_>, String)> {
        let (number, location) =
            self.index.patterns.iter().find_map(|(number, pattern)| Some((number, pattern.location(path)?)))?;
        Some((self.route(&self.index.routes[*number as usize]), location))
    }

    /// The routes that are patterns, in the order in which they are tried.
    pub fn patterns(&self) -> impl ExactSizeIterator<Item = Route<'_>> {
        self.index.patterns.iter().map(|(number, _)| self.route(&self.index.routes[*number as usize]))
    }

    /// All routes, ascending by path.
    pub fn routes(&self) -> impl ExactSizeIterator<Item = Route<'_>> {
        self.index.routes.iter().map(|record| self.route(record))
    }

    /// The page for what isn't there, if the site has one: the route `/404`.
    pub fn not_found(&self) -> Option<Route<'_>> {
        self.find(b"/404").filter(|route| route.status() == 404)
    }

    /// What the server must know of the site.
    pub fn settings(&self) -> &Settings {
        &self.index.settings
    }

    /// Free text about how the bundle was made, ascending by key.
    pub fn build_info(&self) -> &[(String, String)] {
        &self.index.build_info
    }

    /// The BLAKE3 in the header: two bundles with the same one are the same.
    pub fn digest(&self) -> Digest {
        self.index.digest
    }

    /// The value of `Last-Modified`, the same in all heads that have one; in private memory.
    pub fn last_modified(&self) -> Option<&[u8]> {
        self.index.last_modified.as_deref()
    }

    /// The bytes that were opened.
    pub fn bytes(&self) -> &B {
        &self.bytes
    }

    fn route<'a>(&'a self, record: &'a RouteRecord) -> Route<'a> {
        Route { bytes: self.bytes.as_ref(), index: &self.index, record }
    }
}

impl<B> fmt::Debug for BundleView<B> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "BundleView({} routes, {:?})", self.index.routes.len(), self.index.digest)
    }
}

/// One URL of the site.
#[derive(Clone, Copy)]
pub struct Route<'a> {
    bytes: &'a [u8],
    index: &'a Index,
    record: &'a RouteRecord,
}

impl<'a> Route<'a> {
    /// The percent-decoded path, `/` first.
    pub fn path(&self) -> &'a [u8] {
        self.index.path(self.record)
    }

    /// How the server treats it.
    pub fn kind(&self) -> RouteKind {
        self.record.kind
    }

    /// The status of its answers, when no precondition or range changes it.
    pub fn status(&self) -> u16 {
        self.record.status
    }

    /// Where a redirect leads: a URL reference of visible ASCII, a pattern's with its gaps. Empty for all other kinds.
    pub fn location(&self) -> &'a [u8] {
        location_of(&self.index.strings, self.record)
    }

    /// Its variants by ascending coding; the first is always identity.
    pub fn variants(&self) -> impl ExactSizeIterator<Item = Variant<'a>> + use<'a> {
        let (bytes, index) = (self.bytes, self.index);
        let first = self.record.variant_first as usize;
        let records = &index.variants[first..first + usize::from(self.record.variant_count)];
        records.iter().map(move |record| Variant { bytes, index, record })
    }

    /// The variant that every route has: the body as it is.
    pub fn identity(&self) -> Variant<'a> {
        let record = &self.index.variants[self.record.variant_first as usize];
        Variant { bytes: self.bytes, index: self.index, record }
    }
}

impl fmt::Debug for Route<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Route({} {} {:?})", String::from_utf8_lossy(self.path()), self.status(), self.kind())
    }
}

/// One coding of a route's body, with its head.
#[derive(Clone, Copy)]
pub struct Variant<'a> {
    bytes: &'a [u8],
    index: &'a Index,
    record: &'a VariantRecord,
}

impl<'a> Variant<'a> {
    /// The content coding.
    pub fn encoding(&self) -> Encoding {
        self.record.encoding
    }

    /// The written head.
    pub fn head(&self) -> Head<'a> {
        let record = self.record;
        let (status_line_len, length_len) = (usize::from(record.status_line_len), usize::from(record.length_len));
        let (content_len, shared_len) = (record.content_len as usize, record.shared_len as usize);
        let head_len = status_line_len + length_len + content_len + shared_len;
        Head {
            bytes: &self.bytes[record.head_start..record.head_start + head_len],
            length_start: status_line_len,
            content_start: status_line_len + length_len,
            shared_start: status_line_len + length_len + content_len,
        }
    }

    /// The strong entity tag with its quotes, in private memory; empty if the answer has none.
    pub fn etag(&self) -> &'a [u8] {
        let start = self.record.etag_start as usize;
        &self.index.etags[start..start + usize::from(self.record.etag_len)]
    }

    /// The shared fields without the entity tag's, in private memory.
    pub fn repeated_fields(&self) -> &'a [u8] {
        let start = self.record.repeated_start as usize;
        &self.index.repeated[start..start + self.record.repeated_len()]
    }

    /// The body's bytes.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[self.record.body.clone()]
    }

    /// Where the body lies in the file, for `sendfile`. Touches no mapped byte.
    pub fn body_range(&self) -> Range<usize> {
        self.record.body.clone()
    }
}

impl fmt::Debug for Variant<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Variant({}, {} bytes)", self.encoding().token(), self.record.body.len())
    }
}

/// A written HTTP/1.1 head without the empty line, each part at hand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    bytes: &'a [u8],
    length_start: usize,
    content_start: usize,
    shared_start: usize,
}

impl<'a> Head<'a> {
    /// All four parts in one slice: what goes before an answer with the whole body.
    pub fn whole(&self) -> &'a [u8] {
        self.bytes
    }

    /// `HTTP/1.1 200 OK` CR LF.
    pub fn status_line(&self) -> &'a [u8] {
        &self.bytes[..self.length_start]
    }

    /// `Content-Length: N` CR LF.
    pub fn length(&self) -> &'a [u8] {
        &self.bytes[self.length_start..self.content_start]
    }

    /// The fields that only an answer with a body carries.
    pub fn content(&self) -> &'a [u8] {
        &self.bytes[self.content_start..self.shared_start]
    }

    /// The fields that a 304 repeats.
    pub fn shared(&self) -> &'a [u8] {
        &self.bytes[self.shared_start..]
    }

    /// The content and the shared fields in one slice.
    pub fn fields(&self) -> &'a [u8] {
        &self.bytes[self.content_start..]
    }
}

impl fmt::Debug for Head<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&String::from_utf8_lossy(self.bytes))
    }
}
