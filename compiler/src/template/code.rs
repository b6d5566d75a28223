//! Finds the code in Markdown, in which no tag is read. It follows CommonMark's blocks line by line, as the lexer goes,
//! and knows no inline markup but code spans. Where it and the Markdown parser disagree, the parser is right: a tag
//! that turns out to stand in code is put back as it was written.

use std::collections::BTreeMap;

use super::element::{Elements, find_element_end};

/// Follows the blocks of a Markdown text, and of the texts nested in it.
#[derive(Debug)]
pub(super) struct CodeFinder<'a> {
    text: &'a str,
    /// The text, and each body or slot that is open in it, which is a text of its own.
    texts: Vec<Blocks>,
    runs: BacktickRuns,
    /// The beginning of a line that ends the paragraph before it, found while looking for the end of a code span.
    paragraph_end: usize,
    elements: Elements,
}

/// Where the lines of one Markdown text stand.
#[derive(Default, Debug)]
struct Blocks {
    containers: Containers,
    leaf: Leaf,
    /// The line is a heading or a row of a table, and no code span leaves it.
    is_one_line: bool,
    /// Columns that each line is moved to the left: a nested text may be indented as a whole.
    margin: usize,
}

/// What the innermost container ended with.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Leaf {
    /// Nothing that the next line could continue.
    #[default]
    Nothing,
    /// An item with nothing in it yet.
    EmptyItem,
    Paragraph,
    Table,
    Html(Html),
    /// A block of HTML that its last line has ended.
    HtmlEnd,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Container {
    Quote,
    /// A list item whose content begins this many columns further right.
    Item(usize),
}

/// The containers that are open, the innermost last.
#[derive(Default, Debug)]
struct Containers {
    all: Vec<Container>,
    /// Which of them are quotes.
    quotes: Vec<usize>,
}

impl Containers {
    fn push(&mut self, container: Container) {
        if container == Container::Quote {
            self.quotes.push(self.all.len());
        }
        self.all.push(container);
    }

    fn truncate(&mut self, count: usize) {
        self.all.truncate(count);
        self.quotes.truncate(self.quotes.partition_point(|index| *index < count));
    }

    /// How many of them the line continues; it is moved past their marks. What is blank continues every item and no
    /// quote, however many they are: with a look at each, many blank lines in a deep list would take for ever.
    fn count_continued(&self, line: &mut Line<'_>) -> usize {
        let mut is_blank = line.is_blank();
        for (index, container) in self.all.iter().enumerate() {
            if is_blank {
                let next_quote = self.quotes.partition_point(|quote| *quote < index);
                return self.quotes.get(next_quote).copied().unwrap_or(self.all.len());
            }
            let continues = match container {
                Container::Quote => line.skip_quote_mark(),
                Container::Item(width) => line.has_columns(*width) && line.skip_columns(*width),
            };
            if !continues {
                return index;
            }
            if *container == Container::Quote {
                is_blank = line.is_blank();
            }
        }
        self.all.len()
    }
}

/// What ends a block of HTML.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Html {
    BlankLine,
    Text(&'static str),
    /// `</pre>`, `</script>`, `</style>` or `</textarea>`
    RawElement,
}

impl<'a> CodeFinder<'a> {
    pub(super) fn new(text: &'a str, start: usize) -> Self {
        let blocks = Blocks::default();
        Self {
            text,
            texts: vec![blocks],
            runs: BacktickRuns::new(text, start),
            paragraph_end: start,
            elements: Elements::default(),
        }
    }

    /// A nested text begins here, in the middle of a line.
    pub(super) fn enter(&mut self, at: usize) {
        let margin = margin(&self.text[at..]);
        self.texts.push(Blocks { leaf: Leaf::Paragraph, margin, ..Blocks::default() });
    }

    /// The nested text ends, in the middle of a line.
    pub(super) fn leave(&mut self) {
        if self.texts.len() > 1 {
            self.texts.pop();
        }
        self.blocks().leaf = Leaf::Paragraph;
    }

