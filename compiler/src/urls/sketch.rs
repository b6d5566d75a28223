//! What a text says, in 32 bytes: enough to find it again under another name, after some editing too.

use std::fmt;

/// Numbers in a sketch.
const NUMBER_COUNT: usize = 16;
/// Neighbouring words that count as one thing said.
const SHINGLE_WORDS: usize = 3;

/// A sample of a text's triples of words, the same sample wherever they stand (`MinHash`): the share of equal numbers in
/// two sketches is about the share of triples that the texts have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sketch([u16; NUMBER_COUNT]);

impl Sketch {
    /// Texts with fewer numbers in common are not alike. Guessed: a quarter of what they say.
    pub const ALIKE_COUNT_MIN: usize = 4;

    /// The sketch of a text, or of any bytes: those are compared as a whole.
    pub fn of(content: &[u8]) -> Self {
        let mut least = [u64::MAX; NUMBER_COUNT];
        let mut add = |hash: u64| {
            for (number, least) in (1_u64..).zip(&mut least) {
                *least = mix(hash ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).min(*least);
            }
        };
        match str::from_utf8(content) {
            Ok(text) => {
                let is_word = |c: char| c.is_alphanumeric();
                let words: Vec<u64> =
                    text.split(|c| !is_word(c)).filter(|word| !word.is_empty()).map(hash_word).collect();
                if words.len() < SHINGLE_WORDS {
                    add(words.iter().fold(0, |state, word| mix(state ^ word)));
                }
                words
                    .windows(SHINGLE_WORDS)
                    .for_each(|words| add(words.iter().fold(0, |state, word| mix(state ^ word))));
            }
            Err(_) => add(content.iter().fold(0, |state, byte| mix(state ^ u64::from(*byte)))),
        }
        Self(least.map(|number| u16::try_from(number & 0xffff).unwrap_or_default()))
    }

    /// Reads what `to_string` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = [0; NUMBER_COUNT];
        if text.len() != NUMBER_COUNT * 4 || !text.is_ascii() {
            return None;
        }
        for (number, at) in numbers.iter_mut().zip((0..).step_by(4)) {
            *number = u16::from_str_radix(&text[at..at + 4], 16).ok()?;
        }
        Some(Self(numbers))
    }

    /// How many numbers two sketches have in common, of 16.
    pub fn common_count(&self, other: &Self) -> usize {
        self.0.iter().zip(&other.0).filter(|(a, b)| a == b).count()
    }
}

impl fmt::Display for Sketch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|number| write!(out, "{number:04x}"))
    }
}

fn hash_word(word: &str) -> u64 {
    word.chars()
        .flat_map(char::to_lowercase)
        .fold(0xcbf2_9ce4_8422_2325, |state, c| (state ^ u64::from(u32::from(c))).wrapping_mul(0x0100_0000_01b3))
}

/// Spreads a number over all bits (the finalizer of `SplitMix64`).
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edited_text_is_alike_and_another_is_not() {
        let words =
            |seed: usize| (0..200).map(|n| format!("w{}", (n * 7919 + seed * 104_729) % 5000)).collect::<Vec<_>>();
        let sketch = |words: &[String]| Sketch::of(words.join(" ").as_bytes());
        let (one, other) = (words(1), words(2));
        let mut edited = one.clone();
        edited[20..40].reverse();
        edited.truncate(180);
        assert_eq!(sketch(&one).common_count(&sketch(&one)), 16);
        assert!(sketch(&one).common_count(&sketch(&edited)) >= Sketch::ALIKE_COUNT_MIN);
        assert!(sketch(&one).common_count(&sketch(&other)) < Sketch::ALIKE_COUNT_MIN);
        assert_eq!(Sketch::parse(&sketch(&one).to_string()), Some(sketch(&one)));
        for wrong in ["", "zz", &"é".repeat(32), &"g".repeat(64)] {
            assert_eq!(Sketch::parse(wrong), None);
        }
        assert_eq!(Sketch::of(b"").common_count(&Sketch::of(b"\xff\x00")), 0);
    }
}
