//! Request heads: where one ends, what it asks for, and how its body is framed (RFC 9112 sections 2 to 6). What is
//! in doubt is refused here, so that nothing behind it has to wonder.

use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv6Addr};

use super::framing::Framing;
use super::proxy::{Forwarded, Scheme};
use crate::limits::{FIELD_COUNT_DEFAULT, Limits};

/// Room for the fields of one head: on the caller's stack, unless there may be more of them than by default.
pub struct FieldSlots<'a> {
    near: [MaybeUninit<httparse::Header<'a>>; FIELD_COUNT_DEFAULT],
    far: Vec<MaybeUninit<httparse::Header<'a>>>,
    count: usize,
}

impl Default for FieldSlots<'_> {
    fn default() -> Self {
        Self::new(usize::MAX, FIELD_COUNT_DEFAULT)
    }
}

impl<'a> FieldSlots<'a> {
    /// For a head of so many bytes that may have so many fields. Costs nothing where these are no more than by default.
    pub fn new(head_len: usize, field_count_max: usize) -> Self {
        const FIELD_BYTES_MIN: usize = "a:\r\n".len();
        let count = field_count_max.min(head_len / FIELD_BYTES_MIN);
        let far = if count > FIELD_COUNT_DEFAULT { vec![MaybeUninit::uninit(); count] } else { Vec::new() };
        Self { near: [const { MaybeUninit::uninit() }; FIELD_COUNT_DEFAULT], far, count }
    }

    fn all(&mut self) -> &mut [MaybeUninit<httparse::Header<'a>>] {
        self.near.get_mut(..self.count).unwrap_or(&mut self.far)
    }
}

/// Why a request is not answered as it wishes: the status it deserves, and the reason for logs and tests. The
/// connection closes after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The status of the answer.
    pub status: u16,
    /// What was wrong.
    pub reason: &'static str,
}

impl Refusal {
    pub(crate) const fn new(status: u16, reason: &'static str) -> Self {
        Self { status, reason }
    }

    pub(crate) const fn bad(reason: &'static str) -> Self {
        Self::new(400, reason)
    }
}

/// What a request wants done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// The representation.
    Get,
    /// Its head only.
    Head,
    /// What may be asked.
    Options,
    /// For those who listen to it: `POST`.
    Post,
    /// A method that is known (RFC 9110 section 9, RFC 5789), and that no resource here allows.
    OtherKnown,
    /// A tunnel.
    Connect,
    /// Not a method of HTTP's own.
    Unknown,
}

impl Method {
    /// Methods are case-sensitive (RFC 9110 section 9.1).
    fn parse(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "OPTIONS" => Self::Options,
            "POST" => Self::Post,
            "PUT" | "DELETE" | "TRACE" | "PATCH" => Self::OtherKnown,
            "CONNECT" => Self::Connect,
            _ => Self::Unknown,
        }
    }
}

/// The minor version, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// HTTP/1.0: closes unless asked to stay, and knows no chunks.
    Http10,
    /// HTTP/1.1, and every later HTTP/1 (RFC 9110 section 2.5).
    Http11,
}

/// What a client expects (RFC 9110 section 10.1.1).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Expectation {
    /// Nothing.
    #[default]
    None,
    /// A word before it sends the body: `100-continue`.
    Continue,
    /// Something that isn't known.
    Unknown,
}

/// A request whose head was whole and beyond doubt.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Its first line, as it was sent.
    pub line: &'a [u8],
    /// What it wants done.
    pub method: Method,
    /// The percent-decoded path, `/` first; `*` for the server as a whole; empty for `CONNECT`.
    pub path: Cow<'a, [u8]>,
    /// What follows the `?`, as it was sent.
    pub query: Option<&'a [u8]>,
    /// The version.
    pub version: Version,
    /// The host with its port, from the target or else from `Host`.
    pub host: Option<&'a [u8]>,
    /// Whether the client wants to go on afterwards.
    pub is_persistent: bool,
    /// How its body is framed.
    pub framing: Framing,
    /// What the client expects before it sends the body.
    pub expectation: Expectation,
    /// Who asks, if that has an address; the connection knows, or a proxy that is trusted.
    pub peer: Option<IpAddr>,
    /// The scheme that the client used, where a proxy that is trusted says so.
    pub scheme: Option<Scheme>,
    /// The host that the client asked for, where a proxy that is trusted names another one than `host`.
    pub forwarded_host: Option<&'a [u8]>,
    fields: &'a [httparse::Header<'a>],
    /// A bit for each length that a field's name has.
    name_lens: u64,
}

