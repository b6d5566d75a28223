//! Work that recurses by the shape of its input, in parsers that aren't ours: it gets a thread with a large stack, and a
//! panic in it stays there.

use std::thread;

/// Bytes of the stack. Only what is used takes memory.
const STACK_BYTES: usize = 256 * 1024 * 1024;

/// What `work` returns, or `None` if it panics. The thread is called `name`, which a message of the system would show.
pub(super) fn on_deep_stack<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> Option<T> {
    let builder = thread::Builder::new().name(name.replace('\0', "")).stack_size(STACK_BYTES);
    thread::scope(|scope| builder.spawn_scoped(scope, work).ok()?.join().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_recursion_has_room() {
        fn depth(left: u32) -> u32 {
            let room = std::hint::black_box([0_u8; 512]);
            if left == 0 { u32::from(room[0]) } else { 1 + depth(left - 1) }
        }
        assert_eq!(on_deep_stack("deep", || depth(100_000)), Some(100_000));
    }
}
