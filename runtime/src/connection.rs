//! One conversation: requests read from a client, answers written back, in order, over anything that reads and writes.
//! It knows neither sockets nor threads; how long a wait may take is the [`Transport`]'s business.

mod context;
mod delivery;
mod input;
mod transport;

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Instant;

use arrayvec::ArrayVec;

use crate::access_log::{LogNote, Outcome};
use crate::http::date::DateField;
use crate::http::framing::{BodySkip, Framing};
use crate::http::proxy::{Forwarded, ProxyHeader};
use crate::http::request::{Expectation, FieldSlots, Method, Refusal, Request, Version};
use crate::http::response::{Answer, Body};
use crate::limits::{ANSWER_PIECE_COUNT_MAX, BATCH_ANSWER_COUNT_MAX, GATHERED_BYTES_MAX, REQUEST_ID_BYTES_MAX};
use crate::metrics::{Counted, Event};
use crate::site::Handler;
pub use context::Context;
use delivery::{bring_in, linger, send_file, send_stream, write_all};
use input::Input;
pub use transport::{Awaiting, Transport};

/// What of a connection outlives a pause.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    /// The number from which the next request's id is made; no two connections of a process come near each other.
    pub request_number: u64,
    /// Requests so far.
    pub request_count: u64,
    /// The number of the worker that holds it.
    pub worker: usize,
    /// Who is at the other end, if that has an address.
    pub peer: Option<IpAddr>,
    /// Whether a proxy's header is still to come.
    pub awaits_proxy_header: bool,
}

/// How a conversation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It is over.
    Closed,
    /// It pauses between two requests.
    Paused,
}

/// Holds a conversation until it ends or pauses.
pub fn converse<H: Handler>(
    transport: &mut impl Transport,
    handler: &H,
    context: &Context,
    visit: &mut Visit,
) -> Ending {
    Conversation::new(handler.view()).hold(transport, handler, context, visit)
}

/// What a conversation works with.
#[derive(Debug)]
pub(crate) struct Conversation<V> {
    view: V,
    input: Input,
    desk: Desk,
}

impl<V> Conversation<V> {
    pub(crate) fn new(view: V) -> Self {
        Self { view, input: Input::default(), desk: Desk::default() }
    }

    /// Brings what answers are made of up to date.
    pub(crate) fn renew<H: Handler<View = V>>(&mut self, handler: &H) {
        handler.renew(&mut self.view);
    }

    /// The id of the latest request.
    pub(crate) fn request_id(&self) -> &str {
        self.desk.request_id()
    }

    /// Whether answers are on their way, so that nothing else can be said.
    pub(crate) fn is_sending(&self) -> bool {
        self.desk.is_sending
    }

    pub(crate) fn hold<H: Handler<View = V>>(
        &mut self,
        transport: &mut impl Transport,
        handler: &H,
        context: &Context,
        visit: &mut Visit,
    ) -> Ending {
        let Self { view, input, desk } = self;
        loop {
            handler.renew(view);
            let mut exchange = Exchange { transport, context, visit, input, desk };
            match exchange.answer_batch(handler, view) {
                Ok(Next::Read(awaiting)) => match input.fill(transport, awaiting, context.limits.head_bytes_max) {
                    Ok(0) => return Ending::Closed,
                    Ok(_) => desk.began = context.wants_durations().then(Instant::now),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ending::Paused,
                    Err(error) if error.kind() == io::ErrorKind::TimedOut && awaiting == Awaiting::Head => {
                        input.refused = Some(Refusal::new(408, "a head that took too long"));
                    }
                    Err(_) => return Ending::Closed,
                },
                Ok(Next::Answer) => {}
                Ok(Next::Linger) => {
                    linger(transport);
                    return Ending::Closed;
                }
                // An error means that the client has gone, or that the bundle was cut short: there is nobody to tell,
                // or no way to tell it.
                Ok(Next::Close) | Err(_) => return Ending::Closed,
            }
        }
    }
}

/// What comes after a batch of answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    /// More bytes are needed.
    Read(Awaiting),
    /// There may be more requests in the buffer.
    Answer,
    /// All is said.
    Close,
    /// All is said, but the client may still be sending.
    Linger,
}