    fn blocks(&mut self) -> &mut Blocks {
        self.texts.last_mut().expect("the outermost text is never left")
    }

    /// A line begins at `at`: where the code ends that begins with it, if it does.
    pub(super) fn begin_line(&mut self, at: usize) -> Option<usize> {
        let text = self.text;
        let blocks = self.blocks();
        let mut line = Line::new(text, at);
        line.skip_columns(blocks.margin);
        match blocks.leaf {
            Leaf::HtmlEnd => blocks.leaf = Leaf::Nothing,
            Leaf::EmptyItem => {
                blocks.leaf = Leaf::Nothing;
                let last = blocks.containers.all.len().saturating_sub(usize::from(line.is_blank()));
                blocks.containers.truncate(last);
            }
            _ => {}
        }
        let matched = blocks.containers.count_continued(&mut line);
        if matched < blocks.containers.all.len() {
            if blocks.in_paragraph() && !line.ends_lazy_paragraph() && !line.is_blank() {
                return None;
            }
            blocks.containers.truncate(matched);
            blocks.leaf = Leaf::Nothing;
        }
        if let Leaf::Html(end) = blocks.leaf {
            blocks.continue_html(end, &line);
            return None;
        }
        let next_line = line.next_line();
        let code_end = blocks.begin_blocks(line);
        if std::mem::take(&mut blocks.is_one_line) {
            self.paragraph_end = next_line;
        }
        code_end
    }

    /// Backticks begin at `at`: where the code span ends that begins with them, or where the backticks end.
    pub(super) fn read_backticks(&mut self, at: usize) -> usize {
        let length = self.text[at..].bytes().take_while(|byte| *byte == b'`').count();
        let after = at + length;
        let escaped = self.text[..at].bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1;
        if escaped {
            return at + 1;
        }
        if matches!(self.blocks().leaf, Leaf::Html(_) | Leaf::HtmlEnd) {
            return after;
        }
        if self.elements.hold(self.text, at) {
            return after;
        }
        match self.runs.find(length, after) {
            Some(close) if self.is_one_paragraph(after, close) => close + length,
            _ => after,
        }
    }

    /// A `<` that begins no tag stands at `at`.
    pub(super) fn note_element(&mut self, at: usize) {
        self.elements.note(self.text, at);
    }

    /// Whether no line between the two ends the paragraph.
    fn is_one_paragraph(&mut self, start: usize, end: usize) -> bool {
        if start < self.paragraph_end && self.paragraph_end <= end {
            return false;
        }
        let text = self.text;
        let mut at = start;
        while let Some(newline) = text[at..end].find('\n') {
            at += newline + 1;
            let blocks = self.blocks();
            let mut line = Line::new(text, at);
            line.skip_columns(blocks.margin);
            let is_lazy = blocks.containers.count_continued(&mut line) < blocks.containers.all.len();
            let begins_block = if is_lazy { line.ends_lazy_paragraph() } else { line.begins_block() };
            let next = &text[line.next_line()..line_end(text, line.next_line())];
            let begins_table = is_table_rule(line.rest()) || is_table_rule(next);
            if line.is_blank() || begins_block || begins_table {
                self.paragraph_end = at;
                return false;
            }
        }
        true
    }
}

/// The indentation of the first line that isn't blank, if the text begins with a line end.
pub(crate) fn margin(text: &str) -> usize {
    let rest = text.trim_start_matches([' ', '\t']);
    if !rest.starts_with('\n') {
        return 0;
    }
    let content = rest.trim_ascii_start();
    let line_start = text[..text.len() - content.len()].rfind('\n').map_or(0, |at| at + 1);
    Line::new(text, line_start).indent()
}

impl Blocks {
    fn in_paragraph(&self) -> bool {
        matches!(self.leaf, Leaf::Paragraph | Leaf::Table)
    }

    fn continue_html(&mut self, end: Html, line: &Line<'_>) {
        if end.is_in(line.rest()) {
            self.leaf = if end == Html::BlankLine { Leaf::Nothing } else { Leaf::HtmlEnd };
        }
    }

