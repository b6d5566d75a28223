//! Which content coding an answer has (RFC 9110 section 12.5.3).

use bundle::{Encoding, Route, Variant};

/// A weight in thousandths.
type Weight = u16;

/// The variant of `route` that a client prefers, by its `Accept-Encoding` fields: the highest weight wins, among equals
/// the smallest body; identity comes last unless it is named; where nothing is acceptable it is sent all the same.
pub fn choose_variant<'v, 'r>(
    route: &Route<'v>,
    accept_encoding: impl Iterator<Item = &'r [u8]> + Clone,
) -> Variant<'v> {
    let identity = route.identity();
    if route.variants().len() == 1 || accept_encoding.clone().next().is_none() {
        return identity;
    }
    let accepted = Accepted::parse(accept_encoding);
    let ranked = route.variants().filter_map(|variant| {
        let weight = accepted.weight_of(variant.encoding())?;
        Some((weight, std::cmp::Reverse(variant.body_range().len()), variant))
    });
    ranked.max_by_key(|(weight, len, _)| (*weight, *len)).map_or(identity, |(_, _, variant)| variant)
}

/// What a client said of each coding.
#[derive(Default, PartialEq, Eq, Debug)]
struct Accepted {
    by_encoding: [Option<Weight>; Encoding::ALL.len()],
    any_other: Option<Weight>,
}

impl Accepted {
    fn parse<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut accepted = Self::default();
        for element in values.flat_map(|value| value.split(|byte| *byte == b',')) {
            let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let Some(coding) = parts.next() else { continue };
            // What has a malformed weight says nothing.
            let Some(weight) = parts.next().map_or(Some(1000), parse_weight) else { continue };
            if coding == b"*" {
                accepted.any_other = Some(weight);
            } else if let Some(encoding) = encoding_named(coding) {
                accepted.by_encoding[encoding as usize] = Some(weight);
            }
        }
        accepted
    }

    /// The weight of a coding; `None` for one that must not be used.
    fn weight_of(&self, encoding: Encoding) -> Option<Weight> {
        let named = self.by_encoding[encoding as usize];
        let weight = match (named, self.any_other, encoding) {
            (Some(weight), _, _) => weight,
            // Identity needs no word to be acceptable, and one to be preferred.
            (None, other, Encoding::Identity) => return if other == Some(0) { None } else { Some(0) },
            (None, other, _) => other?,
        };
        (weight > 0).then_some(weight)
    }
}

fn encoding_named(coding: &[u8]) -> Option<Encoding> {
    // RFC 9110 section 8.4.1.3: `x-gzip` is `gzip`.
    let coding = if coding.eq_ignore_ascii_case(b"x-gzip") { b"gzip" } else { coding };
    Encoding::ALL.into_iter().find(|encoding| {
        let token = encoding.token().as_bytes();
        token.len() == coding.len() && coding.eq_ignore_ascii_case(token)
    })
}

/// `q=0.5` in thousandths (RFC 9110 section 12.4.2).
fn parse_weight(parameter: &[u8]) -> Option<Weight> {
    let [b'q' | b'Q', b'=', value @ ..] = parameter else { return None };
    let (whole, fraction) = match value {
        [whole] | [whole, b'.'] => (whole, &[][..]),
        [whole, b'.', fraction @ ..] => (whole, fraction),
        _ => return None,
    };
    if fraction.len() > 3 || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |index: usize| fraction.get(index).map_or(0, |digit| Weight::from(digit - b'0'));
    let thousandths = digit(0) * 100 + digit(1) * 10 + digit(2);
    match whole {
        b'0' => Some(thousandths),
        b'1' if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read_to_the_thousandth() {
        // RFC 9110 section 12.4.2; a weight misread sends a coding that the client refused.
        let cases: [(&[u8], _); 12] = [
            (b"q=1", Some(1000)),
            (b"q=1.000", Some(1000)),
            (b"Q=0.5", Some(500)),
            (b"q=0.123", Some(123)),
            (b"q=0.05", Some(50)),
            (b"q=0.", Some(0)),
            (b"q=1.001", None),
            (b"q=2", None),
            (b"q=", None),
            (b"q=0.1234", None),
            (b"q=-1", None),
            (b"level=1", None),
        ];
        for (parameter, expected) in cases {
            assert_eq!(parse_weight(parameter), expected, "{}", parameter.escape_ascii());
        }
    }

    #[test]
    fn identity_ranks_last_unless_named_and_a_star_of_zero_forbids_it() {
        let weight = |value: &'static [u8], encoding| Accepted::parse(std::iter::once(value)).weight_of(encoding);
        assert_eq!(weight(b"gzip;q=0.1", Encoding::Identity), Some(0));
        assert_eq!(weight(b"gzip;q=0.1, identity", Encoding::Identity), Some(1000));
        assert_eq!(weight(b"identity;q=0", Encoding::Identity), None);
        assert_eq!(weight(b"*;q=0", Encoding::Identity), None);
        assert_eq!(weight(b"*;q=0, identity", Encoding::Identity), Some(1000));
        assert_eq!(weight(b"*;q=0.5", Encoding::Brotli), Some(500));
        assert_eq!(weight(b"br;q=0, *", Encoding::Brotli), None);
        assert_eq!(weight(b"X-GZIP ; q=0.3", Encoding::Gzip), Some(300));
        assert_eq!(weight(b"gzip;q=much", Encoding::Gzip), None);
    }
}
