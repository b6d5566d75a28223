//! The command line of `kilnd`. It reads words into options and opens nothing.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::access_log::LogFormat;
use crate::http::proxy::AddressRange;
use crate::limits::{GENERATIONS_KEPT, Limits};
use crate::listener::{Address, PortUse};
use crate::probe::ProbeTarget;
use crate::site::{UnknownHost, host_name};

/// What `kilnd` is asked to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Serve a bundle.
    Serve(ServeOptions),
    /// Ask a server whether it is well.
    Probe(ProbeTarget),
    /// Check a bundle and put it in place.
    Install {
        /// The bundle.
        new: PathBuf,
        /// Where it goes.
        path: PathBuf,
    },
    /// Show how it is used.
    Help,
    /// Show the version.
    Version,
}

/// How to serve.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServeOptions {
    /// For each site its host name and its bundle; not empty.
    pub sites: Vec<(String, PathBuf)>,
    /// What becomes of a request for another host.
    pub unknown_host: UnknownHost,
    /// Earlier bundles of a site whose digested files still answer.
    pub generations_kept: usize,
    /// Where to listen. If this is empty and so is the next, a service manager may have opened sockets.
    pub listen: Vec<Address>,
    /// Where to listen for proxies, which begin each connection with a `PROXY` header.
    pub listen_proxy: Vec<Address>,
    /// Where to listen if neither is said.
    pub default_listen: Address,
    /// Whether the ports may be shared.
    pub port_use: PortUse,
    /// The bounds.
    pub limits: Limits,
    /// Whether `limits.connections_max` was given.
    pub connections_given: bool,
    /// How each answer is logged to standard output, if at all.
    pub access_log: Option<LogFormat>,
    /// Proxies that are believed when they say who asks.
    pub trusted_proxies: Vec<AddressRange>,
    /// Whether each connection begins with a `PROXY` header, wherever it comes in.
    pub begins_with_proxy_header: bool,
    /// Whether to go without a sandbox.
    pub confinement: Confinement,
    /// Worker threads; 0 is one for each processor.
    pub worker_count: usize,
}

/// What the process gives up after its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Confinement {
    /// Everything that it doesn't need, where the kernel allows that.
    Sandbox,
    /// Nothing.
    None,
}

/// What `--help` prints.
pub const HELP: &str = "\
kilnd serves a Kiln bundle.

usage: kilnd BUNDLE [OPTIONS]
       kilnd --site HOST=BUNDLE [--site HOST=BUNDLE ...] [OPTIONS]
       kilnd probe URL            exit status 0 if http://ADDRESS[:PORT][/PATH] is healthy, else 1
       kilnd install NEW PATH     check the bundle NEW and put it at PATH, at once

  --listen ADDRESS          where to listen: 127.0.0.1:8080, [::1]:8080 or unix:PATH; more than once
                            [default: 127.0.0.1:8080; with PORT in the environment 0.0.0.0:$PORT]
  --listen-proxy ADDRESS    the same for proxies that begin each connection with the PROXY protocol, version 1
                            or 2
  --reuse-port              let other processes listen at the same port
  --site HOST=BUNDLE        serve a bundle for a host name; more than once, the first for unknown hosts too
  --strict-host             answer 421 for unknown hosts
  --keep-generations COUNT  earlier bundles whose digested files still answer after a new one [default: 2]
  --header-timeout SECONDS  time for a whole request head, and for a whole body [default: 10]
  --idle-timeout SECONDS    time between requests [default: 60]
  --write-timeout SECONDS   time without progress of a write [default: 30]
  --drain-timeout SECONDS   time for requests under way when the server stops [default: 8]
  --max-head BYTES          length of a request head [default: 32768]
  --max-request-line BYTES  length of its first line [default: 8192]
  --max-fields COUNT        fields in it [default: 100]
  --max-body BYTES          length of a request body, which is thrown away [default: 65536]
  --max-requests COUNT      requests on one connection, 0 for no limit [default: 0]
  --max-connections COUNT   connections at a time [default: what the descriptor limit leaves]
  --max-per-address COUNT   connections of one address at a time, 0 for no limit [default: a quarter of
                            all, and no limit for this machine itself]
  --access-log FORMAT       log each answer to standard output: common, combined, json or off [default: off]
  --workers COUNT           worker threads [default: one for each processor]
  --trust-proxy RANGE       believe X-Forwarded-For, -Proto and -Host of these addresses, such as 10.0.0.0/8,
                            or of Unix sockets' clients (unix:); more than once
  --proxy-protocol          expect the PROXY protocol wherever the server listens
  --no-sandbox              keep every system call, all files, new sockets and programs after the start
  --help, --version

