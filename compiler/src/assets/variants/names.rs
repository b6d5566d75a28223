//! What published files are called.

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
    use super::digested_path;

    #[test]
    fn the_digest_stands_before_the_last_extension() {
        assert_eq!(digested_path("/static/a.b/app.min.js", "0f"), "/static/a.b/app.min.0f.js");
        assert_eq!(digested_path("/static/a.b/LICENSE", "0f"), "/static/a.b/LICENSE.0f");
        assert_eq!(digested_path("/static/.hidden", "0f"), "/static/.hidden.0f");
    }
}
