//! The `kilnd` command.
fn main() {}
