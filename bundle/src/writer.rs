//! The writing half: routes in any order, the same bytes out. What [`BundleView`](crate::BundleView) checks is
//! asserted here first, so a bundle that can be written can be opened.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::sync::Arc;

use crate::digest::{Digest, write_hashed};
use crate::layout::{self, Checked, Encoding, HeadFacts, RouteFacts, RouteKind, Section, Settings};
use crate::pattern::RedirectPattern;

/// The bytes of a body, wherever they are. The layout needs their length and digest alone, so that they can stay in a file
/// until they are written.
pub trait Body: Clone {
    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Their digest.
    fn digest(&self) -> Digest;

    /// Writes them: as many as `len` says, with the digest that `digest` gives.
    ///
    /// # Errors
    /// What `out` reports, or that the bytes can't be had any more.
    fn write_to(&self, out: &mut dyn Write) -> io::Result<()>;
}

impl Body for Arc<[u8]> {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }

    fn digest(&self) -> Digest {
        Digest::of(self)
    }

    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self)
    }
}

/// One URL to publish.
#[derive(Clone, Debug)]
pub struct RouteEntry<B = Arc<[u8]>> {
    /// The percent-decoded path, `/` first; a pattern's with its gaps.
    pub path: String,
    /// How the server treats it.
    pub kind: RouteKind,
    /// The status of its answers.
    pub status: u16,
    /// Where a redirect leads: a URL reference of visible ASCII. Empty for all other kinds.
    pub location: String,
    /// Its codings in any order, identity among them.
    pub variants: Vec<VariantEntry<B>>,
}

/// One coding of a route's body.
#[derive(Clone, Debug)]
pub struct VariantEntry<B = Arc<[u8]>> {
    /// The content coding.
    pub encoding: Encoding,
    /// The head, already written.
    pub head: HeadParts,
    /// The body's bytes.
    pub body: B,
}

/// A written head in its parts, as the crate's documentation describes them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HeadParts {
    /// `HTTP/1.1 200 OK` CR LF.
    pub status_line: String,
    /// `Content-Length: N` CR LF.
    pub length: String,
    /// Fields that only an answer with the body carries, each ended by CR LF.
    pub content: String,
    /// Fields that a 304 repeats, each ended by CR LF; `ETag` first, if there is one.
    pub shared: String,
}

/// Why routes can't make a bundle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WriteError {
    /// Two routes have this path.
    DuplicatePath(String),
    /// A route, or one of its heads, is not as the format demands.
    Route {
        /// The route's path.
        path: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The settings are not as the format demands.
    Settings(&'static str),
    /// More of something than the format can number.
    TooLarge(&'static str),
}

impl fmt::Display for WriteError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicatePath(path) => write!(out, "two routes for `{path}`"),
            Self::Route { path, reason } => write!(out, "route `{path}`: {reason}"),
            Self::Settings(reason) => write!(out, "settings: {reason}"),
            Self::TooLarge(what) => write!(out, "{what} is more than a bundle can hold"),
        }
    }
}

impl std::error::Error for WriteError {}

/// Gathers routes and packs them.
#[derive(Debug)]
pub struct BundleWriter<B = Arc<[u8]>> {
    settings: Settings,
    build_info: Vec<(String, String)>,
    routes: Vec<RouteEntry<B>>,
}

impl<B: Body> BundleWriter<B> {
    /// A bundle with these settings and, for people, this text about how it was made (key and value; the last of two
    /// equal keys holds).
    pub fn new(settings: Settings, build_info: impl IntoIterator<Item = (String, String)>) -> Self {
        let by_key: std::collections::BTreeMap<_, _> = build_info.into_iter().collect();
        Self { settings, build_info: by_key.into_iter().collect(), routes: Vec::new() }
    }

    /// Adds a route. Order matters to patterns only: of two with equally long beginnings, the first one added is tried
    /// first.
    pub fn add(&mut self, route: RouteEntry<B>) {
        self.routes.push(route);
    }

