//! What becomes of a coroutine that runs out of stack: what it worked with is had back, and nobody else is harmed. This is
//! raw memory: nothing that lies on such a stack is ever dropped, and so nothing that counts may be owned by it. What may
//! itself has there stays behind: some 180 bytes for each that dies.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Once, OnceLock};

use may::coroutine::{Builder, JoinHandle};

/// A value that a coroutine works with, and that can be had back when the coroutine dies.
pub struct Estate<T> {
    block: NonNull<Block<T>>,
    coroutine: JoinHandle<()>,
}

struct Block<T> {
    /// Boxed, so that what was given back leaves little behind.
    value: Option<Box<T>>,
    is_given_back: AtomicBool,
}

#[expect(unsafe_code, reason = "a pointer says nothing of threads")]
// SAFETY: it is an owner like `Box<Block<T>>`, of which the other half (in `go_with`) uses `value` until it sets the flag.
unsafe impl<T: Send> Send for Estate<T> {}

impl<T: Send + 'static> Estate<T> {
    /// Starts a coroutine that works with `value` and gives it back; what comes of that is handed to `after`.
    ///
    /// # Errors
    /// What the system says when it has no room for a coroutine.
    pub fn go_with<R>(
        builder: Builder,
        value: T,
        work: impl FnOnce(&mut T) -> R + Send + 'static,
        after: impl FnOnce(R) + Send + 'static,
    ) -> io::Result<Self> {
        let block = Box::new(Block { value: Some(Box::new(value)), is_given_back: AtomicBool::new(false) });
        let block = NonNull::from(Box::leak(block));
        let address = block.as_ptr() as usize;
        let spawned = may::go!(builder, move || {
            let block = address as *mut Block<T>;
            #[expect(unsafe_code, reason = "nothing that is owned by a stack outlives its death")]
            // SAFETY: the block lives until the flag is set or this coroutine is over (see `drop` and `take_back`), and
            // until then nobody else looks at the value.
            let outcome = {
                let value = unsafe { &mut (*block).value };
                let outcome = value.as_deref_mut().map(work);
                *value = None;
                unsafe { (*block).is_given_back.store(true, Ordering::Release) };
                outcome
            };
            outcome.map(after);
        });
        // A coroutine that never began leaves the block behind: the process is out of memory then.
        Ok(Self { block, coroutine: spawned? })
    }

    /// Whether the coroutine is over, in one way or another.
    pub fn is_over(&self) -> bool {
        self.coroutine.is_done()
    }

    /// The value, if the coroutine died without giving it back.
    pub fn take_back(&mut self) -> Option<Box<T>> {
        if !self.is_over() {
            return None;
        }
        #[expect(unsafe_code, reason = "nothing that is owned by a stack outlives its death")]
        // SAFETY: the coroutine is over, so that nobody else looks at the value any more.
        unsafe { self.block.as_mut() }.value.take()
    }
}

impl<T> Drop for Estate<T> {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "nothing that is owned by a stack outlives its death")]
        // SAFETY: with the flag set, or when it is over, the coroutine doesn't touch the block any more; before, it stays
        // where it is for good.
        unsafe {
            if self.coroutine.is_done() || self.block.as_ref().is_given_back.load(Ordering::Acquire) {
                drop(Box::from_raw(self.block.as_ptr()));
            }
        }
    }
}

/// Has a coroutine that runs out of stack cost itself and no more. may ends the whole process if the lowest word of a
/// stack isn't what it once wrote there, and whoever runs out of stack may well have written over it: it is written again,
/// before may's own handler ends the coroutine. To be called when there has been a coroutine, which installs that.
pub fn keep_overflows_small() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[expect(unsafe_code, reason = "the standard library has no word for it")]
        // SAFETY: both structures are plain numbers and pointers, for which zeros are valid; the handler keeps to what a
        // handler may do, and whatever it isn't about goes to the handler that was there before.
        unsafe {
            let mut before: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(libc::SIGSEGV, std::ptr::null(), &raw mut before) != 0
                || HANDLER_BEFORE.set(before).is_err()
            {
                return;
            }
            let mut own: libc::sigaction = std::mem::zeroed();
            own.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            own.sa_sigaction = on_fault as *const () as libc::sighandler_t;
            libc::sigaction(libc::SIGSEGV, &raw const own, std::ptr::null_mut());
        }
    });
}

static HANDLER_BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// What may writes to the lowest words of a stack.
const STACK_MARK: usize = 0xdead_beef;

#[expect(unsafe_code, reason = "a signal handler deals with raw memory")]
// SAFETY: the kernel calls it, with valid pointers.
unsafe extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    type Handler = unsafe extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
    let Some(before) = HANDLER_BEFORE.get() else { return };
    // SAFETY: a coroutine that faults has met the page below its stack (there is no other way to in code without raw
    // memory), so that its lowest word follows that page. Otherwise the process is about to end in any case. Who was
    // there before is a handler of this kind, as may installs it.
    unsafe {
        if may::coroutine::is_coroutine() {
            let page_len = usize::try_from(libc::sysconf(libc::_SC_PAGESIZE)).unwrap_or(4096);
            let lowest = ((*info).si_addr() as usize & !(page_len - 1)) + page_len;
            (lowest as *mut usize).write(STACK_MARK);
        }
        if before.sa_sigaction > libc::SIG_IGN {
            std::mem::transmute::<libc::sighandler_t, Handler>(before.sa_sigaction)(signal, info, context);
        } else {
            libc::sigaction(signal, before, std::ptr::null_mut());
        }
    }
}
