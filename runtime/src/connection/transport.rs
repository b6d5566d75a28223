//! What a conversation is held over, with the waits that belong to it.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};

/// What a connection waits for when it reads; each has a limit of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Awaiting {
    /// The first byte of a request.
    Request,
    /// The rest of a head.
    Head,
    /// The rest of a body.
    Body,
    /// The end of what a refused client still sends.
    End,
}

/// What a conversation is held over. Everything that reads and writes is one, with no limit to a wait.
pub trait Transport {
    /// Reads what is there, waiting for it. `WouldBlock` while awaiting a request: nothing came, the conversation is to
    /// be taken up again later. `TimedOut`: it took too long.
    ///
    /// # Errors
    /// These two, and what the system says.
    fn receive(&mut self, awaiting: Awaiting, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes some of the pieces.
    ///
    /// # Errors
    /// What the system says; a client that takes too long is cut off.
    fn send(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Sends some of `len` bytes of a file; `Ok(None)` where that isn't possible.
    ///
    /// # Errors
    /// What the system says.
    fn send_file(&mut self, _file: &File, _offset: usize, _len: usize) -> io::Result<Option<usize>> {
        Ok(None)
    }

    /// Whether what lies in a file may have to be waited for, so that it is worth asking where it lies.
    fn is_disk_busy(&self) -> bool {
        false
    }

    /// Has a part of a file brought into memory, if it isn't there, so that sending it doesn't wait for a disk.
    ///
    /// # Errors
    /// What the system says.
    fn bring_in(&mut self, _file: &File, _offset: usize, _len: usize) -> io::Result<()> {
        Ok(())
    }

    /// Says that there will be waits of which this transport knows nothing: for a handler, or for a body that is yet to
    /// be made.
    ///
    /// # Errors
    /// What the system says.
    fn expect_waits(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Says that nothing more will be written.
    fn finish(&mut self) {}
}

impl<T: Read + Write> Transport for T {
    fn receive(&mut self, _awaiting: Awaiting, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(buffer)
    }

    fn send(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_vectored(pieces)
    }
}