The bundle is looked at every second and replaced without a failed request when a new one is put in its place;
SIGHUP has it loaded again at once. SIGTERM and SIGINT end the server when the requests under way are answered.
With ADMIN_USERNAME and ADMIN_PASSWORD in the environment, /admin is there, behind them.
";

/// Reads the words after the program's name. `port` is the environment's `PORT`.
///
/// # Errors
/// What is wrong, for a person.
pub fn parse(words: impl IntoIterator<Item = OsString>, port: Option<&OsStr>) -> Result<Command, String> {
    let mut parser = lexopt::Parser::from_args(words);
    let mut values = Vec::new();
    let mut options = ServeOptions {
        sites: Vec::new(),
        unknown_host: UnknownHost::FirstSite,
        generations_kept: GENERATIONS_KEPT,
        listen: Vec::new(),
        listen_proxy: Vec::new(),
        default_listen: Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 8080))),
        port_use: PortUse::Alone,
        limits: Limits::default(),
        connections_given: false,
        access_log: None,
        trusted_proxies: Vec::new(),
        begins_with_proxy_header: false,
        confinement: Confinement::Sandbox,
        worker_count: 0,
    };
    let mut has_options = false;
    while let Some(argument) = parser.next().map_err(message)? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Short('V') | Long("version") => return Ok(Command::Version),
            Long(name) => {
                has_options = true;
                let name = name.to_owned();
                set_option(&mut options, &name, &mut parser)?;
            }
            Value(value) => values.push(value),
            other @ Short(_) => return Err(message(other.unexpected())),
        }
    }
    let words = values.iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>();
    match &words.iter().map(AsRef::as_ref).collect::<Vec<&str>>()[..] {
        ["probe" | "install", ..] if has_options => return Err(format!("`{}` takes no options", words[0])),
        ["probe", url] => {
            let target = ProbeTarget::parse(url).map_err(|help| format!("`{url}` can't be probed: {help}"))?;
            return Ok(Command::Probe(target));
        }
        ["install", _, _] => {
            let path = |index: usize| PathBuf::from(&values[index]);
            return Ok(Command::Install { new: path(1), path: path(2) });
        }
        [command @ ("probe" | "install"), arguments @ ..] => return Err(wrong_arguments(command, arguments)),
        [] if options.sites.is_empty() => {
            return Err("no bundle is named: `kilnd BUNDLE`, or `kilnd --help`".to_owned());
        }
        [] => {}
        [_] => options.sites.insert(0, (String::new(), PathBuf::from(&values[0]))),
        [bundle, extra, ..] => {
            return Err(format!(
                "`{bundle}` is taken for the bundle, and `{extra}` is one word too many: `kilnd BUNDLE`"
            ));
        }
    }
    if options.unknown_host == UnknownHost::Misdirected && options.sites.iter().all(|(host, _)| host.is_empty()) {
        return Err("`--strict-host` would refuse every host: name those there are, `--site HOST=BUNDLE`".to_owned());
    }
    options.default_listen = default_address(port)?;
    Ok(Command::Serve(options))
}

/// What is missing after a command, or too much.
fn wrong_arguments(command: &str, arguments: &[&str]) -> String {
    let usage = if command == "probe" { "`kilnd probe URL`" } else { "`kilnd install NEW PATH`" };
    let problem = match (command, arguments) {
        ("probe", []) => "needs the URL to ask".to_owned(),
        ("install", []) => "needs the bundle and the path where it goes".to_owned(),
        ("install", [new]) => format!("needs the path where `{new}` goes"),
        ("probe", [_, extra, ..]) | (_, [_, _, extra, ..]) => format!("has one word too many, `{extra}`"),
        _ => "can't be understood".to_owned(),
    };
    format!("`{command}` {problem}: {usage}")
}

