//! The `kiln` command: the only place that prints and that ends the process.

use std::io::Write;
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};
use clap::Parser;
use compiler::args::{Arguments, run};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // `NO_COLOR` goes before `CLICOLOR_FORCE`; without either a terminal that can show them has them.
    let colours = AutoStream::choice(&std::io::stderr()) != ColorChoice::Never;
    match run(arguments, colours) {
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
