//! What a service manager tells and wants to be told: sockets that it opened (`LISTEN_FDS`), and when the server is ready.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use listenfd::ListenFd;
use socket2::Socket;

/// The listening sockets that a service manager handed over, in its order.
///
/// # Errors
/// What is wrong with one of them.
pub fn take_sockets() -> io::Result<Vec<Socket>> {
    let mut handed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..handed.len() {
        let tcp = handed.take_tcp_listener(index);
        let socket = match tcp {
            Ok(listener) => listener.map(Socket::from),
            Err(_) => handed.take_unix_listener(index)?.map(Socket::from),
        };
        sockets.extend(socket);
    }
    Ok(sockets)
}

/// Tells a service manager how the server is, if there is one that wants to know (`NOTIFY_SOCKET`).
#[derive(Debug)]
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
}

impl Notifier {
    /// Finds out whether anybody wants to know.
    pub fn from_environment() -> Self {
        let address = std::env::var("NOTIFY_SOCKET").ok().and_then(|name| match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name).ok(),
            None => SocketAddr::from_pathname(name).ok(),
        });
        let socket = address.and_then(|address| Some((UnixDatagram::unbound().ok()?, address)));
        Self { socket }
    }

    /// The server answers from now on.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// The server has begun to end.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    fn say(&self, state: &str) {
        if let Some((socket, address)) = &self.socket {
            // Whoever wanted to know is gone: nothing depends on it.
            socket.send_to_addr(state.as_bytes(), address).ok();
        }
    }
}
