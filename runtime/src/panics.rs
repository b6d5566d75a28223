//! What a panic says, kept until it is known which request it cost: the hook that hears of it knows the place in the code,
//! and the connection that catches it knows the request.

use std::cell::RefCell;
use std::panic::PanicHookInfo;

thread_local! {
    /// Nothing yields between the hook and whoever catches the panic, on one thread.
    static LATEST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps what a panic says: for a panic hook, in a coroutine of the server. The connection reports it.
pub fn remember(panic: &PanicHookInfo<'_>) {
    let text = panic.to_string().replace('\n', " ");
    LATEST.with(|latest| latest.try_borrow_mut().map(|mut latest| *latest = text).ok());
}

/// What the panic that was just caught said, in a line; empty if no hook remembered it.
pub(crate) fn take() -> String {
    LATEST.with(|latest| latest.try_borrow_mut().map(|mut latest| std::mem::take(&mut *latest)).unwrap_or_default())
}
