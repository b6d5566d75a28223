//! What a bundle says besides heads and bodies, read and checked once: the work of opening one. Nothing here looks
//! anything up.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use crate::digest::Digest;
use crate::front::Front;
use crate::layout::{
    self, Checked, Encoding, HeadFacts, RouteFacts, RouteKind, Section, Settings, u16_at, u32_at, u64_at,
};
use crate::pattern::RedirectPattern;

/// What a bundle says besides heads and bodies.
pub(crate) struct Index {
    pub(crate) settings: Settings,
    pub(crate) build_info: Vec<(String, String)>,
    pub(crate) digest: Digest,
    pub(crate) strings: Box<[u8]>,
    pub(crate) etags: Vec<u8>,
    /// What 304s repeat besides the entity tag, each text once: pages have most of it in common.
    pub(crate) repeated: Vec<u8>,
    /// The date in the head of the first route that answers 200.
    pub(crate) last_modified: Option<Box<[u8]>>,
    pub(crate) routes: Vec<RouteRecord>,
    pub(crate) variants: Vec<VariantRecord>,
    /// The number of each pattern's route and what it takes, in the order in which they are tried.
    pub(crate) patterns: Vec<(u32, RedirectPattern)>,
    /// An open-addressing hash table: number of the route, or [`EMPTY_SLOT`]. Its length is a power of two and at least
    /// twice the number of routes.
    pub(crate) slots: Box<[u32]>,
}

pub(crate) struct RouteRecord {
    pub(crate) path_start: u32,
    pub(crate) path_len: u32,
    pub(crate) location_len: u32,
    pub(crate) variant_first: u32,
    pub(crate) variant_count: u8,
    pub(crate) kind: RouteKind,
    pub(crate) status: u16,
}

pub(crate) struct VariantRecord {
    pub(crate) head_start: usize,
    pub(crate) body: Range<usize>,
    pub(crate) content_len: u32,
    pub(crate) shared_len: u32,
    pub(crate) etag_start: u32,
    /// Where in [`Index::repeated`] its shared fields stand that come after the entity tag's.
    pub(crate) repeated_start: u32,
    pub(crate) etag_len: u16,
    pub(crate) status_line_len: u16,
    pub(crate) length_len: u16,
    pub(crate) encoding: Encoding,
}

impl VariantRecord {
    /// Bytes of the shared fields that come after the entity tag's.
    pub(crate) fn repeated_len(&self) -> usize {
        let etag_field_len = match self.etag_len {
            0 => 0,
            len => layout::ETAG_NAME.len() + usize::from(len) + b"\r\n".len(),
        };
        self.shared_len as usize - etag_field_len
    }
}

pub(crate) const EMPTY_SLOT: u32 = u32::MAX;

/// Why some bytes are not a bundle that can be served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OpenError {
    /// The magic is missing.
    NotABundle,
    /// Written by another version of the format.
    Version {
        /// The version that the header names.
        found: u32,
    },
    /// Cut short, or longer than the header says.
    Length {
        /// Bytes that the header promises.
        promised: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// The content is not what the header's digest was made of.
    Digest,
    /// A section is missing, misplaced, unknown or malformed.
    Section {
        /// The section's name.
        name: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// A route or one of its variants is malformed.
    Route {
        /// The route's path, as text.
        path: String,
        /// What is wrong.
        reason: &'static str,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotABundle => write!(out, "not a bundle (its first bytes are others)"),
            Self::Version { found } => {
                let own = layout::FORMAT_VERSION;
                write!(out, "a bundle of format version {found}, and this program reads version {own}")
            }
            Self::Length { promised, found } => {
                write!(out, "cut short or added to: the bundle says {promised} bytes, and there are {found}")
            }
            Self::Digest => write!(out, "damaged: its digest is not that of its content"),
            Self::Section { name, reason } => write!(out, "malformed: section `{name}`: {reason}"),
            Self::Route { path, reason } => write!(out, "malformed: route `{path}`: {reason}"),
        }
    }
}

impl std::error::Error for OpenError {}

/// The sections by kind, as ranges of the file that are known to lie within it.
struct Sections([Option<Range<usize>>; Section::ALL.len()]);

impl Sections {
    fn range(&self, section: Section) -> Result<Range<usize>, OpenError> {
        self.0[section as usize - 1].clone().ok_or(section_error(section, "is missing"))
    }

