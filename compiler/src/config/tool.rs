//! `[[tools]]`: commands that run before the sources are read.

use super::{Glob, Reader};
use crate::diagnostic::Span;

/// How long a tool may take if `timeout_seconds` doesn't say. Guessed: a build that waits longer has hung.
pub const TOOL_TIMEOUT_SECONDS: u64 = 600;

/// How long a tool may take at most: a day.
const TOOL_TIMEOUT_SECONDS_MAX: u64 = 86_400;

/// A command that runs before the sources are read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tool {
    /// What messages call it.
    pub name: String,
    /// The program and its arguments; there is a program.
    pub command: Vec<String>,
    /// Which files it reads, from the site's root. Development runs it again when one of them changes.
    pub inputs: Vec<Glob>,
    /// It is ended after this long.
    pub timeout_seconds: u64,
    /// Where its command stands in `site.toml`.
    pub span: Span,
}

impl Tool {
    /// One table of `[[tools]]`, if it names a program.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut tool = Self {
            name: String::new(),
            command: Vec::new(),
            inputs: Vec::new(),
            timeout_seconds: TOOL_TIMEOUT_SECONDS,
            span: Span::default(),
        };
        reader.text("name", &mut tool.name);
        reader.list("command", &mut tool.command, |word| Ok(word.to_owned()));
        reader.list("inputs", &mut tool.inputs, |text| Ok(Glob::parse(text)));
        if let Some(seconds) = reader.number("timeout_seconds", 0..=TOOL_TIMEOUT_SECONDS_MAX) {
            tool.timeout_seconds = seconds;
        }
        let span = reader.table.get("command").map_or_else(|| reader.span.clone(), toml::Spanned::span);
        tool.span = Span::new(span.start, span.end);
        let program = tool.command.first().filter(|program| !program.is_empty());
        let Some(program) = program else {
            let help = "write `command = [\"program\", \"argument\"]`";
            reader.report(span, "a tool has no command".to_owned(), Some(help));
            return None;
        };
        if tool.name.is_empty() {
            tool.name.clone_from(program);
        }
        Some(tool)
    }

    /// Whether a file, by its path from the site's root, is among what the tool reads.
    pub fn reads(&self, path: &str) -> bool {
        self.inputs.iter().any(|glob| glob.matches(path))
    }
}
