//! Nesting that a browser doesn't keep: what stands where HTML's parser moves, ends or drops it (the standard, section
//! 13.2.6), and end tags that are missing or too many. What HTML allows to be left out is no mistake.

use std::collections::BTreeMap;
use std::ops::Range;

use super::element::{Rules, rules_of};
use super::tokens::Tag;
use super::{Mistake, MistakeKind};

/// More mistakes of a page are not looked for: it is no page then. Guessed.
const MISTAKES_MAX: usize = 1_000;

/// The elements that are open where the reader is.
pub(super) struct Nesting<'h> {
    html: &'h str,
    open: Vec<Open>,
    /// Paragraphs that a start tag ended, each with the count of elements that were open around it, and the start tag:
    /// only an end tag that comes later shows that this wasn't meant.
    ended_paragraphs: Vec<(usize, Range<usize>, Range<usize>)>,
    /// What ended `<head>` although it can't stand in it.
    head_ended_by: Option<Range<usize>>,
    /// End tags that will come too late, by name: their elements have been reported.
    excused: BTreeMap<Vec<u8>, usize>,
    /// The same for those that another end tag overtook.
    overtaken: BTreeMap<Vec<u8>, usize>,
    has_body: bool,
    pub(super) mistakes: Vec<Mistake>,
}

/// An element that is open. What is looked for in the elements around is kept, so that nobody walks through them.
struct Open {
    tag: Range<usize>,
    name_len: usize,
    rules: Rules,
    /// Its start tag ends with `/>`.
    is_closed: bool,
    /// It belongs to a drawing or a formula.
    is_foreign: bool,
    /// What stands in it does.
    holds_foreign: bool,
    around: Around,
}

/// The nearest open elements that a start tag would end, by their place in the stack.
#[derive(Clone, Copy, Default)]
struct Around {
    paragraph: Option<usize>,
    item: Option<usize>,
    term: Option<usize>,
    link: Option<usize>,
    button: Option<usize>,
    form: Option<usize>,
    template: Option<usize>,
}

impl<'h> Nesting<'h> {
    pub(super) fn new(html: &'h str) -> Self {
        Self {
            html,
            open: Vec::new(),
            ended_paragraphs: Vec::new(),
            head_ended_by: None,
            excused: BTreeMap::new(),
            overtaken: BTreeMap::new(),
            has_body: false,
            mistakes: Vec::new(),
        }
    }

    /// Whether the reader is in a `<template>`, whose content is no part of the page.
    pub(super) fn is_in_template(&self) -> bool {
        self.around().template.is_some()
    }

    /// Whether the reader is in a drawing or a formula.
    pub(super) fn is_in_foreign(&self) -> bool {
        self.open.last().is_some_and(|top| top.holds_foreign)
    }

    pub(super) fn start(&mut self, tag: &Tag, place: &Range<usize>) {
        let name = tag.name();
        let rules = rules_of(name);
        if self.is_in_foreign() && !self.start_in_foreign(tag, rules, place) {
            return;
        }
        if matches!(name, b"html" | b"head" | b"body") {
            self.start_structure(tag, rules, place);
            return;
        }
        if rules.has(Rules::TABLE_PART) {
            self.start_table_part(tag, rules, place);
            return;
        }
        self.check_head(rules, place);
        self.check_table(tag, rules, place);
        self.end_implied(name, rules, place);
        self.check_twice(name, place);
        if !rules.has(Rules::VOID) {
            self.push(tag, rules, place);
        }
    }

    /// Text that is more than white space.
    pub(super) fn text(&mut self, place: &Range<usize>) {
        self.check_head(Rules::default(), place);
        if let Some(table) = self.table_around() {
            let message = format!("text stands directly in `{table}`: the browser moves it in front of the table");
            self.report(place.clone(), message, "put it into a cell: `<td>` or `<th>`", None);
        }
    }

    pub(super) fn end(&mut self, name: &[u8], place: &Range<usize>) {
        let rules = rules_of(name);
        match name {
            b"html" | b"body" => {}
            b"head" => self.end_head(),
            b"br" => {
                let message = "`</br>` is no end tag: the browser makes a line break of it".to_owned();
                self.report(place.clone(), message, "write `<br>`", None);
            }
            b"p" => self.end_paragraph(place),
            _ if rules.has(Rules::VOID) => {}
            _ if rules.has(Rules::FORMATTING) => self.end_formatting(name, place),
            _ => self.end_other(name, rules, place),
        }
    }

