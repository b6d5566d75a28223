//! What style sheets and scripts are verified with by browsers (Subresource Integrity).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::manifest::AssetManifest;
use super::texts::is_text_path;
use crate::site::percent_encode;

/// The values of `integrity` for all style sheets and scripts, by the URLs that have their digests. Plain URLs have
/// none: what is there changes with a deploy, and a page from before it would lose its style.
pub fn find_integrity(manifest: &AssetManifest) -> BTreeMap<String, String> {
    let published: Vec<_> = manifest.published().filter(|one| one.is_digested && is_text_path(one.path)).collect();
    let hashes = published.into_par_iter().filter_map(|one| {
        // One that can't be read any more fails the build when it is written.
        let hash = STANDARD.encode(Sha384::digest(one.bytes.read().ok()?));
        Some((percent_encode(one.path), format!("sha384-{hash}")))
    });
    hashes.collect()
}

/// Whether one of the values of an attribute `integrity` (`sha384-…`) is the digest of these bytes.
pub(crate) fn is_integrity_of(integrity: &str, bytes: &[u8]) -> bool {
    let is_digest = |(name, value): (&str, &str)| {
        let actual = match name {
            "sha256" => STANDARD.encode(Sha256::digest(bytes)),
            "sha384" => STANDARD.encode(Sha384::digest(bytes)),
            "sha512" => STANDARD.encode(Sha512::digest(bytes)),
            _ => return false,
        };
        value == actual
    };
    integrity.split_ascii_whitespace().filter_map(|one| one.split_once('-')).any(is_digest)
}
