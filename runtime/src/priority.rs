//! How urgent a thread is to the kernel's scheduler.

use std::io;

/// Has this thread run only when no other wants the processor, for good: one that wakes up takes it at once (`SCHED_IDLE`,
/// sched(7)). It isn't starved: beside threads that never rest it has some thousandths of a processor. So it must hold no
/// lock that a worker waits for.
///
/// # Errors
/// The system refuses; the thread is as urgent as others then.
pub fn run_when_idle() -> io::Result<()> {
    // The kernel's `struct sched_param`, which is this one number; musl's has more.
    let none: libc::c_int = 0;
    #[expect(unsafe_code, reason = "the standard library has no word for it")]
    // SAFETY: the one pointer is to a number of this function's own, which the kernel only reads. It is called past the
    // C library because musl's function refuses always.
    let answer = unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_IDLE, &raw const none) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