    /// Checks everything and lays it out. What is left of the routes takes a while to give back.
    ///
    /// # Errors
    /// The first route, by path, that the format doesn't allow.
    pub fn finish(&mut self) -> Result<PackedBundle<B>, WriteError> {
        self.settings.check().map_err(WriteError::Settings)?;
        let patterns = patterns_in_order(&self.routes)?;
        self.routes.sort_by(|a, b| a.path.cmp(&b.path));
        for route in &mut self.routes {
            route.variants.sort_by_key(|variant| variant.encoding);
        }
        if let Some(pair) = self.routes.windows(2).find(|pair| pair[0].path == pair[1].path) {
            return Err(WriteError::DuplicatePath(pair[0].path.clone()));
        }
        let mut checked = Checked::default();
        self.routes.iter().try_for_each(|route| check(route, &mut checked))?;
        let bodies = Bodies::gather(&self.routes)?;
        let index = write_index(self, &bodies)?;
        let number_of = |path: &String| self.routes.binary_search_by(|route| route.path.cmp(path));
        let numbers =
            patterns.iter().filter_map(|path| number_of(path).ok()).flat_map(|number| u32_of(number).to_le_bytes());
        Ok(PackedBundle::new(&index, bodies.in_order, numbers.collect()))
    }
}

/// A finished bundle, its bodies still where they were: written out without another copy of them.
pub struct PackedBundle<B = Arc<[u8]>> {
    /// Everything before the first body: header, section table, index sections, heads. The digest is still missing.
    front: Vec<u8>,
    /// What lies behind it, each piece with the number of zeros before it.
    pieces: Vec<(usize, Piece<B>)>,
    total_len: usize,
}

/// Something that lies behind the front.
enum Piece<B> {
    Body(B),
    /// The section after the bodies.
    Patterns(Vec<u8>),
    /// A section begins at its alignment even when nothing lies in it.
    Start,
}

impl<B: Body> PackedBundle<B> {
    /// Length of the whole bundle in bytes.
    pub fn len(&self) -> usize {
        self.total_len
    }

    /// Never: a bundle has at least its header.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Writes the whole bundle from where `out` stands, reading each body once, and returns the digest in its header.
    /// That is written last: nothing is a bundle before all of it is there.
    ///
    /// # Errors
    /// What `out` or a body reports.
    pub fn write_to(&self, out: &mut (impl Write + Seek)) -> io::Result<Digest> {
        const ZEROS: [u8; 4096] = [0; 4096];
        let start = out.stream_position()?;
        out.write_all(&self.front[..layout::HASHED_FROM])?;
        let digest = write_hashed(out, |hashed| {
            hashed.write_all(&self.front[layout::HASHED_FROM..])?;
            for (padding_len, piece) in &self.pieces {
                hashed.write_all(&ZEROS[..*padding_len])?;
                match piece {
                    Piece::Body(body) => body.write_to(hashed)?,
                    Piece::Patterns(bytes) => hashed.write_all(bytes)?,
                    Piece::Start => {}
                }
            }
            Ok(())
        })?;
        let end = start + self.total_len as u64;
        if out.stream_position()? != end {
            return Err(io::Error::other("a body has another length than it said"));
        }
        out.seek(SeekFrom::Start(start + layout::DIGEST_OFFSET as u64))?;
        out.write_all(digest.as_bytes())?;
        out.seek(SeekFrom::Start(end))?;
        Ok(digest)
    }

    fn new(index: &[(Section, Vec<u8>)], bodies: Vec<B>, patterns: Vec<u8>) -> Self {
        let section_count = index.len() + 2 + usize::from(!patterns.is_empty());
        let mut front = vec![0; layout::SECTION_TABLE_OFFSET + section_count * layout::SECTION_ENTRY_BYTES];
        let mut table = Vec::new();
        for (section, content) in index {
            front.resize(front.len().next_multiple_of(section.alignment()), 0);
            table.push((*section, front.len(), content.len()));
            front.extend_from_slice(content);
        }
        let mut pieces = Vec::with_capacity(bodies.len() + 3);
        let mut end = front.len();
        let mut bodies = bodies.into_iter().peekable();
        for section in [Section::SmallBodies, Section::LargeBodies] {
            let alignment = section.alignment();
            let start = end.next_multiple_of(alignment);
            pieces.push((start - end, Piece::Start));
            end = start;
            while let Some(body) = bodies.next_if(|body| layout::body_section(body.len() as u64) == section) {
                let padding_len = end.next_multiple_of(alignment) - end;
                end += padding_len + body.len();
                pieces.push((padding_len, Piece::Body(body)));
            }
            table.push((section, start, end - start));
        }
        if !patterns.is_empty() {
            let start = end.next_multiple_of(Section::Patterns.alignment());
            table.push((Section::Patterns, start, patterns.len()));
            let padding_len = start - end;
            end = start + patterns.len();
            pieces.push((padding_len, Piece::Patterns(patterns)));
        }
        write_header(&mut front, &table, end);
        Self { front, pieces, total_len: end }
    }
}

