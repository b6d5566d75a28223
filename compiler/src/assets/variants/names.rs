//! What variants are called: `a.w728.jpg` beside `a.jpg`, `a.webp`, `a.w728.webp`.

/// The path of a variant of the image at `path`: with its width, unless it is as wide as the original, and with another
/// extension, unless it has the original's format.
pub(crate) fn variant_path(path: &str, width: Option<u32>, extension: Option<&str>) -> String {
    let name_start = path.rfind('/').map_or(0, |slash| slash + 1);
    let dot = path[name_start..].rfind('.').filter(|dot| *dot > 0);
    let (stem, own_extension) = match dot {
        Some(dot) => (&path[..name_start + dot], &path[name_start + dot + 1..]),
        None => (path, ""),
    };
    let width = width.map_or_else(String::new, |width| format!(".w{width}"));
    format!("{stem}{width}.{}", extension.unwrap_or(own_extension))
}

/// The path with a digest before its last extension.
pub(crate) fn digested_path(path: &str, digest: &str) -> String {
    let name_start = path.rfind('/').map_or(0, |slash| slash + 1);
    match path[name_start..].rfind('.').filter(|dot| *dot > 0) {
        Some(dot) => format!("{}.{digest}{}", &path[..name_start + dot], &path[name_start + dot..]),
        None => format!("{path}.{digest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{digested_path, variant_path};

    #[test]
    fn a_variant_is_called_after_its_original() {
        assert_eq!(variant_path("/static/a.b/a.jpg", Some(728), None), "/static/a.b/a.w728.jpg");
        assert_eq!(variant_path("/a.min.JPEG", Some(728), None), "/a.min.w728.JPEG");
        assert_eq!(variant_path("/a.jpg", None, Some("webp")), "/a.webp");
        assert_eq!(variant_path("/a.jpg", Some(1600), Some("avif")), "/a.w1600.avif");
    }

    #[test]
    fn the_digest_stands_before_the_last_extension() {
        assert_eq!(digested_path("/static/a.b/app.min.js", "0f"), "/static/a.b/app.min.0f.js");
        assert_eq!(digested_path("/static/a.b/LICENSE", "0f"), "/static/a.b/LICENSE.0f");
        assert_eq!(digested_path("/static/.hidden", "0f"), "/static/.hidden.0f");
    }
}
