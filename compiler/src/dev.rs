//! The development server: the production road, evaluated on demand. A plan of the site is kept in memory and replaced
//! at every change; pages are made when somebody asks for them, those that are open in a browser first. What answers
//! requests only reads what is there; everything that takes time is done on threads of its own (`studio`).

mod check;
mod client;
mod desk;
mod doors;
mod edition;
mod handler;
mod images;
mod live_reload;
mod looks;
mod notes;
mod overlay;
mod recent;
mod studio;
mod terminal;
mod tools;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use runtime::connection::Context;
use runtime::limits::Limits;
use runtime::listener::{Address, Listener, PortUse};
use runtime::server::Server;

pub use desk::{Desk, DeskError};
pub use edition::{Edition, Ready};
pub use terminal::Terminal;

use crate::source::ReadError;
use crate::watch::Method;
use doors::Doors;
use handler::DevHandler;
use studio::Studio;

/// What the development server is told.
#[derive(Clone, Debug)]
pub struct DevOptions {
    /// The site's folder.
    pub site: PathBuf,
    /// Where to listen.
    pub listen: Address,
    /// How changes become known; `None`: by looking when a page is asked for.
    pub watch: Option<Method>,
    /// How long a page is served without a look at its sources, if nothing is watched.
    pub interval: Duration,
    /// More host names by which it may be asked.
    pub allowed_hosts: Vec<String>,
    /// Drafts and pages of the future are shown.
    pub shows_unfinished: bool,
    /// Instead of `base_url` in `site.toml`.
    pub base_url: Option<String>,
    /// The day of the build.
    pub today: Date,
    /// The time of the build, if it is to be told.
    pub time: Option<u64>,
    /// Tells the bytes of memory that this process may have now, as far as that is known.
    pub read_memory_bytes_max: fn() -> u64,
    /// This program, `kiln`, which runs itself.
    pub program: PathBuf,
}

/// Why the development server can't run.
#[derive(Debug)]
pub enum DevError {
    /// The site can't be read.
    Desk(DeskError),
    /// The system refuses something.
    System(String),
}

impl From<DeskError> for DevError {
    fn from(error: DeskError) -> Self {
        Self::Desk(error)
    }
}

impl From<ReadError> for DevError {
    fn from(error: ReadError) -> Self {
        Self::System(error.to_string())
    }
}

/// Serves a site until the process is ended. `on_ready` is called with the address once requests are answered.
///
/// # Errors
/// The site can't be read at all, or the system refuses something.
pub fn serve(options: DevOptions, terminal: Terminal, on_ready: impl FnOnce(&str)) -> Result<(), DevError> {
    let listener = Listener::bind(&options.listen, PortUse::Alone)
        .map_err(|error| DevError::System(format!("can't listen at `{}`: {error}", options.listen)))?;
    let address = listener.address().clone();
    let doors = Doors::new(&address, &options.allowed_hosts);
    let mut desk = Desk::new(options.clone());
    let edition = desk.open()?;
    terminal.say(&format!("serving http://{address}/ ({})", edition.summary()));
    if !doors.is_loopback() {
        terminal.say("warning: it listens beyond this machine, where others may read drafts");
    }
    let system = |error: std::io::Error| DevError::System(format!("can't serve: {error}"));
    let studio = Studio::new(edition, &options, terminal);
    let watcher = options.watch.map(|method| desk.watch(method)).transpose().map_err(DevError::System)?;
    studio::start(Arc::clone(&studio), desk, watcher, options).map_err(system)?;
    let limits = Limits { connections_per_address_max: usize::MAX, ..Limits::default() };
    let context = Context::new(limits, runtime::clock::Clock::started_now());
    let server = Server::new(DevHandler { studio, doors }, context).map_err(system)?;
    on_ready(&own_url(&address));
    server.run(vec![listener]).map_err(system)
}

/// Where a browser on this machine finds the server.
fn own_url(address: &Address) -> String {
    match address {
        Address::Tcp(tcp) if tcp.ip().is_unspecified() => format!("http://localhost:{}/", tcp.port()),
        _ => format!("http://{address}/"),
    }
}
