//! Bodies compressed ahead of time. A variant that doesn't pay is not made.

use bundle::{Body, Digest, Encoding, RouteKind};

use crate::bytes::{Bytes, ReadError};
use crate::cache::{Cache, CacheKey, Shelf};

/// A variant must be smaller than this part of the original, in per cent.
const VARIANT_PERCENT_MAX: usize = 95;
/// Bodies below this many bytes fit into the first packet with their head whatever is done to them. Guessed.
const COMPRESSIBLE_BYTES_MIN: usize = 256;
/// The strongest level of libdeflate.
const GZIP_LEVEL: i32 = 12;
/// Brotli's strongest level, for files that stay for many builds.
const BROTLI_LEVEL_FILES: i32 = 11;
/// The name of that function in the cache: encoder, major version, level.
const BROTLI_FILES: &str = "brotli 9, level 11";
/// The names of the functions for pages, and of gzip for all.
const BROTLI_PAGES: &str = "brotli 9, level 6, window 22";
const GZIP: &str = "libdeflate 1, gzip, level 12";
/// For pages, which change often. Measured on 300 pages of 5 KB: 6 takes 0.25 ms a page, 9 takes 5 ms for the same
/// bytes (its hash table is 32 MB), 10 takes 3 ms for 5 % fewer, and 11 takes 7 ms for 8 % fewer.
const BROTLI_LEVEL_PAGES: i32 = 6;
/// The base-2 logarithm of Brotli's window. Measured: one that just fits a page makes levels 5 to 9 choose a hash table
/// that takes 5 ms to set up.
const BROTLI_WINDOW_BITS: i32 = 22;

/// Zstandard's strongest level whose window every browser accepts (RFC 8878 section 3.1.1.1.2: 8 MB).
const ZSTD_LEVEL_FILES: i32 = 19;
/// The name of that function in the cache: library, major version, level.
const ZSTD_FILES: &str = "zstd 1, level 19";
/// For pages. Measured on 5 KB of text: 6 makes 2,304 bytes, 9 one byte fewer in four times the time, 12 2,275 in eight times.
const ZSTD_LEVEL_PAGES: i32 = 6;
/// The name of that function, whose results aren't kept: making them takes no longer than finding them.
const ZSTD_PAGES: &str = "zstd 1, level 6";

/// What makes a body's variant.
type Coder = fn(&[u8]) -> Vec<u8>;

/// The body in a coding, or `None` if that isn't at least 5 % smaller. The same input gives the same bytes.
///
/// # Errors
/// The body lies in a file, and can't be read any more.
pub fn compress(encoding: Encoding, kind: RouteKind, body: &Bytes, cache: &Cache) -> Result<Option<Bytes>, ReadError> {
    if body.len() < COMPRESSIBLE_BYTES_MIN {
        return Ok(None);
    }
    let is_page = kind == RouteKind::Page;
    let Some((function, code)) = coder(encoding, is_page) else { return Ok(None) };
    // A body that lies in a file is read only if the cache doesn't have what becomes of it. Pages are held, and many.
    let key = CacheKey::new(function, &[body.digest().as_bytes()]);
    let compressed: Bytes = match function {
        ZSTD_PAGES => code(&body.read()?).into(),
        _ if is_page => {
            let body = body.read()?;
            cache.find_or_make_small(Shelf::Compressed, &key, || code(&body)).into()
        }
        _ => cache.find_or_make(&key, || Ok(code(&body.read()?)))?.into(),
    };
    Ok((compressed.len() * 100 < body.len() * VARIANT_PERCENT_MAX).then_some(compressed))
}

/// The name of the function that makes a variant, and the function.
fn coder(encoding: Encoding, is_page: bool) -> Option<(&'static str, Coder)> {
    Some(match encoding {
        Encoding::Gzip => (GZIP, gzip),
        Encoding::Brotli if is_page => (BROTLI_PAGES, |body| brotli(body, BROTLI_LEVEL_PAGES)),
        Encoding::Brotli => (BROTLI_FILES, |body| brotli(body, BROTLI_LEVEL_FILES)),
        Encoding::Zstd if is_page => (ZSTD_PAGES, |body| zstd(body, ZSTD_LEVEL_PAGES)),
        Encoding::Zstd => (ZSTD_FILES, |body| zstd(body, ZSTD_LEVEL_FILES)),
        Encoding::Identity => return None,
    })
}

