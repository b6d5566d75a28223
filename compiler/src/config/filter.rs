//! One table of `[[filters]]`.

use super::Reader;

/// A command that turns blocks of code of one language into SVG or HTML.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    /// The word after the fence.
    pub language: String,
    /// The program and its arguments; there is a program.
    pub command: Vec<String>,
}

impl Filter {
    /// One table, if it names a language and a program.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut filter = Self { language: String::new(), command: Vec::new() };
        reader.text("language", &mut filter.language);
        reader.list("command", &mut filter.command, |word| Ok(word.to_owned()));
        let has_program = filter.command.first().is_some_and(|program| !program.is_empty());
        if filter.language.is_empty() || !has_program {
            let help = "write `language = \"mermaid\"` and `command = [\"program\", \"argument\"]`";
            reader.report(reader.span.clone(), "a filter has a language and a command".to_owned(), Some(help));
            return None;
        }
        Some(filter)
    }
}
