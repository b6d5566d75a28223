//! Byte ranges (RFC 9110 section 14): which part of a body a request asks for.

use std::ops::Range;

/// What a `Range` field makes of a body of known length.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RangeVerdict {
    /// The field says nothing that is served: another unit, several ranges, a mistake. The whole body is sent.
    Whole,
    /// This part, which is not empty and lies within the body.
    Part(Range<usize>),
    /// No byte of the body is in it: 416.
    Unsatisfiable,
}

/// Reads a `Range` field for a body of `body_len` bytes.
pub fn read_range(value: &[u8], body_len: usize) -> RangeVerdict {
    let whole = RangeVerdict::Whole;
    let Some((unit, ranges)) = value.split_at_checked(6) else { return whole };
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return whole;
    }
    let range = ranges.trim_ascii();
    let Some(dash) = range.iter().position(|byte| *byte == b'-') else { return whole };
    let (first, last) = (&range[..dash], &range[dash + 1..]);
    match (parse_position(first), parse_position(last)) {
        (Some(first), None) if last.is_empty() => part(first, usize::MAX, body_len),
        (Some(first), Some(last)) if first <= last => part(first, last, body_len),
        (None, Some(0)) if first.is_empty() => RangeVerdict::Unsatisfiable,
        // An empty body has no last bytes; there is nothing wrong with asking for them.
        (None, Some(_)) if first.is_empty() && body_len == 0 => whole,
        (None, Some(suffix_len)) if first.is_empty() => {
            RangeVerdict::Part(body_len.saturating_sub(suffix_len)..body_len)
        }
        _ => whole,
    }
}

fn part(first: usize, last: usize, body_len: usize) -> RangeVerdict {
    if first >= body_len {
        return RangeVerdict::Unsatisfiable;
    }
    RangeVerdict::Part(first..last.min(body_len - 1) + 1)
}

/// A number of any length; what is too large is as large as can be.
fn parse_position(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |number: usize, digit: &u8| number.saturating_mul(10).saturating_add(usize::from(digit - b'0'));
    Some(digits.iter().fold(0, add))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 9110 section 14.1.2 in plain words: for each position of the body, whether it was asked for.
    fn model(first: Option<u128>, last: Option<u128>, body_len: u128) -> Vec<u128> {
        let asked = |position: &u128| match (first, last) {
            (Some(first), Some(last)) => first <= *position && *position <= last,
            (Some(first), None) => first <= *position,
            (None, Some(suffix_len)) => body_len - *position <= suffix_len,
            (None, None) => false,
        };
        (0..body_len).filter(asked).collect()
    }

    fn text(number: Option<u128>) -> String {
        number.map_or(String::new(), |number| number.to_string())
    }

    fn position() -> impl Strategy<Value = Option<u128>> {
        prop_oneof![Just(None), (0..40_u128).prop_map(Some), Just(Some(u128::MAX))]
    }

    proptest! {
        #[test]
        fn a_range_is_the_positions_that_the_specification_names(
            first in position(), last in position(), body_len in 0..30_usize
        ) {
            let value = format!("bytes={}-{}", text(first), text(last));
            let expected = model(first, last, body_len as u128);
            match read_range(value.as_bytes(), body_len) {
                RangeVerdict::Part(range) => {
                    prop_assert_eq!(range.map(|position| position as u128).collect::<Vec<_>>(), expected);
                }
                RangeVerdict::Unsatisfiable => prop_assert!(expected.is_empty()),
                RangeVerdict::Whole => {
                    let is_malformed = match (first, last) {
                        (Some(first), Some(last)) => first > last,
                        (None, None) => true,
                        _ => false,
                    };
                    prop_assert!(is_malformed || body_len == 0, "{} of {}", value, body_len);
                }
            }
        }

        #[test]
        fn any_bytes_are_a_range_within_the_body_or_none(value: Vec<u8>, body_len in 0..1000_usize) {
            for value in [value.clone(), [b"bytes=".to_vec(), value].concat()] {
                if let RangeVerdict::Part(range) = read_range(&value, body_len) {
                    prop_assert!(range.start < range.end && range.end <= body_len);
                }
            }
        }
    }
}