impl<'a> Request<'a> {
    /// The values of a field, in the order in which they were sent.
    pub fn values(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        // Most fields that are asked for aren't there, and no name is as long as theirs: that costs no look at any.
        let fields = if self.name_lens & len_bit(name) == 0 { &[] } else { self.fields };
        let is_named = move |field: &&httparse::Header<'_>| {
            field.name.len() == name.len() && field.name.eq_ignore_ascii_case(name)
        };
        fields.iter().filter(is_named).map(|field| field.value)
    }

    /// The value of a field that may be there once. Sent twice it says nothing that could be relied on: `None`.
    pub fn value(&self, name: &'static str) -> Option<&'a [u8]> {
        let mut values = self.values(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// Takes what a trusted proxy says of it. Which site answers is still decided by the request's own host.
    pub fn take_forwarded(&mut self, forwarded: Forwarded<'a>) {
        (self.peer, self.scheme, self.forwarded_host) = (forwarded.client, forwarded.scheme, forwarded.host);
    }

    /// The host that the client asked for, as far as that is known.
    pub fn public_host(&self) -> Option<&'a [u8]> {
        self.forwarded_host.or(self.host)
    }

    /// Reads a whole head, from its request line to its empty line.
    ///
    /// # Errors
    /// The [`Refusal`] it deserves.
    pub fn parse(head: &'a [u8], slots: &'a mut FieldSlots<'a>) -> Result<Self, Refusal> {
        let mut parser = httparse::Request::new(&mut []);
        let status = parser.parse_with_uninit_headers(head, slots.all()).map_err(|error| refusal_of(error, head))?;
        let (true, Some(method), Some(target), Some(minor)) =
            (status.is_complete(), parser.method, parser.path, parser.version)
        else {
            return Err(Refusal::bad("the head is not whole"));
        };
        // One blank each between the three (RFC 9112 section 3).
        let line_len = method.len() + 1 + target.len() + " HTTP/1.1".len();
        let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        let method = Method::parse(method);
        let target = Target::parse(method, target.as_bytes())?;
        let fields: &'a [httparse::Header<'a>] = parser.headers;
        let known = KnownFields::gather(fields)?;
        if let Some(host) = known.host {
            check_host(host)?;
        } else if version == Version::Http11 {
            return Err(Refusal::bad("no host"));
        }
        let framing = Framing::of(version, known.content_length, fields)?;
        let is_persistent = match version {
            Version::Http11 => !known.wants_close,
            Version::Http10 => known.wants_keep_alive && !known.wants_close,
        };
        Ok(Self {
            line: head.get(..line_len).unwrap_or_default(),
            method,
            path: if target.is_encoded { Cow::Owned(decode_path(target.path)?) } else { Cow::Borrowed(target.path) },
            query: target.query,
            version,
            host: target.authority.or(known.host),
            is_persistent,
            framing,
            // A 1.0 client can't have meant that (RFC 9110 section 10.1.1).
            expectation: match (known.expectation, version) {
                (Expectation::Continue, Version::Http10) => Expectation::None,
                (expectation, _) => expectation,
            },
            peer: None,
            scheme: None,
            forwarded_host: None,
            fields,
            name_lens: known.name_lens,
        })
    }
}

/// What a parser's error deserves.
fn refusal_of(error: httparse::Error, head: &[u8]) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal::new(431, "too many fields"),
        httparse::Error::Version => match memchr::memchr(b'\r', head).and_then(|end| version_digits(&head[..end])) {
            Some((major, _)) if major != b'1' => Refusal::new(505, "another major version"),
            _ => Refusal::bad("no version"),
        },
        httparse::Error::HeaderName => Refusal::bad("a field name"),
        httparse::Error::HeaderValue => Refusal::bad("a field value"),
        httparse::Error::NewLine => Refusal::bad("a line end"),
        _ => Refusal::bad("the request line"),
    }
}

/// The two digits of the version that ends a request line.
fn version_digits(line: &[u8]) -> Option<(u8, u8)> {
    let [.., b' ', b'H', b'T', b'T', b'P', b'/', major, b'.', minor] = line else { return None };
    (major.is_ascii_digit() && minor.is_ascii_digit()).then_some((*major, *minor))
}

/// Makes HTTP/1.2 to 1.9 an HTTP/1.1 in a request line, in place: what a later minor version adds may be ignored (RFC 9110
/// section 2.5).
pub(crate) fn lower_minor_version(line: &mut [u8]) {
    if let (Some((b'1', b'2'..=b'9')), Some(minor)) = (version_digits(line), line.last_mut()) {
        *minor = b'1';
    }
}

/// A request target (RFC 9112 section 3.2) cut into its parts.
struct Target<'a> {
    authority: Option<&'a [u8]>,
    path: &'a [u8],
    query: Option<&'a [u8]>,
    /// Whether there is a `%` in it somewhere.
    is_encoded: bool,
}

