//! Bytes of a path as they stand in a URL.

use std::fmt::Write as _;

/// Percent-encodes all bytes of a path but those that a path may hold as they are: unreserved and sub-delimiter
/// characters, `:`, `@` and `/` (RFC 3986 section 3.3).
pub fn percent_encode(path: &[u8]) -> String {
    encode(path, b"-._~!$&'()*+,;=:@/")
}

/// Percent-encodes all bytes but unreserved characters: what stands in a query or a fragment can't end it, nor begin
/// another parameter (RFC 3986 section 2.3).
pub(crate) fn percent_encode_value(text: &[u8]) -> String {
    encode(text, b"-._~")
}

/// The text with its `%XX` decoded, or `None` if one is malformed or the result is not UTF-8.
pub fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        decoded.push(digit()? << 4 | digit()?);
    }
    String::from_utf8(decoded).ok()
}

fn encode(bytes: &[u8], plain: &[u8]) -> String {
    let mut url = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || plain.contains(byte) {
            url.push(char::from(*byte));
        } else {
            write!(url, "%{byte:02X}").expect("writing to a string can't fail");
        }
    }
    url
}
