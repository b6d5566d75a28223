//! What the system asks of the process: `SIGTERM` and `SIGINT` stop the server, `SIGHUP` has it load its bundles again.

use std::io;
use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::reload::ReloadRequest;
use crate::server::Remote;
use crate::systemd::Notifier;

/// Has signals reach a server and a service manager, from now on. They are waited for on a thread of their own.
///
/// # Errors
/// What the system says.
pub fn listen_to_signals(remote: Remote, reload: ReloadRequest, notifier: Arc<Notifier>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in &mut signals {
            if signal == SIGHUP {
                reload.send();
            } else {
                notifier.stopping();
                remote.stop();
            }
        }
    })?;
    Ok(())
}
