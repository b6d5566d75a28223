//! The `kiln` command: the only place that prints and that ends the process.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use compiler::args::{Arguments, run};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match run(arguments, !no_colour && std::io::stderr().is_terminal()) {
        Ok(report) => {
            print(&mut std::io::stderr(), &report.messages);
            print(&mut std::io::stdout(), &report.result);
            ExitCode::from(report.exit_status)
        }
        Err(failure) => {
            print(&mut std::io::stderr(), &format!("error: {failure}\n"));
            ExitCode::from(failure.exit_status())
        }
    }
}

/// Prints a text. Whoever closed the other end of a pipe doesn't want it, and nobody is left to tell.
fn print(out: &mut impl Write, text: &str) {
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}
