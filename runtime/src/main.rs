//! The `kilnd` command: words to actions, failures to one line on standard error and an exit status.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a command talks to its user")]

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use runtime::access_log::AccessLog;
use runtime::admin::{AdminHandler, Credentials};
use runtime::args::{self, Command, ServeOptions};
use runtime::clock::Clock;
use runtime::connection::Context;
use runtime::install::{InstallError, install};
use runtime::limits::DESCRIPTORS_KEPT;
use runtime::listener::Listener;
use runtime::metrics::Metrics;
use runtime::reload::{LoadError, Reloader, load};
use runtime::server::Server;
use runtime::shutdown;
use runtime::site::SiteHandler;

/// Why `kilnd` ends with a status other than 0.
enum Failure {
    /// The bundle is not one that can be served.
    Bundle(String),
    /// The command line makes no sense.
    Usage(String),
    /// The system refused: a file, an address.
    System(String),
}

impl Failure {
    fn status_and_message(&self) -> (u8, &str) {
        match self {
            Self::Bundle(message) => (1, message),
            Self::Usage(message) => (2, message),
            Self::System(message) => (4, message),
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(status) => status,
        Err(failure) => {
            let (status, message) = failure.status_and_message();
            report(message);
            ExitCode::from(status)
        }
    }
}

fn run() -> Result<ExitCode, Failure> {
    let port = std::env::var_os("PORT").filter(|port| !port.is_empty());
    match args::parse(std::env::args_os().skip(1), port.as_deref()).map_err(Failure::Usage)? {
        Command::Help => print!("{}", args::HELP),
        Command::Version => println!("kilnd {}", env!("CARGO_PKG_VERSION")),
        Command::Serve(options) => serve(options)?,
        Command::Probe(target) if target.is_healthy() => {}
        Command::Probe(_) => return Ok(ExitCode::FAILURE),
        Command::Install { new, path } => install(&new, &path).map_err(|error| match error {
            InstallError::New(error) => unloadable(&new, &error),
            InstallError::Place(error) => Failure::System(format!("can't install at `{}`: {error}", path.display())),
        })?,
    }
    Ok(ExitCode::SUCCESS)
}

fn serve(mut options: ServeOptions) -> Result<(), Failure> {
    // One line, whatever the environment says: a backtrace doesn't fit on the stack of a coroutine.
    std::panic::set_hook(Box::new(|panic| eprintln!("kilnd: {panic}")));
    let sites = options.sites.iter().map(|(host, path)| {
        let site = load(path).map_err(|error| unloadable(path, &error))?;
        Ok((host.clone(), site))
    });
    let handler =
        SiteHandler::with_hosts(sites.collect::<Result<_, _>>()?, options.unknown_host, options.generations_kept);
    let handler = Arc::new(handler);
    let descriptors = raise_descriptor_limit();
    if !options.connections_given {
        options.limits.connections_max = descriptors.saturating_sub(DESCRIPTORS_KEPT).max(1);
    }
    if !options.limits.caps_loopback {
        options.limits.connections_per_address_max = (options.limits.connections_max / 4).max(1);
    }
    let listeners = options.listen.iter().map(|address| {
        Listener::bind(address, options.port_use)
            .map_err(|error| Failure::System(format!("can't listen at `{address}`: {error}")))
    });
    let listeners = listeners.collect::<Result<Vec<_>, _>>()?;
    if options.worker_count > 0 {
        may::config().set_workers(options.worker_count);
    }
    let system = |error: std::io::Error| Failure::System(format!("can't serve: {error}"));
    let credentials = read_credentials()?;
    let mut context = Context::new(options.limits, Clock::started_now());
    context.metrics = Arc::new(Metrics::new(may::config().get_workers()));
    context.counts_answers = credentials.is_some();
    context.access_log = options.access_log.map(AccessLog::start).transpose().map_err(system)?;
    let (metrics, started) = (Arc::clone(&context.metrics), context.clock.unix_seconds());
    let paths = options.sites.iter().map(|(_, path)| path.clone()).collect::<Vec<_>>();
    let shown = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join("`, `");
    let reloader = Reloader::new(Arc::clone(&handler), paths, report);
    let reload = reloader.request();
    let handler = match credentials {
        Some(credentials) => AdminHandler::open(handler, credentials, metrics, reload.clone(), started),
        None => AdminHandler::closed(handler),
    };
    let server = Server::new(handler, context).map_err(system)?;
    reloader.start(server.remote()).map_err(system)?;
    shutdown::listen_to_signals(server.remote(), reload).map_err(system)?;
    for listener in &listeners {
        report(&format!("serving `{shown}` at {}", listener.address()));
    }
    server.run(listeners).map_err(system)
}

/// The name and password for `/admin`. One without the other is a mistake that should not go unnoticed.
fn read_credentials() -> Result<Option<Credentials>, Failure> {
    let [username, password] =
        ["ADMIN_USERNAME", "ADMIN_PASSWORD"].map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    match (username, password) {
        (Some(username), Some(password)) => Ok(Some(Credentials::new(&username, &password))),
        (None, None) => Ok(None),
        _ => Err(Failure::Usage(
            "of `ADMIN_USERNAME` and `ADMIN_PASSWORD`, only one is set; set both or none".to_owned(),
        )),
    }
}

fn unloadable(path: &Path, error: &LoadError) -> Failure {
    let message = format!("`{}` {error}", path.display());
    match error {
        LoadError::Bad(_) => Failure::Bundle(message),
        LoadError::Unreadable(_) => Failure::System(message),
    }
}

/// Tells whoever watches the server.
fn report(message: &str) {
    eprintln!("kilnd: {message}");
}

/// Takes as many descriptors as the system allows; returns how many that is.
fn raise_descriptor_limit() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    let granted = if setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft };
    usize::try_from(granted).unwrap_or(usize::MAX)
}