    /// A section that holds records of `N` bytes.
    fn records<'a, const N: usize>(&self, bytes: &'a [u8], section: Section) -> Result<&'a [[u8; N]], OpenError> {
        let (records, rest) = bytes[self.range(section)?].as_chunks::<N>();
        if rest.is_empty() { Ok(records) } else { Err(section_error(section, "its last record is not whole")) }
    }
}

fn section_error(section: Section, reason: &'static str) -> OpenError {
    OpenError::Section { name: section.name(), reason }
}

/// Bytes cut from a section front to back; what would go past its end is an error.
struct Cursor {
    section: Section,
    next: usize,
    end: usize,
}

impl Cursor {
    fn new(sections: &Sections, section: Section) -> Result<Self, OpenError> {
        let range = sections.range(section)?;
        Ok(Self { section, next: range.start, end: range.end })
    }

    fn take(&mut self, len: usize) -> Result<Range<usize>, OpenError> {
        let start = self.next;
        if len > self.end - start {
            return Err(section_error(self.section, "is too short for what lies in it"));
        }
        self.next = start + len;
        Ok(start..self.next)
    }

    /// Goes to the next multiple of `alignment`, if anything is left.
    fn align(&mut self, alignment: usize) {
        self.next = self.next.next_multiple_of(alignment).min(self.end);
    }

    fn finish(self) -> Result<(), OpenError> {
        if self.next == self.end { Ok(()) } else { Err(section_error(self.section, "is longer than what lies in it")) }
    }
}

impl Index {
    /// Reads the index of a bundle from its front: see [`Front`].
    pub(crate) fn read(front: &Front<'_>) -> Result<Self, OpenError> {
        check_header(front)?;
        let Front { bytes, digest, .. } = *front;
        let sections = read_sections(front)?;
        let settings = Settings::from_properties(read_properties(bytes, &sections, Section::Settings)?)
            .map_err(|reason| section_error(Section::Settings, reason))?;
        let build_info = read_properties(bytes, &sections, Section::BuildInfo)?;
        let bodies = read_bodies(bytes, &sections)?;
        let strings = bytes[sections.range(Section::Strings)?].into();
        let mut index = Self {
            settings,
            build_info,
            digest,
            strings,
            etags: Vec::new(),
            repeated: Vec::new(),
            last_modified: None,
            routes: Vec::new(),
            variants: Vec::new(),
            patterns: Vec::new(),
            slots: Box::default(),
        };
        index.read_routes(bytes, &sections)?;
        index.read_variants(bytes, &sections, &bodies)?;
        index.patterns = index.read_patterns(front.patterns, &sections)?;
        let found_by_path = (0..).zip(&index.routes).filter(|(_, record)| record.kind != RouteKind::Pattern);
        index.slots =
            hash_slots(found_by_path.map(|(number, record)| (number, index.path(record))), index.routes.len());
        Ok(index)
    }

    pub(crate) fn path(&self, record: &RouteRecord) -> &[u8] {
        path_of(&self.strings, record)
    }

    fn read_routes(&mut self, bytes: &[u8], sections: &Sections) -> Result<(), OpenError> {
        let records = sections.records::<{ layout::ROUTE_BYTES }>(bytes, Section::Routes)?;
        let too_many = || section_error(Section::Routes, "more than 32 bits can number");
        u32::try_from(self.strings.len()).map_err(|_| too_many())?;
        u32::try_from(records.len()).ok().filter(|count| *count < EMPTY_SLOT).ok_or_else(too_many)?;
        let mut strings = Cursor { section: Section::Strings, next: 0, end: self.strings.len() };
        let mut variant_first = 0_u32;
        let mut previous_path: &[u8] = b"";
        self.routes.reserve_exact(records.len());
        for record in records {
            let path_range = strings.take(u32_at(record, 0) as usize)?;
            let location_range = strings.take(u32_at(record, 4) as usize)?;
            let (path, location) = (&self.strings[path_range.clone()], &self.strings[location_range.clone()]);
            let malformed = |reason| route_error(path, reason);
            let kind = RouteKind::from_number(record[8]).ok_or_else(|| malformed("its kind is unknown"))?;
            let status = u16_at(record, 10);
            layout::check_route(&RouteFacts { path, location, kind, status }).map_err(malformed)?;
            if path <= previous_path {
                return Err(malformed("it is out of order"));
            }
            previous_path = path;
            let variant_count = record[9];
            self.routes.push(RouteRecord {
                path_start: index_u32(path_range.start),
                path_len: index_u32(path_range.len()),
                location_len: index_u32(location_range.len()),
                variant_first,
                variant_count,
                kind,
                status,
            });
            variant_first = variant_first.checked_add(u32::from(variant_count)).ok_or_else(too_many)?;
        }
        strings.finish()
    }

