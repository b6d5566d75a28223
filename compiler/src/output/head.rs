//! The written head of an answer: the one place that turns what is known of a route into HTTP fields. A head holds what is
//! the same for every request; the server adds `Date`, `Connection`, `X-Request-Id` and a redirect's `Location`.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use bundle::{Body, Digest, Encoding, HeadParts};

use crate::config::{HeaderRule, Security};
use crate::security::field_value;

/// How long an answer may be kept (RFC 9111 section 5.2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caching {
    /// A year, without asking: the URL names the content.
    Immutable,
    /// To be asked about each time.
    Revalidate,
    /// Not to be kept by anybody.
    Never,
}

/// What a head is made of, but for coding and body.
#[derive(Clone, Copy, Debug)]
pub struct HeadFields<'a> {
    /// The status of the answer.
    pub status: u16,
    /// `Content-Type`.
    pub media_type: &'a str,
    /// `Cache-Control`.
    pub caching: Caching,
    /// There is more than one coding: `Vary: Accept-Encoding`.
    pub varies: bool,
    /// `X-Robots-Tag: noindex`.
    pub noindex: bool,
    /// `Last-Modified`, in seconds since 1970.
    pub last_modified: Option<u64>,
    /// The site's own fields.
    pub security: &'a Security,
    /// `Content-Security-Policy`, if it has one.
    pub policy: Option<&'a str>,
    /// The rules of `[[headers]]` that are for this path.
    pub rules: &'a [&'a HeaderRule],
}

const CONTENT_TYPE: &str = "Content-Type";
const CACHE_CONTROL: &str = "Cache-Control";
const ROBOTS: &str = "X-Robots-Tag";

/// Hexadecimal digits of an entity tag: 128 bits.
const ETAG_DIGITS: usize = 32;

impl HeadFields<'_> {
    /// Writes the head for one coding of a body.
    pub fn write(&self, encoding: Encoding, body: &impl Body) -> HeadParts {
        let media_type = field_value(self.rules, CONTENT_TYPE).filter(|value| !value.is_empty());
        let mut content = field(CONTENT_TYPE, media_type.unwrap_or(self.media_type));
        if encoding != Encoding::Identity {
            content += &field("Content-Encoding", encoding.token());
        }
        let mut shared = self.shared_fields();
        if self.status == 200 {
            content += "Accept-Ranges: bytes\r\n";
            // Everything that a returning visitor should learn of is covered, dates alone are not.
            let mut covered = [&content, "\n", &shared, "\n"].concat().into_bytes();
            covered.extend_from_slice(body.digest().as_bytes());
            let etag = Digest::of(&covered).hex(ETAG_DIGITS);
            shared.insert_str(0, &format!("ETag: \"{etag}\"\r\n"));
            if let Some(seconds) = self.last_modified {
                let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
                content += &field("Last-Modified", &httpdate::fmt_http_date(time));
            }
        }
        HeadParts {
            status_line: format!("HTTP/1.1 {} {}\r\n", self.status, reason_phrase(self.status)),
            length: format!("Content-Length: {}\r\n", body.len()),
            content,
            shared,
        }
    }

    /// The fields that a 304 repeats, but for the entity tag. What the site sets takes the place of what stands here.
    fn shared_fields(&self) -> String {
        let mut shared = String::new();
        for (name, value) in self.default_fields() {
            let is_fixed = self.caching == Caching::Never && name == CACHE_CONTROL;
            let value = field_value(self.rules, name).filter(|_| !is_fixed).unwrap_or(value);
            if !value.is_empty() {
                shared += &field(name, value);
            }
        }
        let is_default = |name: &str| {
            name.eq_ignore_ascii_case(CONTENT_TYPE)
                || self.default_fields().iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
        };
        let mut written: Vec<&str> = Vec::new();
        for (name, _) in self.rules.iter().flat_map(|rule| &rule.set).filter(|(name, _)| !is_default(name)) {
            let is_written = written.iter().any(|one| one.eq_ignore_ascii_case(name));
            let value = field_value(self.rules, name).filter(|value| !value.is_empty() && !is_written);
            if let Some(value) = value {
                shared += &field(name, value);
                written.push(name);
            }
        }
        shared
    }

    /// The fields that there are without the site's word, in their order; an empty one is left out.
    fn default_fields(&self) -> [(&'static str, &str); 8] {
        let Security { hsts, referrer_policy, frame_options, csp: _ } = self.security;
        let caching = match self.caching {
            Caching::Immutable => "public, max-age=31536000, immutable",
            Caching::Revalidate => "public, max-age=0, must-revalidate",
            Caching::Never => "private, no-store",
        };
        [
            (CACHE_CONTROL, caching),
            ("Vary", if self.varies { "Accept-Encoding" } else { "" }),
            (ROBOTS, if self.noindex { "noindex" } else { "" }),
            ("X-Content-Type-Options", "nosniff"),
            ("Content-Security-Policy", self.policy.unwrap_or_default()),
            ("Referrer-Policy", referrer_policy),
            ("X-Frame-Options", frame_options),
            ("Strict-Transport-Security", if *hsts { "max-age=63072000; includeSubDomains" } else { "" }),
        ]
    }
}

fn field(name: &str, value: &str) -> String {
    let mut line = String::with_capacity(name.len() + value.len() + 4);
    write!(line, "{name}: {value}\r\n").expect("writing to a string can't fail");
    line
}

/// The words after a status (RFC 9110 section 15); clients ignore them.
fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        404 => "Not Found",
        410 => "Gone",
        _ => "Unknown",
    }
}

