//! Where each field of a bundle lies, what a number in it means, and which values are allowed: the only file that
//! knows an offset. Writer and reader both go by it, so what the one asserts the other checks.

use std::ops::Range;

use crate::pattern::RedirectPattern;

/// The version of the format that this crate writes and reads.
pub const FORMAT_VERSION: u32 = 1;
/// Bodies of at least this many bytes lie apart from the small ones. Specified: above it, `sendfile` beats a copy.
pub const LARGE_BODY_BYTES_MIN: u64 = 65_536;

/// Patterns are tried one after the other, some 20 ns each. Guessed: single paths are for routes of their own.
pub const PATTERN_COUNT_MAX: usize = 1_000;

pub(crate) const MAGIC: [u8; 8] = *b"KILN\r\n\x1a\n";
pub(crate) const VERSION_OFFSET: usize = 8;
pub(crate) const TOTAL_LEN_OFFSET: usize = 16;
pub(crate) const DIGEST_OFFSET: usize = 24;
/// The digest covers everything from here on.
pub(crate) const HASHED_FROM: usize = 56;
pub(crate) const SECTION_TABLE_OFFSET: usize = 64;
pub(crate) const SECTION_ENTRY_BYTES: usize = 24;
pub(crate) const SECTION_COUNT_MAX: u32 = 64;
/// Bit 0 of a section's flags: whoever doesn't know the section must refuse the bundle.
pub(crate) const SECTION_REQUIRED: u32 = 1;
/// Where a section may begin that this version doesn't know.
pub(crate) const UNKNOWN_SECTION_ALIGNMENT: usize = 8;

pub(crate) const ROUTE_BYTES: usize = 12;
pub(crate) const VARIANT_BYTES: usize = 20;
pub(crate) const BODY_BYTES: usize = 8;
pub(crate) const PATTERN_BYTES: usize = 4;
pub(crate) const PROPERTY_HEAD_BYTES: usize = 8;

/// Paths and locations of at most this many bytes. Guessed: a server takes request lines of 8 KiB.
pub(crate) const STRING_BYTES_MAX: usize = 8192;

/// Each part of a head has at most this many bytes. Guessed: clients refuse heads of 256 KiB.
pub(crate) const HEAD_PART_BYTES_MAX: usize = 65_535;

/// What a section holds; the numbers stand in the crate's documentation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Section {
    Settings = 1,
    BuildInfo = 2,
    Routes = 3,
    Variants = 4,
    Bodies = 5,
    Strings = 6,
    Heads = 7,
    SmallBodies = 8,
    LargeBodies = 9,
    Patterns = 10,
}

impl Section {
    pub(crate) const ALL: [Self; 10] = [
        Self::Settings,
        Self::BuildInfo,
        Self::Routes,
        Self::Variants,
        Self::Bodies,
        Self::Strings,
        Self::Heads,
        Self::SmallBodies,
        Self::LargeBodies,
        Self::Patterns,
    ];

    pub(crate) fn from_kind(kind: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|section| *section as u32 == kind)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::BuildInfo => "build information",
            Self::Routes => "routes",
            Self::Variants => "variants",
            Self::Bodies => "bodies",
            Self::Strings => "strings",
            Self::Heads => "heads",
            Self::SmallBodies => "small bodies",
            Self::LargeBodies => "large bodies",
            Self::Patterns => "patterns",
        }
    }

    /// Where this section may begin, and where each body in it: at a multiple of this.
    pub(crate) fn alignment(self) -> usize {
        match self {
            Self::Heads | Self::SmallBodies => 64,
            Self::LargeBodies => 4096,
            _ => UNKNOWN_SECTION_ALIGNMENT,
        }
    }
}

/// The section in which a body of this length lies.
pub(crate) fn body_section(body_len: u64) -> Section {
    if body_len < LARGE_BODY_BYTES_MIN { Section::SmallBodies } else { Section::LargeBodies }
}

/// What a route is, as far as the server treats it differently.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum RouteKind {
    /// 0: a page. `/post/`, `/post.html` and `/post/index.html` lead to `/post`, or as `trailing_slash` says.
    Page = 0,
    /// 1: any other file at a stable URL.
    File = 1,
    /// 2: a file whose name holds its digest: its bytes never change, and it is kept for the next generation.
    Asset = 2,
    /// 3: leads elsewhere, to its location.
    Redirect = 3,
    /// 4: an asset of the build before, carried along so that a page loaded from the old bundle still finds it. Served
    /// like an asset; not carried a second time.
    KeptAsset = 4,
    /// 5: leads many paths elsewhere, or says that they are gone: its path and its location have gaps, as the crate's
    /// documentation says.
    Pattern = 5,
}

