//! Compiles a site.
