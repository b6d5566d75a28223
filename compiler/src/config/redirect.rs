//! `[redirects]`: a line each, for one path or by pattern.

use bundle::RedirectPattern;
use toml::de::DeValue;

use crate::diagnostic::Span;

/// One line of `[redirects]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redirect {
    /// The old path, as written.
    pub from: String,
    /// The new URL; empty for what is gone.
    pub to: String,
    /// 301, 302, 307, 308, or 410.
    pub status: u16,
    /// The paths that it takes, if it takes more than one.
    pub pattern: Option<RedirectPattern>,
    /// Where the line's key stands.
    pub span: Span,
}

impl Redirect {
    /// Reads `"/old" = "/new"`, `"/old" = { to = "/new", status = 308 }`, or `"/old" = { status = 410 }`.
    pub(super) fn read(name: &str, span: Span, value: &DeValue<'_>) -> Result<Self, (String, &'static str)> {
        let forms = "write `\"/old\" = \"/new\"`, `{ to = \"/new\", status = 308 }` or `{ status = 410 }`";
        let malformed = || (format!("`redirects.\"{name}\"` can't be read"), forms);
        let (to, status) = match value {
            DeValue::String(to) => (&**to, 301),
            DeValue::Table(table) => {
                if table.keys().any(|key| !matches!(&**key.get_ref(), "to" | "status")) {
                    return Err(malformed());
                }
                let to = match table.get("to") {
                    Some(to) => to.get_ref().as_str().ok_or_else(malformed)?,
                    None => "",
                };
                let status = match table.get("status") {
                    Some(status) => status.get_ref().as_integer().and_then(|number| number.as_str().parse().ok()),
                    None => Some(301),
                };
                (to, status.ok_or_else(malformed)?)
            }
            _ => return Err(malformed()),
        };
        if !matches!(status, 301 | 302 | 307 | 308 | 410) || (status == 410) != to.is_empty() {
            return Err((format!("`redirects.\"{name}\"` has no right status"), forms));
        }
        let is_url = to.starts_with("https://") || to.starts_with("http://");
        let is_path = to.starts_with('/') && !to.starts_with("//");
        if status != 410 && (!(is_url || is_path) || !to.bytes().all(|byte| byte.is_ascii_graphic())) {
            let help = "a path from the site's root or an https URL, percent-encoded";
            return Err((format!("`redirects.\"{name}\"` can't lead to `{to}`"), help));
        }
        let pattern = if is_pattern(name) {
            let help = "write `:name` for one segment and `*` for all that is left, which the new URL names `:splat`";
            let parsed = decode_pattern(name).and_then(|path| RedirectPattern::parse(&path, to));
            Some(parsed.map_err(|reason| (format!("`redirects.\"{name}\"`: {reason}"), help))?)
        } else {
            None
        };
        Ok(Self { from: name.to_owned(), to: to.to_owned(), status, pattern, span })
    }

    /// A pattern's path as the server compares it: percent-decoded, without a slash at its end.
    pub fn pattern_path(&self) -> Option<String> {
        self.pattern.as_ref()?;
        decode_pattern(&self.from).ok()
    }
}

fn is_pattern(path: &str) -> bool {
    path.split('/').any(|segment| segment.starts_with(':') || segment.contains('*'))
}

fn decode_pattern(path: &str) -> Result<String, &'static str> {
    let segments = path.trim_end_matches('/').split('/').map(|segment| {
        let decoded = bundle::percent_decode(segment).ok_or("a `%` is not followed by two hexadecimal digits")?;
        if decoded != segment && (decoded.starts_with(':') || decoded.contains(['/', '*'])) {
            return Err("`/`, `*` and a first `:` can't be percent-encoded");
        }
        Ok(decoded)
    });
    Ok(segments.collect::<Result<Vec<_>, _>>()?.join("/"))
}
