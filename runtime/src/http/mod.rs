//! HTTP as values: bytes to requests, answers to bytes, and the rules between them. No sockets, no files, no clock.

pub mod conditional;
pub mod date;
pub mod framing;
pub mod negotiate;
pub mod proxy;
pub mod range;
pub mod request;
pub mod response;
