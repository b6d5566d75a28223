//! `kiln doctor`: what this machine has, and what the site needs of it.

use std::fmt::Write as _;
use std::path::Path;

use super::memory::read_memory_bytes_max;
use super::{Failure, Report, TOOL_EXIT_STATUS};
use crate::assets::image::has_assembler;
use crate::config::{self, Config};
use crate::source::{self, SourceFile};
use crate::tools::tool::{Presence, look_for};

/// Looks for all that a build of the site would use.
///
/// # Errors
/// There is no such folder, or its `site.toml` can't be read.
pub fn doctor(site: &Path) -> Result<Report, Failure> {
    if !site.is_dir() {
        return Err(Failure::Usage(format!("there is no folder `{}`", site.display())));
    }
    let config = read_config(site)?;
    let mut text = format!("kiln {}\n", bundle::program_version(env!("CARGO_PKG_VERSION")));
    let cores = std::thread::available_parallelism().map_or_else(|_| "unknown".to_owned(), |count| count.to_string());
    // What a build may use, which is less than the machine has where a container or `ulimit` says so.
    let memory = match read_memory_bytes_max() {
        u64::MAX => "unknown".to_owned(),
        bytes => format!("{} MiB", bytes / (1024 * 1024)),
    };
    let encoders = encoders();
    for (name, value) in [("cores", cores.as_str()), ("memory", &memory), ("encoders", &encoders)] {
        line(&mut text, name, value);
    }
    let mut is_missing = false;
    let tools = config.tools.iter().map(|tool| (tool.name.as_str(), &tool.command, "tools"));
    let filters = config.filters.iter().map(|filter| (filter.language.as_str(), &filter.command, "filters"));
    for (name, command, key) in tools.chain(filters) {
        let program = command.first().map_or("", String::as_str);
        let found = match look_for(program, site) {
            Presence::There(version) if version.is_empty() => format!("`{program}` is there"),
            Presence::There(version) => format!("`{program}` is there: {version}"),
            Presence::Missing => {
                is_missing = true;
                format!("`{program}` is missing: `[[{key}]]` in {} names it", config::FILE_NAME)
            }
        };
        line(&mut text, name, &found);
    }
    let exit_status = if is_missing { TOOL_EXIT_STATUS } else { 0 };
    Ok(Report { result: text, exit_status, ..Report::default() })
}

/// How fast this program's own encoders of images are.
fn encoders() -> String {
    // That of WebP is C with the instructions that every machine of the architecture has.
    let webp = match std::env::consts::ARCH {
        "x86_64" => "WebP with SSE2",
        "aarch64" => "WebP with NEON",
        _ => "WebP",
    };
    if has_assembler() {
        return format!("AVIF and JPEG with assembler, {webp}");
    }
    format!(
        "AVIF without assembler, which takes about three times as long; build kiln with nasm there and `--features asm`; {webp}"
    )
}

fn line(text: &mut String, name: &str, value: &str) {
    writeln!(text, "  {name:<12} {value}").expect("writing to a string can't fail");
}

/// The site's settings as far as they can be read: what is wrong with them, `kiln check` says.
fn read_config(site: &Path) -> Result<Config, Failure> {
    let Some(bytes) = source::read_file_if_there(&site.join(config::FILE_NAME))? else { return Ok(Config::default()) };
    let file = SourceFile { path: config::FILE_NAME.into(), name: config::FILE_NAME.into(), bytes: bytes.into() };
    let text = file.to_text().map_err(|mistake| Failure::Site(mistake.message))?;
    Ok(Config::parse(&text).0)
}
