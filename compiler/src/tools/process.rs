//! One of other people's programs while it runs: started in a process group of its own, fed, listened to, and ended with
//! everything that it started. It knows nothing of what the programs are for.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
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
    /// What it gets, and what it may.
    pub task: Task,
}

/// What a program gets to read, and its bounds.
#[derive(Clone, Debug)]
pub struct Task {
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
    let Order { command, folder, task } = order;
    let input = if task.input.is_empty() { Stdio::null() } else { Stdio::piped() };
    let mut running = Running::lock();
    let group = Group::start(command, folder, input)?;
    running.groups.push(group.id);
    drop(running);
    group.run(task, stop)
}

/// A program that was started before there is anything for it to do, and reads until there is. It ends by itself when
/// this process does: from then on there is nothing to read.
#[derive(Debug)]
pub struct Waiting(Option<Group>);

impl Waiting {
    /// Starts a program.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(command: &[String], folder: &Path) -> io::Result<Self> {
        Group::start(command, folder, Stdio::piped()).map(|group| Self(Some(group)))
    }

    /// Whether it waits still.
    pub fn is_there(&self) -> bool {
        self.0.as_ref().is_some_and(|group| !group.has_ended())
    }

    /// Gives it something to do, and runs it as [`run`] does.
    ///
    /// # Errors
    /// The system doesn't tell how it ended.
    pub fn run(mut self, task: Task, stop: &Stop) -> io::Result<Ended> {
        let group = self.0.take().ok_or(io::ErrorKind::NotFound)?;
        Running::lock().groups.push(group.id);
        group.run(task, stop)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Nobody waits for what it would have done.
        self.0.take().map(Group::end);
    }
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
        // The first limit is told apart from being killed, which comes at the second.
        let [current, maximum] = [(current, most), (maximum, most + 1)]
            .map(|(granted, most)| Some(granted.map_or(most, |granted| granted.min(most))));
        setrlimit(resource, Rlimit { current, maximum })?;
    }
    Ok(())
}

fn wait_for_ever() -> ! {
    loop {
        thread::park();
    }
}

/// Rung when there may be something to see, so that nobody sleeps through it.
#[derive(Debug)]
struct Bell {
    rope: Sender<()>,
    rings: Receiver<()>,
}

impl Bell {
    fn new() -> Self {
        let (rope, rings) = mpsc::channel();
        Self { rope, rings }
    }

    /// What rings it; whoever listened may have gone.
    fn rope(&self) -> impl FnOnce() + Send + 'static {
        let rope = self.rope.clone();
        move || {
            rope.send(()).ok();
        }
    }
}

/// Asks again and again, in growing steps, until there is an answer or it is too late.
fn wait_until<T>(deadline: Instant, ask: impl FnMut() -> Option<T>) -> Option<T> {
    wait_by(&Bell::new(), deadline, ask)
}

/// The same, and at once whenever a bell rings.
fn wait_by<T>(bell: &Bell, deadline: Instant, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let mut sleep = LOOK_FIRST;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        let left = deadline.checked_duration_since(Instant::now())?;
        // Whether it rang or not.
        bell.rings.recv_timeout(sleep.min(left)).ok();
        // In small steps: what rings no bell is seen soon if it comes soon.
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
    /// The groups, for one that is to run. Once all is over nobody gets them.
    fn lock() -> MutexGuard<'static, Self> {
        let running = lock(&RUNNING);
        if running.is_over {
            drop(running);
            wait_for_ever();
        }
        running
    }

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
#[derive(Debug)]
struct Group {
    leader: Child,
    id: Pid,
}

