//! Tokens to a tree. The open tags stand on a vector, so that their depth costs no stack.

use std::collections::{BTreeMap, BTreeSet};

use super::builtin;
use super::lexer::{Closing, Ending, Lexer, RawTag, SlotForm, SlotTag, Token};
use super::placeholder::is_slot_name;
use super::set::{BRANCH_HELP, is_branch_elsewhere};
use super::syntax::{Asks, Block, Body, If, Kind, Name, Node, Part, Placeholder, SlotFill, Tag, Template, Value};
use crate::diagnostic::{Code, Diagnostic, SourceText, Span, nearest};

impl Template {
    /// Parses the file from the byte `start` on, which is where its front matter ends. Whatever is wrong, there is a
    /// tree.
    pub fn parse(source: &SourceText, start: usize, kind: Kind) -> (Self, Vec<Diagnostic>) {
        let mut parser = Parser {
            source,
            kind,
            lexer: Lexer::new(source, start, kind),
            frames: vec![Frame::root(start)],
            open_counts: BTreeMap::new(),
            forgiven: BTreeSet::new(),
            slots_in_text: BTreeMap::new(),
            asked: Asked::default(),
            nodes: Vec::new(),
            blocks: Vec::new(),
            diagnostics: Vec::new(),
        };
        while let Some(token) = parser.lexer.next_token() {
            parser.push_token(token);
        }
        parser.finish()
    }
}

/// A tag, a slot or a branch that is still open.
struct Frame {
    opened: Opened,
    /// What its closing tag says: a tag's name, `slot:name` or `if`.
    key: String,
    nodes: Vec<Node>,
    /// Where its content begins.
    start: usize,
    /// The innermost frame that is no branch, and the innermost tag, up to this one.
    around: usize,
    tag: Option<usize>,
}

enum Opened {
    Root,
    Tag { tag: Tag, span: Span, slots: Vec<SlotFill> },
    Slot { name: String, name_span: Span, span: Span, closed_as: Option<Span> },
    If { head: If, span: Span },
    Else { head: If, span: Span },
}

/// The names that a partial has asked for so far.
#[derive(Default)]
struct Asked {
    asks: Asks,
    required: BTreeSet<Name>,
    open_ifs: usize,
}

struct Parser<'a> {
    source: &'a SourceText,
    kind: Kind,
    lexer: Lexer<'a>,
    frames: Vec<Frame>,
    /// How many frames of each key are open.
    open_counts: BTreeMap<String, usize>,
    /// Closing tags of tags that can't have a body, which has been reported.
    forgiven: BTreeSet<String>,
    /// Slots outside of every body, which are text; how many of each name are open.
    slots_in_text: BTreeMap<String, usize>,
    asked: Asked,
    nodes: Vec<Node>,
    blocks: Vec<Block>,
    diagnostics: Vec<Diagnostic>,
}