fn set_option(options: &mut ServeOptions, name: &str, parser: &mut lexopt::Parser) -> Result<(), String> {
    let limits = &mut options.limits;
    match name {
        "listen" => options.listen.push(read_address(parser)?),
        "listen-proxy" => options.listen_proxy.push(read_address(parser)?),
        "reuse-port" => options.port_use = PortUse::Shared,
        "site" => {
            let text = parser.value().map_err(message)?.to_string_lossy().into_owned();
            let (host, path) = text
                .split_once('=')
                .filter(|(host, path)| !host.is_empty() && !path.is_empty())
                .ok_or_else(|| format!("`--site {text}`: a host name, `=` and a bundle must follow"))?;
            if host_name(host.as_bytes()).len() < host.len() {
                return Err(format!("`--site {text}`: a site answers at every port, so its host's name stands alone"));
            }
            options.sites.push((host.to_owned(), path.into()));
        }
        "strict-host" => options.unknown_host = UnknownHost::Misdirected,
        "keep-generations" => options.generations_kept = read_count(name, parser, 0)?,
        "header-timeout" => limits.header_timeout_ms = read_seconds(name, parser)?,
        "idle-timeout" => limits.idle_timeout_ms = read_seconds(name, parser)?,
        "write-timeout" => limits.write_timeout_ms = read_seconds(name, parser)?,
        "drain-timeout" => limits.drain_timeout_ms = read_seconds(name, parser)?,
        "max-head" => limits.head_bytes_max = read_count(name, parser, 64)?,
        "max-request-line" => limits.request_line_bytes_max = read_count(name, parser, 16)?,
        "max-fields" => limits.field_count_max = read_count(name, parser, 1)?,
        "max-body" => limits.body_bytes_max = read_count(name, parser, 0)?,
        "max-requests" => limits.requests_max = read_count(name, parser, 0)?,
        "max-connections" => {
            limits.connections_max = read_count(name, parser, 1)?;
            options.connections_given = true;
        }
        "max-per-address" => {
            limits.connections_per_address_max = read_count(name, parser, 0)?;
            limits.caps_loopback = true;
        }
        "access-log" => {
            let text = parser.value().map_err(message)?;
            let text = text.to_string_lossy();
            let parsed = (text != "off").then(|| text.parse()).transpose();
            options.access_log = parsed.map_err(|help| format!("`--access-log {text}`: {help}, or `off`"))?;
        }
        "trust-proxy" => {
            let text = parser.value().map_err(message)?;
            let parsed = text.to_string_lossy().parse();
            let parsed = parsed.map_err(|help| format!("`--trust-proxy {}`: {help}", text.to_string_lossy()))?;
            options.trusted_proxies.push(parsed);
        }
        "proxy-protocol" => options.begins_with_proxy_header = true,
        "no-sandbox" => options.confinement = Confinement::None,
        "workers" => options.worker_count = read_count(name, parser, 1)?,
        _ => return Err(format!("`--{name}` is no option; see `kilnd --help`")),
    }
    Ok(())
}

fn read_address(parser: &mut lexopt::Parser) -> Result<Address, String> {
    let text = parser.value().map_err(message)?;
    let text = text.to_string_lossy();
    text.parse().map_err(|help| format!("`{text}` is no address: {help}"))
}

/// A whole number of at least `min`.
fn read_count<N: std::str::FromStr + PartialOrd + std::fmt::Display + Copy>(
    name: &str,
    parser: &mut lexopt::Parser,
    min: N,
) -> Result<N, String> {
    let text = parser.value().map_err(message)?;
    let number = text.to_str().and_then(|text| text.parse().ok()).filter(|number| *number >= min);
    number.ok_or_else(|| format!("`--{name} {}`: a whole number of at least {min} must follow", text.to_string_lossy()))
}

/// Seconds, which may have a fraction, in milliseconds.
fn read_seconds(name: &str, parser: &mut lexopt::Parser) -> Result<u64, String> {
    const YEAR_MS: u64 = 365 * 86_400_000;
    let text = parser.value().map_err(message)?;
    let ms = text.to_str().and_then(parse_ms).filter(|ms| (1..=YEAR_MS).contains(ms));
    ms.ok_or_else(|| {
        format!("`--{name} {}`: a number of seconds above 0 must follow, and at most a year", text.to_string_lossy())
    })
}

/// `1.5` to 1500; what is less than a millisecond is left out.
fn parse_ms(seconds: &str) -> Option<u64> {
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    if ![whole, fraction].iter().all(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())) {
        return None;
    }
    let thousandths = format!("{fraction:0<3}").get(..3)?.parse::<u64>().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(thousandths)
}