    /// `list` is the section's content, as the front has it.
    fn read_patterns(&self, list: &[u8], sections: &Sections) -> Result<Vec<(u32, RedirectPattern)>, OpenError> {
        let malformed = |reason| section_error(Section::Patterns, reason);
        let route_count = self.routes.iter().filter(|route| route.kind == RouteKind::Pattern).count();
        let list_len = sections.0[Section::Patterns as usize - 1].as_ref().map(Range::len);
        let (records, rest) = list.as_chunks::<{ layout::PATTERN_BYTES }>();
        let is_whole = rest.is_empty() && list_len.unwrap_or_default() == list.len();
        let is_right = records.len() == route_count && list_len.is_some() == (route_count > 0);
        if !is_whole || !is_right || route_count > layout::PATTERN_COUNT_MAX {
            return Err(malformed("it doesn't list the routes that are patterns"));
        }
        let mut patterns: Vec<(u32, RedirectPattern)> = Vec::with_capacity(records.len());
        let mut is_listed = vec![false; self.routes.len()];
        for record in records {
            let number = u32_at(record, 0);
            let route = self.routes.get(number as usize).filter(|route| route.kind == RouteKind::Pattern);
            let route = route.ok_or_else(|| malformed("it lists a route that is no pattern"))?;
            if std::mem::replace(&mut is_listed[number as usize], true) {
                return Err(malformed("it lists a route twice"));
            }
            let (path, location) = (self.path(route), location_of(&self.strings, route));
            let pattern = layout::parse_pattern(path, location).map_err(|reason| route_error(path, reason))?;
            let previous_len = patterns.last().map_or(usize::MAX, |(_, previous)| previous.literal_prefix_len());
            if pattern.literal_prefix_len() > previous_len {
                return Err(malformed("it is out of order"));
            }
            patterns.push((number, pattern));
        }
        Ok(patterns)
    }

    fn read_variants(&mut self, bytes: &[u8], sections: &Sections, bodies: &[Range<usize>]) -> Result<(), OpenError> {
        let records = sections.records::<{ layout::VARIANT_BYTES }>(bytes, Section::Variants)?;
        let mut heads = Cursor::new(sections, Section::Heads)?;
        let mut rest = records.iter();
        let mut used = vec![false; bodies.len()];
        let mut checked = Checked::default();
        self.variants.reserve_exact(records.len());
        let Self { strings, etags, repeated, last_modified, routes, variants, .. } = self;
        let mut starts = HashMap::new();
        let mut is_dated = false;
        for route in &*routes {
            let malformed = |reason| route_error(path_of(strings, route), reason);
            let mut previous = None;
            for _ in 0..route.variant_count {
                let record = rest.next().ok_or_else(|| malformed("a variant is missing"))?;
                let number = u32_at(record, 0) as usize;
                let body = bodies.get(number).cloned().ok_or_else(|| malformed("a body is missing"))?;
                used[number] = true;
                let encoding = Encoding::from_number(record[18]).ok_or_else(|| malformed("a coding is unknown"))?;
                if record[19] != 0 || previous >= Some(encoding) {
                    return Err(malformed("its variants are out of order"));
                }
                previous = Some(encoding);
                let head_len =
                    [u16_at(record, 4).into(), u16_at(record, 6).into(), u32_at(record, 8), u32_at(record, 12)];
                let head = heads.take(head_len.iter().map(|len| *len as usize).sum())?;
                let mut variant = VariantRecord {
                    head_start: head.start,
                    body,
                    status_line_len: u16_at(record, 4),
                    length_len: u16_at(record, 6),
                    content_len: u32_at(record, 8),
                    shared_len: u32_at(record, 12),
                    etag_start: u32::try_from(etags.len()).map_err(|_| malformed("there are too many entity tags"))?,
                    etag_len: u16_at(record, 16),
                    repeated_start: 0,
                    encoding,
                };
                let etag =
                    check_variant(&bytes[head.clone()], &variant, route.status, &mut checked).map_err(malformed)?;
                let fields = &bytes[head.end - variant.repeated_len()..head.end];
                let next = u32::try_from(repeated.len()).map_err(|_| malformed("the heads are too long"))?;
                variant.repeated_start = *starts.entry(fields).or_insert_with(|| {
                    repeated.extend_from_slice(fields);
                    next
                });
                if route.status == 200 && !std::mem::replace(&mut is_dated, true) {
                    *last_modified = find_last_modified(&bytes[head]);
                }
                etags.extend_from_slice(etag);
                variants.push(variant);
            }
            let first = variants.get(route.variant_first as usize);
            if first.map(|variant| variant.encoding) != Some(Encoding::Identity) {
                return Err(malformed("it has no identity variant"));
            }
        }
        heads.finish()?;
        if rest.next().is_some() {
            return Err(section_error(Section::Variants, "is longer than the routes say"));
        }
        if used.contains(&false) {
            return Err(section_error(Section::Bodies, "there is a body that no route uses"));
        }
        Ok(())
    }
}

