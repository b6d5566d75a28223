//! The bytes of the format, held down: a change here is a new version of the format.

use std::fmt::Write as _;
use std::path::Path;

use crate::sample::{patterns, route, writer};
use bundle::{Encoding, RouteEntry, RouteKind};

/// Sixteen bytes a line: offset, hexadecimal, text.
fn dump(bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut zero_lines = 0;
    for (number, line) in bytes.chunks(16).enumerate() {
        if line.iter().all(|byte| *byte == 0) && line.len() == 16 {
            zero_lines += 1;
            continue;
        }
        if zero_lines > 0 {
            writeln!(out, "… {zero_lines} lines of zeros").unwrap();
            zero_lines = 0;
        }
        let hex: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String =
            line.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' }).collect();
        writeln!(out, "{:06x}  {:<47}  {text}", number * 16, hex.join(" ")).unwrap();
    }
    if zero_lines > 0 {
        writeln!(out, "… {zero_lines} lines of zeros").unwrap();
    }
    out
}

#[test]
fn the_bytes_of_a_tiny_bundle_are_these() {
    let routes = vec![
        route(
            "/",
            RouteKind::Page,
            200,
            &[(Encoding::Identity, b"<h1>hi</h1>"), (Encoding::Brotli, b"\x8b\x05\x80hi")],
        ),
        route("/old", RouteKind::Redirect, 301, &[(Encoding::Identity, b"")]),
    ];
    compare("tiny.txt", routes);
}

#[test]
fn the_bytes_of_patterns_are_these() {
    compare("patterns.txt", patterns());
}

fn compare(name: &str, routes: Vec<RouteEntry>) {
    let actual = dump(&writer(routes).finish().unwrap().to_vec());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format/golden").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &actual).unwrap();
    }
    assert_eq!(actual, std::fs::read_to_string(&file).unwrap_or_default());
}