    /// Opens the containers and the block that begin on the line; where its code ends, if it begins code.
    fn begin_blocks(&mut self, mut line: Line<'_>) -> Option<usize> {
        // No mark before this byte begins a rule: a long line of marks isn't read again for each of them.
        let mut rule_broken_at = line.at;
        loop {
            if line.is_blank() {
                self.leaf = if self.leaf == Leaf::EmptyItem { Leaf::EmptyItem } else { Leaf::Nothing };
                return None;
            }
            let is_underline = line.rest().starts_with('=');
            let is_rule = rule_broken_at <= line.at
                && is_rule(line.rest(), &mut rule_broken_at, line.end)
                && (self.in_paragraph() || !is_underline);
            if line.indent() >= 4 {
                return if self.in_paragraph() { None } else { Some(line.next_line()) };
            }
            if line.skip_quote_mark() {
                self.containers.push(Container::Quote);
                self.leaf = Leaf::Nothing;
            } else if is_rule || is_heading(line.rest()) {
                self.leaf = Leaf::Nothing;
                self.is_one_line = true;
                return None;
            } else if let Some(width) = line.skip_list_mark(self.in_paragraph()) {
                self.containers.push(Container::Item(width));
                self.leaf = if line.is_blank() { Leaf::EmptyItem } else { Leaf::Nothing };
            } else if let Some(fence) = Fence::begin(line.rest()) {
                self.leaf = Leaf::Nothing;
                return Some(self.find_fence_end(fence, &line));
            } else {
                self.begin_leaf(&line);
                return None;
            }
        }
    }

    /// A line of a paragraph, of a table or of HTML.
    fn begin_leaf(&mut self, line: &Line<'_>) {
        let rest = line.rest();
        self.leaf = match Html::begin(rest, self.in_paragraph()) {
            Some(end) if end != Html::BlankLine && end.is_in(rest) => Leaf::HtmlEnd,
            Some(end) => Leaf::Html(end),
            None if self.leaf == Leaf::Table || self.leaf == Leaf::Paragraph && is_table_rule(rest) => Leaf::Table,
            None => Leaf::Paragraph,
        };
        self.is_one_line = self.leaf == Leaf::Table;
    }

    fn find_fence_end(&self, fence: Fence, first: &Line<'_>) -> usize {
        let text = first.text;
        let mut at = first.next_line();
        while at < text.len() {
            let mut line = Line::new(text, at);
            line.skip_columns(self.margin);
            if self.containers.count_continued(&mut line) < self.containers.all.len() {
                return at;
            }
            at = line.next_line();
            if line.indent() < 4 && fence.is_closed_by(line.rest()) {
                return at;
            }
        }
        text.len()
    }
}

/// A line that is being read, with columns counted as tabs have them.
struct Line<'a> {
    text: &'a str,
    at: usize,
    end: usize,
    column: usize,
}

impl<'a> Line<'a> {
    fn new(text: &'a str, at: usize) -> Self {
        Self { text, at, end: line_end(text, at), column: 0 }
    }

