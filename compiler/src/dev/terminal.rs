//! What the development server tells whoever started it: a line for each change, and what is wrong.

use std::io::Write as _;

use crate::diagnostic::Paint;

/// Where lines go: standard error, or nowhere.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// Whether diagnostics are drawn with colours.
    pub paint: Paint,
    /// Whether anything is said at all.
    pub is_quiet: bool,
}

impl Terminal {
    /// Says a line.
    pub fn say(self, line: &str) {
        self.write(&format!("kiln: {line}\n"));
    }

    /// Shows diagnostics as they were drawn.
    pub fn show(self, drawn: &str) {
        self.write(drawn);
    }

    fn write(self, text: &str) {
        if !self.is_quiet {
            // Whoever closed the terminal doesn't want to know.
            drop(std::io::stderr().lock().write_all(text.as_bytes()));
        }
    }
}
