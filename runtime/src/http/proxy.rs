//! What proxies say of the client behind them: the `PROXY` protocol at the start of a connection (version 1 and 2, as
//! its inventors define it), and `X-Forwarded-For`, `-Proto` and `-Host` in a request.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::request::{Refusal, Request, check_host};

/// The header that a proxy puts before everything else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProxyHeader {
    /// Its length.
    pub len: usize,
    /// The client, if the proxy says who that is.
    pub client: Option<IpAddr>,
}

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header of version 1, by its definition.
const TEXT_BYTES_MAX: usize = 107;
/// The longest header of version 2 that is read. Guessed: addresses take 52 bytes, and extensions are few.
const BINARY_BYTES_MAX: usize = 1_024;

impl ProxyHeader {
    /// Reads the header that must begin `bytes`; `None` while it isn't whole.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, Refusal> {
        if bytes.starts_with(SIGNATURE) {
            return Self::parse_binary(bytes);
        }
        let begins = |start: &[u8]| bytes.starts_with(start) || start.starts_with(bytes);
        if begins(SIGNATURE) {
            return Ok(None);
        }
        if !begins(b"PROXY ") {
            return Err(NO_HEADER);
        }
        let Some(line_feed) = bytes.iter().take(TEXT_BYTES_MAX).position(|byte| *byte == b'\n') else {
            return if bytes.len() < TEXT_BYTES_MAX { Ok(None) } else { Err(NO_HEADER) };
        };
        let line =
            bytes[..line_feed].strip_suffix(b"\r").and_then(|line| str::from_utf8(line).ok()).ok_or(NO_HEADER)?;
        let words = line.split(' ').collect::<Vec<_>>();
        let client = match words[..] {
            ["PROXY", "UNKNOWN", ..] => None,
            ["PROXY", "TCP4", ref ends @ ..] => Some(IpAddr::V4(parse_ends::<Ipv4Addr>(ends).ok_or(NO_HEADER)?)),
            ["PROXY", "TCP6", ref ends @ ..] => Some(IpAddr::V6(parse_ends::<Ipv6Addr>(ends).ok_or(NO_HEADER)?)),
            _ => return Err(NO_HEADER),
        };
        Ok(Some(Self { len: line_feed + 1, client }))
    }

    fn parse_binary(bytes: &[u8]) -> Result<Option<Self>, Refusal> {
        let Some((head, rest)) = bytes.split_at_checked(16) else { return Ok(None) };
        let addresses_len = usize::from(u16::from_be_bytes([head[14], head[15]]));
        if head[12] >> 4 != 2 || head[12] & 15 > 1 || addresses_len > BINARY_BYTES_MAX {
            return Err(NO_HEADER);
        }
        let Some(addresses) = rest.get(..addresses_len) else { return Ok(None) };
        // The command LOCAL is the proxy's own health check.
        let is_proxied = head[12] & 15 == 1;
        let client = match head[13] >> 4 {
            _ if !is_proxied => None,
            // Both ends' addresses and ports.
            1 => {
                let ends = addresses.first_chunk::<12>().ok_or(NO_HEADER)?;
                ends.first_chunk::<4>().map(|octets| IpAddr::V4(Ipv4Addr::from(*octets)))
            }
            2 => {
                let ends = addresses.first_chunk::<36>().ok_or(NO_HEADER)?;
                ends.first_chunk::<16>().map(|octets| IpAddr::V6(Ipv6Addr::from(*octets)))
            }
            _ => None,
        };
        Ok(Some(Self { len: 16 + addresses_len, client }))
    }
}

/// The client's address, of the words for both ends' addresses and ports.
fn parse_ends<A: FromStr>(words: &[&str]) -> Option<A> {
    let &[client, server, client_port, server_port] = words else { return None };
    let is_valid =
        server.parse::<A>().is_ok() && [client_port, server_port].iter().all(|port| port.parse::<u16>().is_ok());
    client.parse().ok().filter(|_| is_valid)
}

const NO_HEADER: Refusal = Refusal::bad("no PROXY header");

/// Addresses that are trusted: a range such as `10.0.0.0/8` or `fd00::/8`, a single one, or `unix:`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressRange {
    /// Those that begin with the same bits.
    Prefix {
        /// One of them.
        address: IpAddr,
        /// How many bits are the same.
        len: u32,
    },
    /// Whoever connects to a Unix socket, and has no address.
    Unix,
}

