//! Other people's programs that a build runs: the only place that starts a process.

pub mod filter;
