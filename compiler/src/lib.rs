//! Compiles a site: sources in, bundle bytes out. ARCHITECTURE.md has the order of the modules.

pub mod args;
pub mod assets;
pub mod bytes;
pub mod cache;
pub mod commands;
pub mod config;
pub mod data;
pub mod dev;
pub mod diagnostic;
pub mod feeds;
pub mod front_matter;
pub mod html;
pub mod markdown;
pub mod output;
pub mod pipeline;
pub mod render;
pub mod search;
pub mod security;
pub mod site;
pub mod source;
pub mod template;
pub mod tools;
pub mod urls;
pub mod watch;
