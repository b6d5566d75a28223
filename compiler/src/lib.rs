//! Compiles a site: sources in, bundle bytes out. ARCHITECTURE.md has the order of the modules.

pub mod diagnostic;
pub mod template;
