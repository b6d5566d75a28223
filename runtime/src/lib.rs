//! Serves a Kiln bundle over HTTP/1.1. The `kilnd` command is a thin front to it.

pub mod http;
pub mod limits;
