//! Request bodies: how one is framed, and reading past it without taking it for a request (RFC 9112 sections 6 and 7).
//! Nothing here keeps a body: the server has no use for any.

use super::request::{Refusal, Version};
use crate::limits::CHUNK_OVERHEAD_BYTES_MAX;

/// How the body of a request is delimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// There is none.
    Empty,
    /// This many bytes.
    Length(u64),
    /// Chunks, up to an empty one.
    Chunked,
}

impl Framing {
    /// RFC 9112 section 6.3; whatever two readers could take for two things is refused.
    pub(crate) fn of(
        version: Version,
        content_length: Option<u64>,
        fields: &[httparse::Header<'_>],
    ) -> Result<Self, Refusal> {
        let mut codings = fields
            .iter()
            .filter(|field| field.name.len() == 17 && field.name.eq_ignore_ascii_case("transfer-encoding"))
            .flat_map(|field| field.value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .peekable();
        if codings.peek().is_none() {
            return Ok(match content_length {
                None | Some(0) => Self::Empty,
                Some(length) => Self::Length(length),
            });
        }
        if version == Version::Http10 {
            return Err(Refusal::bad("a transfer coding in HTTP/1.0"));
        }
        if content_length.is_some() {
            return Err(Refusal::bad("both a length and a transfer coding"));
        }
        let (mut has_other, mut is_last_chunked) = (false, false);
        for coding in codings {
            if is_last_chunked {
                return Err(Refusal::bad("a transfer coding after chunked"));
            }
            is_last_chunked = coding.eq_ignore_ascii_case(b"chunked");
            if coding.is_empty() {
                return Err(Refusal::bad("an empty transfer coding"));
            }
            has_other |= !is_last_chunked;
        }
        match (is_last_chunked, has_other) {
            (false, _) => Err(Refusal::bad("a final transfer coding that isn't chunked")),
            (true, true) => Err(Refusal::new(501, "a transfer coding that isn't known")),
            (true, false) => Ok(Self::Chunked),
        }
    }
}

/// Reads past one body, however its bytes are cut.
#[derive(Debug)]
pub struct BodySkip {
    state: State,
    /// Body bytes that may still come before the limit.
    allowed: u64,
    /// Bytes of chunk sizes, extensions and trailers so far.
    overhead: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// So many bytes of a body of known length are left.
    Length(u64),
    /// In a chunk's size; `digit_count` digits were read.
    Size {
        size: u64,
        digit_count: u8,
    },
    /// In a chunk's extension.
    Extension {
        size: u64,
    },
    /// After the CR that ends a size line.
    SizeLineFeed {
        size: u64,
    },
    /// In a chunk's data.
    Data {
        left: u64,
    },
    /// After a chunk's data.
    DataReturn,
    DataLineFeed,
    /// In the trailer: at the start of a line, in a field's name, or in its value.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLineFeed {
        ends_body: bool,
    },
    Done,
}

impl BodySkip {
    /// For a body framed like this, of at most `body_bytes_max` bytes.
    ///
    /// # Errors
    /// 413 for a length beyond the limit.
    pub fn new(framing: Framing, body_bytes_max: u64) -> Result<Self, Refusal> {
        let state = match framing {
            Framing::Empty => State::Done,
            Framing::Length(length) if length > body_bytes_max => return Err(TOO_LONG),
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size { size: 0, digit_count: 0 },
        };
        Ok(Self { state, allowed: body_bytes_max, overhead: 0 })
    }

    /// Whether the whole body has been read past.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Reads on; returns how many of `bytes` belong to the body.
    ///
    /// # Errors
    /// 400 for chunks that aren't, 413 for more than the limit.
    pub fn skip(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let mut taken = 0;
        while let (Some(byte), false) = (bytes.get(taken), self.is_done()) {
            let run_len = |left: u64| usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - taken);
            match self.state {
                State::Length(left) => {
                    let len = run_len(left);
                    taken += len;
                    let left = left - len as u64;
                    self.state = if left == 0 { State::Done } else { State::Length(left) };
                }
                State::Data { left } => {
                    let len = run_len(left);
                    taken += len;
                    let left = left - len as u64;
                    self.state = if left == 0 { State::DataReturn } else { State::Data { left } };
                }
                _ => {
                    self.take_overhead(*byte)?;
                    taken += 1;
                }
            }
        }
        Ok(taken)
    }

