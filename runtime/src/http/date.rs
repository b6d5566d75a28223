//! The `Date` field, written anew only when the second changes (RFC 9110 section 6.6.1).

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A `Date` field line that remembers for which second it was written.
#[derive(Debug, Default)]
pub struct DateField {
    unix_seconds: u64,
    line: Vec<u8>,
}

impl DateField {
    /// The whole line, CR LF included, for a second since 1970.
    pub fn line_at(&mut self, unix_seconds: u64) -> &[u8] {
        if self.unix_seconds != unix_seconds || self.line.is_empty() {
            self.unix_seconds = unix_seconds;
            self.line.clear();
            let date = httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_secs(unix_seconds));
            write!(self.line, "Date: {date}\r\n").expect("writing to memory can't fail");
        }
        &self.line
    }
}

/// Reads an HTTP date in any of the three formats (RFC 9110 section 5.6.7).
pub fn parse_date(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(str::from_utf8(value).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_changes_with_the_second() {
        // Without it a connection would show the time of its first answer for ever.
        let mut date = DateField::default();
        assert_eq!(date.line_at(784_111_777), b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert_eq!(date.line_at(784_111_777), b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert_eq!(date.line_at(784_111_778), b"Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n");
    }

    #[test]
    fn all_three_formats_are_one_date() {
        // RFC 9110 section 5.6.7: a recipient must accept all three.
        let expected = Some(UNIX_EPOCH + Duration::from_secs(784_111_777));
        assert_eq!(parse_date(b"Sun, 06 Nov 1994 08:49:37 GMT"), expected);
        assert_eq!(parse_date(b"Sunday, 06-Nov-94 08:49:37 GMT"), expected);
        assert_eq!(parse_date(b"Sun Nov  6 08:49:37 1994"), expected);
        assert_eq!(parse_date(b"yesterday"), None);
    }
}