    fn rest(&self) -> &'a str {
        self.text[self.at..self.end].trim_start_matches([' ', '\t'])
    }

    fn is_blank(&self) -> bool {
        self.text[self.at..self.end].trim_ascii().is_empty()
    }

    /// Whether it would end a paragraph before it.
    fn begins_block(&self) -> bool {
        self.indent() < 4 && begins_block(self.rest())
    }

    /// The same where the line doesn't continue the containers of that paragraph.
    fn ends_lazy_paragraph(&self) -> bool {
        let begins_html = self.indent() < 4 && Html::begin(self.rest(), false).is_some();
        begins_html || self.begins_block() && !self.rest().starts_with('=')
    }

    fn next_line(&self) -> usize {
        (self.end + 1).min(self.text.len())
    }

    /// Columns of white space from here.
    fn indent(&self) -> usize {
        let mut column = self.column;
        for byte in self.text[self.at..self.end].bytes() {
            match byte {
                b' ' => column += 1,
                b'\t' => column += 4 - column % 4,
                _ => break,
            }
        }
        column - self.column
    }

    /// Whether so many columns of white space begin here.
    fn has_columns(&self, count: usize) -> bool {
        let white_space = self.text.as_bytes()[self.at..self.end].iter().take(count);
        let mut column = self.column;
        for byte in white_space {
            match byte {
                b' ' => column += 1,
                b'\t' => column += 4 - column % 4,
                _ => break,
            }
        }
        column - self.column >= count
    }

    /// Skips white space of at most so many columns. A tab that reaches further stays.
    fn skip_columns(&mut self, count: usize) -> bool {
        let target = self.column + count;
        while self.column < target {
            match self.text.as_bytes()[self.at..self.end].first() {
                Some(b' ') => self.column += 1,
                Some(b'\t') => self.column += 4 - self.column % 4,
                _ => break,
            }
            self.at += 1;
        }
        true
    }

    fn skip_quote_mark(&mut self) -> bool {
        let rest = self.rest();
        if self.indent() >= 4 || !rest.starts_with('>') {
            return false;
        }
        self.column += self.indent() + 1;
        self.at = self.end - rest.len() + 1;
        self.skip_columns(1)
    }

    /// The columns from the line's current place to the item's content.
    fn skip_list_mark(&mut self, in_paragraph: bool) -> Option<usize> {
        let rest = self.rest();
        let mark = list_mark(rest)?;
        let after = &rest[mark..];
        if in_paragraph && (after.trim_ascii().is_empty() || !(mark == 1 || rest.starts_with("1."))) {
            return None;
        }
        let before = self.column;
        self.column += self.indent() + mark;
        self.at = self.end - after.len();
        let blanks = self.indent();
        let skipped = if (1..=4).contains(&blanks) { blanks } else { 1 };
        let width = self.column - before + skipped;
        self.skip_columns(skipped);
        Some(width)
    }
}

#[derive(Clone, Copy)]
struct Fence {
    mark: u8,
    length: usize,
}

impl Fence {
    fn begin(line: &str) -> Option<Self> {
        let mark = *line.as_bytes().first().filter(|byte| matches!(byte, b'`' | b'~'))?;
        let length = line.bytes().take_while(|byte| *byte == mark).count();
        let is_fence = length >= 3 && (mark == b'~' || !line[length..].contains('`'));
        is_fence.then_some(Self { mark, length })
    }

    fn is_closed_by(self, line: &str) -> bool {
        let length = line.bytes().take_while(|byte| *byte == self.mark).count();
        length >= self.length && line[length..].trim_ascii().is_empty()
    }
}

impl Html {
    /// The seven kinds of CommonMark 0.31, section 4.6.
    fn begin(line: &str, in_paragraph: bool) -> Option<Self> {
        let rest = line.strip_prefix('<')?;
        for (start, end) in [("!--", "-->"), ("?", "?>"), ("![CDATA[", "]]>")] {
            if rest.starts_with(start) {
                return Some(Self::Text(end));
            }
        }
        if rest.as_bytes().first() == Some(&b'!') {
            return Some(Self::Text(">"));
        }
        let name_start = usize::from(rest.starts_with('/'));
        let name: &str = rest[name_start..].split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next()?;
        let after = &rest[name_start + name.len()..];
        let lower = name.to_ascii_lowercase();
        if !(after.is_empty() || after.starts_with([' ', '\t', '>', '/'])) || name.is_empty() {
            return None;
        }
        if name_start == 0 && RAW_ELEMENTS.contains(&&*lower) {
            return Some(Self::RawElement);
        }
        let is_alone = || find_element_end(line, 0, |_| ()).is_some_and(|end| line[end..].trim_ascii().is_empty());
        let begins = BLOCK_ELEMENTS.binary_search(&&*lower).is_ok() || !in_paragraph && is_alone();
        begins.then_some(Self::BlankLine)
    }

