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

/// A second since 1970 as `1994-11-06`, `08:49:37` and `06/Nov/1994`.
pub(crate) fn parts_of(unix_seconds: u64) -> [String; 3] {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(unix_seconds));
    // `Sun, 06 Nov 1994 08:49:37 GMT`
    let (day, month, year, time) = (&date[5..7], &date[8..11], &date[12..16], &date[17..25]);
    let number = MONTHS.iter().position(|name| *name == month).map_or(0, |index| index + 1);
    [format!("{year}-{number:02}-{day}"), time.to_owned(), format!("{day}/{month}/{year}")]
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