    /// Reports what is still open, and gives back all mistakes.
    pub(super) fn finish(mut self) -> Vec<Mistake> {
        self.pop_to(0, None);
        self.mistakes
    }

    fn around(&self) -> Around {
        self.open.last().map_or_else(Around::default, |top| top.around)
    }

    fn name_of(&self, open: &Open) -> &'h str {
        let start = open.tag.start + 1;
        self.html.get(start..start + open.name_len).unwrap_or_default()
    }

    fn is_named(&self, open: &Open, names: &[&[u8]]) -> bool {
        let name = self.name_of(open).as_bytes();
        names.iter().any(|one| name.eq_ignore_ascii_case(one))
    }

    fn shown(&self, open: &Open) -> String {
        format!("<{}>", self.name_of(open))
    }

    fn push(&mut self, tag: &Tag, rules: Rules, place: &Range<usize>) {
        let name = tag.name();
        let (own, mut around) = (Some(self.open.len()), self.around());
        let is_foreign = matches!(name, b"svg" | b"math") || self.is_in_foreign();
        if is_foreign && tag.is_closed {
            return;
        }
        if rules.has(Rules::SCOPE) && !is_foreign {
            let link = if name == b"table" { around.link } else { None };
            around = Around { link, form: around.form, template: around.template, ..Around::default() };
        } else if rules.has(Rules::SPECIAL) && !matches!(name, b"address" | b"div" | b"p") && !is_foreign {
            (around.item, around.term) = (None, None);
        }
        match name {
            _ if is_foreign => {}
            b"p" => around.paragraph = own,
            b"li" => around.item = own,
            b"dd" | b"dt" => around.term = own,
            b"a" => around.link = own,
            b"button" => (around.button, around.paragraph) = (own, None),
            b"form" => around.form = own,
            b"template" => (around.form, around.template) = (None, own),
            _ => {}
        }
        let is_html_within = matches!(name, b"foreignobject" | b"desc" | b"title" | b"annotation-xml")
            || matches!(name, b"mi" | b"mo" | b"mn" | b"ms" | b"mtext");
        if is_foreign && is_html_within {
            around = Around { template: around.template, ..Around::default() };
        }
        let holds_foreign = is_foreign && !is_html_within;
        let (tag, is_closed) = (place.clone(), tag.is_closed);
        self.open.push(Open { tag, name_len: name.len(), rules, is_closed, is_foreign, holds_foreign, around });
    }

    /// A start tag within a drawing or a formula. Whether it is one of HTML's that ended that.
    fn start_in_foreign(&mut self, tag: &Tag, rules: Rules, place: &Range<usize>) -> bool {
        if !rules.has(Rules::BREAKS_OUT) {
            self.push(tag, rules, place);
            return false;
        }
        let (shown, help) = (shown_start(tag.name()), "wrap it in `<foreignObject>`, or end the drawing before it");
        let outer = self.open.iter().rposition(|open| !open.holds_foreign).map_or(0, |index| index + 1);
        let root = self.open.get(outer).map(|open| (open.tag.clone(), "it begins here".to_owned()));
        let message = format!("`{shown}` can't stand in a drawing or a formula: the browser ends that before it");
        self.report(place.clone(), message, help, root);
        for open in self.open.split_off(outer) {
            *self.excused.entry(self.name_of(&open).to_ascii_lowercase().into_bytes()).or_default() += 1;
        }
        true
    }

    fn start_structure(&mut self, tag: &Tag, rules: Rules, place: &Range<usize>) {
        let name = tag.name();
        let is_second = match name {
            b"html" => !self.open.is_empty() || self.has_body,
            b"head" => self.has_body || self.open.iter().any(|open| !self.is_named(open, &[b"html"])),
            _ => self.has_body,
        };
        if name == b"body" {
            self.end_head();
            self.has_body = true;
        }
        if is_second && !self.is_in_template() {
            let message = format!("`{}` comes too late: the browser leaves the tag out", shown_start(name));
            self.report(place.clone(), message, "a page has one of it, before anything that belongs into it", None);
            return;
        }
        if self.open.last().is_some_and(|top| self.is_named(top, &[b"head"])) {
            self.open.pop();
        }
        self.push(tag, rules, place);
    }

    /// Ends `<head>` before what can't stand in it. That is allowed, unless an end tag or a `<body>` follows.
    fn check_head(&mut self, rules: Rules, place: &Range<usize>) {
        let is_in_head = self.open.last().is_some_and(|top| self.is_named(top, &[b"head"]));
        if is_in_head && !rules.has(Rules::HEAD) {
            self.open.pop();
            self.head_ended_by = Some(place.clone());
        }
    }

    fn end_head(&mut self) {
        if self.open.last().is_some_and(|top| self.is_named(top, &[b"head"])) {
            self.open.pop();
        } else if let Some(place) = self.head_ended_by.take() {
            let text = self.html.get(place.clone()).unwrap_or_default();
            let name: String = text.chars().skip(1).take_while(|c| !c.is_whitespace() && !"/>".contains(*c)).collect();
            let what = if text.starts_with('<') { format!("`<{name}>`") } else { "text".to_owned() };
            let message = format!("{what} can't stand in `<head>`: the browser begins the body with it");
            self.report(place, message, "put it into `<body>`", None);
        }
    }

    /// The table that the reader is in, outside of its cells.
    fn table_around(&self) -> Option<String> {
        const OUTSIDE_CELLS: [&[u8]; 6] = [b"table", b"tbody", b"thead", b"tfoot", b"tr", b"colgroup"];
        let top = self.open.last().filter(|top| !top.is_foreign)?;
        self.is_named(top, &OUTSIDE_CELLS).then(|| self.shown(top))
    }

    fn check_table(&mut self, tag: &Tag, rules: Rules, place: &Range<usize>) {
        let Some(table) = self.table_around() else { return };
        let is_allowed = match tag.name() {
            b"style" | b"script" | b"template" | b"form" => true,
            b"input" => tag.value(b"type").is_some_and(|value| value.eq_ignore_ascii_case("hidden")),
            _ => rules.has(Rules::TABLE_PART),
        };
        if !is_allowed {
            let what = shown_start(tag.name());
            let message = format!("`{what}` stands directly in `{table}`: the browser moves it in front of the table");
            self.report(place.clone(), message, "put it into a cell: `<td>` or `<th>`", None);
        }
    }

    fn start_table_part(&mut self, tag: &Tag, rules: Rules, place: &Range<usize>) {
        let name = tag.name();
        let is_part =
            |open: &Open| !open.is_foreign && (open.rules.has(Rules::TABLE_PART) || open.rules.has(Rules::SCOPE));
        let context = self.open.iter().rposition(is_part);
        let found = context.map(|index| &self.open[index]);
        let is_table =
            |open: &&Open| open.rules.has(Rules::TABLE_PART) || self.is_named(open, &[b"table", b"template"]);
        let (Some(context), Some(_)) = (context, found.filter(is_table)) else {
            let message = format!("`{}` stands outside a table: the browser leaves the tag out", shown_start(name));
            self.report(place.clone(), message, "put it into a `<table>`", None);
            if !rules.has(Rules::VOID) {
                *self.excused.entry(name.to_vec()).or_default() += 1;
            }
            return;
        };
        self.pop_to(context + 1, Some(place));
        let parents: &[&[u8]] = match name {
            b"td" | b"th" => &[b"tr"],
            b"tr" => &[b"tbody", b"thead", b"tfoot"],
            b"col" => &[b"colgroup"],
            _ => &[],
        };
        while self.open.last().is_some_and(|top| top.rules.has(Rules::TABLE_PART) && !self.is_named(top, parents)) {
            let is_cell_in_section = matches!(name, b"td" | b"th")
                && self.open.last().is_some_and(|top| self.is_named(top, &[b"tbody", b"thead", b"tfoot"]));
            if is_cell_in_section {
                break;
            }
            self.open.pop();
        }
        let has_row = self.open.last().is_some_and(|top| self.is_named(top, &[b"tr", b"template"]));
        if matches!(name, b"td" | b"th") && !has_row {
            let message = format!("`{}` stands in no `<tr>`: the browser makes a row for it", shown_start(name));
            self.report(place.clone(), message, "write `<tr>` before it, and `</tr>` after the row's last cell", None);
        }
        if !rules.has(Rules::VOID) {
            self.push(tag, rules, place);
        }
    }

    /// Ends what a start tag ends: a paragraph, an item, an option.
    fn end_implied(&mut self, name: &[u8], rules: Rules, place: &Range<usize>) {
        let around = self.around();
        let ended = match name {
            b"li" => around.item,
            b"dd" | b"dt" => around.term,
            _ => None,
        };
        if let Some(index) = ended {
            self.pop_to(index + 1, Some(place));
            self.open.pop();
        }
        if rules.has(Rules::ENDS_PARAGRAPH)
            && let Some(index) = self.around().paragraph
        {
            self.end_paragraph_early(index, name, place);
        }
        let Some(top) = self.open.last() else { return };
        let is_ended = match name {
            b"option" | b"optgroup" => self.is_named(top, &[b"option"]),
            b"rb" | b"rt" | b"rp" | b"rtc" => self.is_named(top, &[b"rb", b"rt", b"rp"]),
            _ => false,
        };
        if is_ended {
            self.open.pop();
        }
    }

    /// A block ends the paragraph that is open at `index`.
    fn end_paragraph_early(&mut self, index: usize, name: &[u8], place: &Range<usize>) {
        let holds_open = self.open[index + 1..].iter().any(|open| !open.rules.has(Rules::OPTIONAL_END));
        let paragraph = self.open[index].tag.clone();
        for open in self.open.split_off(index) {
            *self.excused.entry(self.name_of(&open).to_ascii_lowercase().into_bytes()).or_default() += 1;
        }
        if holds_open {
            self.report_in_paragraph(name, place, paragraph);
        } else {
            // The end tag may have been left out. If it comes, it shows that it wasn't.
            self.excuse(b"p");
            self.ended_paragraphs.push((index, paragraph, place.clone()));
        }
    }

    fn report_in_paragraph(&mut self, name: &[u8], place: &Range<usize>, paragraph: Range<usize>) {
        let shown = shown_start(name);
        let message = format!("`{shown}` can't stand in `<p>`: the browser ends the paragraph before it");
        let help = format!("write `</p>` before `{shown}`, or `<div>` in place of `<p>`");
        self.report(place.clone(), message, &help, Some((paragraph, "the paragraph begins here".to_owned())));
        if let Some(mistake) = self.mistakes.last_mut() {
            mistake.kind = MistakeKind::InParagraph;
        }
    }

    fn end_paragraph(&mut self, place: &Range<usize>) {
        if let Some(index) = self.around().paragraph {
            self.pop_to(index + 1, Some(place));
            self.open.pop();
        } else if let Some((_, paragraph, start)) = self.ended_paragraphs.pop() {
            let text = self.html.get(start.start + 1..start.end).unwrap_or_default();
            let name: String = text.chars().take_while(char::is_ascii_alphanumeric).collect();
            self.report_in_paragraph(name.to_ascii_lowercase().as_bytes(), &start, paragraph);
        } else if !self.excuse(b"p") {
            let message = "`</p>` closes nothing: the browser makes an empty paragraph of it".to_owned();
            self.report(place.clone(), message, "take it away, or look for a `<p>` that is missing", None);
        }
    }

    /// What can't stand in another one of its kind.
    fn check_twice(&mut self, name: &[u8], place: &Range<usize>) {
        let around = self.around();
        let (outer, what) = match name {
            b"a" => (around.link, "the browser ends the outer link before it"),
            b"button" => (around.button, "the browser ends the outer one before it"),
            b"form" => (around.form, "the browser leaves the inner one out"),
            [b'h', b'1'..=b'6'] => {
                let top = self.open.len().checked_sub(1);
                (
                    top.filter(|top| self.open[*top].rules.has(Rules::HEADING)),
                    "the browser ends the outer one before it",
                )
            }
            _ => return,
        };
        let Some(outer) = outer.map(|index| &self.open[index]) else { return };
        let message = format!("`{}` can't stand in `{}`: {what}", shown_start(name), self.shown(outer));
        let help = format!("write `</{}>` before it", self.name_of(outer));
        let note = (outer.tag.clone(), "the outer one begins here".to_owned());
        self.report(place.clone(), message, &help, Some(note));
    }

    fn end_formatting(&mut self, name: &[u8], place: &Range<usize>) {
        if take_one(&mut self.overtaken, name) {
            return;
        }
        let Some(index) = self.find_open(name, |open| open.rules.has(Rules::SCOPE)) else {
            self.report_stray(name, place);
            return;
        };
        if let Some(inner) = self.open.get(index + 1) {
            let message = format!("`</{}>` comes while `{}` is still open", lossy(name), self.shown(inner));
            let help = format!("write `</{}>` before it: what was opened last is closed first", self.name_of(inner));
            let note = (inner.tag.clone(), "opened here".to_owned());
            self.report(place.clone(), message, &help, Some(note));
        }
        for inner in self.open.split_off(index).into_iter().skip(1) {
            *self.overtaken.entry(self.name_of(&inner).to_ascii_lowercase().into_bytes()).or_default() += 1;
        }
        self.forget_paragraphs();
    }

    fn end_other(&mut self, name: &[u8], rules: Rules, place: &Range<usize>) {
        if take_one(&mut self.overtaken, name) {
            return;
        }
        let is_table = rules.has(Rules::TABLE_PART) || name == b"table";
        let found = self.find_open(name, |open| match () {
            () if is_table => self.is_named(open, &[b"table", b"template"]),
            () if open.is_foreign => false,
            () if rules.has(Rules::HEADING) => open.rules.has(Rules::SCOPE),
            () if name == b"li" => open.rules.has(Rules::SCOPE) || self.is_named(open, &[b"ol", b"ul"]),
            () if rules.has(Rules::SPECIAL) => open.rules.has(Rules::SCOPE),
            () => open.rules.has(Rules::SPECIAL),
        });
        match found {
            Some(index) => {
                self.pop_to(index + 1, Some(place));
                self.open.pop();
            }
            None if rules.has(Rules::HEADING) && self.open.last().is_some_and(|top| top.rules.has(Rules::HEADING)) => {
                let outer = self.open.pop().map(|open| (self.shown(&open), open.tag));
                let (shown, tag) = outer.unwrap_or_default();
                let message = format!("`</{}>` closes `{shown}`", lossy(name));
                let help = "close a heading with its own end tag";
                self.report(place.clone(), message, help, Some((tag, "opened here".to_owned())));
            }
            None => self.report_stray(name, place),
        }
    }

    /// The nearest open element of a name, unless one that `stops` comes first. The element itself never stops.
    fn find_open(&self, name: &[u8], stops: impl Fn(&Open) -> bool) -> Option<usize> {
        for (index, open) in self.open.iter().enumerate().rev() {
            if self.is_named(open, &[name]) {
                return Some(index);
            }
            if stops(open) {
                return None;
            }
        }
        None
    }

    fn report_stray(&mut self, name: &[u8], place: &Range<usize>) {
        if !self.excuse(name) {
            let name = lossy(name);
            let help = format!("take it away, or look for a `<{name}>` that is missing");
            self.report(place.clone(), format!("`</{name}>` closes nothing"), &help, None);
        }
    }

    /// Takes one of the end tags that are excused.
    fn excuse(&mut self, name: &[u8]) -> bool {
        take_one(&mut self.excused, name)
    }

    /// Ends the elements from `index` on. Those whose end tag can't be left out are reported; `cause` is what ended them,
    /// or nothing at the page's end.
    fn pop_to(&mut self, index: usize, cause: Option<&Range<usize>>) {
        if index >= self.open.len() {
            return;
        }
        for open in self.open.split_off(index) {
            if self.is_full() {
                break;
            }
            if open.rules.has(Rules::OPTIONAL_END) && !open.is_foreign {
                continue;
            }
            let name = self.name_of(&open);
            let help = if open.is_closed {
                format!("HTML takes no notice of the `/` in `<{name}/>`: write `<{name}></{name}>`")
            } else {
                format!("write `</{name}>` where it ends")
            };
            if cause.is_some() {
                *self.excused.entry(name.to_ascii_lowercase().into_bytes()).or_default() += 1;
            }
            let note = cause.map(|cause| (cause.clone(), "what it stands in ends here".to_owned()));
            self.report(open.tag.clone(), format!("`<{name}>` is never closed"), &help, note);
        }
        self.forget_paragraphs();
    }

    /// Paragraphs count as long as what they stood in is open.
    fn forget_paragraphs(&mut self) {
        let count = self.open.len();
        while self.ended_paragraphs.last().is_some_and(|(around, ..)| *around > count) {
            self.ended_paragraphs.pop();
        }
    }

    /// Whether there are so many mistakes that no more are kept: then nothing but them is looked at any more.
    pub(super) fn is_full(&self) -> bool {
        self.mistakes.len() >= MISTAKES_MAX
    }

    fn report(&mut self, range: Range<usize>, message: String, help: &str, note: Option<(Range<usize>, String)>) {
        if self.is_full() {
            return;
        }
        let kind = MistakeKind::Nesting;
        self.mistakes.push(Mistake { kind, element: range.clone(), range, message, help: help.to_owned(), note });
    }
}

fn take_one(counts: &mut BTreeMap<Vec<u8>, usize>, name: &[u8]) -> bool {
    match counts.get_mut(name) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    }
}

fn shown_start(name: &[u8]) -> String {
    format!("<{}>", lossy(name))
}

fn lossy(name: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(name)
}