fn path_of<'a>(strings: &'a [u8], record: &RouteRecord) -> &'a [u8] {
    let start = record.path_start as usize;
    &strings[start..start + record.path_len as usize]
}

/// Where a redirect leads; empty for all other kinds.
pub(crate) fn location_of<'a>(strings: &'a [u8], record: &RouteRecord) -> &'a [u8] {
    let start = record.path_start as usize + record.path_len as usize;
    &strings[start..start + record.location_len as usize]
}

/// Checks a variant's head and returns its entity tag.
fn check_variant<'a>(
    head: &'a [u8],
    variant: &VariantRecord,
    status: u16,
    checked: &mut Checked<'a>,
) -> Result<&'a [u8], &'static str> {
    let (status_line, rest) = head.split_at(variant.status_line_len.into());
    let (length, rest) = rest.split_at(variant.length_len.into());
    let (content, shared) = rest.split_at(variant.content_len as usize);
    let etag = match variant.etag_len {
        0 => 0..0,
        len => layout::ETAG_NAME.len()..layout::ETAG_NAME.len() + usize::from(len),
    };
    let facts = HeadFacts { status_line, length, content, shared, etag: etag.clone() };
    layout::check_head(&facts, status, variant.body.len() as u64, checked)?;
    Ok(&shared[etag])
}

/// A number that is known to be an offset into, or a length within, the strings, whose length was checked to fit.
fn index_u32(number: usize) -> u32 {
    u32::try_from(number).expect("the strings' length fits 32 bits, and this lies within them")
}

fn route_error(path: &[u8], reason: &'static str) -> OpenError {
    OpenError::Route { path: String::from_utf8_lossy(path).into_owned(), reason }
}

fn check_header(front: &Front<'_>) -> Result<(), OpenError> {
    let Front { bytes, total_len, digest, .. } = *front;
    if !bytes.starts_with(&layout::MAGIC) {
        return Err(OpenError::NotABundle);
    }
    let found = total_len as u64;
    let shortest = layout::SECTION_TABLE_OFFSET as u64;
    if found < shortest {
        return Err(OpenError::Length { promised: shortest, found });
    }
    let version = u32_at(bytes, layout::VERSION_OFFSET);
    if version != layout::FORMAT_VERSION {
        return Err(OpenError::Version { found: version });
    }
    let promised = u64_at(bytes, layout::TOTAL_LEN_OFFSET);
    if promised != found {
        return Err(OpenError::Length { promised, found });
    }
    let zero_after_version = u32_at(bytes, layout::VERSION_OFFSET + 4) == 0;
    if !zero_after_version || bytes[layout::DIGEST_OFFSET..layout::HASHED_FROM] != digest.as_bytes()[..] {
        return Err(OpenError::Digest);
    }
    Ok(())
}

/// The value of a head's `Last-Modified`.
fn find_last_modified(head: &[u8]) -> Option<Box<[u8]>> {
    let mut lines = head.split(|byte| *byte == b'\n');
    lines.find_map(|line| line.strip_prefix(b"Last-Modified: ")).map(|value| value.trim_ascii_end().into())
}

