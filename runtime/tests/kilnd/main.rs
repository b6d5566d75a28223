//! The real binary, from its command line to its exit status.
#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod admin;
mod confinement;
mod hostile;
mod lifecycle;
mod limits;
mod process;
#[path = "../small_site/mod.rs"]
mod small_site;
mod start;