/// The media type of a file by its extension, texts with their encoding.
pub fn media_type(extension: &str) -> String {
    let guess = mime_guess::from_ext(extension).first_or_octet_stream();
    let is_text = guess.type_() == "text" || matches!(guess.essence_str(), "application/json" | "application/xml");
    if is_text { format!("{}; charset=utf-8", guess.essence_str()) } else { guess.essence_str().to_owned() }
}

/// Whether bodies of a type are worth compressing: images, films and archives are compressed already.
pub(super) fn is_compressible(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default();
    let is_compressible_application = [
        "application/json",
        "application/javascript",
        "application/manifest+json",
        "application/wasm",
        "application/xml",
        "application/vnd.ms-fontobject",
        "font/otf",
        "font/ttf",
        "image/bmp",
        "image/svg+xml",
        "image/x-icon",
        "image/vnd.microsoft.icon",
    ]
    .contains(&essence);
    essence.starts_with("text/")
        || essence.ends_with("+xml")
        || essence.ends_with("+json")
        || is_compressible_application
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::Csp;

    fn security() -> Security {
        Security {
            csp: Csp::Auto,
            hsts: false,
            referrer_policy: "no-referrer".to_owned(),
            frame_options: String::new(),
        }
    }

    fn body(bytes: &[u8]) -> Arc<[u8]> {
        bytes.into()
    }

    fn fields(security: &Security) -> HeadFields<'_> {
        HeadFields {
            status: 200,
            media_type: "text/html; charset=utf-8",
            caching: Caching::Revalidate,
            varies: true,
            noindex: false,
            last_modified: None,
            security,
            policy: None,
            rules: &[],
        }
    }

    #[test]
    fn what_the_site_sets_takes_the_place_of_what_would_stand_there() {
        let security = security();
        let rule = |set: &[(&str, &str)]| HeaderRule {
            path: "/*".to_owned(),
            set: set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        let first = rule(&[("cache-control", "no-cache"), ("X-A", "1"), ("x-a", "2"), ("Content-Type", "text/plain")]);
        let second = rule(&[("Referrer-Policy", ""), ("X-B", "3"), ("X-A", "4")]);
        let rules = [&first, &second];
        let with = HeadFields { rules: &rules, ..fields(&security) };
        let head = with.write(Encoding::Identity, &body(b"body"));
        assert!(head.content.starts_with("Content-Type: text/plain\r\n"));
        let (_, rest) = head.shared.split_once("\r\n").unwrap();
        let expected = "Cache-Control: no-cache\r\nVary: Accept-Encoding\r\nX-Content-Type-Options: nosniff\r\n\
            X-A: 4\r\nX-B: 3\r\n";
        assert_eq!(rest, expected);
        let plain = fields(&security).write(Encoding::Identity, &body(b"body"));
        assert_ne!(plain.shared[..40], head.shared[..40], "the entity tag must cover it");
        let private = HeadFields { caching: Caching::Never, ..with }.write(Encoding::Identity, &body(b"body"));
        assert!(private.shared.contains("Cache-Control: private, no-store\r\n"));
    }

    #[test]
    fn a_head_has_its_fields_where_a_304_and_a_206_need_them() {
        let security = security();
        let head = fields(&security).write(Encoding::Gzip, &body(b"body"));
        assert_eq!(head.status_line, "HTTP/1.1 200 OK\r\n");
        assert_eq!(head.length, "Content-Length: 4\r\n");
        let content = "Content-Type: text/html; charset=utf-8\r\nContent-Encoding: gzip\r\nAccept-Ranges: bytes\r\n";
        assert_eq!(head.content, content);
        let (etag, rest) = head.shared.split_once("\r\n").unwrap();
        assert!(etag.starts_with("ETag: \"") && etag.len() == "ETag: \"\"".len() + 32, "{etag}");
        assert_eq!(
            rest,
            "Cache-Control: public, max-age=0, must-revalidate\r\nVary: Accept-Encoding\r\n\
             X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
        );
    }

    #[test]
    fn the_entity_tag_covers_coding_body_and_fields_but_no_date() {
        // Without it a deploy that changes only headers would never reach a returning visitor.
        let security = security();
        let base = fields(&security);
        let tag =
            |fields: HeadFields<'_>, encoding, text: &[u8]| fields.write(encoding, &body(text)).shared[..40].to_owned();
        let original = tag(base, Encoding::Identity, b"body");
        assert_eq!(original, tag(HeadFields { last_modified: Some(1), ..base }, Encoding::Identity, b"body"));
        assert_ne!(original, tag(base, Encoding::Gzip, b"body"));
        assert_ne!(original, tag(base, Encoding::Identity, b"other"));
        assert_ne!(original, tag(HeadFields { noindex: true, ..base }, Encoding::Identity, b"body"));
        assert_ne!(original, tag(HeadFields { media_type: "text/plain", ..base }, Encoding::Identity, b"body"));
    }

    #[test]
    fn only_a_200_can_be_revalidated() {
        let security = security();
        let head = HeadFields { status: 404, last_modified: Some(0), ..fields(&security) }
            .write(Encoding::Identity, &body(b""));
        assert!(!head.shared.contains("ETag") && !head.content.contains("Last-Modified"));
        let dated = HeadFields { last_modified: Some(0), ..fields(&security) }.write(Encoding::Identity, &body(b""));
        assert!(dated.content.contains("Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\n"));
    }

    #[test]
    fn texts_have_their_encoding_and_unknown_files_are_bytes() {
        assert_eq!(media_type("css"), "text/css; charset=utf-8");
        assert_eq!(media_type("js"), "text/javascript; charset=utf-8");
        assert_eq!(media_type("svg"), "image/svg+xml");
        assert_eq!(media_type("woff2"), "font/woff2");
        assert_eq!(media_type("unheard-of"), "application/octet-stream");
    }
}