impl<'a> Target<'a> {
    fn parse(method: Method, target: &'a [u8]) -> Result<Self, Refusal> {
        if method == Method::Connect {
            check_host(target)?;
            return Ok(Self { authority: Some(target), path: b"", query: None, is_encoded: false });
        }
        if target == b"*" && method == Method::Options {
            return Ok(Self { authority: None, path: target, query: None, is_encoded: false });
        }
        let kinds = target.iter().fold(0, |kinds, byte| kinds | TARGET_BYTE_KINDS[usize::from(*byte)]);
        if kinds & NO_TARGET_BYTE != 0 {
            return Err(Refusal::bad("a byte that no target may hold"));
        }
        let (authority, path_and_query) = match without_scheme(target) {
            Some(rest) => {
                let path_start = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
                let (authority, path_and_query) = rest.split_at(path_start);
                check_host(authority)?;
                (Some(authority), path_and_query)
            }
            None => (None, target),
        };
        let has_query = kinds & QUESTION_MARK != 0;
        let query_start = if has_query { memchr::memchr(b'?', path_and_query) } else { None };
        let path = &path_and_query[..query_start.unwrap_or(path_and_query.len())];
        let path = match (authority, path) {
            (Some(_), b"") => b"/",
            (_, [b'/', ..]) => path,
            _ => return Err(Refusal::bad("a target that is no path")),
        };
        let query = query_start.map(|start| &path_and_query[start + 1..]);
        Ok(Self { authority, path, query, is_encoded: kinds & PERCENT != 0 })
    }
}

/// What follows `http://` or `https://`, in any case.
fn without_scheme(target: &[u8]) -> Option<&[u8]> {
    if target.first() == Some(&b'/') {
        return None;
    }
    [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

/// Decodes a path once.
fn decode_path(path: &[u8]) -> Result<Vec<u8>, Refusal> {
    let hex = |digit: Option<&u8>| match digit? {
        digit @ b'0'..=b'9' => Some(digit - b'0'),
        digit @ (b'a'..=b'f' | b'A'..=b'F') => Some((digit | 0x20) - b'a' + 10),
        _ => None,
    };
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.iter();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => match (hex(rest.next()), hex(rest.next())) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(Refusal::bad("percent-encoding")),
            },
            plain => *plain,
        };
        if byte == 0 {
            return Err(Refusal::bad("a NUL in the path"));
        }
        decoded.push(byte);
    }
    Ok(decoded)
}

/// The fields that decide about the connection itself.
#[derive(Default)]
struct KnownFields<'a> {
    host: Option<&'a [u8]>,
    content_length: Option<u64>,
    wants_close: bool,
    wants_keep_alive: bool,
    expectation: Expectation,
    /// See [`Request`].
    name_lens: u64,
}

impl<'a> KnownFields<'a> {
    fn gather(fields: &'a [httparse::Header<'a>]) -> Result<Self, Refusal> {
        let mut known = Self::default();
        for field in fields {
            known.name_lens |= len_bit(field.name);
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            match field.name.len() {
                4 if is("host") => set_once(&mut known.host, field.value)?,
                6 if is("expect") => {
                    let expectations = field.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                    for expectation in expectations.filter(|expectation| !expectation.is_empty()) {
                        let is_known = expectation.eq_ignore_ascii_case(b"100-continue");
                        known.expectation = match known.expectation {
                            Expectation::None | Expectation::Continue if is_known => Expectation::Continue,
                            _ => Expectation::Unknown,
                        };
                    }
                }
                10 if is("connection") => {
                    for option in field.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                        known.wants_close |= option.eq_ignore_ascii_case(b"close");
                        known.wants_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                14 if is("content-length") => set_once(&mut known.content_length, parse_content_length(field.value)?)?,
                _ => {}
            }
        }
        Ok(known)
    }
}

/// The bit of a name's length. The few names that are as long as 64 bytes share bits with others.
fn len_bit(name: &str) -> u64 {
    1 << (name.len() % 64)
}

/// Kinds of bytes in a target, as bits; most bytes are of none.
const NO_TARGET_BYTE: u8 = 1;
const QUESTION_MARK: u8 = 2;
const PERCENT: u8 = 4;

