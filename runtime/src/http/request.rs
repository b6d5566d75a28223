//! Request heads: where one ends, what it asks for, and how its body is framed (RFC 9112 sections 2 to 6). What is
//! in doubt is refused here, so that nothing behind it has to wonder.

use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::net::IpAddr;

use super::framing::Framing;
use super::proxy::{Forwarded, Scheme};
use crate::limits::{FIELD_COUNT_MAX, REQUEST_LINE_BYTES_MAX};

/// Room for the fields of one head, on the caller's stack.
pub type FieldSlots<'a> = [MaybeUninit<httparse::Header<'a>>; FIELD_COUNT_MAX];

/// An empty [`FieldSlots`]; costs nothing.
pub fn field_slots<'a>() -> FieldSlots<'a> {
    [const { MaybeUninit::uninit() }; FIELD_COUNT_MAX]
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
    /// Whether the client waits for a word before it sends the body.
    pub expects_continue: bool,
    /// Who asks, if that has an address; the connection knows, or a proxy that is trusted.
    pub peer: Option<IpAddr>,
    /// The scheme that the client used, where a proxy that is trusted says so.
    pub scheme: Option<Scheme>,
    /// The host that the client asked for, where a proxy that is trusted names another one than `host`.
    pub forwarded_host: Option<&'a [u8]>,
    fields: &'a [httparse::Header<'a>],
}

impl<'a> Request<'a> {
    /// The values of a field, in the order in which they were sent.
    pub fn values(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        // Most names differ in their lengths, which costs no call.
        let is_named = move |field: &&httparse::Header<'_>| {
            field.name.len() == name.len() && field.name.eq_ignore_ascii_case(name)
        };
        self.fields.iter().filter(is_named).map(|field| field.value)
    }

    /// The value of a field that may be there once. Sent twice it says nothing that could be relied on: `None`.
    pub fn value(&self, name: &'static str) -> Option<&'a [u8]> {
        let mut values = self.values(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// Takes what a trusted proxy says of it. Which site answers is still decided by the request's own host.
    pub fn take_forwarded(&mut self, forwarded: Forwarded<'a>) {
        (self.peer, self.scheme, self.forwarded_host) = (Some(forwarded.client), forwarded.scheme, forwarded.host);
    }

    /// The host that the client asked for, as far as that is known.
    pub fn public_host(&self) -> Option<&'a [u8]> {
        self.forwarded_host.or(self.host)
    }

    /// The same request for another path.
    pub(crate) fn at_path(&self, path: &'static [u8]) -> Self {
        Self { path: Cow::Borrowed(path), ..self.clone() }
    }

    /// Reads a whole head, from its request line to its empty line.
    ///
    /// # Errors
    /// The [`Refusal`] it deserves.
    pub fn parse(head: &'a [u8], slots: &'a mut FieldSlots<'a>) -> Result<Self, Refusal> {
        let mut parser = httparse::Request::new(&mut []);
        let status = parser.parse_with_uninit_headers(head, slots).map_err(|error| refusal_of(error, head))?;
        let (true, Some(method), Some(target), Some(minor)) =
            (status.is_complete(), parser.method, parser.path, parser.version)
        else {
            return Err(Refusal::bad("the head is not whole"));
        };
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
            line: &head[..head.iter().position(|byte| *byte == b'\r').unwrap_or(0)],
            method,
            path: decode_path(target.path)?,
            query: target.query,
            version,
            host: target.authority.or(known.host),
            is_persistent,
            framing,
            // A 1.0 client can't have meant it (RFC 9110 section 10.1.1).
            expects_continue: known.expects_continue && version == Version::Http11,
            peer: None,
            scheme: None,
            forwarded_host: None,
            fields,
        })
    }
}

/// What a parser's error deserves.
fn refusal_of(error: httparse::Error, head: &[u8]) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal::new(431, "too many fields"),
        httparse::Error::Version => match version_digits(head) {
            Some((major, _)) if major != b'1' => Refusal::new(505, "another major version"),
            _ => Refusal::bad("no version"),
        },
        httparse::Error::HeaderName => Refusal::bad("a field name"),
        httparse::Error::HeaderValue => Refusal::bad("a field value"),
        httparse::Error::NewLine => Refusal::bad("a line end"),
        _ => Refusal::bad("the request line"),
    }
}

/// The two digits of the version that ends the request line.
fn version_digits(head: &[u8]) -> Option<(u8, u8)> {
    let line = &head[..head.iter().position(|byte| *byte == b'\r')?];
    let [major, b'.', minor] = line[line.iter().rposition(|byte| *byte == b' ')? + 1..].strip_prefix(b"HTTP/")? else {
        return None;
    };
    (major.is_ascii_digit() && minor.is_ascii_digit()).then_some((*major, *minor))
}