fn read_sections(front: &Front<'_>) -> Result<Sections, OpenError> {
    let Front { bytes, total_len, .. } = *front;
    let table_error = |reason| OpenError::Section { name: "table", reason };
    let count = u32_at(bytes, layout::HASHED_FROM);
    let table_len = count as usize * layout::SECTION_ENTRY_BYTES;
    let table = bytes.get(layout::SECTION_TABLE_OFFSET..layout::SECTION_TABLE_OFFSET + table_len);
    let (Some(table), true) =
        (table, count <= layout::SECTION_COUNT_MAX && u32_at(bytes, layout::HASHED_FROM + 4) == 0)
    else {
        return Err(table_error("is malformed"));
    };
    let mut sections = Sections(Default::default());
    let mut end = layout::SECTION_TABLE_OFFSET + table_len;
    let mut previous_kind = 0;
    for entry in table.as_chunks::<{ layout::SECTION_ENTRY_BYTES }>().0 {
        let (kind, flags) = (u32_at(entry, 0), u32_at(entry, 4));
        let (start, len) = (u64_at(entry, 8), u64_at(entry, 16));
        let section = Section::from_kind(kind);
        let expected = end.next_multiple_of(section.map_or(layout::UNKNOWN_SECTION_ALIGNMENT, Section::alignment));
        if kind <= previous_kind || start != expected as u64 {
            return Err(table_error("its sections are out of order or not where they should be"));
        }
        previous_kind = kind;
        let rest_len = total_len.saturating_sub(expected);
        let len = usize::try_from(len).ok().filter(|len| *len <= rest_len);
        end = expected + len.ok_or_else(|| table_error("a section goes past the end"))?;
        match section {
            Some(section) => sections.0[section as usize - 1] = Some(expected..end),
            None if flags & layout::SECTION_REQUIRED != 0 => return Err(table_error("a required section is unknown")),
            None => {}
        }
    }
    if end == total_len { Ok(sections) } else { Err(table_error("the last section doesn't end the bundle")) }
}

fn read_properties(bytes: &[u8], sections: &Sections, section: Section) -> Result<Vec<(String, String)>, OpenError> {
    let mut cursor = Cursor::new(sections, section)?;
    let mut properties: Vec<(String, String)> = Vec::new();
    let text = |range: Range<usize>| {
        str::from_utf8(&bytes[range]).map(str::to_owned).map_err(|_| section_error(section, "is not UTF-8"))
    };
    while cursor.next < cursor.end {
        let lengths = cursor.take(layout::PROPERTY_HEAD_BYTES)?;
        let key = text(cursor.take(u32_at(bytes, lengths.start) as usize)?)?;
        let value = text(cursor.take(u32_at(bytes, lengths.start + 4) as usize)?)?;
        if properties.last().is_some_and(|(previous, _)| *previous >= key) {
            return Err(section_error(section, "its keys are out of order"));
        }
        properties.push((key, value));
    }
    Ok(properties)
}

fn read_bodies(bytes: &[u8], sections: &Sections) -> Result<Vec<Range<usize>>, OpenError> {
    let records = sections.records::<{ layout::BODY_BYTES }>(bytes, Section::Bodies)?;
    let mut small = Cursor::new(sections, Section::SmallBodies)?;
    let mut large = Cursor::new(sections, Section::LargeBodies)?;
    let mut bodies = Vec::with_capacity(records.len());
    let mut previous = Section::SmallBodies;
    for record in records {
        let len = u64_at(record, 0);
        let section = layout::body_section(len);
        if (previous, section) == (Section::LargeBodies, Section::SmallBodies) {
            return Err(section_error(Section::Bodies, "a small body comes after a large one"));
        }
        previous = section;
        let cursor = if section == Section::LargeBodies { &mut large } else { &mut small };
        cursor.align(section.alignment());
        let len = usize::try_from(len).map_err(|_| section_error(section, "a body goes past the end"))?;
        bodies.push(cursor.take(len)?);
    }
    small.finish()?;
    large.finish()?;
    Ok(bodies)
}

/// Open addressing with linear probing over the paths' hashes; at most half of the slots are taken.
fn hash_slots<'a>(paths: impl Iterator<Item = (u32, &'a [u8])>, count_max: usize) -> Box<[u32]> {
    let slot_count = (count_max * 2).next_power_of_two().max(8);
    let mut slots = vec![EMPTY_SLOT; slot_count].into_boxed_slice();
    for (number, path) in paths {
        let mut slot = hash(path) & (slot_count - 1);
        while slots[slot] != EMPTY_SLOT {
            slot = (slot + 1) & (slot_count - 1);
        }
        slots[slot] = number;
    }
    slots
}

/// Mixes a path into a number, eight bytes at a time by a widening multiplication. It need not withstand an attacker:
/// the table holds the site's own paths, and a request can't add one.
#[expect(clippy::cast_possible_truncation, reason = "a hash keeps the low bits")]
pub(crate) fn hash(path: &[u8]) -> usize {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |state: u64, word: u64| {
        let product = u128::from(state ^ word) * u128::from(MULTIPLIER);
        (product ^ (product >> 64)) as u64
    };
    let (words, rest) = path.as_chunks::<8>();
    let mut state =
        words.iter().fold(path.len() as u64 ^ MULTIPLIER, |state, word| mix(state, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    state = mix(state, u64::from_le_bytes(last));
    state as usize
}