/// The kind of each byte. A target holds what is visible, but no `#`, after which comes what is never sent.
const TARGET_BYTE_KINDS: [u8; 256] = {
    let mut kinds = [NO_TARGET_BYTE; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        kinds[byte as usize] = match byte {
            b'#' => NO_TARGET_BYTE,
            b'?' => QUESTION_MARK,
            b'%' => PERCENT,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};

/// Which bytes a host's name or IPv4 address may hold as they are (RFC 3986 section 3.2.2).
const IS_HOST_BYTE: [bool; 256] = {
    let marks = b"-._~!$&'()*+,;=";
    let mut is_allowed = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        is_allowed[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < marks.len() {
        is_allowed[marks[at] as usize] = true;
        at += 1;
    }
    is_allowed
};

/// Takes a field that must not be there twice.
fn set_once<V>(slot: &mut Option<V>, value: V) -> Result<(), Refusal> {
    if slot.replace(value).is_some() { Err(Refusal::bad("a field twice")) } else { Ok(()) }
}

/// Digits and nothing else (RFC 9110 section 8.6); more than 18 are more than anyone can send.
fn parse_content_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::bad("a length that is no number"));
    }
    let significant = &value[value.iter().take_while(|digit| **digit == b'0').count()..];
    if significant.len() > 18 {
        return Err(Refusal::new(413, "a length beyond all bounds"));
    }
    Ok(significant.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// `uri-host [ ":" port ]` (RFC 9110 section 7.2), the host not empty.
pub(crate) fn check_host(authority: &[u8]) -> Result<(), Refusal> {
    let host_len = if let [b'[', rest @ ..] = authority {
        let address_len = memchr::memchr(b']', rest).unwrap_or(0);
        let address = str::from_utf8(&rest[..address_len]).ok().and_then(|text| text.parse::<Ipv6Addr>().ok());
        if address.is_some() { address_len + 2 } else { 0 }
    } else {
        let name_len = authority.iter().take_while(|byte| IS_HOST_BYTE[usize::from(**byte)]).count();
        // A `%` is rare, so that a name is rarely looked at twice.
        if authority.get(name_len) == Some(&b'%') { encoded_name_len(authority) } else { name_len }
    };
    let port_is_valid = match &authority[host_len..] {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if host_len > 0 && port_is_valid { Ok(()) } else { Err(Refusal::bad("an invalid host")) }
}

/// The length of a host's name that has percent-encoded bytes in it (RFC 3986 section 2.1).
fn encoded_name_len(authority: &[u8]) -> usize {
    let mut len = 0;
    loop {
        len += match authority[len..] {
            [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => 3,
            [byte, ..] if IS_HOST_BYTE[usize::from(byte)] => 1,
            _ => return len,
        };
    }
}

/// How far a head has been looked through for its end, so that no byte is looked at twice however slowly it comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadScan {
    /// Where the head begins: after the empty line that may come before it (RFC 9112 section 2.2).
    pub head_start: usize,
    /// Where its first line ends, before the CR LF; 0 while that isn't there.
    pub first_line_end: usize,
    line_start: usize,
    seen_len: usize,
}

impl HeadScan {
    /// The end of the head that begins in `bytes`, when it is there.
    ///
    /// # Errors
    /// 400 for a line that doesn't end in CR LF, 414 and 431 for what is too long.
    pub fn find_end(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
        let head_bytes_max = limits.head_bytes_max;
        // Bytes before the line feed, the CR among them, with which a request line is too long.
        let too_long_len = limits.request_line_bytes_max.saturating_add(2);
        while let Some(offset) = memchr::memchr(b'\n', &bytes[self.seen_len..]) {
            let line_feed = self.seen_len + offset;
            let line = &bytes[self.line_start..line_feed];
            let is_request_line = self.line_start == self.head_start;
            // What is too long is that first of all, so that it doesn't matter how it was cut.
            let is_too_long = is_request_line && line.len() >= too_long_len;
            if is_too_long || line_feed - self.head_start >= head_bytes_max {
                break;
            }
            let Some(line) = line.strip_suffix(b"\r") else {
                return Err(Refusal::bad("a bare LF"));
            };
            self.seen_len = line_feed + 1;
            self.line_start = self.seen_len;
            match (line.is_empty(), is_request_line) {
                (true, true) if self.head_start == 0 => self.head_start = self.seen_len,
                (true, true) => return Err(Refusal::bad("two empty lines")),
                (true, false) => return Ok(Some(self.seen_len)),
                (false, true) => self.first_line_end = line_feed - 1,
                (false, false) => {}
            }
        }
        let request_line_end = bytes[self.head_start..].iter().take(too_long_len).position(|b| *b == b'\n');
        let head_len = bytes.len() - self.head_start;
        if request_line_end.is_none() && head_len >= too_long_len {
            return Err(Refusal::new(414, "a request line beyond the limit"));
        }
        // A head of which the limit's last byte is there, but not its end, can't end within the limit.
        if head_len >= head_bytes_max {
            return Err(Refusal::new(431, "a head beyond the limit"));
        }
        self.seen_len = bytes.len();
        Ok(None)
    }
}
