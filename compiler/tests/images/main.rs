//! Images as bytes: what headers say, what pixels come out, what is left of a file. Every fixture is made here.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]
#![expect(clippy::trivially_copy_pass_by_ref, reason = "names of chunks are byte strings, which are references")]

mod colors;
mod encoding;
mod fixtures;
mod headers;
mod metadata;
mod turning;
