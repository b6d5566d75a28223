//! Getting bytes to a client: all of them, however few it takes at a time.

use std::fs::File;
use std::io::{self, IoSlice};

use super::{Awaiting, Transport};
use crate::http::response::{Answer, Body, BodyStream};
use crate::limits::LINGER_BYTES_MAX;
use crate::site::Handler;

/// Has what an answer is made of in memory before it is sent with others.
pub(super) fn bring_in<H: Handler>(
    transport: &mut impl Transport,
    answer: &Answer<'_>,
    handler: &H,
    view: &H::View,
) -> io::Result<()> {
    let body = match &answer.body {
        Body::Lying(bytes) => bytes,
        // It looks after itself, or doesn't lie in a file.
        _ => &[][..],
    };
    for bytes in [answer.start.bytes(), answer.fields, body].into_iter().filter(|bytes| !bytes.is_empty()) {
        if let Some((file, offset)) = handler.place_of(view, bytes) {
            transport.bring_in(file, offset, bytes.len())?;
        }
    }
    Ok(())
}

/// Adds what it sends to `sent_len`, as the next two do: what left is known even if the rest can't.
pub(super) fn write_all(
    transport: &mut impl Transport,
    pieces: &mut [IoSlice<'_>],
    sent_len: &mut usize,
) -> io::Result<()> {
    let mut rest = pieces;
    while !rest.is_empty() {
        match transport.send(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => {
                *sent_len += len;
                IoSlice::advance_slices(&mut rest, len);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

pub(super) fn send_file(
    transport: &mut impl Transport,
    bytes: &[u8],
    file: &File,
    offset: usize,
    sent_len: &mut usize,
) -> io::Result<()> {
    let mut done_len = 0;
    while done_len < bytes.len() {
        match transport.send_file(file, offset + done_len, bytes.len() - done_len)? {
            None => return write_all(transport, &mut [IoSlice::new(&bytes[done_len..])], sent_len),
            // The file is shorter than it was.
            Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Some(len) => {
                *sent_len += len;
                done_len += len;
            }
        }
    }
    Ok(())
}

pub(super) fn send_stream(
    transport: &mut impl Transport,
    stream: &mut dyn BodyStream,
    is_chunked: bool,
    sent_len: &mut usize,
) -> io::Result<()> {
    while let Some(piece) = stream.next() {
        // An empty chunk would end the body.
        if piece.is_empty() {
            continue;
        }
        if is_chunked {
            let size = format!("{:x}\r\n", piece.len());
            let mut pieces = [size.as_bytes(), &piece, b"\r\n"].map(IoSlice::new);
            write_all(transport, &mut pieces, sent_len)?;
        } else {
            write_all(transport, &mut [IoSlice::new(&piece)], sent_len)?;
        }
    }
    if is_chunked { write_all(transport, &mut [IoSlice::new(b"0\r\n\r\n")], sent_len) } else { Ok(()) }
}

/// Lets a client that was refused finish, within bounds: closing on unread bytes would reset the connection, and the
/// client might never see the answer (RFC 9112 section 9.6).
pub(super) fn linger(transport: &mut impl Transport) {
    transport.finish();
    let mut thrown_away = [0; 1024];
    let mut left = LINGER_BYTES_MAX;
    while let Ok(len @ 1..) = transport.receive(Awaiting::End, &mut thrown_away) {
        match left.checked_sub(len as u64) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
