//! Every bound of the server: what it counts, its unit, and where its number comes from. Those in [`Limits`] have a
//! flag; the constants don't, because nobody should have to think of them.

/// The bounds that a flag can change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of a whole request head, its request line included. Specified.
    pub head_bytes_max: usize,
    /// Bytes of a request line; a longer one is a 414. Specified.
    pub request_line_bytes_max: usize,
    /// Fields of a request head; more are a 431. Specified.
    pub field_count_max: usize,
    /// Bytes of a request body that are read and thrown away; a longer one is refused. Specified.
    pub body_bytes_max: u64,
    /// Time for a whole head, and for a whole body, in milliseconds from its first byte. Specified.
    pub header_timeout_ms: u64,
    /// Time between requests, in milliseconds. Specified.
    pub idle_timeout_ms: u64,
    /// Time without progress of a write, in milliseconds. Specified.
    pub write_timeout_ms: u64,
    /// Time that requests under way get when the server is told to stop, in milliseconds. Guessed: below the 10 s
    /// after which container platforms kill.
    pub drain_timeout_ms: u64,
    /// Requests on one connection; 0 is no limit. Specified.
    pub requests_max: u64,
    /// Connections at a time. By default what the descriptor limit leaves.
    pub connections_max: usize,
    /// Connections of one address (IPv6: of one /64) at a time; 0 is no limit. By default a quarter of all. Specified.
    pub connections_per_address_max: usize,
    /// Whether that holds for this machine itself, too. Not by default: a proxy beside the server speaks for everybody.
    pub caps_loopback: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 32 * 1024,
            request_line_bytes_max: 8 * 1024,
            field_count_max: FIELD_COUNT_DEFAULT,
            body_bytes_max: 64 * 1024,
            header_timeout_ms: 10_000,
            idle_timeout_ms: 60_000,
            write_timeout_ms: 30_000,
            drain_timeout_ms: 8_000,
            requests_max: 0,
            connections_max: 1_000,
            connections_per_address_max: 250,
            caps_loopback: false,
        }
    }
}

impl Limits {
    /// Limits connections by the descriptors that there are, unless it was said how many there may be; and those of an
    /// address to a quarter of all, unless that was said.
    pub fn fit(&mut self, connections_given: bool, descriptor_count: usize) {
        if !connections_given {
            self.connections_max = descriptor_count.saturating_sub(DESCRIPTORS_KEPT).max(1);
        }
        if !self.caps_loopback {
            self.connections_per_address_max = (self.connections_max / 4).max(1);
        }
    }
}

/// Fields that a request head may have by default. There is room for these on the stack.
pub const FIELD_COUNT_DEFAULT: usize = 100;
/// Bytes of the sizes, extensions and line ends of a chunked body and of its trailer, all together. Guessed: a fair
/// share of the body limit.
pub const CHUNK_OVERHEAD_BYTES_MAX: u64 = 16 * 1024;

/// Bytes of the first read buffer of a connection. Measured: browsers' heads are 400 to 2,000 bytes, so that one
/// read takes a head, or sixteen small pipelined ones.
pub(crate) const INPUT_BYTES_FIRST: usize = 2 * 1024;
/// Pipelined answers that leave in one write. Guessed: what it holds on the stack is 2 KiB, and beyond eight the
/// gain can't be measured.
pub(crate) const BATCH_ANSWER_COUNT_MAX: usize = 16;
/// Pieces of one answer: status line and fields, the server's own fields, body.
pub(crate) const ANSWER_PIECE_COUNT_MAX: usize = 4;
/// Bytes of answers made on the spot that are put together, so that they leave in one piece: that costs the system less
/// than several, 0.15 µs of a 304's 7. Guessed: one packet of the loopback interface holds many times as much.
pub(crate) const GATHERED_BYTES_MAX: usize = 2 * 1024;
/// A client that reads more slowly than this loses its connection, in bytes per second. Guessed: a hundredth of the
/// slowest mobile network in use.
pub(crate) const WRITE_BYTES_PER_SECOND_MIN: u64 = 512;
/// How long a refused client may go on sending before its connection is cut, in milliseconds. Guessed: a few round
/// trips; it is there so that the answer isn't lost in a reset (RFC 9112 section 9.6).
pub(crate) const LINGER_MS: u64 = 2_000;
/// Bytes that a refused client may go on sending. Guessed.
pub(crate) const LINGER_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of an incoming `X-Request-Id` that is kept. Specified.
pub(crate) const REQUEST_ID_BYTES_MAX: usize = 64;

