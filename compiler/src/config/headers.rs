//! `[[headers]]` and `[budget]`: fields that a site gives to its paths, and how heavy its pages may be.

use toml::Spanned;
use toml::de::DeValue;

use super::{Reader, check_field_value};
use crate::diagnostic::Span;

/// Fields for some paths.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeaderRule {
    /// A path without digests, in which `*` stands for any text.
    pub path: String,
    /// Names and values, in the order of the file.
    pub set: Vec<(String, String)>,
}

/// How heavy a page may be, in bytes on the wire; 0: as heavy as it likes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Budget {
    /// The page and everything of the site's own that it loads at once.
    pub page_bytes: usize,
    /// The page and the style sheets that hold up its first picture.
    pub first_view: usize,
}

/// Reads `[[headers]]` and `[budget]`.
pub(super) fn read(top: &mut Reader<'_>, headers: &mut Vec<HeaderRule>, budget: &mut Budget) {
    *headers = read_headers(top);
    top.table("budget", |table| {
        table.count("page_bytes", &mut budget.page_bytes);
        table.count("first_view", &mut budget.first_view);
    });
}

/// Fields that say where an answer ends, what it is, or what only the server knows.
const REFUSED: [&str; 19] = [
    "accept-ranges",
    "age",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "date",
    "etag",
    "expect",
    "keep-alive",
    "last-modified",
    "location",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "x-request-id",
];

fn read_headers(top: &mut Reader<'_>) -> Vec<HeaderRule> {
    let Some(items) = top.typed("headers", "a list of tables, each written as `[[headers]]`", DeValue::as_array) else {
        return Vec::new();
    };
    items.iter().filter_map(|item| read_rule(top, item)).collect()
}

fn read_rule(top: &mut Reader<'_>, item: &Spanned<DeValue<'_>>) -> Option<HeaderRule> {
    const FORM: &str = "write `path = \"/fonts/*\"` and `set = { Access-Control-Allow-Origin = \"*\" }`";
    let Some(table) = item.get_ref().as_table() else {
        top.report(item.span(), "`headers` holds tables".to_owned(), Some(FORM));
        return None;
    };
    for name in table.keys().filter(|name| !matches!(&**name.get_ref(), "path" | "set")) {
        top.report(name.span(), format!("there is no key `headers.{}`", name.get_ref()), Some(FORM));
    }
    let path = table.get("path").and_then(|path| Some((path.span(), path.get_ref().as_str()?)));
    let set = table.get("set").and_then(|set| set.get_ref().as_table());
    let (Some((span, path)), Some(set)) = (path, set) else {
        top.report(item.span(), "a rule of `headers` has a `path` and a table `set`".to_owned(), Some(FORM));
        return None;
    };
    if !path.starts_with(['/', '*']) {
        let help = "a path from the site's root; `*` stands for any text";
        top.report(span, format!("`headers.path` can't be `{path}`"), Some(help));
    }
    let mut fields: Vec<_> = set.iter().collect();
    fields.sort_by_key(|(name, _)| name.span().start);
    let mut rule = HeaderRule { path: path.to_owned(), set: Vec::new() };
    for (name, value) in fields {
        match check_field(name.get_ref(), value.get_ref()) {
            Ok(value) => rule.set.push((name.get_ref().to_string(), value.to_owned())),
            Err((message, help)) => {
                let Span { start, end } = Span::new(name.span().start, value.span().end.max(name.span().end));
                top.report(start..end, message, Some(help));
            }
        }
    }
    Some(rule)
}

/// The value of a field that may be set.
fn check_field<'v>(name: &str, value: &'v DeValue<'_>) -> Result<&'v str, (String, &'static str)> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err((format!("`{name}` can't be the name of a header"), "letters, digits and hyphens"));
    }
    if REFUSED.contains(&name.to_ascii_lowercase().as_str()) {
        let help = "the server writes it, as it belongs to the answer; take it away here";
        return Err((format!("`headers` can't set `{name}`"), help));
    }
    let Some(value) = value.as_str() else {
        return Err((format!("the value of `{name}` is no text"), "write it in quotes"));
    };
    check_field_value(value).map_err(|help| (format!("`{name}` can't have this value"), help))?;
    Ok(value)
}
