//! `kiln work-apart`, which no person calls: what a build has done in a process of its own.

use std::io::{stdin, stdout};
use std::path::PathBuf;

use super::{Failure, Report};
use crate::assets;

/// Reads work from standard input, and writes what came of it to standard output, a line at a time.
///
/// # Errors
/// The work can't be read, or nobody listens any more.
pub fn work_apart() -> Result<Report, Failure> {
    let done = assets::work_apart(stdin().lock(), stdout().lock());
    done.map(|()| Report::default()).map_err(|error| Failure::Usage(format!("no work was handed over: {error}")))
}

/// Where this program is. Linux has a name for it that holds when another one was put in its place meanwhile.
pub(super) fn own_program() -> PathBuf {
    if cfg!(target_os = "linux") {
        return PathBuf::from("/proc/self/exe");
    }
    std::env::current_exe().unwrap_or_else(|_| "kiln".into())
}