/// Marks a page's variant as used that was had from elsewhere.
pub(super) fn mark_page(encoding: Encoding, body: &Digest, cache: &Cache) {
    if let Some((function, _)) = coder(encoding, true) {
        cache.mark_small(Shelf::Compressed, &CacheKey::new(function, &[body.as_bytes()]));
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let level = libdeflater::CompressionLvl::new(GZIP_LEVEL).expect("12 is one of libdeflate's levels");
    let mut compressor = libdeflater::Compressor::new(level);
    let mut compressed = vec![0; compressor.gzip_compress_bound(body.len())];
    let len = compressor.gzip_compress(body, &mut compressed).expect("the bound that libdeflate gave is enough");
    compressed.truncate(len);
    compressed
}

fn brotli(mut body: &[u8], level: i32) -> Vec<u8> {
    let params = brotli::enc::BrotliEncoderParams {
        quality: level,
        lgwin: BROTLI_WINDOW_BITS,
        size_hint: body.len(),
        ..Default::default()
    };
    let mut compressed = Vec::with_capacity(body.len() / 2);
    brotli::BrotliCompress(&mut body, &mut compressed, &params).expect("writing to memory can't fail");
    compressed
}

fn zstd(body: &[u8], level: i32) -> Vec<u8> {
    zstd::bulk::compress(body, level).expect("memory is all that the library needs, and levels are within its own")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_that_pay_are_made_and_read_back() {
        let body = "a page of some words that come again ".repeat(40).into_bytes();
        let compress = |encoding, kind| {
            let bytes = body.as_slice().into();
            compress(encoding, kind, &bytes, &Cache::none()).unwrap().unwrap().read().unwrap().into_owned()
        };
        let gzip = compress(Encoding::Gzip, RouteKind::Page);
        let mut back = vec![0; body.len()];
        libdeflater::Decompressor::new().gzip_decompress(&gzip, &mut back).unwrap();
        assert_eq!(back, body);
        for kind in [RouteKind::Page, RouteKind::File] {
            let brotli = compress(Encoding::Brotli, kind);
            let mut back = Vec::new();
            brotli::BrotliDecompress(&mut &brotli[..], &mut back).unwrap();
            assert_eq!(back, body);
            let zstd = compress(Encoding::Zstd, kind);
            assert_eq!(zstd::bulk::decompress(&zstd, body.len()).unwrap(), body);
        }
    }

    #[test]
    fn variants_that_do_not_pay_are_not_made() {
        let digests: Vec<u8> = (0..64_u8).flat_map(|number| *bundle::Digest::of(&[number]).as_bytes()).collect();
        let words = b"short ".repeat(42);
        let compress =
            |encoding, body: &[u8]| compress(encoding, RouteKind::File, &body.into(), &Cache::none()).unwrap();
        for encoding in Encoding::ALL {
            assert_eq!(compress(encoding, &digests), None);
            assert_eq!(compress(encoding, &words), None, "{} bytes", words.len());
        }
        assert_eq!(compress(Encoding::Identity, &words.repeat(9)), None);
    }

    #[test]
    fn a_body_that_lies_in_a_file_is_not_read_when_the_cache_has_the_variant() {
        // A hundred megabytes of old assets would be read from the disk at each build.
        let folder = std::env::temp_dir().join(format!("kiln-compress-{}", std::process::id()));
        let cache = Cache::new(folder.clone());
        let text = "some words that come again ".repeat(4_000).into_bytes();
        let body = cache.keep_bytes(&CacheKey::new("body 1", &[]), text);
        let made = compress(Encoding::Brotli, RouteKind::File, &body, &cache).unwrap().unwrap();
        for shelf in std::fs::read_dir(&folder).unwrap() {
            for entry in std::fs::read_dir(shelf.unwrap().path()).unwrap() {
                let path = entry.unwrap().path();
                // The body is gone, the variant is there.
                if std::fs::metadata(&path).unwrap().len() > body.len() as u64 {
                    std::fs::remove_file(path).unwrap();
                }
            }
        }
        assert!(body.read().is_err());
        let found = compress(Encoding::Brotli, RouteKind::File, &body, &cache).unwrap().unwrap();
        assert_eq!(found.digest(), made.digest());
        assert!(compress(Encoding::Gzip, RouteKind::File, &body, &cache).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
