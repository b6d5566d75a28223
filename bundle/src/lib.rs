//! The Kiln bundle: a whole website in one immutable file. This crate holds both halves of the format, the
//! [`BundleWriter`] and the [`BundleView`], and this page is its specification. It knows no sockets, no files and no
//! templates: bytes in, bytes out.
//!
//! # The file
//!
//! All numbers are unsigned and little-endian. No offset is stored anywhere but in the section table: where a thing
//! lies follows from the lengths of what comes before it, so two things can't overlap, nothing can point outside the
//! file, and a page that grows changes its own length and not its neighbours' records.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 8 | magic: `KILN` CR LF 0x1A LF (a transfer in text mode breaks it visibly) |
//! | 8 | 4 | version of the format, 1 |
//! | 12 | 4 | zero |
//! | 16 | 8 | total length of the file |
//! | 24 | 32 | BLAKE3 of everything from offset 56 to the end |
//! | 56 | 4 | number of sections, at most 64 |
//! | 60 | 4 | zero |
//! | 64 | 24 each | section table, by ascending kind: kind (4), flags (4), offset (8), length (8) |
//!
//! Sections follow in the order of the table, each at the next multiple of its alignment, with zeros between; the
//! last one ends the file. Bit 0 of a section's flags says that a reader which doesn't know its kind must refuse the
//! bundle; without it the section is passed over. Kinds 32 to 47 are kept for the heads of other protocols (33: HTTP/2,
//! one HPACK block a variant, in the order of the variants), which fit in without a new version.
//!
//! | kind | section | aligned to | what it holds |
//! | --- | --- | --- | --- |
//! | 1 | settings | 8 | properties: what the server needs to know of the site, see [`Settings`] |
//! | 2 | build information | 8 | properties: free text for people, such as the compiler's version |
//! | 3 | routes | 8 | a record of 12 bytes each, ascending by path |
//! | 4 | variants | 8 | a record of 20 bytes each, those of the first route first |
//! | 5 | bodies | 8 | the length (8) of each body, small ones first |
//! | 6 | strings | 8 | for each route its path, then its location |
//! | 7 | heads | 64 | for each variant its head |
//! | 8 | small bodies | 64 | bodies of less than 65,536 bytes, each at a multiple of 64 |
//! | 9 | large bodies | 4096 | the other bodies, each at a multiple of 4096 |
//! | 10 | patterns | 8 | for each pattern the number (4) of its route; left out where there is none |
//!
//! Properties are, for each, ascending by key: length of the key (4), length of the value (4), key, value; both UTF-8.
//!
//! **Route** (12 bytes): length of the path (4), length of the location (4), kind (1), number of variants (1),
//! status (2). The path is percent-decoded bytes and begins with `/`. The location, for redirects only, is a URL
//! reference of visible ASCII characters: the server writes the `Location` field itself, because a redirect keeps the query.
//! Kinds: see [`RouteKind`].
//!
//! **Variant** (20 bytes): number of its body (4), lengths of the four parts of its head: status line (2), length (2),
//! content fields (4), shared fields (4); length of the entity tag (2), content coding (1), zero (1). A route's variants
//! ascend by coding, and the first is always identity. Codings: see [`Encoding`].
//!
//! **Head**: four parts, one after the other, which make up the HTTP/1.1 head (RFC 9112 section 2.1) but for the empty
//! line and for what the server adds to each answer (`Date`, `Connection`, `X-Request-Id`, `Location`):
//!
//! 1. the status line, `HTTP/1.1 200 OK` CR LF;
//! 2. the length, `Content-Length: N` CR LF, N being the body's;
//! 3. content fields, which only an answer with this body carries (`Content-Type`, `Content-Encoding`, `Accept-Ranges`, …);
//! 4. shared fields, which a 304 repeats (RFC 9110 section 15.4.5: `ETag`, `Cache-Control`, `Vary`, …). Where there is
//!    an entity tag, they begin with `ETag: "…"` CR LF.
//!
//! A 304's head is therefore written too: its status line and part 4. A 206's is its status line, its length, its
//! `Content-Range` and parts 3 and 4.
//!
//! **Patterns** are routes of the kind [`RouteKind::Pattern`], at most 1,000. Their path has gaps and no look-up finds it: `:name`
//! (letters, digits and `_`, no digit first) for a whole segment stands for any segment that isn't empty, and `*` for the
//! last one, under the name `splat`, for all that is left, nothing included. There are one to eight gaps, each with its own
//! name. Where no route answers, patterns are tried in the order of section 10: those with more bytes before their first gap
//! first. A slash at the end of a path counts for nothing; a path with empty, `.` or `..` segments in a gap is taken by none.
//! In the location `:name` stands for what its gap took, percent-encoded; never in the host of a URL, and never so that the
//! location begins with `//`. A pattern with status 410 has no location.
//!
//! **Bodies** that are equal are stored once. Those of assets come before those of pages, in the order of the paths
//! and codings that use them first, so that a small change in a site moves few bytes.
//!
//! # Reading
//!
//! [`BundleView::open`] checks the magic, the version, the length, the BLAKE3, every section, every record and every
//! head, keeps the index in private memory and builds a hash table over the paths. After that a look-up can't fail, takes
//! constant time, and touches neither heads nor bodies. Bytes that the crate writes are a pure function of the
//! routes, whatever the order in which they were added.
#![forbid(unsafe_code)]

mod digest;
mod front;
mod index;
mod layout;
mod pattern;
mod percent;
mod view;
mod writer;

pub use digest::{Digest, Hashed, Hasher};
pub use index::OpenError;
pub use layout::{Encoding, FORMAT_VERSION, LARGE_BODY_BYTES_MIN, PATTERN_COUNT_MAX, RouteKind, Settings};
pub use pattern::RedirectPattern;
pub use percent::{percent_decode, percent_encode};
pub use view::{BundleView, FrontView, Head, Route, Variant, open_front, open_front_unverified};
pub use writer::{Body, BundleWriter, HeadParts, PackedBundle, RouteEntry, VariantEntry, WriteError};

/// What the programs say to `--version`: `version`, then the commit where the compiling was told it (the variable
/// `KILN_COMMIT`, as releases set it), and the version of the bundle's format, such as `0.1.0 (bundle format 1)`.
#[must_use]
pub fn program_version(version: &str) -> String {
    let commit = option_env!("KILN_COMMIT").filter(|commit| !commit.is_empty());
    let commit = commit.map(|commit| format!("{commit}, ")).unwrap_or_default();
    format!("{version} ({commit}bundle format {FORMAT_VERSION})")
}