/// Bytes of a coroutine's stack. Measured: answering takes 12 KiB, in a debug build 19 KiB; the rest is for a panic on
/// top of that. Only pages that are touched cost memory.
pub(crate) const STACK_BYTES: usize = 64 * 1024;
/// Coroutines whose stacks are kept for the next connection. Measured: 12 KiB each after use, 1.5 MiB together; a new
/// stack costs 60 µs.
pub(crate) const STACKS_KEPT_MAX: usize = 128;
/// How long an idle connection that had a coroutine to itself keeps it, in milliseconds. Guessed: longer than a browser
/// pauses between the requests of one page.
pub(crate) const IDLE_GRACE_MS: u64 = 1_000;
/// While more coroutines than this are alive, an idle connection gives its own back at once. Guessed: 20 MB of stacks.
pub(crate) const COROUTINE_COUNT_CALM: usize = 1_280;
/// Connections of which one look at a lounge hears. Guessed: what they take together, a few milliseconds, is what a
/// connection with a coroutine to itself waits for its turn.
pub(crate) const CALLS_AT_A_TIME_MAX: usize = 256;
/// How often deadlines are looked at, in milliseconds: they are met with this precision.
pub(crate) const TICK_MS: u64 = 250;
/// Connections that wait in the kernel to be accepted. What Linux caps it at by default.
pub(crate) const BACKLOG: i32 = 4_096;
/// Bytes of an answer that wait in the kernel for a client, beyond those that are on their way to it. Measured: of 300 clients
/// that don't read, each holds 0.16 MB instead of 3.9, and a page beside them comes after 40 ms instead of 1 to 2 s, since no
/// write takes long. Files of 1 MB leave at twice the rate, each for 1.7 times the work.
pub(crate) const NOT_SENT_BYTES_MAX: u32 = 64 * 1024;
/// Connections accepted before anything else is looked at. Guessed.
pub(crate) const ACCEPT_COUNT_MAX: usize = 64;
/// Pause after the system refused to accept, in milliseconds (out of descriptors): without it the loop would spin.
pub(crate) const ACCEPT_PAUSE_MS: u64 = 100;
/// Descriptors kept from connections: for the bundle, standard streams, pollers and one reload. Guessed.
const DESCRIPTORS_KEPT: usize = 64;
/// Earlier bundles whose digested files still answer. Specified.
pub const GENERATIONS_KEPT: usize = 2;
/// How often a bundle's file is looked at, in milliseconds. Specified.
pub(crate) const LOOK_MS: u64 = 1_000;
/// Bytes of a new bundle that are checked at a time, some 20 µs of work.
pub(crate) const CHECK_PIECE_BYTES: usize = 64 * 1024;
/// How long a probe waits, in milliseconds. Guessed: less than any platform's own limit.
pub(crate) const PROBE_MS: u64 = 2_000;
/// Bytes of the access log that may wait to be written. Guessed: some ten thousand lines, a tenth of a second of a busy
/// server; the thread that writes has as many once more.
pub(crate) const LOG_BYTES_WAITING_MAX: usize = 4 * 1024 * 1024;
/// Bytes of memory that the access log keeps when they are written.
pub(crate) const LOG_BYTES_KEPT: usize = 64 * 1024;
/// How long the first line of a batch waits for others, in milliseconds. Guessed: nobody reads a log faster.
pub(crate) const LOG_PAUSE_MS: u64 = 5;
/// How long the end of the server waits for the last lines, in milliseconds. Guessed.
pub(crate) const LOG_END_MS: u64 = 1_000;
/// Paths with statistics of their own. Specified.
pub(crate) const PATHS_COUNTED_MAX: usize = 256;
/// Bytes of a path that may have statistics of its own. With those it takes no more than 1 KB.
pub(crate) const PATH_BYTES_COUNTED_MAX: usize = 160;
/// Workers with statistics of their own; more workers share. From the megabyte that statistics may take at most: 256
/// paths of 1 KB each.
pub(crate) const STATISTICS_SHARD_COUNT_MAX: usize = 3;
/// Wrong passwords from one address in a minute; after that it is locked out until the minute is over. Specified.
pub(crate) const PASSWORD_FAILURES_MAX: u32 = 10;
/// Addresses of which wrong passwords are remembered. Guessed.
pub(crate) const FAILING_ADDRESSES_MAX: usize = 1_024;
/// Connections that make a crowd: once it has gone, memory is given back. Guessed: half a megabyte.
pub(crate) const CROWD_CONNECTION_COUNT: usize = 512;
/// Bytes of a file that are sent at a time, and looked after whether they are in memory. Guessed: a disk's seek and its
/// transfer take about as long.
pub(crate) const FETCH_BYTES: usize = 512 * 1024;
/// Threads that wait for the disk for what is small. Guessed: one page's disk needn't hold up another's.
pub(crate) const FETCH_SMALL_THREAD_COUNT: usize = 2;
/// Threads that wait for the disk for the rest. Guessed: more requests at a time than a small machine's disk does well.
pub(crate) const FETCH_LARGE_THREAD_COUNT: usize = 4;
/// Bytes that are few enough to be fetched while large files wait. The longest body that lies among the small ones.
pub(crate) const FETCH_BYTES_SMALL: usize = 64 * 1024;
/// Bytes between two looks at whether a small body is in memory. Guessed: the least that Linux reads at a time.
pub(crate) const PAGES_AHEAD_BYTES: usize = 16 * 1024;
/// After something had to be read from a disk, small bodies may have left the memory for it, so that for a while each is
/// looked after, in milliseconds. Guessed.
pub(crate) const DISK_BUSY_MS: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_what_descriptors_leave_and_an_address_gets_a_quarter_unless_a_flag_says_otherwise() {
        let fitted = |given: Limits, connections_given, descriptor_count| {
            let mut limits = given;
            limits.fit(connections_given, descriptor_count);
            (limits.connections_max, limits.connections_per_address_max)
        };
        assert_eq!(fitted(Limits::default(), false, 1_024), (960, 240));
        assert_eq!(fitted(Limits::default(), false, 20), (1, 1), "it always serves somebody");
        assert_eq!(fitted(Limits { connections_max: 80, ..Limits::default() }, true, 1_024), (80, 20));
        let by_address = Limits { connections_per_address_max: 0, caps_loopback: true, ..Limits::default() };
        assert_eq!(fitted(by_address, false, 1_024), (960, 0));
    }
}
