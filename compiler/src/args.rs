//! The command line of `kiln`: what may be written there, and which command it calls.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::assets::APART_COMMAND;
use crate::commands::apart::work_apart;
use crate::commands::build::{BuildArguments, DiagnosticFormat, SummaryFormat, build, check};
use crate::commands::cache::{PruneArguments, parse_bytes, prune_cache};
use crate::commands::dev::{DevArguments, dev};
use crate::commands::doctor::doctor;
use crate::commands::export::export;
use crate::commands::inspect::{Question, inspect, inspect_difference};
use crate::commands::new::new;
use crate::commands::post::post;
use crate::commands::{Failure, Report, documents, signals, urls};
use crate::watch::Method;

static VERSION: LazyLock<String> = LazyLock::new(|| bundle::program_version(env!("CARGO_PKG_VERSION")));

/// Compiles a website into one immutable file that kilnd serves from memory.
#[derive(Parser, Debug)]
#[command(name = "kiln", version = VERSION.as_str(), max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Make a new folder with a working site
    New {
        /// The folder, which must be new or empty
        dir: PathBuf,
    },
    /// Compile the site into dist/site.bundle
    Build(BuildFlags),
    /// Verify everything that a build verifies, and write nothing
    Check(CheckFlags),
    /// Look after the folder of earlier results, .kiln/cache
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Serve the site while it is written, from memory, drafts included
    Dev(DevFlags),
    /// Show what this machine has, and what the site needs of it
    Doctor {
        /// The site's folder
        #[arg(long, value_name = "DIR", default_value = ".")]
        site: PathBuf,
    },
    /// Show what is in a bundle
    Inspect {
        /// The bundle
        #[arg(required_unless_present = "diff", conflicts_with = "diff")]
        bundle: Option<PathBuf>,
        /// A URL path: show its response heads
        path: Option<String>,
        /// Only verify that the bundle is whole
        #[arg(long, conflicts_with_all = ["path", "diff"])]
        verify: bool,
        /// Show what differs between two bundles
        #[arg(long, num_args = 2, value_names = ["OLD", "NEW"])]
        diff: Vec<PathBuf>,
        /// Show the difference as one JSON object
        #[arg(long, requires = "diff")]
        json: bool,
    },
    /// Begin a post, named after its title and dated today
    Post {
        /// The title
        title: String,
        /// The site's folder
        #[arg(long, value_name = "DIR", default_value = ".")]
        site: PathBuf,
    },
    /// Print a script that completes this command line in a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one for each command into a folder
    Man {
        /// The folder
        dir: Option<PathBuf>,
    },
    /// Keep the list of all URLs that were ever published, urls.lock
    Urls {
        #[command(subcommand)]
        command: UrlsCommand,
    },
    /// Do work on style sheets and scripts that a build hands over, and that may not end
    #[command(name = APART_COMMAND, hide = true)]
    WorkApart,
    /// Write a bundle's content into a plain folder, for any static host
    Export {
        /// The bundle
        bundle: PathBuf,
        /// The folder, which must be new or empty
        dir: PathBuf,
    },
}

#[derive(Subcommand, Debug)]
enum CacheCommand {
    /// Remove the results that nobody used for longest; they are made again when they are needed
    Prune {
        /// The site's folder
        #[arg(long, value_name = "DIR", default_value = ".")]
        site: PathBuf,
        /// Leave no more bytes than this; K, M and G are units
        #[arg(long, value_name = "N", default_value = "1G", value_parser = parse_bytes)]
        max_bytes: u64,
        /// Remove whatever wasn't used for so many days
        #[arg(long, value_name = "DAYS")]
        unused_days: Option<u32>,
    },
}

#[derive(Subcommand, Debug)]
enum UrlsCommand {
    /// Record every URL that the site publishes now
    Accept {
        /// The site's folder
        #[arg(long, value_name = "DIR", default_value = ".")]
        site: PathBuf,
    },
    /// Add the URLs of an old site's sitemap
    Import {
        /// The sitemap, a file
        sitemap: PathBuf,
        /// The site's folder
        #[arg(long, value_name = "DIR", default_value = ".")]
        site: PathBuf,
    },
}

#[derive(Args, Debug)]
struct SiteFlags {
    /// The site's folder
    #[arg(long, value_name = "DIR", default_value = ".")]
    site: PathBuf,
    /// Scheme and host for absolute URLs, instead of `base_url` in site.toml
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Build drafts too
    #[arg(long)]
    drafts: bool,
    /// Build pages dated after today too
    #[arg(long)]
    future: bool,
    /// Show at most this many diagnostics to a person; 0 shows all
    #[arg(long, value_name = "N", default_value_t = 50)]
    error_limit: usize,
    /// Fail for warnings too
    #[arg(long)]
    warnings_as_errors: bool,
    /// Worker threads; 0 takes one for each core
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
}