impl RouteKind {
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        let all = [Self::Page, Self::File, Self::Asset, Self::Redirect, Self::KeptAsset, Self::Pattern];
        all.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// A content coding (RFC 9110 section 8.4.1) that bodies are stored in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Encoding {
    /// 0: as it is.
    Identity = 0,
    /// 1: `gzip`, RFC 1952.
    Gzip = 1,
    /// 2: `br`, RFC 7932.
    Brotli = 2,
    /// 3: `zstd`, RFC 8878.
    Zstd = 3,
}

impl Encoding {
    /// All codings, ascending.
    pub const ALL: [Self; 4] = [Self::Identity, Self::Gzip, Self::Brotli, Self::Zstd];

    /// The name in `Content-Encoding` and `Accept-Encoding`.
    pub fn token(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|encoding| *encoding as u8 == number)
    }
}

/// What the server must know of the site, stored as properties: `trailing_slash` (`true` or `false`) and
/// `canonical_host` (left out when empty). Other keys are refused: they come from a newer compiler.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    /// Pages answer at `/post/` instead of `/post`.
    pub trailing_slash: bool,
    /// Requests for another host name are redirected to this one; empty: all are answered.
    pub canonical_host: String,
}

impl Settings {
    pub(crate) fn to_properties(&self) -> Vec<(String, String)> {
        let mut properties = Vec::new();
        if !self.canonical_host.is_empty() {
            properties.push(("canonical_host".to_owned(), self.canonical_host.clone()));
        }
        properties.push(("trailing_slash".to_owned(), self.trailing_slash.to_string()));
        properties
    }

    pub(crate) fn from_properties(properties: Vec<(String, String)>) -> Result<Self, &'static str> {
        let mut settings = Self::default();
        for (key, value) in properties {
            match (key.as_str(), value.as_str()) {
                ("trailing_slash", "true") => settings.trailing_slash = true,
                ("trailing_slash", "false") => {}
                ("trailing_slash", _) => return Err("`trailing_slash` is neither true nor false"),
                ("canonical_host", _) => settings.canonical_host = value,
                _ => return Err("there is a key that this version doesn't know"),
            }
        }
        settings.check()?;
        Ok(settings)
    }

    /// Whether these settings may be in a bundle: asserted by the writer, checked by the reader.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let is_visible = self.canonical_host.bytes().all(|byte| byte.is_ascii_graphic());
        if is_visible { Ok(()) } else { Err("`canonical_host` is no host name") }
    }
}

/// The parts of one route and its variants, gathered for [`check_route`].
pub(crate) struct RouteFacts<'a> {
    pub(crate) path: &'a [u8],
    pub(crate) location: &'a [u8],
    pub(crate) kind: RouteKind,
    pub(crate) status: u16,
}

/// Whether a route may be in a bundle: asserted by the writer, checked by the reader.
pub(crate) fn check_route(route: &RouteFacts<'_>) -> Result<(), &'static str> {
    if route.path.first() != Some(&b'/') || route.path.contains(&0) || route.path.len() > STRING_BYTES_MAX {
        return Err("the path doesn't begin with `/`, holds a NUL or is too long");
    }
    if !(200..=599).contains(&route.status) || matches!(route.status, 204 | 205 | 206 | 304) {
        return Err("the status is not one that a stored answer can have");
    }
    let redirects = matches!(route.status, 301 | 302 | 303 | 307 | 308);
    let agree = match route.kind {
        RouteKind::Pattern => redirects || route.status == 410,
        kind => redirects == (kind == RouteKind::Redirect),
    };
    if !agree || redirects == route.location.is_empty() {
        return Err("status, kind and location don't agree");
    }
    if route.kind == RouteKind::Pattern {
        parse_pattern(route.path, route.location)?;
    }
    if redirects {
        check_visible(route.location, "the location is not a URL of visible ASCII characters")?;
    }
    if route.location.len() > STRING_BYTES_MAX {
        return Err("the location is too long");
    }
    Ok(())
}

/// A pattern as it stands in a route.
pub(crate) fn parse_pattern(path: &[u8], location: &[u8]) -> Result<RedirectPattern, &'static str> {
    let text = |bytes| str::from_utf8(bytes).map_err(|_| "a pattern isn't UTF-8");
    RedirectPattern::parse(text(path)?, text(location)?)
}

