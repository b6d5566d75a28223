//! A client that asks at fixed times, whatever the server does: a request that has to wait for a connection has waited
//! from the moment when it was due. (A client that waits for an answer before it asks again measures a server that is
//! slow as one that is asked little.)

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// How to ask.
#[derive(Clone, Copy)]
pub(crate) struct Load<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) request: &'a [u8],
    pub(crate) answer_len: usize,
    pub(crate) connection_count: usize,
    pub(crate) duration: Duration,
}

/// How long answers took, ascending, in microseconds from when they were due.
pub(crate) struct Latencies(Vec<u32>);

impl Latencies {
    /// What so many of a thousand answers didn't exceed, in microseconds.
    pub(crate) fn per_mille(&self, rank: usize) -> u32 {
        self.0.get((self.0.len() * rank / 1000).min(self.0.len().saturating_sub(1))).copied().unwrap_or(0)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

impl Load<'_> {
    /// As many requests per second as there can be: each connection asks again at once.
    pub(crate) fn saturate(self) -> io::Result<f64> {
        let latencies = self.run(None)?;
        Ok(f64::from(u32::try_from(latencies.count()).unwrap_or(u32::MAX)) / self.duration.as_secs_f64())
    }

    /// Asks so many times a second.
    pub(crate) fn ask_at_rate(self, rate: f64) -> io::Result<Latencies> {
        self.run(Some(rate))
    }

    fn run(self, rate: Option<f64>) -> io::Result<Latencies> {
        let mut connections = Vec::new();
        let epoll = Epoll::new(EpollCreateFlags::empty())?;
        for number in 0..self.connection_count {
            let stream = TcpStream::connect(self.address)?;
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
            connections.push(Connection { stream, due: Instant::now(), missing_len: 0 });
        }
        let mut free = (0..self.connection_count).collect::<VecDeque<_>>();
        let mut latencies = Vec::new();
        let mut events = [EpollEvent::empty(); 256];
        let (started, mut asked_count) = (Instant::now(), 0_u32);
        loop {
            let now = Instant::now();
            let is_over = now - started >= self.duration;
            if is_over && (free.len() == connections.len() || now - started >= self.duration * 2) {
                break;
            }
            // What is due goes out, as far as there are connections for it.
            let due = |count: u32| rate.map_or(now, |rate| started + Duration::from_secs_f64(f64::from(count) / rate));
            while !is_over && due(asked_count) <= now {
                let Some(number) = free.pop_front() else { break };
                let connection = &mut connections[number];
                (connection.due, connection.missing_len) = (due(asked_count), self.answer_len);
                connection.stream.write_all(self.request)?;
                asked_count += 1;
            }
            // At a high rate it looks again and again instead of sleeping: to be woken takes longer than what is measured.
            let sleep = due(asked_count).saturating_duration_since(Instant::now()).as_millis();
            let timeout = EpollTimeout::try_from(sleep.min(100)).unwrap_or(EpollTimeout::ZERO);
            let count = epoll.wait(&mut events, timeout)?;
            for event in &events[..count] {
                let number = usize::try_from(event.data()).unwrap_or(0);
                let connection = &mut connections[number];
                connection.read()?;
                if connection.missing_len == 0 {
                    let us = connection.due.elapsed().as_micros();
                    latencies.push(u32::try_from(us).unwrap_or(u32::MAX));
                    free.push_back(number);
                }
            }
        }
        latencies.sort_unstable();
        Ok(Latencies(latencies))
    }
}

struct Connection {
    stream: TcpStream,
    due: Instant,
    /// Bytes of the answer that haven't come yet.
    missing_len: usize,
}

impl Connection {
    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => {
                self.missing_len = self.missing_len.checked_sub(len).ok_or(io::ErrorKind::InvalidData)?;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }
}
