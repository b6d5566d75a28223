//! The `kilnd` command: words to actions, failures to one line on standard error and an exit status.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a command talks to its user")]

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use runtime::access_log::AccessLog;
use runtime::admin::{AdminHandler, Credentials};
use runtime::args::{self, Command, Confinement, ServeOptions};
use runtime::clock::Clock;
use runtime::connection::Context;
use runtime::install::{InstallError, install};
use runtime::listener::{Address, Listener};
use runtime::metrics::Metrics;
use runtime::panics;
use runtime::reload::{LoadError, Reloader, load};
use runtime::sandbox::{self, Folders};
use runtime::server::Server;
use runtime::shutdown;
use runtime::site::SiteHandler;
use runtime::systemd::{self, Notifier};

/// Why `kilnd` ends with a status other than 0.
enum Failure {
    /// The bundle is not one that can be served.
    Bundle(String),
    /// The server that was asked is not well.
    Unhealthy(String),
    /// The command line makes no sense.
    Usage(String),
    /// The system refused: a file, an address.
    System(String),
}

impl Failure {
    fn status_and_message(&self) -> (u8, &str) {
        match self {
            Self::Bundle(message) | Self::Unhealthy(message) => (1, message),
            Self::Usage(message) => (2, message),
            Self::System(message) => (4, message),
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let (status, message) = failure.status_and_message();
            report(message);
            ExitCode::from(status)
        }
    }
}

fn run() -> Result<(), Failure> {
    let port = std::env::var_os("PORT").filter(|port| !port.is_empty());
    match args::parse(std::env::args_os().skip(1), port.as_deref()).map_err(Failure::Usage)? {
        Command::Help => print!("{}", args::HELP),
        Command::Version => println!("kilnd {}", bundle::program_version(env!("CARGO_PKG_VERSION"))),
        Command::Serve(options) => serve(options)?,
        Command::Probe(target) => target.ask().map_err(Failure::Unhealthy)?,
        Command::Install { new, path } => install(&new, &path).map_err(|error| match error {
            InstallError::New(error) => unloadable(&new, &error),
            InstallError::Place(error) => Failure::System(format!("can't install at `{}`: {error}", path.display())),
        })?,
    }
    Ok(())
}

fn serve(mut options: ServeOptions) -> Result<(), Failure> {
    std::panic::set_hook(Box::new(report_panic));
    let credentials = read_credentials()?;
    let sites = options.sites.iter().map(|(host, path)| {
        let site = load(path).map_err(|error| unloadable(path, &error))?;
        Ok(((path.clone(), site.bytes().identity()), (host.clone(), site)))
    });
    let (files, sites): (Vec<_>, Vec<_>) = sites.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    let handler = Arc::new(SiteHandler::with_hosts(sites, options.unknown_host, options.generations_kept));
    set_connection_limits(&mut options);
    let listeners = listen(&options)?;
    let notifier = Arc::new(Notifier::from_environment());
    if options.worker_count > 0 {
        may::config().set_workers(options.worker_count);
    }
    let worker_count = may::config().get_workers();
    if options.confinement == Confinement::Sandbox {
        // Before the first thread, so that all are in it. A kernel that can't is no reason not to serve.
        sandbox::enter(&folders_of(&options));
    }

    let system = |error: std::io::Error| Failure::System(format!("can't serve: {error}"));
    let mut context = Context::new(options.limits, Clock::started_now());
    context.metrics = Arc::new(Metrics::new(worker_count));
    context.counts_answers = credentials.is_some();
    context.access_log = options.access_log.map(AccessLog::start).transpose().map_err(system)?;
    let access_log = context.access_log.clone();
    context.trusted_proxies = options.trusted_proxies;
    context.report = report;
    let (metrics, started) = (Arc::clone(&context.metrics), context.clock.unix_seconds());
    let shown = files.iter().map(|(path, _)| path.display().to_string()).collect::<Vec<_>>().join("`, `");
    let reloader = Reloader::new(Arc::clone(&handler), files, report);
    let reload = reloader.request();
    let handler = match credentials {
        Some(credentials) => AdminHandler::open(handler, credentials, metrics, reload.clone(), started),
        None => AdminHandler::closed(handler),
    };
    let server = Server::new(handler, context).map_err(system)?;
    reloader.start(server.remote()).map_err(system)?;
    shutdown::listen_to_signals(server.remote(), reload, Arc::clone(&notifier)).map_err(system)?;
    for listener in &listeners {
        report(&format!("serving `{shown}` at {}", listener.address()));
    }
    notifier.ready();
    let ending = server.run(listeners).map_err(system);
    if let Some(access_log) = access_log {
        access_log.finish();
    }
    ending
}

