//! `kilnd probe`: a health check for containers that have no other program in them.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::limits::PROBE_MS;

/// What to ask whether it is well.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProbeTarget {
    address: SocketAddr,
    host: String,
    path: String,
}

impl ProbeTarget {
    /// Reads `http://ADDRESS[:PORT][/PATH]`; the path is `/health` unless given. Names other than `localhost` are not
    /// resolved: a probe is for one's own machine.
    ///
    /// # Errors
    /// What is wrong, for a person.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        let rest = url.strip_prefix("http://").ok_or("it must begin with `http://`")?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let is_clean = path.bytes().all(|byte| byte.is_ascii_graphic());
        let path = if matches!(path, "" | "/") { "/health" } else { path };
        let address = parse_address(host).filter(|_| is_clean);
        let address = address.ok_or("it must name an IP address or `localhost`, and perhaps a port and a path")?;
        Ok(Self { address, host: host.to_owned(), path: path.to_owned() })
    }

    /// Asks whether it is well: whether it answers 200, within two seconds.
    ///
    /// # Errors
    /// Why it isn't, for a person.
    pub fn ask(&self) -> Result<(), String> {
        let line = self.status_line().map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("no answer within {} s", PROBE_MS / 1000),
            ErrorKind::UnexpectedEof => "it hung up without an answer".to_owned(),
            _ => error.to_string(),
        });
        let because = |reason: &str| format!("`http://{}{}` is not healthy: {reason}", self.host, self.path);
        let line = line.map_err(|reason| because(&reason))?;
        match line.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.strip_suffix(b" ")) {
            Some(b"200") => Ok(()),
            Some(status) => Err(because(&format!("it answers {}", status.escape_ascii()))),
            None => Err(because("what it answers is no HTTP/1.1")),
        }
    }

    fn status_line(&self) -> std::io::Result<[u8; 13]> {
        let deadline = Instant::now() + Duration::from_millis(PROBE_MS);
        // No time at all would be taken for no limit.
        let left = || deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let mut stream = TcpStream::connect_timeout(&self.address, left())?;
        let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.path, self.host);
        stream.write_all(request.as_bytes())?;
        let mut line = [0; 13];
        let mut rest = &mut line[..];
        while !rest.is_empty() {
            if Instant::now() >= deadline {
                return Err(ErrorKind::TimedOut.into());
            }
            stream.set_read_timeout(Some(left()))?;
            match stream.read(rest)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                len => rest = &mut rest[len..],
            }
        }
        Ok(line)
    }
}

fn parse_address(host: &str) -> Option<SocketAddr> {
    let host = match host.strip_prefix("localhost") {
        Some(port) if port.is_empty() || port.starts_with(':') => &format!("{}{port}", Ipv4Addr::LOCALHOST),
        _ => host,
    };
    let in_brackets = || host.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let address = || host.parse::<Ipv4Addr>().ok().map(IpAddr::V4).or_else(in_brackets);
    host.parse().ok().or_else(|| Some(SocketAddr::new(address()?, 80)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_goes_to_an_address_and_never_asks_a_name_server() {
        let parsed = |url| ProbeTarget::parse(url).map(|target| (target.address.to_string(), target.path));
        assert_eq!(parsed("http://127.0.0.1:8080"), Ok(("127.0.0.1:8080".to_owned(), "/health".to_owned())));
        assert_eq!(parsed("http://localhost:1/x"), Ok(("127.0.0.1:1".to_owned(), "/x".to_owned())));
        assert_eq!(parsed("http://[::1]/"), Ok(("[::1]:80".to_owned(), "/health".to_owned())));
        let names = ["https://127.0.0.1", "127.0.0.1", "http://example.com", "http://", "http://127.0.0.1/a b"];
        for wrong in
            names.into_iter().chain(["http://localhost1:80", "http://[[::1", "http://::1]", "http://[127.0.0.1]"])
        {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
