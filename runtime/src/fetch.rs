//! Bringing parts of a file into memory on threads of their own, so that a worker doesn't wait for a disk while its other
//! connections have something to say. What is large is read by threads that run only when nobody else wants the processor;
//! these share no lock with a worker, who would wait for one that has no turn.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::limits::{FETCH_BYTES_SMALL, FETCH_LARGE_THREAD_COUNT, FETCH_SMALL_THREAD_COUNT};
use crate::priority;

/// A part of a file that is on its way into memory.
#[derive(Debug)]
pub struct Fetch(Arc<AtomicBool>);

impl Fetch {
    /// Begins to read a part of a file; `wake` is called when it is there, or can't be had.
    ///
    /// # Errors
    /// What the system says when it is out of descriptors or threads.
    pub fn begin(file: &File, offset: u64, len: usize, wake: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let is_done = Arc::new(AtomicBool::new(false));
        let job = Job { file: file.try_clone()?, offset, len, is_done: Arc::clone(&is_done), wake: Box::new(wake) };
        start_threads()?;
        JOBS.put(job);
        Ok(Self(is_done))
    }

    /// Whether nothing more will happen.
    pub fn is_done(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

struct Job {
    file: File,
    offset: u64,
    len: usize,
    is_done: Arc<AtomicBool>,
    wake: Box<dyn FnOnce() + Send>,
}

impl Job {
    /// Reads it all. What is read is thrown away: it is in the system's memory afterwards. An error shows when it is sent.
    fn read(&self, buffer: &mut [u8]) {
        let mut read_len = 0;
        while read_len < self.len {
            let wanted = buffer.len().min(self.len - read_len);
            match self.file.read_at(&mut buffer[..wanted], self.offset + read_len as u64) {
                Ok(0) | Err(_) => break,
                Ok(len) => read_len += len,
            }
        }
    }

    /// Tells who waits.
    fn finish(self) {
        self.is_done.store(true, Ordering::Release);
        (self.wake)();
    }
}

/// What waits for a thread.
struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    arrived: Condvar,
}

impl Queue {
    const fn new() -> Self {
        Self { jobs: Mutex::new(VecDeque::new()), arrived: Condvar::new() }
    }

    fn put(&self, job: Job) {
        // Nothing panics half-way through a change.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).push_back(job);
        self.arrived.notify_one();
    }

    /// Waits for a job.
    fn take(&self) -> Job {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match jobs.pop_front() {
                Some(job) => return job,
                None => jobs = self.arrived.wait(jobs).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// What workers want; none but them and the threads for small jobs touch it.
static JOBS: Queue = Queue::new();
/// The large jobs among these.
static LARGE: Queue = Queue::new();
/// Large jobs that are done, but for telling who waits: that takes locks that workers take.
static DONE: Queue = Queue::new();

/// Starts the threads when they are first needed.
fn start_threads() -> io::Result<()> {
    /// How many of them run.
    static STARTED_COUNT: Mutex<usize> = Mutex::new(0);
    const COUNT: usize = 1 + FETCH_LARGE_THREAD_COUNT + FETCH_SMALL_THREAD_COUNT;
    let mut started_count = STARTED_COUNT.lock().unwrap_or_else(PoisonError::into_inner);
    // All of them: a part that nobody takes would be waited for in vain.
    while *started_count < COUNT {
        let work = match *started_count {
            0 => tell,
            1..=FETCH_LARGE_THREAD_COUNT => fetch_large,
            _ => fetch_small,
        };
        std::thread::Builder::new().name("fetch".to_owned()).spawn(work)?;
        *started_count += 1;
    }
    Ok(())
}

const BUFFER_BYTES: usize = 64 * 1024;

fn fetch_small() {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let job = JOBS.take();
        if job.len > FETCH_BYTES_SMALL {
            LARGE.put(job);
        } else {
            job.read(&mut buffer);
            job.finish();
        }
    }
}

fn fetch_large() {
    // Where the system refuses, it is done all the same.
    priority::run_when_idle().ok();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let job = LARGE.take();
        job.read(&mut buffer);
        DONE.put(job);
    }
}

fn tell() {
    loop {
        DONE.take().finish();
    }
}