/// Sockets that a service manager handed over, and those that the command line names.
fn listen(options: &ServeOptions) -> Result<Vec<Listener>, Failure> {
    let handed = systemd::take_sockets().and_then(|sockets| sockets.into_iter().map(Listener::adopt).collect());
    let mut listeners: Vec<Listener> =
        handed.map_err(|error| Failure::System(format!("can't use the sockets in `LISTEN_FDS`: {error}")))?;
    let default = std::slice::from_ref(&options.default_listen);
    let is_told_nothing = options.listen.is_empty() && options.listen_proxy.is_empty() && listeners.is_empty();
    let bind = |address| {
        let bound = Listener::bind(address, options.port_use);
        bound.map_err(|error| Failure::System(format!("can't listen at `{address}`: {error}")))
    };
    for address in if is_told_nothing { default } else { &options.listen } {
        listeners.push(bind(address)?);
    }
    if options.begins_with_proxy_header {
        listeners = listeners.into_iter().map(Listener::for_proxies).collect();
    }
    for address in &options.listen_proxy {
        listeners.push(bind(address)?.for_proxies());
    }
    Ok(listeners)
}

/// What the server needs of the file system once it runs.
fn folders_of(options: &ServeOptions) -> Folders {
    let folder = |path: &Path| path.parent().filter(|folder| !folder.as_os_str().is_empty()).map(Path::to_owned);
    let folder_or_here = |path: &Path| folder(path).unwrap_or_else(|| ".".into());
    // The way to a bundle may lead over links, which a deploy turns to a folder beside the one of before.
    let targets = options.sites.iter().filter_map(|(_, path)| folder(&path.canonicalize().ok()?));
    let links = options.sites.iter().flat_map(|(_, path)| path.ancestors()).filter(|path| path.is_symlink());
    let beside_links = links.map(folder_or_here).filter(|folder| folder != Path::new("/"));
    let sockets = options.listen.iter().chain(&options.listen_proxy).filter_map(|address| match address {
        Address::Unix(path) => Some(folder_or_here(path)),
        Address::Tcp(_) => None,
    });
    let named = options.sites.iter().map(|(_, path)| folder_or_here(path));
    Folders { read: named.chain(targets).chain(beside_links).collect(), remove_from: sockets.collect() }
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

/// Tells of a panic, without a backtrace: that doesn't fit on the stack of a coroutine. In a coroutine a panic costs one
/// connection; a thread that ends would leave the server deaf, so then the process ends.
fn report_panic(panic: &std::panic::PanicHookInfo<'_>) {
    if may::coroutine::is_coroutine() {
        // The connection knows which request it was.
        return panics::remember(panic);
    }
    eprintln!("kilnd: {panic}");
    std::process::abort();
}

/// Tells whoever watches the server.
fn report(message: &str) {
    eprintln!("kilnd: {message}");
}

/// Takes as many descriptors as the system allows, and limits connections by that where no flag does.
fn set_connection_limits(options: &mut ServeOptions) {
    let descriptor_count = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((_, hard)) if setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() => hard,
        Ok((soft, _)) => soft,
        Err(_) => 1024,
    };
    let descriptor_count = usize::try_from(descriptor_count).unwrap_or(usize::MAX);
    options.limits.fit(options.connections_given, descriptor_count);
}