    /// One byte that is neither data nor beyond the body.
    fn take_overhead(&mut self, byte: u8) -> Result<(), Refusal> {
        self.overhead += 1;
        if self.overhead > CHUNK_OVERHEAD_BYTES_MAX {
            return Err(TOO_LONG);
        }
        self.state = match (self.state, byte) {
            (State::Size { size, digit_count }, _) => take_size(size, digit_count, byte)?,
            (State::Extension { size }, b'\r') => State::SizeLineFeed { size },
            (State::Extension { .. }, b' '..=b'~' | b'\t' | 0x80..) => self.state,
            (State::SizeLineFeed { size: 0 } | State::TrailerLineFeed { ends_body: false }, b'\n') => {
                State::TrailerStart
            }
            (State::SizeLineFeed { size }, b'\n') => {
                self.allowed = self.allowed.checked_sub(size).ok_or(TOO_LONG)?;
                State::Data { left: size }
            }
            (State::DataReturn, b'\r') => State::DataLineFeed,
            (State::DataLineFeed, b'\n') => State::Size { size: 0, digit_count: 0 },
            (State::TrailerStart, b'\r') => State::TrailerLineFeed { ends_body: true },
            (State::TrailerStart | State::TrailerName, _) if is_token_byte(byte) => State::TrailerName,
            (State::TrailerName, b':') | (State::TrailerValue, b' '..=b'~' | b'\t' | 0x80..) => State::TrailerValue,
            (State::TrailerValue, b'\r') => State::TrailerLineFeed { ends_body: false },
            (State::TrailerLineFeed { ends_body: true }, b'\n') => State::Done,
            _ => return Err(BAD_CHUNK),
        };
        Ok(())
    }
}

/// What a field's name is made of (RFC 9110 section 5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A byte of a size line before its extension: 1 to 15 hexadecimal digits, then CR or `;`.
fn take_size(size: u64, digit_count: u8, byte: u8) -> Result<State, Refusal> {
    match (byte, char::from(byte).to_digit(16)) {
        (_, Some(_)) if digit_count == 15 => Err(TOO_LONG),
        (_, Some(digit)) => Ok(State::Size { size: size * 16 + u64::from(digit), digit_count: digit_count + 1 }),
        (b'\r', None) if digit_count > 0 => Ok(State::SizeLineFeed { size }),
        (b';', None) if digit_count > 0 => Ok(State::Extension { size }),
        _ => Err(BAD_CHUNK),
    }
}

const TOO_LONG: Refusal = Refusal::new(413, "a body beyond the limit");
const BAD_CHUNK: Refusal = Refusal::bad("a chunk");

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &[u8] = b"5;a=\"b\"\r\nhello\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";

    fn skip_in_pieces(bytes: &[u8], split: usize) -> Result<(usize, bool), Refusal> {
        let mut skip = BodySkip::new(Framing::Chunked, 15)?;
        let first = skip.skip(&bytes[..split])?;
        let second = if first == split { skip.skip(&bytes[split..])? } else { 0 };
        Ok((first + second, skip.is_done()))
    }

    #[test]
    fn a_chunked_body_ends_at_the_same_byte_however_it_is_cut() {
        // A body that ends elsewhere hands its rest over as the next request.
        let with_next = [CHUNKED, b"GET / HTTP/1.1\r\n"].concat();
        for split in 0..=with_next.len() {
            assert_eq!(skip_in_pieces(&with_next, split), Ok((CHUNKED.len(), true)), "split at {split}");
        }
        for len in 0..CHUNKED.len() {
            assert_eq!(skip_in_pieces(&CHUNKED[..len], 0), Ok((len, false)), "cut at {len}");
        }
    }

    #[test]
    fn one_byte_past_the_limit_is_refused() {
        // Without it a client could send for ever.
        assert_eq!(skip_in_pieces(b"f\r\n", 0), Ok((3, false)));
        assert_eq!(skip_in_pieces(b"10\r\n", 0), Err(TOO_LONG));
        assert!(BodySkip::new(Framing::Length(15), 15).is_ok());
        assert_eq!(BodySkip::new(Framing::Length(16), 15).unwrap_err(), TOO_LONG);
        let extension = [b"1;", "x".repeat(16 * 1024).as_bytes()].concat();
        assert_eq!(skip_in_pieces(&extension, 0), Err(TOO_LONG));
    }

    #[test]
    fn malformed_chunks_are_refused() {
        // Each of these is read otherwise by some proxy: the seeds of request smuggling.
        for bad in [
            &b"\r\n"[..],
            b"g\r\n",
            b" 5\r\n",
            b"5 \r\n",
            b"0x5\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"5\n",
            b"5\rX",
            b"5\r\nhelloX",
            b"5\r\nhello\n",
            b"5\r\nhello\rX",
            b"0\r\n\n",
            b"0\r\n folded\r\n",
            b"0\r\na: \0b\r\n",
            b"0\r\nno colon\r\n",
            b"0\r\nnocolon\r\n",
            b"0\r\nContent-Length : 5\r\n",
            b"0\r\n: 5\r\n",
            b";x\r\n",
            b"5;\n",
        ] {
            assert_eq!(skip_in_pieces(bad, 0), Err(BAD_CHUNK), "{}", bad.escape_ascii());
        }
        assert_eq!(skip_in_pieces(b"0000000000000001", 0), Err(TOO_LONG));
    }
}
