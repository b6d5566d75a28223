//! Bringing parts of a file into memory on threads of their own, so that a worker doesn't wait for a disk while its other
//! connections have something to say.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};

use crate::limits::{FETCH_BYTES_SMALL, FETCH_THREAD_COUNT};
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
        let queue = queue()?;
        queue.lock().push_back(job);
        // Not everyone takes every job.
        queue.arrived.notify_all();
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

/// What waits for a thread.
#[derive(Default)]
struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    arrived: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Job>> {
        // Nothing in here panics half-way through a change.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The queue, whose threads are started when they are first needed.
fn queue() -> io::Result<&'static Queue> {
    static QUEUE: LazyLock<Queue> = LazyLock::new(Queue::default);
    static STARTED: Mutex<bool> = Mutex::new(false);
    let mut is_started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*is_started {
        for number in 0..FETCH_THREAD_COUNT {
            // One has time for pages, however many large files are waited for; what the others do waits for whoever answers.
            let is_for_pages = number == 0;
            std::thread::Builder::new().name("fetch".to_owned()).spawn(move || {
                if !is_for_pages {
                    priority::run_when_idle();
                }
                work(&QUEUE, if is_for_pages { FETCH_BYTES_SMALL } else { usize::MAX });
            })?;
            // All of them: a part that nobody takes would be waited for in vain.
            *is_started = number + 1 == FETCH_THREAD_COUNT;
        }
    }
    Ok(&QUEUE)
}

fn work(queue: &Queue, len_max: usize) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let mut jobs = queue.lock();
        let Job { file, offset, len, is_done, wake } = loop {
            let next = jobs.iter().position(|job| job.len <= len_max);
            match next.and_then(|index| jobs.remove(index)) {
                Some(job) => break job,
                None => jobs = queue.arrived.wait(jobs).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(jobs);
        // What is read is thrown away: it is in the system's memory afterwards. An error shows when it is sent.
        let mut read_len = 0;
        while read_len < len {
            let wanted = buffer.len().min(len - read_len);
            match file.read_at(&mut buffer[..wanted], offset + read_len as u64) {
                Ok(0) | Err(_) => break,
                Ok(len) => read_len += len,
            }
        }
        is_done.store(true, Ordering::Release);
        wake();
    }
}
