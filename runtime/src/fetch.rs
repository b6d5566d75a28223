//! Bringing parts of a file into memory on threads of their own, so that a worker doesn't wait for a disk while its other
//! connections have something to say.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::limits::FETCH_THREAD_COUNT;

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
        // The threads end with the process, so that there is always one to take it.
        jobs()?.send(job).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
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

/// The way to the threads, which are started when they are first needed.
fn jobs() -> io::Result<&'static Sender<Job>> {
    static JOBS: OnceLock<Sender<Job>> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(jobs) = JOBS.get() {
        return Ok(jobs);
    }
    let (sender, receiver) = channel();
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..FETCH_THREAD_COUNT {
        let receiver = Arc::clone(&receiver);
        std::thread::Builder::new().name("fetch".to_owned()).spawn(move || work(&receiver))?;
    }
    Ok(JOBS.get_or_init(|| sender))
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { file, offset, len, is_done, wake }) = job else { return };
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