impl Parser<'_> {
    fn push_token(&mut self, token: Token) {
        match token {
            Token::Text(span) => self.push_node(Node::Text(span)),
            Token::Placeholder(placeholder) => {
                self.ask_placeholder(&placeholder);
                self.push_node(Node::Placeholder(Box::new(placeholder)));
            }
            Token::Asset(asset) => {
                self.ask_value(&asset.path);
                self.push_node(Node::Asset(Box::new(asset)));
            }
            Token::Open(raw) => self.open_tag(raw),
            Token::Close(closing) => self.close_tag(&closing),
            Token::Slot(slot) if slot.is_closing => self.close_slot(&slot),
            Token::Slot(slot) => self.open_slot(&slot),
        }
    }

    fn top(&mut self) -> &mut Frame {
        self.frames.last_mut().expect("the root is popped last, by `finish`")
    }

    fn push_node(&mut self, node: Node) {
        self.top().nodes.push(node);
    }

    fn text(&self, span: Span) -> &str {
        &self.source.text[span.start..span.end]
    }

    fn report(&mut self, code: Code, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.diagnostics.push(Diagnostic::new(code, self.source.place(span), message).with_help(help));
    }

    fn ask(&mut self, name: &Name, is_needed: bool) {
        if self.kind != Kind::Partial {
            return;
        }
        if is_needed && self.asked.open_ifs == 0 && self.asked.required.insert(name.clone()) {
            self.asked.asks.required.push(name.clone());
        }
        if !self.asked.asks.known.contains(name) {
            self.asked.asks.known.insert(name.clone());
        }
    }

    fn ask_placeholder(&mut self, placeholder: &Placeholder) {
        self.ask(&placeholder.name, placeholder.default.is_none());
    }

    fn ask_value(&mut self, value: &Value) {
        for part in &value.parts {
            match part {
                Part::Text(_) => {}
                Part::Placeholder(placeholder) => self.ask_placeholder(placeholder),
                Part::Asset(asset) => {
                    for part in &asset.path.parts {
                        if let Part::Placeholder(placeholder) = part {
                            self.ask_placeholder(placeholder);
                        }
                    }
                }
            }
        }
    }

    fn open_tag(&mut self, raw: RawTag) {
        for attribute in &raw.attributes {
            self.ask_value(&attribute.value);
        }
        let name = self.text(raw.name).to_owned();
        match name.as_str() {
            "if" => self.open_if(&raw),
            "else" => self.open_else(&raw),
            _ if is_branch_elsewhere(&name) && raw.ending == Ending::Open => self.read_branch_elsewhere(&name, &raw),
            _ if builtin::is_reserved(&name) => self.push_builtin(&name, raw),
            _ => self.open_partial(name, raw),
        }
    }

    fn push_builtin(&mut self, name: &str, raw: RawTag) {
        if raw.ending == Ending::Open && !raw.is_broken && name != "raw" {
            let help = format!("write `<% {name} … %/>`");
            self.report(Code::MalformedTag, raw.name, format!("`{name}` has no body"), help);
        }
        if raw.ending == Ending::Open {
            self.forgiven.insert(name.to_owned());
        }
        let node = builtin::read(self.source, self.kind, name, raw, &mut self.diagnostics);
        if let Some(node) = node {
            self.push_node(node);
        }
    }

    fn open_partial(&mut self, name: String, raw: RawTag) {
        let RawTag { name: name_span, words, attributes, is_broken, .. } = raw;
        let tag = Tag { name: name.clone(), name_span, attributes, words, body: None, closed_as: None, is_broken };
        if raw.ending == Ending::SelfClosing {
            self.push_node(Node::Tag(Box::new(tag)));
        } else {
            let opened = Opened::Tag { tag, span: Span::new(raw.span.start, name_span.end), slots: Vec::new() };
            self.open_frame(opened, name);
        }
    }

    fn open_if(&mut self, raw: &RawTag) {
        let span = Span::new(raw.span.start, raw.name.end);
        let head = builtin::read_if(self.source, self.kind, raw, &mut self.diagnostics);
        if raw.ending == Ending::SelfClosing {
            if !raw.is_broken {
                self.report(Code::MalformedTag, raw.name, "`if` needs a body", "write `<% if name %> … <%/ if %>`");
            }
            return;
        }
        self.ask(&head.name, false);
        self.asked.open_ifs += 1;
        self.open_frame(Opened::If { head, span }, "if".to_owned());
    }

    fn open_else(&mut self, raw: &RawTag) {
        if !raw.words.is_empty() || !raw.attributes.is_empty() || raw.ending == Ending::SelfClosing {
            self.report(Code::MalformedTag, raw.name, "`else` stands alone", "write `<% else %>`");
        }
        let is_open = self.open_counts.get("if").is_some_and(|count| *count > 0);
        if is_open {
            self.close_above("if", raw.span);
        }
        if !matches!(self.top().opened, Opened::If { .. }) {
            let message = if is_open { "this `if` has an `else` already" } else { "`else` stands outside every `if`" };
            self.report(Code::MalformedTag, raw.name, message, "write `<% if name %> … <% else %> … <%/ if %>`");
            return;
        }
        let end = raw.span.start;
        let frame = self.frames.pop().expect("it has just been looked at");
        self.lexer.leave();
        let block = self.keep_block(frame.nodes, Span::new(frame.start, end));
        if let Opened::If { mut head, span } = frame.opened {
            head.then = block;
            let start = self.lexer.at();
            self.lexer.enter();
            let opened = Opened::Else { head, span };
            self.frames.push(Frame { opened, nodes: Vec::new(), start, ..frame });
        }
    }

    /// What other languages write between the branches of an `if`, or at its end.
    fn read_branch_elsewhere(&mut self, name: &str, raw: &RawTag) {
        self.report(Code::UnknownPartial, raw.name, format!("there is no tag `{name}`"), BRANCH_HELP);
        let is_end = name.starts_with("end") && self.open_counts.get("if").is_some_and(|count| *count > 0);
        if is_end {
            self.close_above("if", raw.span);
            self.close_top(raw.span.start);
        }
    }

    fn open_frame(&mut self, opened: Opened, key: String) {
        *self.open_counts.entry(key.clone()).or_default() += 1;
        let start = self.lexer.at();
        let index = self.frames.len();
        let outer = self.top();
        let around = if matches!(opened, Opened::If { .. }) { outer.around } else { index };
        let tag = if matches!(opened, Opened::Tag { .. }) { Some(index) } else { outer.tag };
        self.frames.push(Frame { opened, key, nodes: Vec::new(), start, around, tag });
        self.lexer.enter();
    }

    fn open_slot(&mut self, slot: &SlotTag) {
        let around = self.top().around;
        let is_in_branch = around + 1 < self.frames.len();
        let name = self.text(slot.name).to_owned();
        let note = match &self.frames[around].opened {
            Opened::Root => {
                *self.slots_in_text.entry(name).or_default() += usize::from(slot.form != SlotForm::Lone);
                return self.push_node(Node::Text(slot.span));
            }
            Opened::Slot { name, span, .. } => Some((self.source.place(*span), name.clone())),
            _ => None,
        };
        if slot.form != SlotForm::Whole || !is_slot_name(&name) {
            let message = format!("`{}` is no slot", self.text(slot.span));
            let help = "write `<slot:name> … </slot:name>`; `a` to `z`, digits and `_` make a name";
            self.report(Code::MalformedTag, slot.span, message, help);
            self.mark_body();
        } else if let Some((place, outer)) = note {
            let message = format!("the slot `{name}` stands in the slot `{outer}` of the same body");
            let diagnostic = Diagnostic::new(Code::UnexpectedSlot, self.source.place(slot.span), message)
                .with_note(place, format!("`{outer}` is open since here"))
                .with_help(format!("close `{outer}` before it with `</slot:{outer}>`"));
            self.diagnostics.push(diagnostic);
        } else if is_in_branch {
            let message = format!("the slot `{name}` stands in an `if`");
            self.report(Code::UnexpectedSlot, slot.span, message, "put the `if` into the slot");
        }
        if slot.form != SlotForm::Lone {
            let key = format!("slot:{name}");
            self.open_frame(Opened::Slot { name, name_span: slot.name, span: slot.span, closed_as: None }, key);
        }
    }

    /// The body around has slots, even if none of them can be used.
    fn mark_body(&mut self) {
        if let Opened::Tag { tag, .. } = &mut self.top().opened {
            tag.is_broken = true;
        }
    }

    fn close_slot(&mut self, slot: &SlotTag) {
        let name = self.text(slot.name).to_owned();
        let is_outside = self.top().around == 0;
        if is_outside
            && let Some(count) = self.slots_in_text.get_mut(&name)
            && *count > 0
        {
            *count -= 1;
            return self.push_node(Node::Text(slot.span));
        }
        self.close(&format!("slot:{name}"), slot.name, slot.span, false);
    }

    fn close_tag(&mut self, closing: &Closing) {
        let key = self.text(closing.name).to_owned();
        self.close(&key, closing.name, closing.span, closing.is_broken);
    }

    /// Closes the innermost frame of this key, and those in it, which were never closed.
    fn close(&mut self, key: &str, name: Span, span: Span, is_broken: bool) {
        if self.open_counts.get(key).is_none_or(|count| *count == 0) {
            let is_forgiven = is_broken || self.forgiven.iter().any(|known| is_almost(key, known));
            if !is_forgiven && !self.close_almost(key, name, span) {
                self.report_unexpected_closing(key, span);
            }
            return;
        }
        self.close_above(key, span);
        self.close_top(span.start);
    }

    /// Closes the innermost frame if its key is almost this one. Which of the two was meant is known with the partials.
    fn close_almost(&mut self, key: &str, name: Span, span: Span) -> bool {
        let top = self.top();
        if !is_almost(key, &top.key) {
            return false;
        }
        match &mut top.opened {
            Opened::Tag { tag: Tag { closed_as, .. }, .. } | Opened::Slot { closed_as, .. } => *closed_as = Some(name),
            _ => {
                let (message, help) = almost_closed(key, "if", "<%/ if %>");
                self.report(Code::UnexpectedClosingTag, name, message, help);
            }
        }
        self.close_top(span.start);
        true
    }

    /// Closes all frames in the innermost one of this key.
    fn close_above(&mut self, key: &str, span: Span) {
        while self.top().key != key {
            self.report_unclosed(Some(span));
            self.close_top(span.start);
        }
    }

    fn report_unexpected_closing(&mut self, key: &str, span: Span) {
        let what =
            if let Some(name) = key.strip_prefix("slot:") { format!("the slot `{name}`") } else { format!("`{key}`") };
        let message = format!("{what} is closed here, but isn't open");
        let mut diagnostic = Diagnostic::new(Code::UnexpectedClosingTag, self.source.place(span), message);
        if let Some(open) = self.frames.last().and_then(Frame::opening) {
            diagnostic = diagnostic.with_note(self.source.place(open), "this is open");
        }
        self.diagnostics.push(diagnostic);
    }

    fn report_unclosed(&mut self, noticed: Option<Span>) {
        let Some(frame) = self.frames.last() else { return };
        let Some(span) = frame.opening() else { return };
        let (message, help) = match &frame.opened {
            Opened::Slot { name, .. } => {
                (format!("the slot `{name}` is never closed"), format!("close it with `</slot:{name}>`"))
            }
            Opened::Tag { tag, .. } => (
                format!("`{}` is never closed", tag.name),
                format!("close it with `<%/ {} %>`, or end the tag with `%/>`", tag.name),
            ),
            _ => ("`if` is never closed".to_owned(), "close it with `<%/ if %>`".to_owned()),
        };
        let mut diagnostic = Diagnostic::new(Code::UnclosedTag, self.source.place(span), message).with_help(help);
        if let Some(noticed) = noticed {
            diagnostic = diagnostic.with_note(self.source.place(noticed), "this comes before it is closed");
        }
        self.diagnostics.push(diagnostic);
    }

    fn close_top(&mut self, end: usize) {
        let frame = self.frames.pop().expect("a frame is closed only while it is open");
        if let Some(count) = self.open_counts.get_mut(&frame.key) {
            *count -= 1;
        }
        self.lexer.leave();
        let span = Span::new(frame.start, end);
        match frame.opened {
            Opened::Root => {}
            Opened::Tag { mut tag, slots, .. } => {
                tag.body = Some(self.read_body(&tag, slots, frame.nodes, span));
                self.push_node(Node::Tag(Box::new(tag)));
            }
            Opened::Slot { name, name_span, closed_as, .. } => {
                let block = self.keep_block(frame.nodes, span);
                self.keep_slot(SlotFill { name, name_span, closed_as, block });
            }
            Opened::If { mut head, .. } => {
                self.asked.open_ifs -= 1;
                head.then = self.keep_block(frame.nodes, span);
                self.push_node(Node::If(Box::new(head)));
            }
            Opened::Else { mut head, .. } => {
                self.asked.open_ifs -= 1;
                head.otherwise = self.keep_block(frame.nodes, span);
                self.push_node(Node::If(Box::new(head)));
            }
        }
    }

    /// Gives the slot to the nearest tag, even if it stands in another slot or a branch, which has been reported.
    fn keep_slot(&mut self, slot: SlotFill) {
        if let Some(index) = self.top().tag
            && let Opened::Tag { slots, .. } = &mut self.frames[index].opened
            && is_slot_name(&slot.name)
        {
            slots.push(slot);
        }
    }

    fn keep_block(&mut self, nodes: Vec<Node>, span: Span) -> Block {
        let first = self.nodes.len();
        self.nodes.extend(nodes);
        let block = Block { first, end: self.nodes.len(), span };
        self.blocks.push(block);
        block
    }

    fn read_body(&mut self, tag: &Tag, slots: Vec<SlotFill>, nodes: Vec<Node>, span: Span) -> Body {
        if slots.is_empty() {
            let is_blank = |node: &Node| matches!(node, Node::Text(span) if self.text(*span).trim_ascii().is_empty());
            if nodes.iter().all(is_blank) {
                return Body::Blank;
            }
            let stray = find_stray(&self.source.text, &nodes);
            let first_stray = stray.first().copied().filter(|_| !tag.is_broken);
            return Body::Whole { block: self.keep_block(nodes, span), first_stray };
        }
        for stray in find_stray(&self.source.text, &nodes) {
            let message = format!("this stands outside every slot of `{}` and would be lost", tag.name);
            self.report(Code::StrayText, stray, message, "move it into a `<slot:…>`, or take it away");
        }
        let mut seen: BTreeMap<String, Span> = BTreeMap::new();
        let mut kept = Vec::new();
        for slot in slots {
            if let Some(first) = seen.get(&slot.name) {
                let message = format!("the slot `{}` is filled twice", slot.name);
                let diagnostic = Diagnostic::new(Code::DuplicateSlot, self.source.place(slot.name_span), message)
                    .with_note(self.source.place(*first), "it is filled here first")
                    .with_help("leave one of them");
                self.diagnostics.push(diagnostic);
            } else {
                seen.insert(slot.name.clone(), slot.name_span);
                kept.push(slot);
            }
        }
        Body::Slots(kept)
    }

    fn finish(mut self) -> (Template, Vec<Diagnostic>) {
        let end = self.lexer.end();
        while self.frames.len() > 1 {
            self.report_unclosed(None);
            self.close_top(end);
        }
        let root = self.frames.pop().expect("the root is never closed");
        let first = self.nodes.len();
        self.nodes.extend(root.nodes);
        let root = Block { first, end: self.nodes.len(), span: Span::new(root.start, end) };
        let mut diagnostics = self.diagnostics;
        diagnostics.append(&mut self.lexer.diagnostics);
        let template = Template {
            source: self.source.clone(),
            kind: self.kind,
            root,
            asks: self.asked.asks,
            nodes: self.nodes,
            made: String::new(),
            origins: Vec::new(),
            blocks: self.blocks,
        };
        (template, diagnostics)
    }
}