/// What a connection keeps to write with.
#[derive(Debug, Default)]
struct Desk {
    /// The fields added to the answers of one batch.
    added: Vec<u8>,
    /// The paths of one batch's requests, where they are counted.
    paths: Vec<u8>,
    /// One batch's answers, where they are put together.
    gathered: Vec<u8>,
    /// When the batch was read, where that is wanted.
    began: Option<Instant>,
    date: DateField,
    /// The id of the latest request, as a range of `added`.
    id: Range<usize>,
    is_sending: bool,
}

impl Desk {
    fn request_id(&self) -> &str {
        self.added.get(self.id.clone()).and_then(|id| str::from_utf8(id).ok()).unwrap_or("-")
    }
}

/// An answer that waits to be sent.
struct Pending<'v> {
    answer: Answer<'v>,
    /// Its own fields, as a range of [`Desk::added`].
    added: Range<usize>,
    is_chunked: bool,
    path: Range<usize>,
    log_note: Option<Box<LogNote>>,
}

type Batch<'v> = ArrayVec<Pending<'v>, BATCH_ANSWER_COUNT_MAX>;

/// What an answer has to know of its request, once that is gone.
#[derive(Clone, Copy)]
struct Manner {
    version: Version,
    is_head: bool,
    is_persistent: bool,
}

/// What a request leaves behind until its answer is sent.
struct Trace {
    /// Where its answer's own fields begin in [`Desk::added`].
    added_start: usize,
    /// Its path, as a range of [`Desk::paths`].
    path: Range<usize>,
    log_note: Option<Box<LogNote>>,
}

/// The parts of a conversation, borrowed for one batch.
struct Exchange<'c, T> {
    transport: &'c mut T,
    context: &'c Context,
    visit: &'c mut Visit,
    input: &'c mut Input,
    desk: &'c mut Desk,
}

