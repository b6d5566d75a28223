//! One table of `[[filters]]`.

use super::{Glob, Reader};

/// A command that turns blocks of code of one language into SVG or HTML.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    /// The word after the fence.
    pub language: String,
    /// The program and its arguments; there is a program.
    pub command: Vec<String>,
    /// Words of the command that may be files of the site, such as a script: what they hold makes another filter.
    pub own_files: Vec<Glob>,
}

impl Filter {
    /// One table, if it names a language and a program.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut filter = Self { language: String::new(), command: Vec::new(), own_files: Vec::new() };
        reader.text("language", &mut filter.language);
        reader.list("command", &mut filter.command, |word| Ok(word.to_owned()));
        let has_program = filter.command.first().is_some_and(|program| !program.is_empty());
        if filter.language.is_empty() || !has_program {
            let help = "write `language = \"mermaid\"` and `command = [\"program\", \"argument\"]`";
            reader.report(reader.span.clone(), "a filter has a language and a command".to_owned(), Some(help));
            return None;
        }
        let may_be_own = |word: &&String| !word.starts_with(['/', '-']);
        filter.own_files = filter.command.iter().filter(may_be_own).map(|word| Glob::parse(word)).collect();
        Some(filter)
    }
}
