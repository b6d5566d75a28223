//! How urgent a thread is to the kernel's scheduler.

/// Has this thread run only when no other wants the processor, for good: one that wakes up takes it at once (`SCHED_IDLE`,
/// sched(7)). It isn't starved: beside threads that never rest it has some thousandths of a processor. Where the system
/// refuses, it stays as urgent as others.
pub fn run_when_idle() {
    // The kernel's `struct sched_param`, which is this one number; musl's has more.
    let none: libc::c_int = 0;
    #[expect(unsafe_code, reason = "the standard library has no word for it")]
    // SAFETY: the one pointer is to a number of this function's own, which the kernel only reads. It is called past the
    // C library because musl's function refuses always.
    unsafe {
        libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_IDLE, &raw const none);
    }
}