/// The head of one variant, cut into its parts, for [`check_head`].
pub(crate) struct HeadFacts<'a> {
    pub(crate) status_line: &'a [u8],
    pub(crate) length: &'a [u8],
    pub(crate) content: &'a [u8],
    pub(crate) shared: &'a [u8],
    /// Where in `shared` the entity tag stands, quotes included; empty for none.
    pub(crate) etag: Range<usize>,
}

/// Fields that were found good. Most heads of a site have the same ones, and comparing them takes a twentieth of the time.
#[derive(Default)]
pub(crate) struct Checked<'a> {
    latest: [&'a [u8]; 8],
    count: usize,
}

impl<'a> Checked<'a> {
    fn check(&mut self, fields: &'a [u8]) -> Result<(), &'static str> {
        if self.latest.contains(&fields) {
            return Ok(());
        }
        if line_count(fields).is_none() || !fields.split_inclusive(|byte| *byte == b'\n').all(is_field_line) {
            return Err("a field is malformed");
        }
        self.latest[self.count % self.latest.len()] = fields;
        self.count += 1;
        Ok(())
    }
}

/// Whether a head may be in a bundle: the right status and length, and fields that can't end the head early.
pub(crate) fn check_head<'a>(
    head: &HeadFacts<'a>,
    status: u16,
    body_len: u64,
    checked: &mut Checked<'a>,
) -> Result<(), &'static str> {
    let parts = [head.status_line, head.length, head.content, head.shared];
    if parts.iter().any(|part| part.len() > HEAD_PART_BYTES_MAX) {
        return Err("a head is too long");
    }
    if !head.status_line.starts_with(format!("HTTP/1.1 {status} ").as_bytes())
        || line_count(head.status_line) != Some(1)
    {
        return Err("the status line is not this route's");
    }
    if head.length != format!("Content-Length: {body_len}\r\n").as_bytes() {
        return Err("the length is not the body's");
    }
    checked.check(head.content)?;
    if head.etag.is_empty() {
        return checked.check(head.shared);
    }
    // The tag is a line of its own, and no two heads have the same.
    checked.check(head.shared.get(head.etag.end + 2..).ok_or("the entity tag goes past the head")?)?;
    let Some((tag, rest)) = head.shared.get(head.etag.clone()).zip(head.shared.get(head.etag.end..)) else {
        return Err("the entity tag goes past the head");
    };
    let is_quoted = tag.len() > 2 && tag.starts_with(b"\"") && tag.ends_with(b"\"");
    let inner_is_clean = is_quoted && tag[1..tag.len() - 1].iter().all(|byte| byte.is_ascii_graphic() && *byte != b'"');
    let is_first_field = head.shared.starts_with(ETAG_NAME) && rest.starts_with(b"\r\n");
    if inner_is_clean && is_first_field { Ok(()) } else { Err("the entity tag is malformed") }
}

/// What stands before the entity tag at the beginning of the shared fields.
pub(crate) const ETAG_NAME: &[u8] = b"ETag: ";

fn check_visible(bytes: &[u8], reason: &'static str) -> Result<(), &'static str> {
    if !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic) { Ok(()) } else { Err(reason) }
}

/// The number of CR LF terminated lines, or `None` if there is a control byte (RFC 9110 section 5.5) or an
/// unfinished line.
fn line_count(lines: &[u8]) -> Option<usize> {
    // No loop here ends early, so that each takes many bytes at a time: a site has 30,000 heads.
    let is_control = |byte: &&u8| (**byte < b' ' && **byte != b'\t') || **byte == 0x7f;
    let control_count = lines.iter().filter(is_control).count();
    let ends_count = lines.iter().zip(lines.iter().skip(1)).filter(|pair| *pair == (&b'\r', &b'\n')).count();
    let is_finished = lines.is_empty() || lines.ends_with(b"\r\n");
    (is_finished && control_count == 2 * ends_count).then_some(ends_count)
}

/// `name: value`, the name being a token (RFC 9110 section 5.6.2) and none of the server's own fields.
fn is_field_line(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return false };
    let name = &line[..colon];
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let is_servers_own = SERVERS_OWN_FIELDS.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()));
    !name.is_empty() && name.iter().all(is_token) && !is_servers_own
}

/// Fields that frame an answer or change with each: a stored head must not hold them a second time.
const SERVERS_OWN_FIELDS: [&str; 6] =
    ["Connection", "Content-Length", "Content-Range", "Date", "Location", "Transfer-Encoding"];

pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes([bytes[offset], bytes[offset + 1]])
}

pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from(u16_at(bytes, offset)) | u32::from(u16_at(bytes, offset + 2)) << 16
}

pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from(u32_at(bytes, offset)) | u64::from(u32_at(bytes, offset + 4)) << 32
}
