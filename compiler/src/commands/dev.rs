//! `kiln dev`: the site while it is written, served from memory.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Failure;
use super::apart::own_program;
use super::build::{build_time, today};
use super::memory::read_memory_bytes_max;
use crate::config::Config;
use crate::dev::{DeskError, DevError, DevOptions, Terminal, serve};
use crate::diagnostic::Paint;
use crate::watch::Method;

/// What the command line says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DevArguments {
    /// The site's folder.
    pub site: PathBuf,
    /// Where to listen.
    pub listen: String,
    /// How changes become known; `None`: by looking when a page is asked for.
    pub watch: Option<Method>,
    /// Milliseconds for which a page is served without a look at its sources.
    pub interval_ms: u64,
    /// The browser is opened.
    pub opens_browser: bool,
    /// More host names by which it may be asked.
    pub allowed_hosts: Vec<String>,
    /// Drafts and pages of the future are shown.
    pub shows_unfinished: bool,
    /// Instead of `base_url` in `site.toml`.
    pub base_url: Option<String>,
    /// Standard error shows colours.
    pub colours: bool,
}

/// Serves a site until the process is ended.
///
/// # Errors
/// There is no site, or the system refuses something.
pub fn dev(arguments: DevArguments) -> Result<(), Failure> {
    let time = build_time()?;
    let listen = arguments.listen.parse().map_err(|help| Failure::Usage(format!("--listen: {help}")))?;
    if let Some(base_url) = &arguments.base_url {
        let check = Config::default().set_base_url(base_url);
        check.map_err(|help| Failure::Usage(format!("--base-url `{base_url}`: {help}")))?;
    }
    let options = DevOptions {
        site: arguments.site,
        listen,
        watch: arguments.watch,
        interval: Duration::from_millis(arguments.interval_ms),
        allowed_hosts: arguments.allowed_hosts,
        shows_unfinished: arguments.shows_unfinished,
        base_url: arguments.base_url,
        today: today(time)?,
        time,
        read_memory_bytes_max,
        program: own_program(),
    };
    let paint = if arguments.colours { Paint::Color } else { Paint::Plain };
    let opens_browser = arguments.opens_browser;
    let terminal = Terminal { paint, is_quiet: false };
    let open = |url: &str| {
        if opens_browser && !open_browser(url) {
            terminal.say("no browser could be opened; open the address above");
        }
    };
    serve(options, terminal, open).map_err(|error| match error {
        DevError::Desk(DeskError::NoSite(text)) => Failure::Usage(text),
        DevError::Desk(DeskError::Read(errors)) => {
            let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
            Failure::Io(texts.join("\nerror: "))
        }
        DevError::System(text) => Failure::Io(text),
    })
}

/// Has the desktop open a browser, if there is one.
fn open_browser(url: &str) -> bool {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(program);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // It may become the browser itself, which is to outlive Ctrl-C.
    command.process_group(0).spawn().is_ok()
}