impl AddressRange {
    /// Whether an address is in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        let Self::Prefix { address: own, len } = *self else { return false };
        let (own, other, width) = match (own, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (u128::from(own.to_bits()), u128::from(other.to_bits()), 32),
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits(), other.to_bits(), 128),
            _ => return false,
        };
        (own ^ other).checked_shr(width - len).unwrap_or(0) == 0
    }

    /// Whether who is at the other end of a connection is in the range.
    fn contains_peer(&self, peer: Option<IpAddr>) -> bool {
        peer.map_or(*self == Self::Unix, |peer| self.contains(peer))
    }
}

impl FromStr for AddressRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "unix:" {
            return Ok(Self::Unix);
        }
        let help = "write it as `10.0.0.0/8`, `fd00::/8`, a single address or `unix:`";
        let (address, prefix_len) = text.split_once('/').map_or((text, None), |(address, len)| (address, Some(len)));
        let address = address.parse::<IpAddr>().map_err(|_| help)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let len = prefix_len.map_or(Ok(width), str::parse).map_err(|_| help)?;
        if len > width { Err(help) } else { Ok(Self::Prefix { address, len }) }
    }
}

/// What counts as one client: it may have a whole /64 of IPv6 addresses to choose from.
pub(crate) type ClientKey = u64;

/// The client that has an address.
pub(crate) fn client_key(address: IpAddr) -> ClientKey {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or(0),
    }
}

/// What a trusted proxy says of the request that it hands on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Forwarded<'a> {
    /// Who asks: the last address in `X-Forwarded-For` that isn't one of the proxies' own. What stands before that
    /// address anybody may have written.
    pub client: Option<IpAddr>,
    /// The scheme that the client used.
    pub scheme: Option<Scheme>,
    /// The host that the client asked for, with its port.
    pub host: Option<&'a [u8]>,
}

/// How a client reached a proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// The name in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl<'a> Forwarded<'a> {
    /// Reads what the proxy at the other end says; `None` if that isn't one of the trusted ones.
    pub fn read(request: &Request<'a>, peer: Option<IpAddr>, proxies: &[AddressRange]) -> Option<Self> {
        let is_proxy = |address: IpAddr| proxies.iter().any(|range| range.contains(address));
        if !proxies.iter().any(|range| range.contains_peer(peer)) {
            return None;
        }
        let mut client = peer;
        for text in backwards(request, "x-forwarded-for") {
            let Some(address) = str::from_utf8(text).ok().and_then(parse_forwarded) else { break };
            client = Some(address);
            if !is_proxy(address) {
                break;
            }
        }
        // Of these the last is the trusted proxy's own word.
        let scheme = backwards(request, "x-forwarded-proto").next().and_then(|name| {
            [Scheme::Http, Scheme::Https].into_iter().find(|scheme| name.eq_ignore_ascii_case(scheme.name().as_bytes()))
        });
        let host = backwards(request, "x-forwarded-host").next().filter(|host| check_host(host).is_ok());
        Some(Self { client, scheme, host })
    }
}

/// The elements of a field that proxies append to, the last first.
fn backwards<'a>(request: &Request<'a>, name: &'static str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let values = request.values(name).collect::<Vec<_>>();
    values.into_iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

