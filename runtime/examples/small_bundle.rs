//! Writes a bundle to try `kilnd` with: `cargo run --example small_bundle -- PATH [PAGE_BYTES]`. Without a number it is
//! the site of the tests; with one, a single page of so many bytes that has a gzip variant a third as long.

use std::process::ExitCode;

use bundle::{BundleWriter, Encoding, RouteKind, Settings};

#[path = "../tests/small_site/mod.rs"]
mod small_site;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let (path, page_bytes) = (words.next(), words.next().and_then(|word| word.parse::<usize>().ok()));
    let Some(path) = path else { return ExitCode::from(2) };
    let bytes = match page_bytes {
        Some(page_bytes) => packed_page(&"a page of text ".repeat(page_bytes / 15 + 1)[..page_bytes]),
        None => small_site::packed(Settings::default()),
    };
    if std::fs::write(path, bytes).is_ok() { ExitCode::SUCCESS } else { ExitCode::from(4) }
}

fn packed_page(body: &str) -> Vec<u8> {
    let mut writer = BundleWriter::new(Settings::default(), []);
    // What a client makes of it doesn't matter here: nobody unpacks it.
    let gzip = [(Encoding::Gzip, &body[..body.len() / 3])];
    writer.add(small_site::file("/", RouteKind::Page, "text/html; charset=utf-8", body, &gzip));
    writer.add(small_site::failure("/404", 404, "no such page\n"));
    writer.finish().expect("one page is well formed").to_vec()
}