impl PackedBundle {
    /// The whole bundle in memory.
    ///
    /// # Panics
    /// Never: memory takes all that is written to it.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::with_capacity(self.total_len));
        self.write_to(&mut bytes).expect("memory takes all that is written to it");
        bytes.into_inner()
    }
}

/// Fills in header and section table, all but the digest.
fn write_header(front: &mut [u8], table: &[(Section, usize, usize)], total_len: usize) {
    front[..layout::MAGIC.len()].copy_from_slice(&layout::MAGIC);
    front[layout::VERSION_OFFSET..][..4].copy_from_slice(&layout::FORMAT_VERSION.to_le_bytes());
    front[layout::TOTAL_LEN_OFFSET..][..8].copy_from_slice(&(total_len as u64).to_le_bytes());
    front[layout::HASHED_FROM] = u8_of(table.len());
    let entries = front[layout::SECTION_TABLE_OFFSET..].chunks_exact_mut(layout::SECTION_ENTRY_BYTES);
    for ((section, start, len), entry) in table.iter().zip(entries) {
        entry[..4].copy_from_slice(&(*section as u32).to_le_bytes());
        entry[4..8].copy_from_slice(&layout::SECTION_REQUIRED.to_le_bytes());
        entry[8..16].copy_from_slice(&(*start as u64).to_le_bytes());
        entry[16..].copy_from_slice(&(*len as u64).to_le_bytes());
    }
}

/// Every different body once, small ones first, those of assets before those of pages.
struct Bodies<B> {
    in_order: Vec<B>,
    /// For each variant, those of the first route first, its body's place in the order.
    number_of_variant: Vec<u32>,
}

impl<B: Body> Bodies<B> {
    fn gather(routes: &[RouteEntry<B>]) -> Result<Self, WriteError> {
        let variants = routes.iter().flat_map(|route| route.variants.iter().map(|variant| (route.kind, &variant.body)));
        let all: Vec<_> = variants.map(|(kind, body)| (kind, body, body.digest())).collect();
        let mut in_storage_order: Vec<_> = all.iter().collect();
        in_storage_order.sort_by_key(|(kind, body, _)| {
            (layout::body_section(body.len() as u64) as u32, !matches!(kind, RouteKind::Asset | RouteKind::KeptAsset))
        });
        let mut in_order = Vec::new();
        let mut number_of = HashMap::new();
        for (_, body, digest) in in_storage_order {
            let next = u32::try_from(in_order.len()).map_err(|_| WriteError::TooLarge("the number of bodies"))?;
            number_of.entry(digest).or_insert_with(|| {
                in_order.push(B::clone(body));
                next
            });
        }
        let number_of_variant = all.iter().map(|(_, _, digest)| number_of[digest]).collect();
        Ok(Self { in_order, number_of_variant })
    }
}

/// The sections before the bodies, in the order of their kinds.
fn write_index<B: Body>(writer: &BundleWriter<B>, bodies: &Bodies<B>) -> Result<Vec<(Section, Vec<u8>)>, WriteError> {
    let (mut routes, mut variants, mut strings, mut heads) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut body_numbers = bodies.number_of_variant.iter();
    for route in &writer.routes {
        routes.extend_from_slice(&u32_of(route.path.len()).to_le_bytes());
        routes.extend_from_slice(&u32_of(route.location.len()).to_le_bytes());
        routes.extend_from_slice(&[route.kind as u8, u8_of(route.variants.len())]);
        routes.extend_from_slice(&route.status.to_le_bytes());
        strings.extend_from_slice(route.path.as_bytes());
        strings.extend_from_slice(route.location.as_bytes());
        for (VariantEntry { encoding, head, .. }, body_number) in route.variants.iter().zip(&mut body_numbers) {
            let etag_len = etag_range(&head.shared).len();
            variants.extend_from_slice(&body_number.to_le_bytes());
            variants.extend_from_slice(&u16_of(head.status_line.len()).to_le_bytes());
            variants.extend_from_slice(&u16_of(head.length.len()).to_le_bytes());
            variants.extend_from_slice(&u32_of(head.content.len()).to_le_bytes());
            variants.extend_from_slice(&u32_of(head.shared.len()).to_le_bytes());
            variants.extend_from_slice(&u16_of(etag_len).to_le_bytes());
            variants.extend_from_slice(&[*encoding as u8, 0]);
            for part in [&head.status_line, &head.length, &head.content, &head.shared] {
                heads.extend_from_slice(part.as_bytes());
            }
        }
    }
    u32::try_from(strings.len()).map_err(|_| WriteError::TooLarge("the length of all paths"))?;
    let body_lens = bodies.in_order.iter().flat_map(|body| (body.len() as u64).to_le_bytes()).collect();
    Ok(vec![
        (Section::Settings, write_properties(&writer.settings.to_properties())),
        (Section::BuildInfo, write_properties(&writer.build_info)),
        (Section::Routes, routes),
        (Section::Variants, variants),
        (Section::Bodies, body_lens),
        (Section::Strings, strings),
        (Section::Heads, heads),
    ])
}

