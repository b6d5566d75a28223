//! Bytes of a path as they stand in a URL.

use std::fmt::Write as _;

/// Percent-encodes all bytes of a path but those that a path may hold as they are: unreserved and sub-delimiter
/// characters, `:`, `@` and `/` (RFC 3986 section 3.3).
pub fn percent_encode(path: &[u8]) -> String {
    encode(path, b"-._~!$&'()*+,;=:@/")
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