impl Group {
    fn start(command: &[String], folder: &Path, input: Stdio) -> io::Result<Self> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::NotFound)?;
        // Systems differ in where they look for a path: from where we are, or from where the program will be.
        let own = if program.contains('/') { Some(std::path::absolute(folder)?.join(program)) } else { None };
        let mut command = own.map_or_else(|| Command::new(program), Command::new);
        command.args(arguments).current_dir(folder).process_group(0);
        let leader = command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        Ok(Self { id: Pid::from_child(&leader), leader })
    }

    /// Feeds it, listens to it, and waits until it ends, or ends it.
    fn run(mut self, task: Task, stop: &Stop) -> io::Result<Ended> {
        let Task { input, timeout, output_bytes_max, excess } = task;
        let bell = Bell::new();
        let (output, complaint) = match self.attend(input, output_bytes_max, &bell) {
            Ok(listeners) => listeners,
            Err(error) => {
                self.end().ok();
                return Err(error);
            }
        };
        self.ring_at_end(bell.rope());
        let is_flooded = || excess == Excess::Ends && output.is_flooded();
        let fault = wait_by(&bell, Instant::now() + timeout, || {
            if self.has_ended() {
                Some(None)
            } else if stop.is_sent() {
                Some(Some(Ending::Stopped))
            } else {
                is_flooded().then_some(Some(Ending::TooMuch))
            }
        });
        let fault = fault.unwrap_or(Some(Ending::TooLong));
        if fault.is_some() {
            self.ask_to_end();
        }
        let status = self.end()?;
        wait_by(&bell, Instant::now() + ECHO_TIME, || (output.is_over() && complaint.is_over()).then_some(()));
        let flood = is_flooded().then_some(Ending::TooMuch);
        let ending = fault.or(flood).unwrap_or(Ending::Exited(status));
        Ok(Ended { ending, output: output.take(), complaint: complaint.take() })
    }

    /// Feeds it and listens to it, as far as threads can be had.
    fn attend(&mut self, input: Vec<u8>, output_bytes_max: usize, bell: &Bell) -> io::Result<(Listener, Listener)> {
        if let Some(mut stdin) = self.leader.stdin.take() {
            // A program that doesn't read all of its input is none the worse.
            thread::Builder::new().spawn(move || drop(stdin.write_all(&input)))?;
        }
        let output = Listener::open(self.leader.stdout.take(), output_bytes_max, bell.rope())?;
        let complaint = Listener::open(self.leader.stderr.take(), COMPLAINT_BYTES_MAX, bell.rope())?;
        Ok((output, complaint))
    }

    /// Rings a bell when the program has ended. Nothing is lost where no thread can be had: whoever waits looks too.
    fn ring_at_end(&self, ring: impl FnOnce() + Send + 'static) {
        let id = self.id;
        let wait = move || {
            waitid(WaitId::Pid(id), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).ok();
            ring();
        };
        thread::Builder::new().spawn(wait).ok();
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
    /// Rings when all was said.
    fn open(
        pipe: Option<impl Read + Send + 'static>,
        bytes_max: usize,
        ring: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let heard = Arc::new(Mutex::new(Heard { is_over: pipe.is_none(), ..Heard::default() }));
        if let Some(pipe) = pipe {
            let heard = Arc::clone(&heard);
            thread::Builder::new().spawn(move || {
                listen(pipe, &heard, bytes_max);
                ring();
            })?;
        }
        Ok(Self { heard, bytes_max })
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
        Order { command, folder, task: task() }
    }

    fn task() -> Task {
        Task { input: Vec::new(), timeout: LONG, output_bytes_max: 1_000, excess: Excess::Drops }
    }

    fn shell_with(script: &str, task: Task) -> Ended {
        let command = ["sh", "-c", script].map(str::to_owned);
        run(Order { command: &command, folder: Path::new("."), task }, &Stop::default()).unwrap()
    }

    fn shell(script: &str) -> Ended {
        shell_with(script, task())
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
        let ended = shell_with("cat; echo no >&2; exit 3", Task { input: b"abc".to_vec(), ..task() });
        assert_eq!((&*ended.output, &*ended.complaint), (&b"abc"[..], &b"no\n"[..]));
        assert!(matches!(ended.ending, Ending::Exited(status) if status.code() == Some(3)));
        // Nothing to read is the end of what can be read, and not a terminal.
        assert_eq!(shell("cat; echo .").output, b".\n");
    }

    #[test]
    fn one_that_reads_nothing_is_none_the_worse() {
        let ended = shell_with("exit 0", Task { input: vec![b'a'; 1_000_000], ..task() });
        assert!(matches!(ended.ending, Ending::Exited(status) if status.success()));
    }

    #[test]
    fn one_that_takes_too_long_is_ended() {
        let ended = shell_with("sleep 600", Task { timeout: Duration::from_millis(100), ..task() });
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
        let shell = |script| shell_with(script, Task { excess: Excess::Ends, ..task() });
        assert_eq!(shell("cat /dev/zero").ending, Ending::TooMuch);
        assert_eq!(shell("head -c 1001 /dev/zero").ending, Ending::TooMuch);
        let exact = shell("head -c 1000 /dev/zero");
        assert!(matches!(exact.ending, Ending::Exited(_)));
        assert_eq!(exact.output.len(), 1_000);
    }

    #[test]
    fn one_that_was_started_ahead_waits_for_what_it_is_to_do() {
        let start = |script: &str| Waiting::start(&["sh", "-c", script].map(str::to_owned), Path::new(".")).unwrap();
        let waiting = start("cat; exit 3");
        assert!(waiting.is_there());
        let ended = waiting.run(Task { input: b"abc".to_vec(), ..task() }, &Stop::default()).unwrap();
        assert_eq!(ended.output, b"abc");
        assert!(matches!(ended.ending, Ending::Exited(status) if status.code() == Some(3)));
        let gone = start("exit 0");
        assert!(wait_until(Instant::now() + LONG, || (!gone.is_there()).then_some(())).is_some());
        // One that nobody needs any more is not left behind.
        let unused = start("cat");
        let id = unused.0.as_ref().unwrap().id.as_raw_nonzero().to_string();
        drop(unused);
        assert!(is_gone(&id));
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