fn write_properties(properties: &[(String, String)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in properties {
        bytes.extend_from_slice(&u32_of(key.len()).to_le_bytes());
        bytes.extend_from_slice(&u32_of(value.len()).to_le_bytes());
        bytes.extend_from_slice(key.as_bytes());
        bytes.extend_from_slice(value.as_bytes());
    }
    bytes
}

/// Where the entity tag stands in shared fields that begin with one.
fn etag_range(shared: &str) -> std::ops::Range<usize> {
    let start = layout::ETAG_NAME.len();
    let tag_len =
        shared.as_bytes().strip_prefix(layout::ETAG_NAME).and_then(|rest| rest.iter().position(|byte| *byte == b'\r'));
    tag_len.map_or(0..0, |len| start..start + len)
}

/// The paths of the patterns in the order in which they are tried.
fn patterns_in_order<B>(routes: &[RouteEntry<B>]) -> Result<Vec<String>, WriteError> {
    let patterns = routes.iter().filter(|route| route.kind == RouteKind::Pattern);
    let mut patterns = patterns
        .map(|route| {
            let pattern = RedirectPattern::parse(&route.path, &route.location);
            let pattern = pattern.map_err(|reason| WriteError::Route { path: route.path.clone(), reason })?;
            Ok((std::cmp::Reverse(pattern.literal_prefix_len()), route.path.clone()))
        })
        .collect::<Result<Vec<_>, _>>()?;
    if patterns.len() > layout::PATTERN_COUNT_MAX {
        return Err(WriteError::TooLarge("the number of patterns"));
    }
    patterns.sort_by_key(|(len, _)| *len);
    Ok(patterns.into_iter().map(|(_, path)| path).collect())
}

fn check<'a, B: Body>(route: &'a RouteEntry<B>, checked: &mut Checked<'a>) -> Result<(), WriteError> {
    let malformed = |reason| WriteError::Route { path: route.path.clone(), reason };
    let RouteEntry { path, kind, status, location, variants } = route;
    let facts = RouteFacts { path: path.as_bytes(), location: location.as_bytes(), kind: *kind, status: *status };
    layout::check_route(&facts).map_err(malformed)?;
    if variants.first().map(|variant| variant.encoding) != Some(Encoding::Identity) {
        return Err(malformed("it has no identity variant"));
    }
    if variants.windows(2).any(|pair| pair[0].encoding == pair[1].encoding) {
        return Err(malformed("it has a coding twice"));
    }
    for VariantEntry { head, body, .. } in variants {
        let [status_line, length] = [&head.status_line, &head.length].map(String::as_bytes);
        let [content, shared] = [&head.content, &head.shared].map(String::as_bytes);
        let facts = HeadFacts { status_line, length, content, shared, etag: etag_range(&head.shared) };
        layout::check_head(&facts, *status, body.len() as u64, checked).map_err(malformed)?;
    }
    Ok(())
}

/// Lengths that `check` has bounded, as the format's numbers.
fn u32_of(len: usize) -> u32 {
    u32::try_from(len).expect("strings, heads and properties are shorter than 4 GiB: checked, or of a site's settings")
}

fn u16_of(len: usize) -> u16 {
    u16::try_from(len).expect("parts of a head are at most 65,535 bytes: checked")
}

fn u8_of(count: usize) -> u8 {
    u8::try_from(count).expect("a route has at most four codings, a bundle ten sections")
}