/// Where to listen when nobody says: for everyone where a platform hands out the port, else for this machine.
fn default_address(port: Option<&OsStr>) -> Result<Address, String> {
    let text = match port {
        Some(port) => format!("0.0.0.0:{}", port.to_string_lossy()),
        None => "127.0.0.1:8080".to_owned(),
    };
    text.parse().map_err(|_| format!("the environment's `PORT` is no port: `{text}`"))
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn message(error: lexopt::Error) -> String {
    format!("{error}; see `kilnd --help`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str, port: Option<&str>) -> Result<Command, String> {
        parse(words.split_whitespace().map(OsString::from), port.map(OsStr::new))
    }

    fn served(words: &str, port: Option<&str>) -> ServeOptions {
        match parsed(words, port) {
            Ok(Command::Serve(options)) => options,
            other => panic!("{words}: {other:?}"),
        }
    }

    #[test]
    fn a_platform_that_sets_port_is_listened_to_and_a_flag_comes_first() {
        // Container platforms probe 0.0.0.0:$PORT; everybody else must not be exposed.
        let default = |words: &str, port| served(words, port).default_listen.to_string();
        assert_eq!(default("a.bundle", None), "127.0.0.1:8080");
        assert_eq!(default("a.bundle", Some("80")), "0.0.0.0:80");
        assert_eq!(served("a.bundle --listen [::1]:1", Some("80")).listen, ["[::1]:1".parse().unwrap()]);
        assert!(parsed("a.bundle", Some("http")).is_err());
    }

    #[test]
    fn every_option_is_read_in_its_unit() {
        let words = "--header-timeout 1.5 a.bundle --idle-timeout=2 --write-timeout 3 --drain-timeout 4 --max-head 128 \
                     --max-request-line 64 --max-fields 5 --max-body 0 --max-requests 7 --max-connections 8 --max-per-address 9 --workers 2 --access-log json --trust-proxy 10.0.0.0/8 --proxy-protocol --no-sandbox --keep-generations 3 --strict-host \
                     --reuse-port --site b.example=b.bundle --listen 127.0.0.1:1 --listen unix:/x --listen-proxy [::1]:2";
        let options = served(words, None);
        let limits = Limits {
            head_bytes_max: 128,
            request_line_bytes_max: 64,
            field_count_max: 5,
            body_bytes_max: 0,
            header_timeout_ms: 1_500,
            idle_timeout_ms: 2_000,
            write_timeout_ms: 3_000,
            drain_timeout_ms: 4_000,
            requests_max: 7,
            connections_max: 8,
            connections_per_address_max: 9,
            caps_loopback: true,
        };
        let sites = [("", "a.bundle"), ("b.example", "b.bundle")];
        let expected = ServeOptions {
            sites: sites.map(|(host, path)| (host.to_owned(), path.into())).to_vec(),
            unknown_host: UnknownHost::Misdirected,
            generations_kept: 3,
            listen: vec!["127.0.0.1:1".parse().unwrap(), "unix:/x".parse().unwrap()],
            listen_proxy: vec!["[::1]:2".parse().unwrap()],
            default_listen: "127.0.0.1:8080".parse().unwrap(),
            port_use: PortUse::Shared,
            limits,
            connections_given: true,
            access_log: Some(LogFormat::Json),
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            begins_with_proxy_header: true,
            confinement: Confinement::None,
            worker_count: 2,
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn a_wrong_command_line_names_the_culprit() {
        for (words, culprit) in [
            ("", "BUNDLE"),
            ("a b", "`b`"),
            ("serve x.bundle", "`serve` is taken for the bundle, and `x.bundle` is one word too many"),
            ("probe", "needs the URL"),
            ("probe http://127.0.0.1 b", "`b`"),
            ("probe http://example.com", "example.com"),
            ("install", "needs the bundle and the path"),
            ("install a", "needs the path where `a` goes"),
            ("install a b c", "`c`"),
            ("install a b --workers 1", "no options"),
            ("--site a.bundle", "a.bundle"),
            ("--site a:8080=a.bundle", "stands alone"),
            ("a --strict-host", "--site HOST=BUNDLE"),
            ("a --nope", "--nope"),
            ("a --listen here", "here"),
            ("a --listen-proxy there", "there"),
            ("a --idle-timeout 0", "--idle-timeout 0"),
            ("a --idle-timeout 0.0009", "--idle-timeout 0.0009"),
            ("a --idle-timeout 1e3", "--idle-timeout 1e3"),
            ("a --idle-timeout 31536000.001", "--idle-timeout 31536000.001"),
            ("a --max-head 63", "at least 64"),
            ("a --workers", "workers"),
            ("a --access-log yes", "it is `common`, `combined` or `json`, or `off`"),
        ] {
            let said = parsed(words, None).expect_err(words);
            assert!(said.contains(culprit), "`{words}`: {said}");
        }
        assert_eq!(served("a --access-log json --access-log off", None).access_log, None);
        assert_eq!(parsed("a --help", None), Ok(Command::Help));
        assert_eq!(parsed("--version", None), Ok(Command::Version));
    }

    #[test]
    fn the_help_names_every_limit_with_its_default() {
        let limits = Limits::default();
        let sizes =
            [limits.head_bytes_max, limits.request_line_bytes_max, limits.field_count_max].map(|size| size as u64);
        for number in sizes.into_iter().chain([limits.body_bytes_max, limits.idle_timeout_ms / 1000]) {
            assert!(HELP.contains(&format!("[default: {number}]")), "{number}");
        }
    }
}
