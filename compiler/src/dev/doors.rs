//! Who may ask: the server shows unfinished work and takes orders, so a foreign page in the same browser must reach
//! neither, not even by a name that leads to this machine (DNS rebinding).

use runtime::http::request::Request;
use runtime::listener::Address;

/// The names by which the server may be asked.
#[derive(Clone, Debug)]
pub(super) struct Doors {
    allowed: Vec<String>,
    is_loopback: bool,
}

impl Doors {
    pub(super) fn new(address: &Address, allowed: &[String]) -> Self {
        let is_loopback = match address {
            Address::Tcp(address) => address.ip().is_loopback(),
            Address::Unix(_) => true,
        };
        Self { allowed: allowed.iter().map(|name| name.to_ascii_lowercase()).collect(), is_loopback }
    }

    /// Whether only this machine reaches it.
    pub(super) fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    /// Whether a request names a host by which the server may be asked: an address, this machine, or what was allowed.
    pub(super) fn knows_host(&self, request: &Request<'_>) -> bool {
        request.host.and_then(|host| str::from_utf8(host).ok()).is_some_and(|host| self.is_own(host))
    }

    /// Whether a request comes from the server's own pages, or from no page at all.
    pub(super) fn is_from_here(&self, request: &Request<'_>) -> bool {
        let origin_is_own = request.values("origin").all(|origin| {
            let host = str::from_utf8(origin).ok().and_then(|origin| origin.split_once("://"));
            host.is_some_and(|(_, host)| self.is_own(host))
        });
        origin_is_own && request.values("sec-fetch-site").all(|site| site != b"cross-site")
    }

    fn is_own(&self, host_and_port: &str) -> bool {
        let host = host_name(host_and_port).to_ascii_lowercase();
        host == "localhost" || host.ends_with(".localhost") || is_address(&host) || self.allowed.contains(&host)
    }
}

/// Whether a host is a number, which no name server can lead elsewhere.
fn is_address(host: &str) -> bool {
    let is_v4 = host.split('.').count() == 4 && host.split('.').all(|part| part.parse::<u8>().is_ok());
    is_v4 || host.starts_with('[') || host.matches(':').count() > 1
}

/// A host without its port.
fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_name_is_not_known_even_if_it_leads_here() {
        let doors = Doors::new(&"127.0.0.1:8080".parse().unwrap(), &["dev.example".to_owned()]);
        for own in
            ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080", "::1", "dev.example:1", "a.localhost"]
        {
            assert!(doors.is_own(own), "{own}");
        }
        for foreign in ["evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "", "example"] {
            assert!(!doors.is_own(foreign), "{foreign}");
        }
    }
}