#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct BuildFlags {
    #[command(flatten)]
    site: SiteFlags,
    /// The folder to write, below the site's own unless it is absolute
    #[arg(long, value_name = "DIR", default_value = "dist")]
    out: PathBuf,
    /// The bundle that is being served: its digested assets are carried along
    #[arg(long, value_name = "BUNDLE")]
    previous: Option<PathBuf>,
    /// Name assets without their digests
    #[arg(long)]
    plain_names: bool,
    /// Make no gzip and Brotli variants
    #[arg(long)]
    no_compress: bool,
    /// Record what is published in urls.lock, as `kiln urls accept` does
    #[arg(long, conflicts_with_all = ["drafts", "future"])]
    lock: bool,
    /// Print no summary
    #[arg(long)]
    quiet: bool,
    /// Print the summary as one JSON object
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
}

#[derive(Args, Debug)]
struct CheckFlags {
    #[command(flatten)]
    site: SiteFlags,
    /// How diagnostics are shown
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct DevFlags {
    /// The site's folder
    #[arg(long, value_name = "DIR", default_value = ".")]
    site: PathBuf,
    /// Watch the sources, and have open pages show every change at once
    #[arg(long)]
    watch: bool,
    /// Look for changes again and again, for file systems that tell of none; implies --watch
    #[arg(long)]
    poll: bool,
    /// Without --watch: serve a page for so long before its sources are looked at; 0 looks at every request
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    interval: u64,
    /// Where to listen; beyond this machine only if you say so here
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Open the site in a browser
    #[arg(long)]
    open: bool,
    /// Another host name by which the server may be asked
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Leave out drafts and pages dated after today
    #[arg(long)]
    no_drafts: bool,
    /// Scheme and host for absolute URLs, instead of `base_url` in site.toml
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
}

impl DevFlags {
    fn into_arguments(self, colours: bool) -> DevArguments {
        let watch = if self.poll { Some(Method::Poll) } else { self.watch.then_some(Method::Notice) };
        DevArguments {
            site: self.site,
            listen: self.listen,
            watch,
            interval_ms: self.interval,
            opens_browser: self.open,
            allowed_hosts: self.allow_host,
            shows_unfinished: !self.no_drafts,
            base_url: self.base_url,
            colours,
        }
    }
}

#[derive(Clone, Copy, ValueEnum, Debug)]
enum Format {
    /// With their source lines, on standard error
    Human,
    /// One object a line, on standard output
    Json,
    /// Workflow commands, which GitHub Actions shows in a pull request
    Github,
    /// A SARIF 2.1.0 log, for code scanning
    Sarif,
}

impl SiteFlags {
    fn into_arguments(self) -> BuildArguments {
        BuildArguments {
            site: self.site,
            base_url: self.base_url,
            drafts: self.drafts,
            future: self.future,
            error_limit: self.error_limit,
            warnings_as_errors: self.warnings_as_errors,
            job_count: self.jobs,
            ..BuildArguments::default()
        }
    }
}

/// Runs the command that was asked for. `colours` says whether standard error is a terminal that shows them.
///
/// # Errors
/// Why it failed, with the exit status.
pub fn run(arguments: Arguments, colours: bool) -> Result<Report, Failure> {
    signals::end_programs_at_signals();
    match arguments.command {
        Command::New { dir } => new(&dir).map(Report::result),
        Command::Build(flags) => {
            let summary = match (flags.quiet, flags.json) {
                (true, _) => SummaryFormat::Quiet,
                (false, true) => SummaryFormat::Json,
                (false, false) => SummaryFormat::Human,
            };
            build(&BuildArguments {
                out: flags.out,
                previous: flags.previous,
                plain_names: flags.plain_names,
                compress: !flags.no_compress,
                lock: flags.lock,
                summary,
                colours,
                ..flags.site.into_arguments()
            })
        }
        Command::Check(flags) => {
            let diagnostics = match flags.format {
                Format::Human => DiagnosticFormat::Human,
                Format::Json => DiagnosticFormat::Json,
                Format::Github => DiagnosticFormat::GitHub,
                Format::Sarif => DiagnosticFormat::Sarif,
            };
            check(&BuildArguments { diagnostics, colours, ..flags.site.into_arguments() })
        }
        Command::Cache(CacheCommand::Prune { site, max_bytes, unused_days }) => {
            prune_cache(&PruneArguments { site, bytes_max: max_bytes, unused_days_max: unused_days })
        }
        Command::Dev(flags) => dev(flags.into_arguments(colours)).map(|()| Report::default()),
        Command::Doctor { site } => doctor(&site),
        Command::Inspect { diff, json, .. } if !diff.is_empty() => {
            inspect_difference(&diff[0], &diff[1], json).map(Report::result)
        }
        Command::Post { title, site } => post(&title, &site),
        Command::Completions { shell } => Ok(documents::completions(shell, Arguments::command())),
        Command::Man { dir } => documents::man(Arguments::command(), dir.as_deref()),
        Command::Inspect { bundle, path, verify, .. } => {
            let question = match path {
                Some(path) => Question::Path(path),
                None if verify => Question::Verify,
                None => Question::Routes,
            };
            inspect(&bundle.unwrap_or_default(), &question).map(Report::result)
        }
        Command::Urls { command: UrlsCommand::Accept { site } } => {
            urls::accept(&BuildArguments { site, colours, lock: true, ..BuildArguments::default() })
        }
        Command::Urls { command: UrlsCommand::Import { sitemap, site } } => urls::import(&site, &sitemap),
        Command::WorkApart => work_apart(),
        Command::Export { bundle, dir } => export(&bundle, &dir),
    }
}
