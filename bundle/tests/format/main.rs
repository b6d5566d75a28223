//! The bundle from outside: what is written is read, what is damaged is refused, and the bytes are held down.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod golden;
mod hostile;
mod round_trip;
mod sample;
