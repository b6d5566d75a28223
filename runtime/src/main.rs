//! The `kilnd` command: words to actions, failures to one line on standard error and an exit status.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a command talks to its user")]

use std::path::Path;
use std::process::ExitCode;

use bundle::BundleView;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use runtime::args::{self, Command, ServeOptions};
use runtime::limits::DESCRIPTORS_KEPT;
use runtime::listener::Listener;
use runtime::mapped::MappedFile;
use runtime::server::Server;
use runtime::shutdown;
use runtime::site::{Site, SiteHandler};

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
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let (status, message) = failure.status_and_message();
            eprintln!("kilnd: {message}");
            ExitCode::from(status)
        }
    }
}

fn run() -> Result<(), Failure> {
    let port = std::env::var_os("PORT").filter(|port| !port.is_empty());
    match args::parse(std::env::args_os().skip(1), port.as_deref()).map_err(Failure::Usage)? {
        Command::Help => print!("{}", args::HELP),
        Command::Version => println!("kilnd {}", env!("CARGO_PKG_VERSION")),
        Command::Serve(options) => serve(options)?,
    }
    Ok(())
}

fn serve(mut options: ServeOptions) -> Result<(), Failure> {
    let site = open_site(&options.bundle)?;
    let descriptors = raise_descriptor_limit();
    if !options.connections_given {
        options.limits.connections_max = descriptors.saturating_sub(DESCRIPTORS_KEPT).max(1);
    }
    let listeners = options.listen.iter().map(|address| {
        Listener::bind(address).map_err(|error| Failure::System(format!("can't listen at `{address}`: {error}")))
    });
    let listeners = listeners.collect::<Result<Vec<_>, _>>()?;
    if options.worker_count > 0 {
        may::config().set_workers(options.worker_count);
    }
    let system = |error: std::io::Error| Failure::System(format!("can't serve: {error}"));
    let server = Server::new(SiteHandler::new(site), options.limits).map_err(system)?;
    shutdown::listen_to_signals(server.remote()).map_err(system)?;
    for listener in &listeners {
        eprintln!("kilnd: serving `{}` at {}", options.bundle.display(), listener.address());
    }
    server.run(listeners).map_err(system)
}

fn open_site(path: &Path) -> Result<Site<MappedFile>, Failure> {
    let shown = path.display();
    let file = MappedFile::open(path).map_err(|error| Failure::System(format!("can't read `{shown}`: {error}")))?;
    let view = BundleView::open(file).map_err(|error| Failure::Bundle(format!("`{shown}` is {error}")))?;
    Ok(Site::new(view))
}

/// Takes as many descriptors as the system allows; returns how many that is.
fn raise_descriptor_limit() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    let granted = if setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft };
    usize::try_from(granted).unwrap_or(usize::MAX)
}
