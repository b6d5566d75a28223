//! `kiln completions` and `kiln man`: what the command line says of itself, for shells and for packagers.

use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Failure, Report};
use crate::output::write_text;

/// A script that completes the command line in a shell.
pub fn completions(shell: Shell, mut command: Command) -> Report {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut script);
    Report::result(String::from_utf8_lossy(&script).into_owned())
}

/// The manual page of the whole program, or in a folder one of each command as well (`kiln-build.1`).
///
/// # Errors
/// A page can't be written.
pub fn man(mut command: Command, folder: Option<&Path>) -> Result<Report, Failure> {
    command.build();
    let Some(folder) = folder else { return Ok(Report::result(page(&command)?)) };
    let mut waiting = vec![command];
    let mut count = 0;
    while let Some(command) = waiting.pop() {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
        write_text(&folder.join(format!("{name}.1")), &page(&command)?)?;
        count += 1;
        let is_for_people = |command: &&Command| command.get_name() != "help" && !command.is_hide_set();
        waiting.extend(command.get_subcommands().filter(is_for_people).cloned());
    }
    Ok(Report::result(format!("{count} manual pages in {}\n", folder.display())))
}

fn page(command: &Command) -> Result<String, Failure> {
    let mut page = Vec::new();
    let rendered = Man::new(command.clone()).render(&mut page);
    rendered.map_err(|error| Failure::Io(format!("can't write a manual page: {error}")))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
