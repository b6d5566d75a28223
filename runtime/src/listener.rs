//! Binding: addresses as they are written on a command line, and the sockets that listen there.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::sys::socket::setsockopt;
use nix::{setsockopt_impl, sockopt_impl};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::limits::{BACKLOG, NOT_SENT_BYTES_MAX};

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`.
    Tcp(SocketAddr),
    /// `unix:PATH`.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = &'static str;

    /// Names other than `localhost` are not resolved: a server is told an address of its own machine.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err("a path must follow `unix:`") } else { Ok(Self::Unix(path.into())) };
        }
        let numeric = match text.strip_prefix("localhost:") {
            Some(port) => &format!("127.0.0.1:{port}"),
            None => text,
        };
        numeric.parse().map(Self::Tcp).map_err(|_| "write it as `127.0.0.1:8080`, `[::1]:8080` or `unix:PATH`")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(out),
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
        }
    }
}

/// Whether other processes may listen at the same port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortUse {
    /// A port in use is an error.
    Alone,
    /// The system spreads connections over all who ask for this (`SO_REUSEPORT`).
    Shared,
}

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: Address,
    /// The file of a Unix socket, if it was made here: its device and inode.
    own_file: Option<(u64, u64)>,
    /// Whether each connection begins with a proxy's `PROXY` header.
    is_for_proxies: bool,
}

impl Listener {
    /// Listens at an address. Port 0 takes any that is free; see [`address`](Self::address).
    ///
    /// # Errors
    /// What the system says, a port in use above all.
    pub fn bind(address: &Address, port_use: PortUse) -> io::Result<Self> {
        let (domain, socket_address) = match address {
            Address::Tcp(address) => (Domain::for_address(*address), SockAddr::from(*address)),
            Address::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
        };
        if let Address::Unix(path) = address {
            remove_dead_socket(path, &socket_address)?;
        }
        let socket = Socket::new(domain, Type::STREAM, None)?;
        if let Address::Tcp(address) = address {
            socket.set_reuse_address(true)?;
            socket.set_reuse_port(port_use == PortUse::Shared)?;
            tune(&socket)?;
            if address.is_ipv6() {
                socket.set_only_v6(true)?;
            }
        }
        socket.set_nonblocking(true)?;
        socket.bind(&socket_address)?;
        socket.listen(BACKLOG)?;
        let bound = socket.local_addr()?.as_socket().map_or_else(|| address.clone(), Address::Tcp);
        let own_file = if let Address::Unix(path) = address { file_of_socket(path) } else { None };
        Ok(Self { socket, address: bound, own_file, is_for_proxies: false })
    }

    /// Takes a socket that listens already.
    ///
    /// # Errors
    /// What the system says.
    pub fn adopt(socket: Socket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?;
        let address = match local.as_socket() {
            Some(address) => {
                tune(&socket)?;
                Address::Tcp(address)
            }
            None => Address::Unix(local.as_pathname().unwrap_or(Path::new("")).to_owned()),
        };
        Ok(Self { socket, address, own_file: None, is_for_proxies: false })
    }

    /// Has each connection begin with a proxy's `PROXY` header.
    #[must_use]
    pub fn for_proxies(mut self) -> Self {
        self.is_for_proxies = true;
        self
    }

    /// Whether each connection begins with a proxy's `PROXY` header.
    pub fn is_for_proxies(&self) -> bool {
        self.is_for_proxies
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The socket itself.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }
}

sockopt_impl!(
    /// Bytes that wait in the kernel beyond those that are on their way (`TCP_NOTSENT_LOWAT`).
    NotSentLowWater, SetOnly, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, u32
);

/// Sets what the connections that a TCP socket accepts inherit.
fn tune(socket: &Socket) -> io::Result<()> {
    // An answer is written at once, so there is nothing to wait for.
    socket.set_nodelay(true)?;
    Ok(setsockopt(socket, NotSentLowWater, &NOT_SENT_BYTES_MAX)?)
}

/// Which file there is at a socket's path; `None` if it isn't a socket's.
fn file_of_socket(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path).ok().filter(|metadata| metadata.file_type().is_socket())?;
    Some((metadata.dev(), metadata.ino()))
}

/// Removes the file of a socket that nobody listens at: a process that was killed left it. Whatever else is there stays.
fn remove_dead_socket(path: &Path, address: &SockAddr) -> io::Result<()> {
    if file_of_socket(path).is_none() {
        // Binding says so if there is something else.
        return Ok(());
    }
    let attempt = Socket::new(Domain::UNIX, Type::STREAM, None)?.connect(address);
    if attempt.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let (Address::Unix(path), Some(_)) = (&self.address, self.own_file)
            // Whoever came after it may have put another there.
            && file_of_socket(path) == self.own_file
        {
            // Nothing depends on it: the next start says so if the path is taken.
            std::fs::remove_file(path).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let shown = |text: &str| text.parse::<Address>().map(|address| address.to_string());
        assert_eq!(shown("127.0.0.1:80"), Ok("127.0.0.1:80".to_owned()));
        assert_eq!(shown("localhost:80"), Ok("127.0.0.1:80".to_owned()));
        assert_eq!(shown("[::1]:80"), Ok("[::1]:80".to_owned()));
        assert_eq!(shown("unix:/run/kilnd.sock"), Ok("unix:/run/kilnd.sock".to_owned()));
        for wrong in ["", "80", "127.0.0.1", "example.com:80", "unix:", "::1:80", "127.0.0.1:65536"] {
            assert!(shown(wrong).is_err(), "{wrong}");
        }
    }
}
