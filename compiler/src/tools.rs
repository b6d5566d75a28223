//! Other people's programs that a build runs. Only `process` starts and ends them.

pub mod filter;
pub mod process;
pub mod tool;
