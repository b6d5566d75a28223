//! Serves a Kiln bundle over HTTP/1.1. The `kilnd` command is a thin front to it; a development server stands on
//! [`site::Handler`] and the same connections.
//!
//! A module uses only modules before it in this list: [`limits`], [`clock`], [`http`], [`metrics`], [`access_log`],
//! [`mapped`], [`priority`], [`estate`], [`panics`], [`site`], [`connection`], [`listener`], [`fetch`], [`server`],
//! [`reload`], [`admin`], [`shutdown`], [`install`], [`probe`], [`sandbox`], [`systemd`], [`args`]. Sockets are read and written in [`server`] only, opened there, in
//! [`listener`], [`probe`] and [`systemd`]; everything up to [`connection`] knows none.

pub mod access_log;
pub mod admin;
pub mod args;
pub mod clock;
pub mod connection;
pub mod estate;
pub mod fetch;
pub mod http;
pub mod install;
pub mod limits;
pub mod listener;
pub mod mapped;
pub mod metrics;
pub mod panics;
pub mod priority;
pub mod probe;
pub mod reload;
pub mod sandbox;
pub mod server;
pub mod shutdown;
pub mod site;
pub mod systemd;
