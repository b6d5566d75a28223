//! Images as bytes: what headers say, what pixels come out, what is left of a file. Every fixture is made here.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod colors;
mod encoding;
mod fixtures;
mod headers;
mod metadata;
mod turning;
