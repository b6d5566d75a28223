//! Serves a bundle.