/// Makes HTTP/1.2 to 1.9 an HTTP/1.1, in place: what a later minor version adds may be ignored (RFC 9110 section 2.5).
pub(crate) fn lower_minor_version(head: &mut [u8]) {
    if let Some((b'1', b'2'..=b'9')) = version_digits(head)
        && let Some(line_end) = head.iter().position(|byte| *byte == b'\r')
    {
        head[line_end - 1] = b'1';
    }
}

/// A request target (RFC 9112 section 3.2) cut into its parts.
struct Target<'a> {
    authority: Option<&'a [u8]>,
    path: &'a [u8],
    query: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    fn parse(method: Method, target: &'a [u8]) -> Result<Self, Refusal> {
        if method == Method::Connect {
            check_host(target)?;
            return Ok(Self { authority: Some(target), path: b"", query: None });
        }
        if target == b"*" && method == Method::Options {
            return Ok(Self { authority: None, path: target, query: None });
        }
        if !target.iter().all(u8::is_ascii_graphic) || target.contains(&b'#') {
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
        let query_start = path_and_query.iter().position(|byte| *byte == b'?');
        let path = &path_and_query[..query_start.unwrap_or(path_and_query.len())];
        let path = match (authority, path) {
            (Some(_), b"") => b"/",
            (_, [b'/', ..]) => path,
            _ => return Err(Refusal::bad("a target that is no path")),
        };
        Ok(Self { authority, path, query: query_start.map(|start| &path_and_query[start + 1..]) })
    }
}

/// What follows `http://` or `https://`, in any case.
fn without_scheme(target: &[u8]) -> Option<&[u8]> {
    [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

/// Decodes a path once. A path without `%` is not copied.
fn decode_path(path: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    if !path.contains(&b'%') {
        return Ok(Cow::Borrowed(path));
    }
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
    Ok(Cow::Owned(decoded))
}

/// The fields that decide about the connection itself.
#[derive(Default)]
struct KnownFields<'a> {
    host: Option<&'a [u8]>,
    content_length: Option<u64>,
    wants_close: bool,
    wants_keep_alive: bool,
    expects_continue: bool,
}

impl<'a> KnownFields<'a> {
    fn gather(fields: &'a [httparse::Header<'a>]) -> Result<Self, Refusal> {
        let mut known = Self::default();
        for field in fields {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            match field.name.len() {
                4 if is("host") => set_once(&mut known.host, field.value)?,
                6 if is("expect") => {
                    if !field.value.eq_ignore_ascii_case(b"100-continue") {
                        return Err(Refusal::new(417, "an unknown expectation"));
                    }
                    known.expects_continue = true;
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
    let refused = Err(Refusal::bad("an invalid host"));
    let (host, port) = match authority {
        [b'[', rest @ ..] => match rest.iter().position(|byte| *byte == b']') {
            Some(end) => {
                let is_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
                if end < 2 || !rest[..end].iter().all(is_address) {
                    return refused;
                }
                (&rest[..end], &rest[end + 1..])
            }
            None => return refused,
        },
        _ => authority.split_at(authority.iter().position(|byte| *byte == b':').unwrap_or(authority.len())),
    };
    let is_host_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%:".contains(byte);
    let port_is_valid = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if host.is_empty() || !host.iter().all(is_host_byte) || !port_is_valid {
        return refused;
    }
    Ok(())
}

/// How far a head has been looked through for its end, so that no byte is looked at twice however slowly it comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadScan {
    /// Where the head begins: after the empty line that may come before it (RFC 9112 section 2.2).
    pub head_start: usize,
    line_start: usize,
    seen_len: usize,
}

impl HeadScan {
    /// The end of the head that begins in `bytes`, when it is there.
    ///
    /// # Errors
    /// 400 for a line that doesn't end in CR LF, 414 and 431 for what is too long.
    pub fn find_end(&mut self, bytes: &[u8], head_bytes_max: usize) -> Result<Option<usize>, Refusal> {
        while let Some(offset) = memchr::memchr(b'\n', &bytes[self.seen_len..]) {
            let line_feed = self.seen_len + offset;
            let line = &bytes[self.line_start..line_feed];
            let is_request_line = self.line_start == self.head_start;
            // What is too long is that first of all, so that it doesn't matter how it was cut.
            let is_too_long = is_request_line && line.len() > REQUEST_LINE_BYTES_MAX + 1;
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
                (false, _) => {}
            }
        }
        let request_line_end =
            bytes[self.head_start..].iter().take(REQUEST_LINE_BYTES_MAX + 2).position(|b| *b == b'\n');
        let head_len = bytes.len() - self.head_start;
        if request_line_end.is_none() && head_len >= REQUEST_LINE_BYTES_MAX + 2 {
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
