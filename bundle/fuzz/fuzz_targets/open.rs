//! Any bytes, their header made right so that the checks behind it are reached: an error or a view that reads whole.
#![no_main]

use bundle::{BundleView, Digest, RouteKind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut bytes = input.to_vec();
    if bytes.len() >= 64 {
        let total_len = bytes.len() as u64;
        bytes[..8].copy_from_slice(b"KILN\r\n\x1a\n");
        bytes[8..16].copy_from_slice(&1_u64.to_le_bytes());
        bytes[16..24].copy_from_slice(&total_len.to_le_bytes());
        let digest = Digest::of(&bytes[56..]);
        bytes[24..56].copy_from_slice(digest.as_bytes());
    }
    if let Ok(view) = BundleView::open(bytes) {
        let _location = view.find_pattern(b"/docs/v1/a b");
        for route in view.routes() {
            assert_eq!(view.find(route.path()).is_some(), route.kind() != RouteKind::Pattern);
            for variant in route.variants() {
                let _read = (variant.head().whole().len(), variant.etag().len(), variant.body().len());
            }
        }
    }
});
