//! What style sheets and scripts are verified with by browsers (Subresource Integrity).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rayon::prelude::*;
use sha2::{Digest as _, Sha384};

use super::manifest::AssetManifest;
use super::texts::is_text_path;
use crate::site::percent_encode;

/// The values of `integrity` for all style sheets and scripts, by the URLs that have their digests. Plain URLs have
/// none: what is there changes with a deploy, and a page from before it would lose its style.
pub fn find_integrity(manifest: &AssetManifest) -> BTreeMap<String, String> {
    let published: Vec<_> = manifest.published().filter(|one| one.is_digested && is_text_path(one.path)).collect();
    let hashes = published.into_par_iter().map(|one| {
        let hash = STANDARD.encode(Sha384::digest(&**one.bytes));
        (percent_encode(one.path), format!("sha384-{hash}"))
    });
    hashes.collect()
}
