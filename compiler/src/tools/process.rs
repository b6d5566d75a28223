//! One of other people's programs while it runs: started in a process group of its own, fed, listened to, and ended with
//! everything that it started. It knows nothing of what the programs are for.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, getrlimit, kill_process_group, setrlimit, waitid,
};

/// How long a program that is to end has for putting its things away. Guessed: what draws diagrams closes a browser.
const GRACE_TIME: Duration = Duration::from_secs(2);
/// How long to wait for the end of what a program says once it has ended. Only what left its group, and is not ended
/// with it, can keep that open. Guessed.
const ECHO_TIME: Duration = Duration::from_secs(1);
/// The first and the longest sleep between two looks at a program. Guessed.
const LOOK_FIRST: Duration = Duration::from_millis(1);
const LOOK_LONGEST: Duration = Duration::from_millis(20);
/// Bytes of a program's complaint, its standard error, that are kept: the last ones. Guessed: a screen or two.
const COMPLAINT_BYTES_MAX: usize = 4_096;

/// How a program is run.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// The program and its arguments. One with a `/` in it is named by its path from the folder.
    pub command: &'a [String],
    /// Where it runs.
    pub folder: &'a Path,
    /// What it may read.
    pub input: Vec<u8>,
    /// It is ended after this time.
    pub timeout: Duration,
    /// So many bytes of its output are kept: the last ones.
    pub output_bytes_max: usize,
    /// What to do with more.
    pub excess: Excess,
}

/// What becomes of output beyond what is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Excess {
    /// The beginning is dropped.
    Drops,
    /// The program is ended.
    Ends,
}

/// How a program came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// By itself.
    Exited(ExitStatus),
    /// It took too long.
    TooLong,
    /// It gave too much.
    TooMuch,
    /// It was stopped.
    Stopped,
}

/// What came of a program.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How it ended.
    pub ending: Ending,
    /// The end of what it gave.
    pub output: Vec<u8>,
    /// The end of what it said besides.
    pub complaint: Vec<u8>,
}

