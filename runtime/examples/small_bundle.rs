//! Writes a bundle to try `kilnd` with: `cargo run --example small_bundle -- PATH [PAGE_BYTES]`. Without a number it is
//! the site of the tests; with one, a single page of so many bytes.

use std::process::ExitCode;

#[path = "../tests/small_site/mod.rs"]
mod small_site;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let (path, page_bytes) = (words.next(), words.next().and_then(|word| word.parse::<usize>().ok()));
    let Some(path) = path else { return ExitCode::from(2) };
    let bytes = match page_bytes {
        Some(page_bytes) => small_site::packed_page(&"a page of text ".repeat(page_bytes / 15 + 1)[..page_bytes], true),
        None => small_site::packed(bundle::Settings::default()),
    };
    if std::fs::write(path, bytes).is_ok() { ExitCode::SUCCESS } else { ExitCode::from(4) }
}