/// Whether a closing tag's key is that of what is open, or a slip of it.
fn is_almost(key: &str, open: &str) -> bool {
    let [key_name, open_name] = [key, open].map(|one| one.strip_prefix("slot:").unwrap_or(one));
    let is_of_slot = key.len() > key_name.len();
    // Every other letter is almost `a`.
    let is_word = |name: &str| name.split('.').next().is_some_and(|stem| stem.len() > 1);
    key == open
        || open == "if" && is_branch_elsewhere(key)
        || is_of_slot == (open.len() > open_name.len())
            && is_word(key_name)
            && is_word(open_name)
            && nearest(key_name, [open_name]).is_some()
}

/// What to say of a closing tag that is almost the right one.
pub(super) fn almost_closed(written: &str, open: &str, meant: &str) -> (String, String) {
    (format!("`{written}` is closed here, and `{open}` is open"), format!("did you mean `{meant}`?"))
}

impl Frame {
    fn root(start: usize) -> Self {
        Self { opened: Opened::Root, key: String::new(), nodes: Vec::new(), start, around: 0, tag: None }
    }

    /// Where it was opened.
    fn opening(&self) -> Option<Span> {
        match self.opened {
            Opened::Root => None,
            Opened::Tag { span, .. }
            | Opened::Slot { span, .. }
            | Opened::If { span, .. }
            | Opened::Else { span, .. } => Some(span),
        }
    }
}

/// What is neither white space nor an HTML comment.
fn find_stray(text: &str, nodes: &[Node]) -> Vec<Span> {
    let mut strays = Vec::new();
    let mut in_comment = false;
    for node in nodes {
        match node {
            Node::Text(span) => find_stray_text(text, *span, &mut in_comment, &mut strays),
            _ if in_comment => {}
            _ => strays.extend(node.span()),
        }
    }
    strays
}

fn find_stray_text(text: &str, span: Span, in_comment: &mut bool, strays: &mut Vec<Span>) {
    let mut at = span.start;
    while at < span.end {
        let rest = &text[at..span.end];
        if *in_comment {
            let Some(length) = rest.find("-->") else { return };
            at += length + 3;
            *in_comment = false;
            continue;
        }
        let length = rest.find("<!--").unwrap_or(rest.len());
        let visible = &rest[..length];
        let start = at + visible.len() - visible.trim_ascii_start().len();
        let end = at + visible.trim_ascii_end().len();
        if start < end {
            strays.push(Span::new(start, end));
        }
        *in_comment = length < rest.len();
        at += length + if *in_comment { 4 } else { 0 };
    }
}
