//! Signals that end the command end the programs that it runs too: these are in groups of their own, which Ctrl-C at a
//! terminal doesn't reach.

use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::source::read_file_if_there;
use crate::tools::process;

/// From now on, a signal that ends this process first ends what it runs. Where the system refuses that, programs may
/// live on until they are done.
pub(crate) fn end_programs_at_signals() {
    let status = read_file_if_there("/proc/self/status".as_ref()).ok().flatten().unwrap_or_default();
    let ignored = ignored_mask(&String::from_utf8_lossy(&status));
    // What whoever started us wants ignored (`nohup`) stays so.
    let wanted = [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let Ok(mut signals) = Signals::new(wanted) else { return };
    let wait = move || {
        for signal in &mut signals {
            process::end_all();
            // It returns only if the signal can't end a process; these can.
            emulate_default_handler(signal).ok();
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).ok();
}

/// `SigIgn: 0000000000000001`: a bit for each signal, from 1 on.
fn ignored_mask(status: &str) -> u64 {
    let field = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    field.and_then(|field| u64::from_str_radix(field.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::ignored_mask;

    #[test]
    fn what_is_ignored_is_read_as_the_kernel_writes_it() {
        assert_eq!(ignored_mask("SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n"), 0x1001);
        assert_eq!((ignored_mask(""), ignored_mask("SigIgn:\tx")), (0, 0));
    }
}
