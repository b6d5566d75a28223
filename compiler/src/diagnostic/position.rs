//! Byte offsets to lines and columns, fast in any file: one of a million lines, or one line of 50 MB.

use super::Span;

/// Bytes between two remembered positions. Guessed: a look-up counts at most this many bytes.
const STEP_BYTES: usize = 1024;

/// A place as people and editors name it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Position {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
}

/// Finds the position of any byte of one text.
#[derive(Debug)]
pub struct Positions<'a> {
    text: &'a str,
    /// One for each `STEP_BYTES`, moved forward to a character's beginning.
    remembered: Vec<(usize, Position)>,
}

impl<'a> Positions<'a> {
    /// Reads the text once.
    pub fn new(text: &'a str) -> Self {
        let mut position = Position { line: 1, column: 1 };
        let mut offset = 0;
        let mut remembered = Vec::with_capacity(text.len() / STEP_BYTES + 1);
        loop {
            remembered.push((offset, position));
            if text.len() - offset <= STEP_BYTES {
                return Self { text, remembered };
            }
            let next = text.ceil_char_boundary(offset + STEP_BYTES);
            position = advance(position, &text[offset..next]);
            offset = next;
        }
    }

    /// The text itself.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The position of a byte; beyond the text, of its end.
    pub fn find(&self, offset: usize) -> Position {
        let offset = self.text.floor_char_boundary(offset);
        let index = self.remembered.partition_point(|(start, _)| *start <= offset) - 1;
        let (start, position) = self.remembered[index];
        advance(position, &self.text[start..offset])
    }

    /// The lines that a span touches, without the last one's end.
    pub fn lines(&self, span: Span) -> Span {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.floor_char_boundary(span.end.max(span.start));
        let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = self.text[end..].find('\n').map_or(self.text.len(), |at| end + at);
        Span::new(line_start, line_end)
    }
}

fn advance(from: Position, text: &str) -> Position {
    match text.rfind('\n') {
        None => Position { column: from.column + text.chars().count(), ..from },
        Some(last) => Position {
            line: from.line + text.bytes().filter(|byte| *byte == b'\n').count(),
            column: text[last + 1..].chars().count() + 1,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        // Editors jump to what we print: a byte column would miss after the first accent.
        let positions = Positions::new("añb\n\tc");
        assert_eq!(positions.find(0), Position { line: 1, column: 1 });
        assert_eq!(positions.find(3), Position { line: 1, column: 3 });
        assert_eq!(positions.find(6), Position { line: 2, column: 2 });
        assert_eq!(positions.find(99), Position { line: 2, column: 3 });
    }

    #[test]
    fn remembered_positions_agree_with_counting() {
        // The index is an optimisation: it must never be seen.
        let text = "ñ".repeat(700) + "\n" + &"abc\n".repeat(900) + &"€".repeat(2000);
        let positions = Positions::new(&text);
        for (offset, _) in text.char_indices().step_by(37) {
            assert_eq!(positions.find(offset), advance(Position { line: 1, column: 1 }, &text[..offset]));
        }
    }
}