/// Stops a program from another thread.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Has the program end soon.
    pub fn send(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was sent.
    pub fn is_sent(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Runs a program until it ends, or ends it. What it started and left running is ended too.
///
/// # Errors
/// It can't be started.
pub fn run(order: Order<'_>, stop: &Stop) -> io::Result<Ended> {
    let mut group = Group::start(&order)?;
    if let Some(mut stdin) = group.leader.stdin.take() {
        let input = order.input;
        // A program that doesn't read all of its input is none the worse.
        thread::spawn(move || drop(stdin.write_all(&input)));
    }
    let output = Listener::open(group.leader.stdout.take(), order.output_bytes_max);
    let complaint = Listener::open(group.leader.stderr.take(), COMPLAINT_BYTES_MAX);
    let deadline = Instant::now() + order.timeout;
    let is_flooded = || order.excess == Excess::Ends && output.is_flooded();
    let fault = wait_until(deadline, || {
        if group.has_ended() {
            Some(None)
        } else if stop.is_sent() {
            Some(Some(Ending::Stopped))
        } else {
            is_flooded().then_some(Some(Ending::TooMuch))
        }
    });
    let fault = fault.unwrap_or(Some(Ending::TooLong));
    if fault.is_some() {
        group.ask_to_end();
    }
    let status = group.end()?;
    let deadline = Instant::now() + ECHO_TIME;
    wait_until(deadline, || (output.is_over() && complaint.is_over()).then_some(()));
    let flood = is_flooded().then_some(Ending::TooMuch);
    let ending = fault.or(flood).unwrap_or(Ending::Exited(status));
    Ok(Ended { ending, output: output.take(), complaint: complaint.take() })
}

/// Ends all programs that run, for good: none is started any more, and whoever waits for one waits until this process
/// ends, so that nobody takes what is ended here for a failure. Whoever calls it ends the process.
pub fn end_all() {
    let mut running = lock(&RUNNING);
    running.is_over = true;
    running.send(Signal::TERM);
    drop(running);
    wait_until(Instant::now() + GRACE_TIME, || lock(&RUNNING).groups.is_empty().then_some(()));
    lock(&RUNNING).send(Signal::KILL);
}

/// Grants this process no more than so much, for good: bytes of memory and seconds of CPU time. It leaves no image of its
/// memory on the disk when it is ended.
///
/// # Errors
/// The system refuses.
pub fn limit_this_one(memory_bytes_max: u64, cpu_seconds_max: u64) -> io::Result<()> {
    for (resource, most) in [(Resource::As, memory_bytes_max), (Resource::Cpu, cpu_seconds_max), (Resource::Core, 0)] {
        // Somebody may have granted less already.
        let Rlimit { current, maximum } = getrlimit(resource);
        let [current, maximum] =
            [current, maximum].map(|granted| Some(granted.map_or(most, |granted| granted.min(most))));
        setrlimit(resource, Rlimit { current, maximum })?;
    }
    Ok(())
}

fn wait_for_ever() -> ! {
    loop {
        thread::park();
    }
}

/// Asks again and again, in growing steps, until there is an answer or it is too late.
fn wait_until<T>(deadline: Instant, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let mut sleep = LOOK_FIRST;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        let left = deadline.checked_duration_since(Instant::now())?;
        thread::sleep(sleep.min(left));
        // In small steps: what ends soon is seen soon.
        sleep = (sleep * 5 / 4).min(LOOK_LONGEST);
    }
}

/// The groups that run now: a signal that ends this process has to reach them.
static RUNNING: Mutex<Running> = Mutex::new(Running { groups: Vec::new(), is_over: false });

struct Running {
    groups: Vec<Pid>,
    is_over: bool,
}

impl Running {
    fn send(&self, signal: Signal) {
        for group in &self.groups {
            // It may have ended by itself just now.
            kill_process_group(*group, signal).ok();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that can panic is done while one of these locks is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program and what it started.
struct Group {
    leader: Child,
    id: Pid,
}

impl Group {
    fn start(order: &Order<'_>) -> io::Result<Self> {
        let (program, arguments) = order.command.split_first().ok_or(io::ErrorKind::NotFound)?;
        // Systems differ in where they look for a path: from where we are, or from where the program will be.
        let own = if program.contains('/') { Some(std::path::absolute(order.folder)?.join(program)) } else { None };
        let mut command = own.map_or_else(|| Command::new(program), Command::new);
        command.args(arguments).current_dir(order.folder).process_group(0);
        command.stdin(if order.input.is_empty() { Stdio::null() } else { Stdio::piped() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = lock(&RUNNING);
        if running.is_over {
            drop(running);
            wait_for_ever();
        }
        let leader = command.spawn()?;
        let id = Pid::from_child(&leader);
        running.groups.push(id);
        Ok(Self { leader, id })
    }

    /// Whether the program has ended. Its number stays its own until [`end`](Self::end): no other process gets it.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.id), options), Ok(None))
    }

    /// Asks all of the group to end, and gives the program time for it.
    fn ask_to_end(&self) {
        kill_process_group(self.id, Signal::TERM).ok();
        wait_until(Instant::now() + GRACE_TIME, || self.has_ended().then_some(()));
    }

    /// Ends all that is left of the group.
    fn end(mut self) -> io::Result<ExitStatus> {
        kill_process_group(self.id, Signal::KILL).ok();
        let mut running = lock(&RUNNING);
        running.groups.retain(|group| *group != self.id);
        let is_over = running.is_over;
        drop(running);
        let status = self.leader.wait();
        if is_over {
            wait_for_ever();
        }
        status
    }
}

/// Listens to what a program says, on a thread of its own, so that a full pipe never stops it.
struct Listener {
    heard: Arc<Mutex<Heard>>,
    bytes_max: usize,
}

#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    count: u64,
    is_over: bool,
}

impl Listener {
    fn open(pipe: Option<impl Read + Send + 'static>, bytes_max: usize) -> Self {
        let heard = Arc::new(Mutex::new(Heard { is_over: pipe.is_none(), ..Heard::default() }));
        if let Some(pipe) = pipe {
            let heard = Arc::clone(&heard);
            thread::spawn(move || listen(pipe, &heard, bytes_max));
        }
        Self { heard, bytes_max }
    }

    fn is_over(&self) -> bool {
        lock(&self.heard).is_over
    }

    fn is_flooded(&self) -> bool {
        lock(&self.heard).count > self.bytes_max as u64
    }

    fn take(&self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut lock(&self.heard).bytes);
        bytes.drain(..bytes.len().saturating_sub(self.bytes_max));
        bytes
    }
}

fn listen(mut pipe: impl Read, heard: &Mutex<Heard>, bytes_max: usize) {
    let mut buffer = [0; 16_384];
    // What was read before a fault is what there is.
    while let Ok(len @ 1..) = pipe.read(&mut buffer) {
        let mut heard = lock(heard);
        heard.count += len as u64;
        heard.bytes.extend_from_slice(&buffer[..len]);
        // Seldom, so that what stays isn't moved at each step.
        if heard.bytes.len() > 2 * bytes_max + buffer.len() {
            let excess = heard.bytes.len() - bytes_max;
            heard.bytes.drain(..excess);
        }
    }
    lock(heard).is_over = true;
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(2);

    fn order<'a>(command: &'a [String], folder: &'a Path) -> Order<'a> {
        let (input, excess) = (Vec::new(), Excess::Drops);
        Order { command, folder, input, timeout: LONG, output_bytes_max: 1_000, excess }
    }

    fn shell_with(script: &str, change: impl FnOnce(Order<'_>) -> Order<'_>) -> Ended {
        let command = ["sh", "-c", script].map(str::to_owned);
        run(change(order(&command, Path::new("."))), &Stop::default()).unwrap()
    }

    fn shell(script: &str) -> Ended {
        shell_with(script, |order| order)
    }

    /// Runs a script that makes a file `ready` when it is, and then is stopped.
    fn stopped(name: &str, script: &str) -> Ended {
        let folder = std::env::temp_dir().join(format!("kiln-process-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let command = ["sh", "-c", script].map(str::to_owned);
        let stop = Stop::default();
        let ended = thread::scope(|scope| {
            let running = scope.spawn(|| run(order(&command, &folder), &stop));
            let is_ready = || folder.join("ready").exists().then_some(());
            assert!(wait_until(Instant::now() + LONG, is_ready).is_some());
            stop.send();
            running.join().unwrap().unwrap()
        });
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(ended.ending, Ending::Stopped);
        ended
    }

    /// Whether a process ended; one that nobody asks about any more has.
    fn is_gone(id: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
    }

    fn assert_goes(output: &[u8]) {
        let id = str::from_utf8(output).unwrap().trim();
        assert!(!id.is_empty());
        assert!(wait_until(Instant::now() + LONG, || is_gone(id).then_some(())).is_some(), "{id} is there");
    }

    #[test]
    fn a_program_is_fed_and_what_it_says_is_kept() {
        let ended = shell_with("cat; echo no >&2; exit 3", |order| Order { input: b"abc".to_vec(), ..order });
        assert_eq!((&*ended.output, &*ended.complaint), (&b"abc"[..], &b"no\n"[..]));
        assert!(matches!(ended.ending, Ending::Exited(status) if status.code() == Some(3)));
        // Nothing to read is the end of what can be read, and not a terminal.
        assert_eq!(shell("cat; echo .").output, b".\n");
    }

    #[test]
    fn one_that_reads_nothing_is_none_the_worse() {
        let ended = shell_with("exit 0", |order| Order { input: vec![b'a'; 1_000_000], ..order });
        assert!(matches!(ended.ending, Ending::Exited(status) if status.success()));
    }

    #[test]
    fn one_that_takes_too_long_is_ended() {
        let ended = shell_with("sleep 600", |order| Order { timeout: Duration::from_millis(100), ..order });
        assert_eq!(ended.ending, Ending::TooLong);
    }

    #[test]
    fn one_is_ended_with_its_children() {
        // A grandchild that lives on holds ports, files and memory for ever.
        assert_goes(&stopped("child", "sleep 600 & echo $!; touch ready; wait").output);
        assert_goes(&stopped("grandchild", "(sleep 600 & echo $!; touch ready; wait)").output);
    }

    #[test]
    fn one_that_takes_no_notice_of_the_request_is_ended_all_the_same() {
        let ended = stopped("deaf", "trap '' TERM; sleep 600 & echo $!; touch ready; while :; do sleep 0.01; done");
        assert_goes(&ended.output);
    }

    #[test]
    fn one_may_put_its_things_away_before_it_ends() {
        let script = "trap 'echo bye; exit' TERM; touch ready; while :; do sleep 0.01; done";
        assert_eq!(stopped("orderly", script).output, b"bye\n");
    }

    #[test]
    fn what_one_left_running_is_ended_and_not_waited_for() {
        let ended = shell("sleep 600 & echo $!");
        assert!(matches!(ended.ending, Ending::Exited(status) if status.success()));
        assert_goes(&ended.output);
    }

    #[test]
    fn of_a_flood_the_end_is_kept() {
        let ended = shell("head -c 5000000 /dev/zero; echo end; head -c 5000000 /dev/zero >&2; echo end >&2");
        let Ended { ending, output, complaint } = ended;
        assert!(matches!(ending, Ending::Exited(_)));
        assert_eq!((output.len(), complaint.len()), (1_000, COMPLAINT_BYTES_MAX));
        assert!(output.ends_with(b"\0end\n") && complaint.ends_with(b"\0end\n"));
    }

    #[test]
    fn one_that_gives_more_than_it_may_is_ended() {
        let shell = |script| shell_with(script, |order| Order { excess: Excess::Ends, ..order });
        assert_eq!(shell("cat /dev/zero").ending, Ending::TooMuch);
        assert_eq!(shell("head -c 1001 /dev/zero").ending, Ending::TooMuch);
        let exact = shell("head -c 1000 /dev/zero");
        assert!(matches!(exact.ending, Ending::Exited(_)));
        assert_eq!(exact.output.len(), 1_000);
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        for command in [vec!["no-such-program"], vec!["./no-such-program"], vec![]] {
            let command: Vec<_> = command.into_iter().map(str::to_owned).collect();
            let error = run(order(&command, Path::new(".")), &Stop::default()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        }
    }
}
