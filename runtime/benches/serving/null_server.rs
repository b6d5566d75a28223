//! The floor: a loop that answers every empty line with the same bytes, and reads nothing else. What it costs is what the
//! system costs.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// Serves `answer` on one thread, for ever.
pub(crate) fn serve(listener: &TcpListener, answer: &[u8]) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    let mut clients: Vec<Option<Client>> = vec![None];
    let mut events = [EpollEvent::empty(); 256];
    loop {
        let count = epoll.wait(&mut events, EpollTimeout::NONE)?;
        for event in &events[..count] {
            let number = usize::try_from(event.data()).unwrap_or(0);
            if number == 0 {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let events = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
                    epoll.add(&stream, EpollEvent::new(events, clients.len() as u64))?;
                    clients.push(Some(Client { stream, matched_len: 0, owed_len: 0 }));
                }
            } else if clients[number].as_mut().is_some_and(|client| client.exchange(answer).is_err()) {
                clients[number] = None;
            }
        }
    }
}

struct Client {
    stream: TcpStream,
    /// How much of an empty line after a line was seen.
    matched_len: usize,
    /// Bytes of answers that are still to be sent.
    owed_len: usize,
}

impl Client {
    fn exchange(&mut self, answer: &[u8]) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) => {
                    buffer[..len].iter().for_each(|byte| self.take(*byte, answer.len()));
                    if len < buffer.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        while self.owed_len > 0 {
            let rest = &answer[(answer.len() - self.owed_len % answer.len()) % answer.len()..];
            match self.stream.write(rest) {
                Ok(len) => self.owed_len -= len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn take(&mut self, byte: u8, answer_len: usize) {
        let is_next = byte == b"\r\n\r\n"[self.matched_len];
        self.matched_len = if is_next { self.matched_len + 1 } else { usize::from(byte == b'\r') };
        if self.matched_len == 4 {
            self.matched_len = 0;
            self.owed_len += answer_len;
        }
    }
}
