//! What the system asks of the process: `SIGTERM` and `SIGINT` stop the server.

use std::io;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::server::Remote;

/// Has signals stop a server, from now on. They are waited for on a thread of their own.
///
/// # Errors
/// What the system says.
pub fn listen_to_signals(remote: Remote) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for _ in &mut signals {
            remote.stop();
        }
    })?;
    Ok(())
}
