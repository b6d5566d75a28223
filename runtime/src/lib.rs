//! [`site::Handler`] and the same connections.

pub mod clock;
pub mod connection;
pub mod http;
pub mod limits;
pub mod mapped;
pub mod site;