impl<T: Transport> Exchange<'_, T> {
    /// Answers the requests that are whole, and sends all answers at once.
    fn answer_batch<H: Handler>(&mut self, handler: &H, view: &H::View) -> io::Result<Next> {
        let mut batch = Batch::new();
        self.desk.added.clear();
        let next = loop {
            if batch.is_full() {
                break Next::Answer;
            }
            match self.answer_next(handler, view, &mut batch) {
                Ok(None) => {}
                Ok(Some(next)) => break next,
                Err(Failure::World(error)) => return Err(error),
                Err(Failure::Refused(refusal, asked)) => {
                    self.count_refusal(refusal.status);
                    let (manner, trace) = if let Some(asked) = asked {
                        // Of its fields only the id is this answer's.
                        self.desk.added.truncate(self.desk.id.end + 2);
                        *asked
                    } else {
                        // A body after the answer to HEAD would be taken for the next answer (RFC 9110 section 9.3.2).
                        let is_head = self.input.waiting().trim_ascii_start().starts_with(b"HEAD ");
                        let unknown = Manner { version: Version::Http11, is_head, is_persistent: false };
                        (unknown, begin(self.context, self.visit, self.desk, None))
                    };
                    let manner = Manner { is_persistent: false, ..manner };
                    self.push(Answer::bare(refusal.status, ""), manner, trace, &mut batch);
                    break Next::Linger;
                }
            }
        };
        self.send(&mut batch)?;
        Ok(next)
    }

    /// Answers the next request, if it is whole. `Some` ends the batch.
    fn answer_next<'v, H: Handler>(
        &mut self,
        handler: &H,
        view: &'v H::View,
        batch: &mut Batch<'v>,
    ) -> Result<Option<Next>, Failure> {
        let limits = &self.context.limits;
        let head = match self.find_head()? {
            Ok(head) => head,
            Err(next) => return Ok(Some(next)),
        };
        let mut slots = FieldSlots::new(head.len(), limits.field_count_max);
        let mut request = Request::parse(&self.input.bytes[head.clone()], &mut slots)?;
        request.peer = self.visit.peer;
        if !self.context.trusted_proxies.is_empty() {
            let forwarded = Forwarded::read(&request, self.visit.peer, &self.context.trusted_proxies);
            if let Some(forwarded) = forwarded {
                request.take_forwarded(forwarded);
            }
        }
        self.visit.request_count += 1;
        let is_used_up = self.visit.request_count == limits.requests_max;
        if is_used_up {
            self.context.metrics.count(Event::RequestsUsedUp);
        }
        let is_last = is_used_up || self.is_stopping();
        let manner = Manner {
            version: request.version,
            is_head: request.method == Method::Head,
            is_persistent: request.is_persistent && request.expectation == Expectation::None && !is_last,
        };
        let wants_more = request.is_persistent;
        if handler.may_wait() {
            self.transport.expect_waits()?;
        }
        let mut trace = begin(self.context, self.visit, self.desk, Some(&request));
        let mut body = match request.expectation {
            Expectation::None => match BodySkip::new(request.framing, limits.body_bytes_max) {
                Ok(body) => Some(body),
                Err(refusal) => return Err(Failure::of(refusal, manner, trace)),
            },
            Expectation::Continue => None,
            Expectation::Unknown => {
                return Err(Failure::of(Refusal::new(417, "an unknown expectation"), manner, trace));
            }
        };
        let answer = catch_unwind(AssertUnwindSafe(|| handler.answer(&request, view, &mut self.desk.added)));
        if let (Ok(answer), true) = (&answer, self.transport.is_disk_busy()) {
            bring_in(self.transport, answer, handler, view)?;
        }
        let has_body = request.framing != Framing::Empty;
        let head_len = head.end - self.input.start;
        self.input.take(head_len);
        let Ok(answer) = answer else {
            self.context.tell_of_panic(self.desk.request_id());
            return Err(Failure::of(Refusal::new(500, "answering panicked"), manner, trace));
        };
        if let Some(body) = body.as_mut().filter(|_| has_body) {
            match self.skip_body(body, &mut trace, batch) {
                Err(Failure::Refused(refusal, _)) => return Err(Failure::of(refusal, manner, trace)),
                skipped => skipped?,
            }
        }
        let has_unread_body = has_body && body.is_none();
        let is_streamed = matches!(answer.body, Body::Streamed(_));
        let ends_batch = is_streamed || matches!(answer.body, Body::InFile { .. });
        let is_persistent = self.push(answer, manner, trace, batch);
        Ok(match (is_persistent, ends_batch) {
            (true, false) => None,
            (true, true) => Some(Next::Answer),
            // Who asked for the end sends nothing more, and a small answer is soon with it. Everybody else may be sending,
            // and closing on that would take back what is still on its way (RFC 9112 section 9.6).
            (false, false) if !wants_more && !has_unread_body && self.input.waiting().is_empty() => Some(Next::Close),
            (false, _) => Some(Next::Linger),
        })
    }

    /// The next whole head, as a range of the input; or what is to be done while there is none.
    fn find_head(&mut self) -> Result<Result<Range<usize>, Next>, Failure> {
        if let Some(refusal) = self.input.refused {
            return Err(refusal.into());
        }
        let is_open = !self.visit.awaits_proxy_header || self.take_proxy_header()?;
        let head = if is_open { self.input.find_head(&self.context.limits)? } else { None };
        Ok(head.ok_or(match self.input.waiting() {
            [] if self.is_stopping() => Next::Linger,
            [] => Next::Read(Awaiting::Request),
            _ => Next::Read(Awaiting::Head),
        }))
    }

    /// Takes the header that a proxy puts before everything; `false` while it isn't whole.
    fn take_proxy_header(&mut self) -> Result<bool, Failure> {
        let Some(header) = ProxyHeader::parse(self.input.waiting())? else { return Ok(false) };
        self.input.take(header.len);
        self.visit.peer = header.client.or(self.visit.peer);
        self.visit.awaits_proxy_header = false;
        Ok(true)
    }

    /// Reads past the body of a request whose answer is made. Answers that wait are sent before anything is waited for.
    fn skip_body(&mut self, body: &mut BodySkip, trace: &mut Trace, batch: &mut Batch<'_>) -> Result<(), Failure> {
        loop {
            let len = body.skip(self.input.waiting())?;
            self.input.take(len);
            if body.is_done() {
                return Ok(());
            }
            if !batch.is_empty() {
                let (added, path) =
                    (self.desk.added.split_off(trace.added_start), self.desk.paths.split_off(trace.path.start));
                self.send(batch)?;
                self.desk.id = self.desk.id.start - trace.added_start..self.desk.id.end - trace.added_start;
                (trace.added_start, trace.path) = (0, 0..path.len());
                (self.desk.added, self.desk.paths) = (added, path);
            }
            match self.input.fill(self.transport, Awaiting::Body, self.context.limits.head_bytes_max) {
                Ok(0) => return Err(Failure::World(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Err(Refusal::new(408, "a body that took too long").into());
                }
                Err(error) => return Err(Failure::World(error)),
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.context.is_stopping.load(Ordering::Relaxed)
    }

    /// Finishes an answer's fields and puts it into the batch; returns whether the connection goes on after it.
    fn push<'v>(&mut self, mut answer: Answer<'v>, manner: Manner, trace: Trace, batch: &mut Batch<'v>) -> bool {
        if manner.is_head {
            answer.body = Body::Empty;
        }
        let is_streamed = matches!(answer.body, Body::Streamed(_));
        // A client that knows no chunks sees the end of a streamed body by the connection's.
        let is_chunked = is_streamed && manner.version == Version::Http11;
        let is_persistent = manner.is_persistent && (is_chunked || !is_streamed);
        let added = &mut self.desk.added;
        added.extend_from_slice(self.desk.date.line_at(self.context.clock.unix_seconds()));
        if is_chunked {
            added.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        match (is_persistent, manner.version) {
            (false, _) => added.extend_from_slice(b"Connection: close\r\n"),
            (true, Version::Http10) => added.extend_from_slice(b"Connection: keep-alive\r\n"),
            (true, Version::Http11) => {}
        }
        added.extend_from_slice(b"\r\n");
        let Trace { added_start, path, log_note } = trace;
        batch.push(Pending { answer, added: added_start..added.len(), is_chunked, path, log_note });
        is_persistent
    }

    /// Sends all that waits, in as few writes as the system allows. What can't be sent leaves a trace all the same.
    fn send(&mut self, batch: &mut Batch<'_>) -> io::Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut sent_len = 0;
        self.desk.is_sending = true;
        let outcome = self.write_batch(batch, &mut sent_len);
        self.count_answers(batch, sent_len);
        outcome?;
        self.desk.is_sending = false;
        batch.clear();
        self.desk.added.clear();
        self.desk.paths.clear();
        Ok(())
    }

    fn write_batch(&mut self, batch: &mut Batch<'_>, sent_len: &mut usize) -> io::Result<()> {
        let mut pieces: ArrayVec<IoSlice<'_>, { BATCH_ANSWER_COUNT_MAX * ANSWER_PIECE_COUNT_MAX }> = ArrayVec::new();
        let mut len = 0;
        for Pending { answer, added, .. } in batch.iter() {
            let body = match &answer.body {
                Body::InFile { .. } => &[],
                body => body.bytes(),
            };
            for piece in [answer.start.bytes(), answer.fields, &self.desk.added[added.clone()], body] {
                if !piece.is_empty() {
                    pieces.push(IoSlice::new(piece));
                    len += piece.len();
                }
            }
        }
        let is_small = len <= GATHERED_BYTES_MAX;
        if pieces.len() > 1 && is_small && batch.iter().all(|pending| pending.answer.is_made()) {
            self.desk.gathered.clear();
            pieces.iter().for_each(|piece| self.desk.gathered.extend_from_slice(piece));
            write_all(self.transport, &mut [IoSlice::new(&self.desk.gathered)], sent_len)?;
        } else {
            write_all(self.transport, &mut pieces, sent_len)?;
        }
        drop(pieces);
        // What comes after a head on its own is always the last of its batch.
        match batch.last_mut() {
            Some(Pending { answer: Answer { body: Body::InFile { bytes, file, offset }, .. }, .. }) => {
                send_file(self.transport, bytes, file, *offset, sent_len)
            }
            Some(Pending { answer: Answer { body: Body::Streamed(stream), .. }, is_chunked, .. }) => {
                self.transport.expect_waits()?;
                send_stream(self.transport, &mut *stream.0, *is_chunked, sent_len)
            }
            _ => Ok(()),
        }
    }

    /// Counts and logs a batch of which `sent_len` bytes left, heads included.
    fn count_answers(&mut self, batch: &mut Batch<'_>, sent_len: usize) {
        let Some(began) = self.desk.began else { return };
        let duration = began.elapsed();
        let Context { metrics, counts_answers, access_log, .. } = self.context;
        if *counts_answers {
            let paths = &self.desk.paths;
            let counted = batch.iter().map(|Pending { answer, path, .. }| Counted {
                path: &paths[path.clone()],
                status: answer.status,
                duration,
            });
            metrics.count_answers(self.visit.worker, counted);
        }
        let Some(access_log) = access_log else { return };
        let mut left_len = sent_len;
        for Pending { answer, added, log_note, .. } in batch.iter_mut() {
            left_len = left_len.saturating_sub(answer.start.bytes().len() + answer.fields.len() + added.len());
            let body_len = match &answer.body {
                Body::Streamed(_) => left_len,
                body => left_len.min(body.bytes().len()),
            };
            left_len -= body_len;
            let outcome = Outcome { status: answer.status, body_len, duration };
            if log_note.take().is_some_and(|note| !access_log.write(&note, outcome)) {
                metrics.count(Event::LogDropped);
            }
        }
    }

    fn count_refusal(&self, status: u16) {
        self.context.metrics.count(match status {
            413 => Event::BodyTooLarge,
            414 | 431 => Event::HeadTooLarge,
            // Whoever ended the wait has counted it, and whoever caught the panic.
            408 | 500 => return,
            _ => Event::BadRequest,
        });
    }
}

/// Begins to answer: the id, and what is wanted for statistics and log. `None` stands for a request that couldn't be
/// read.
fn begin(context: &Context, visit: &mut Visit, desk: &mut Desk, request: Option<&Request<'_>>) -> Trace {
    let (added_start, path_start) = (desk.added.len(), desk.paths.len());
    let own = request.and_then(|request| request.value("x-request-id")).filter(|id| is_request_id(id));
    desk.id = write_request_id(&mut desk.added, own, &mut visit.request_number);
    if let (Some(request), true) = (request, context.counts_answers) {
        desk.paths.extend_from_slice(&request.path);
    }
    let peer = request.map_or(visit.peer, |request| request.peer);
    let log_note = context
        .access_log
        .as_ref()
        .map(|log| Box::new(log.note(request, peer, &desk.added[desk.id.clone()], context.clock.unix_seconds())));
    Trace { added_start, path: path_start..desk.paths.len(), log_note }
}

/// Why a request gets no answer of the handler's.
enum Failure {
    /// It is refused; with what is known of the request, if its head could be read.
    Refused(Refusal, Option<Box<(Manner, Trace)>>),
    World(io::Error),
}

impl Failure {
    fn of(refusal: Refusal, manner: Manner, trace: Trace) -> Self {
        Self::Refused(refusal, Some(Box::new((manner, trace))))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal, None)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::World(error)
    }
}

/// What is kept of a client's own request id.
fn is_request_id(id: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.iter().all(is_allowed)
}

/// Writes the `X-Request-Id` field: the client's own, or a new one. Numbers that follow each other give ids that don't
/// look alike, each only once, by a mixing that can be undone. Returns where the id stands.
fn write_request_id(added: &mut Vec<u8>, own: Option<&[u8]>, request_number: &mut u64) -> Range<usize> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    added.extend_from_slice(b"X-Request-Id: ");
    let start = added.len();
    if let Some(id) = own {
        added.extend_from_slice(id);
    } else {
        *request_number = request_number.wrapping_add(1);
        let mut id = request_number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        id = (id ^ (id >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        id ^= id >> 32;
        let mut digits = [0; 16];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(id.to_be_bytes()) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        added.extend_from_slice(&digits);
    }
    added.extend_from_slice(b"\r\n");
    start..added.len() - 2
}