    fn is_in(self, line: &str) -> bool {
        match self {
            Self::BlankLine => line.trim_ascii().is_empty(),
            Self::Text(end) => line.contains(end),
            Self::RawElement => {
                let lower = line.to_ascii_lowercase();
                RAW_ELEMENTS.iter().any(|name| lower.contains(&format!("</{name}>")))
            }
        }
    }
}

const RAW_ELEMENTS: [&str; 4] = ["pre", "script", "style", "textarea"];

/// Sorted.
const BLOCK_ELEMENTS: [&str; 62] = [
    "address",
    "article",
    "aside",
    "base",
    "basefont",
    "blockquote",
    "body",
    "caption",
    "center",
    "col",
    "colgroup",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "frame",
    "frameset",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hr",
    "html",
    "iframe",
    "legend",
    "li",
    "link",
    "main",
    "menu",
    "menuitem",
    "nav",
    "noframes",
    "ol",
    "optgroup",
    "option",
    "p",
    "param",
    "search",
    "section",
    "summary",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "title",
    "tr",
    "track",
    "ul",
];

fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |length| at + length)
}

/// Whether the line would end a paragraph before it.
fn begins_block(line: &str) -> bool {
    let rest = line.trim_start_matches([' ', '\t']);
    rest.starts_with('>')
        || is_heading(rest)
        || is_rule(rest, &mut 0, 0)
        || list_mark(rest).is_some()
        || Fence::begin(rest).is_some()
        || Html::begin(rest, true).is_some()
}

fn is_heading(line: &str) -> bool {
    let level = line.bytes().take_while(|byte| *byte == b'#').count();
    (1..=6).contains(&level) && (line.len() == level || line[level..].starts_with([' ', '\t']))
}

/// `***`, `---`, `___`, or the `===` below a heading. If it is none, `broken_at` becomes the place of the byte that
/// broke it, given that the line ends at `end`.
fn is_rule(line: &str, broken_at: &mut usize, end: usize) -> bool {
    let Some(mark) = line.bytes().next().filter(|byte| matches!(byte, b'*' | b'-' | b'_' | b'=')) else { return false };
    match line.bytes().position(|byte| byte != mark && byte != b' ' && byte != b'\t') {
        Some(at) => {
            *broken_at = end.saturating_sub(line.len() - at);
            false
        }
        None => mark == b'=' || line.bytes().filter(|byte| *byte == mark).count() >= 3,
    }
}

/// The line between a table's head and its body, give or take: what is none breaks a code span over lines at most.
fn is_table_rule(line: &str) -> bool {
    let rest = line.trim_ascii();
    let is_made_so = rest.bytes().all(|byte| matches!(byte, b'|' | b'-' | b':' | b' ' | b'\t' | b'>'));
    is_made_so && rest.contains('-') && rest.contains(['|', ':'])
}

/// The length of `-`, `*`, `+`, `1.` or `1)` if a blank or the line's end follows.
fn list_mark(line: &str) -> Option<usize> {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let mark = *line.as_bytes().get(digits)?;
    let is_mark = match digits {
        0 => matches!(mark, b'-' | b'*' | b'+'),
        1..=9 => matches!(mark, b'.' | b')'),
        _ => false,
    };
    let after = &line[digits + usize::from(is_mark)..];
    (is_mark && (after.is_empty() || after.starts_with([' ', '\t']))).then_some(digits + 1)
}

/// Where the runs of backticks of each length begin, ascending.
#[derive(Debug)]
struct BacktickRuns(BTreeMap<usize, Vec<usize>>);

impl BacktickRuns {
    fn new(text: &str, start: usize) -> Self {
        let mut runs: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut at = start;
        while let Some(found) = text[at..].find('`') {
            let run_start = at + found;
            let length = text[run_start..].bytes().take_while(|byte| *byte == b'`').count();
            runs.entry(length).or_default().push(run_start);
            at = run_start + length;
        }
        Self(runs)
    }

    /// The first of a length from a place on.
    fn find(&self, length: usize, from: usize) -> Option<usize> {
        let starts = self.0.get(&length)?;
        starts.get(starts.partition_point(|start| *start < from)).copied()
    }
}
