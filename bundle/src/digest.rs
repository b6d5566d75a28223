//! A BLAKE3 digest as a value. It hashes and prints; it does not know what is hashed.

use std::fmt;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;

/// The 32 bytes of a BLAKE3 hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; Digest::BYTES]);

impl Digest {
    /// Length of a digest in bytes.
    pub const BYTES: usize = 32;

    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Takes 32 bytes that were a digest before.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The digest's own bytes.
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// The first `digit_count` hexadecimal digits, lower case; at most 64.
    pub fn hex(&self, digit_count: usize) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let nibbles = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        nibbles.take(digit_count).map(|nibble| char::from(DIGITS[usize::from(nibble)])).collect()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.hex(64))
    }
}

/// Bytes on their way to a digest, piece by piece.
#[derive(Default)]
pub struct Hasher(blake3::Hasher);

impl Hasher {
    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The digest of all pieces, as if they were one.
    pub fn finish(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}

/// Hashes what is written through it. Many small pieces are better put together before: hashing takes a kilobyte at a time
/// of those, and eight at once of what is long.
pub struct Hashed<W> {
    out: W,
    hasher: Hasher,
}

impl<W: Write> Hashed<W> {
    /// Nothing is hashed yet.
    pub fn new(out: W) -> Self {
        Self { out, hasher: Hasher::default() }
    }

    /// What was written to, and the digest of it.
    pub fn finish(self) -> (W, Digest) {
        (self.out, self.hasher.finish())
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.out.write(bytes)?;
        self.hasher.update(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// How much is hashed and written at a time.
const PIECE_BYTES: usize = 1 << 20;
/// Pieces that are written and wait to be hashed.
const WAITING_MAX: usize = 2;

/// Writes to `out` what `write` writes, which is hashed meanwhile by a thread of its own.
///
/// # Errors
/// What `out` or `write` reports, or that there can be no thread.
pub(crate) fn write_hashed(
    out: &mut impl Write,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<Digest> {
    thread::scope(|scope| {
        let (written, to_hash) = sync_channel::<Vec<u8>>(WAITING_MAX);
        let (give_back, to_fill) = channel();
        let hash = move || {
            let mut hasher = Hasher::default();
            for piece in to_hash {
                hasher.update(&piece);
                // Nobody wants it any more after the last one.
                give_back.send(piece).ok();
            }
            hasher.finish()
        };
        let hashing = thread::Builder::new().spawn_scoped(scope, hash)?;
        let mut pieces = Pieces { out, piece: Vec::with_capacity(PIECE_BYTES), written, to_fill };
        let result = write(&mut pieces).and_then(|()| pieces.hand_on());
        // The thread ends when nothing more can come.
        drop(pieces);
        let digest = hashing.join().map_err(|_| io::Error::other("the thread that hashes has ended"))?;
        result.map(|()| digest)
    })
}

/// Gathers what is written into pieces, which are written and handed on to be hashed.
struct Pieces<'o, W> {
    out: &'o mut W,
    piece: Vec<u8>,
    written: SyncSender<Vec<u8>>,
    to_fill: Receiver<Vec<u8>>,
}

impl<W: Write> Pieces<'_, W> {
    fn hand_on(&mut self) -> io::Result<()> {
        self.out.write_all(&self.piece)?;
        let mut next = self.to_fill.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE_BYTES));
        next.clear();
        let piece = std::mem::replace(&mut self.piece, next);
        self.written.send(piece).map_err(|_| io::Error::other("the thread that hashes has ended"))
    }
}

impl<W: Write> Write for Pieces<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(&bytes[..len]);
        if self.piece.len() == PIECE_BYTES {
            self.hand_on()?;
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
