//! Answers as values: what the handler decides, in pieces that are sent as they lie. Nothing is copied together.

use std::fs::File;

/// One answer, but for the fields that the connection adds to each (`Date`, `Connection`, `X-Request-Id`) and the
/// empty line.
#[derive(Debug)]
pub struct Answer<'v> {
    /// The status, for those who count.
    pub status: u16,
    /// The status line, and as many whole fields as lie with it.
    pub start: Start<'v>,
    /// More whole fields.
    pub fields: &'v [u8],
    /// The body. To `HEAD` it is not sent.
    pub body: Body<'v>,
}

/// How a head begins.
#[derive(Debug)]
pub enum Start<'v> {
    /// Bytes that stay where they are until they are sent.
    Lying(&'v [u8]),
    /// The same bytes for everybody.
    Fixed(&'static [u8]),
    /// Bytes made for this answer.
    Made(Vec<u8>),
}

impl Start<'_> {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Lying(bytes) | Self::Fixed(bytes) => bytes,
            Self::Made(bytes) => bytes,
        }
    }
}

/// What follows a head.
#[derive(Debug, Default)]
pub enum Body<'v> {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes that stay where they are until they are sent.
    Lying(&'v [u8]),
    /// The same bytes, and where in a file they lie: for `sendfile`.
    InFile {
        /// The bytes.
        bytes: &'v [u8],
        /// The file that they are a map of.
        file: &'v File,
        /// Where they begin in it.
        offset: usize,
    },
    /// Bytes made for this answer.
    Made(Vec<u8>),
    /// Bytes that are yet to come, of unknown number; for server-sent events. Sent in chunks (RFC 9112 section 7.1).
    Streamed(StreamBox),
}

impl Body<'_> {
    /// The bytes that there are by now.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Lying(bytes) | Self::InFile { bytes, .. } => bytes,
            Self::Made(bytes) => bytes,
            Self::Empty | Self::Streamed(_) => &[],
        }
    }
}

impl Body<'_> {
    /// Keeps only a part of what there is by now.
    pub(crate) fn narrow(&mut self, part: std::ops::Range<usize>) {
        match self {
            Self::Lying(bytes) => *bytes = &bytes[part],
            Self::InFile { bytes, offset, .. } => {
                *offset += part.start;
                *bytes = &bytes[part];
            }
            Self::Made(bytes) => {
                bytes.truncate(part.end);
                bytes.drain(..part.start);
            }
            Self::Empty | Self::Streamed(_) => {}
        }
    }
}

/// A body that is made while it is sent.
pub trait BodyStream: Send {
    /// Waits for the next piece, in a coroutine; `None` ends the body. Must return now and then (an empty comment for
    /// server-sent events), because only a write shows that the client has gone.
    fn next(&mut self) -> Option<Vec<u8>>;
}

/// A [`BodyStream`] on the heap.
pub struct StreamBox(pub Box<dyn BodyStream>);

impl std::fmt::Debug for StreamBox {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("StreamBox")
    }
}

impl Answer<'_> {
    /// Whether nothing of it may lie in a file.
    pub(crate) fn is_made(&self) -> bool {
        !matches!(self.start, Start::Lying(_))
            && self.fields.is_empty()
            && matches!(self.body, Body::Empty | Body::Made(_))
    }
}

impl Answer<'static> {
    /// A small answer made on the spot. `fields` are whole lines.
    pub fn made(status: u16, fields: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let phrase = reason_phrase(status);
        let length = if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let start = format!("HTTP/1.1 {status} {phrase}\r\n{length}{fields}").into_bytes();
        Self { status, start: Start::Made(start), fields: b"", body: Body::Made(body) }
    }

    /// An answer that says its status and nothing else, and that nobody keeps.
    pub fn bare(status: u16, fields: &str) -> Self {
        let fields = format!(
            "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n{fields}"
        );
        Self::made(status, &fields, format!("{status} {}\n", reason_phrase(status)))
    }

    /// An answer whose body comes as it is made. `fields` are whole lines.
    pub fn streamed(fields: &str, stream: impl BodyStream + 'static) -> Self {
        let start = format!("HTTP/1.1 200 OK\r\n{fields}").into_bytes();
        let body = Body::Streamed(StreamBox(Box::new(stream)));
        Self { status: 200, start: Start::Made(start), fields: b"", body }
    }
}

/// The reason phrase of a status that this server sends (RFC 9110 section 15).
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        304 => "Not Modified",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Other",
    }
}