/// An address, which some proxies write with its port.
fn parse_forwarded(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    text.trim_matches(['[', ']']).parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::FieldSlots;

    fn parsed(bytes: &[u8]) -> Option<(usize, Option<String>)> {
        // Cut anywhere, it is not whole yet, and never something else.
        let whole = ProxyHeader::parse(bytes).ok().flatten()?;
        for len in 0..whole.len {
            assert_eq!(ProxyHeader::parse(&bytes[..len]), Ok(None), "cut at {len}");
        }
        Some((whole.len, whole.client.map(|client| client.to_string())))
    }

    #[test]
    fn both_versions_name_the_client() {
        let text = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\nGET / HTTP/1.1\r\n";
        assert_eq!(parsed(text), Some((45, Some("192.0.2.1".to_owned()))));
        assert_eq!(parsed(b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n"), Some((32, Some("2001:db8::1".to_owned()))));
        assert_eq!(parsed(b"PROXY UNKNOWN\r\n"), Some((15, None)));
        let binary = [&SIGNATURE[..], &[0x21, 0x11, 0, 12, 192, 0, 2, 1, 1, 1, 1, 1, 0, 1, 0, 2], b"GET"].concat();
        assert_eq!(parsed(&binary), Some((28, Some("192.0.2.1".to_owned()))));
        let local = [&SIGNATURE[..], &[0x20, 0x00, 0, 0]].concat();
        assert_eq!(parsed(&local), Some((16, None)));
    }

    #[test]
    fn anything_else_is_refused() {
        // Whoever may leave the header out may also invent one further on.
        let endless = [b"PROXY TCP4 ", "1".repeat(100).as_bytes()].concat();
        let other_version = [&SIGNATURE[..], &[0x31, 0x11, 0, 0]].concat();
        let short = [&SIGNATURE[..], &[0x21, 0x11, 0, 2, 192, 0]].concat();
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXY TCP4 a b c d\r\n",
            b"PROXY TCP4 1.2.3.4\r\n",
            b"PROXY TCP4 1.2.3.4 junk 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
            b"PROXY TCP6 ::1 1.2.3.4 1 2\r\n",
            &short,
            b"PROXY X\n",
            &endless,
            &other_version,
        ] {
            assert_eq!(ProxyHeader::parse(bytes), Err(NO_HEADER), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn only_what_a_trusted_proxy_says_is_believed() {
        let proxies = ["10.0.0.0/8", "::1", "unix:"].map(|text| text.parse::<AddressRange>().unwrap());
        let forwarded = |peer: &str, fields: &str| {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            let mut slots = FieldSlots::default();
            let request = Request::parse(head.as_bytes(), &mut slots).unwrap();
            let Forwarded { client, scheme, host } = Forwarded::read(&request, peer.parse().ok(), &proxies)?;
            let client = client.map_or("-".to_owned(), |client| client.to_string());
            let (scheme, host) = (scheme.map_or("-", Scheme::name), host.unwrap_or(b"-").escape_ascii());
            Some(format!("{client} {scheme} {host}"))
        };
        let client = |peer: &str, value: &str| forwarded(peer, &format!("X-Forwarded-For: {value}\r\n"));
        assert_eq!(client("10.1.2.3", "1.1.1.1, 2.2.2.2, 10.9.9.9").as_deref(), Some("2.2.2.2 - -"));
        assert_eq!(client("::ffff:10.1.2.3", "2.2.2.2:1234").as_deref(), Some("2.2.2.2 - -"));
        assert_eq!(client("::1", "nonsense").as_deref(), Some("::1 - -"));
        assert_eq!(client("10.1.2.3", "10.4.4.4").as_deref(), Some("10.4.4.4 - -"));
        assert_eq!(client("192.0.2.1", "1.1.1.1"), None, "nobody asked this one");
        assert_eq!(client("a Unix socket", "1.1.1.1, 2.2.2.2").as_deref(), Some("2.2.2.2 - -"));
        assert_eq!(client("a Unix socket", "nonsense").as_deref(), Some("- - -"));

        let more = "X-Forwarded-Proto: http, HTTPS\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Host: example.com:8443\r\n";
        assert_eq!(forwarded("::1", more).as_deref(), Some("::1 https example.com:8443"));
        assert_eq!(forwarded("192.0.2.1", more), None, "nobody asked this one");
        let wrong = "X-Forwarded-Proto: gopher\r\nX-Forwarded-Host: a/b\r\n";
        assert_eq!(forwarded("::1", wrong).as_deref(), Some("::1 - -"));
    }

    #[test]
    fn a_client_is_all_that_it_can_choose_from() {
        // Who has a whole /64 would otherwise have 2^64 times the connections, and guesses of a password, of everybody else.
        let key = |text: &str| client_key(text.parse().unwrap());
        assert_eq!(key("2001:db8:0:1::1"), key("2001:db8:0:1:ffff:ffff:ffff:ffff"));
        assert_ne!(key("2001:db8:0:1::1"), key("2001:db8:0:2::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"), "the same client at a socket for both");
    }

    #[test]
    fn ranges_end_where_they_end() {
        let range = |text: &str| text.parse::<AddressRange>().unwrap();
        let contains = |text: &str, address: &str| range(text).contains(address.parse().unwrap());
        assert!(contains("10.0.0.0/8", "10.255.255.255") && !contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("0.0.0.0/0", "255.255.255.255") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("192.0.2.1", "192.0.2.1") && !contains("192.0.2.1", "192.0.2.0"));
        assert!(contains("fd00::/8", "fdff::1") && !contains("fd00::/8", "fe00::"));
        assert!(contains("::/0", "fe00::"));
        for wrong in ["", "10.0.0.0/33", "::/129", "10/8", "10.0.0.0/x", "unix:/run/a", "unix"] {
            assert!(wrong.parse::<AddressRange>().is_err(), "{wrong}");
        }
    }
}
