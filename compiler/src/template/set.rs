//! All partials of a site, and whether pages and partials use them rightly.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::builtin::{BLOG_ITEM_PARTIAL, RESERVED, is_reserved};
use super::parser::almost_closed;
use super::syntax::{Attribute, Body, Each, Kind, Name, Node, Tag, Target, Template};
use crate::cache::FileMemo;
use crate::diagnostic::{Code, Diagnostic, SourceText, Span, list_names, nearest};
use crate::source::SourceFile;

/// The partials of a site by name. Those that would never end are known.
#[derive(Clone, Default, Debug)]
pub struct TemplateSet {
    partials: BTreeMap<String, Arc<Template>>,
    /// The references that close a cycle: the partial in which one stands, and where.
    cycle_ends: BTreeSet<(Arc<str>, Span)>,
}

impl TemplateSet {
    /// Parses all partials, named by their paths below the folder of templates, and checks them.
    pub fn parse(files: &[SourceFile]) -> (Self, Vec<Diagnostic>) {
        Self::parse_changed(files, &FileMemo::default())
    }

    /// The same, where a file that was parsed before is not parsed again.
    pub fn parse_changed(files: &[SourceFile], memo: &FileMemo<ParsedPartial>) -> (Self, Vec<Diagnostic>) {
        let results = memo.find_or_make_all(files, |file| (Arc::clone(&file.path), &file.bytes), parse_partial);
        let mut diagnostics = Vec::new();
        let mut set = Self::default();
        for (file, ParsedPartial { template, mistakes }) in files.iter().zip(results) {
            diagnostics.extend(mistakes.iter().cloned());
            if let Some(template) = template {
                set.partials.insert(file.name.to_string(), template);
            }
        }
        for template in set.partials.values() {
            diagnostics.append(&mut set.check(template));
        }
        set.find_cycles(&mut diagnostics);
        (set, diagnostics)
    }

    /// The partial of that name.
    pub fn find(&self, name: &str) -> Option<&Arc<Template>> {
        self.partials.get(name)
    }

    /// The names of all partials, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.partials.keys().map(String::as_str)
    }

    /// Whether the reference to a partial that stands there would render without end.
    pub fn ends_cycle(&self, template: &Template, span: Span) -> bool {
        !self.cycle_ends.is_empty() && self.cycle_ends.contains(&(Arc::clone(&template.source.path), span))
    }

    /// What is wrong with the partials that a template names and with what it gives them.
    pub fn check(&self, template: &Template) -> Vec<Diagnostic> {
        let mut check = Check { set: self, template, helps: BTreeMap::new(), diagnostics: Vec::new() };
        for node in template.all_nodes() {
            match node {
                Node::Tag(tag) => check.check_tag(tag),
                Node::Each(each) => check.check_each(each),
                _ => {}
            }
        }
        check.diagnostics
    }

    /// What is wrong with naming a partial there, if something is.
    pub fn check_name(&self, name: &str, source: &SourceText, span: Span) -> Option<Diagnostic> {
        self.check_name_with(name, source, span, || self.suggest(name))
    }

    /// The same with something else that suggests what may be meant.
    fn check_name_with(
        &self,
        name: &str,
        source: &SourceText,
        span: Span,
        suggest: impl FnOnce() -> Option<String>,
    ) -> Option<Diagnostic> {
        if self.partials.contains_key(name) {
            return None;
        }
        if name.starts_with('/') || name.contains('\\') || name.split('/').any(|part| part == "..") {
            let message = format!("`{name}` leaves the folder of templates");
            let diagnostic = Diagnostic::new(Code::PartialOutside, source.place(span), message);
            return Some(diagnostic.with_help("name it by its path in that folder"));
        }
        let message = format!("there is no partial `{name}`");
        let mut diagnostic = Diagnostic::new(Code::UnknownPartial, source.place(span), message);
        if name == BLOG_ITEM_PARTIAL {
            diagnostic =
                diagnostic.with_help("write it: it shows one post, with slots such as `title`, `url` and `summary`");
        } else if let Some(help) = suggest() {
            diagnostic = diagnostic.with_help(help);
        }
        Some(diagnostic)
    }

    fn suggest(&self, name: &str) -> Option<String> {
        if is_branch_elsewhere(name) {
            return Some(BRANCH_HELP.to_owned());
        }
        let by_extension = self.partials.get_key_value(&format!("{name}.html"));
        let by_file = |known: &&str| known.rsplit('/').next() == Some(name);
        let near = by_extension
            .map(|(known, _)| known.as_str())
            .or_else(|| self.names().find(by_file))
            .or_else(|| nearest(name, self.names().chain(RESERVED)));
        near.map(|near| format!("did you mean `{near}`?"))
    }

    /// Warnings for the partials that nothing of `roots` leads to, themselves being what pages name.
    pub fn find_unused<'a>(&self, roots: impl IntoIterator<Item = &'a str>) -> Vec<Diagnostic> {
        let mut open: Vec<String> = roots.into_iter().map(str::to_owned).collect();
        let mut used = BTreeSet::new();
        while let Some(name) = open.pop() {
            if let Some(template) = self.partials.get(&name)
                && used.insert(name)
            {
                open.extend(template.references().map(|(name, _)| name.to_owned()));
            }
        }
        let unused = self.partials.iter().filter(|(name, _)| !used.contains(*name));
        let warn = |(name, template): (&String, &Arc<Template>)| {
            let place = template.place(Span::default());
            Diagnostic::new(Code::UnusedPartial, place, format!("no page uses the partial `{name}`"))
        };
        unused.map(warn).collect()
    }

    /// A walk in depth that meets a partial which is still open has found a cycle.
    fn find_cycles(&mut self, diagnostics: &mut Vec<Diagnostic>) {
        let mut done: BTreeSet<&str> = BTreeSet::new();
        let mut cycle_ends = BTreeSet::new();
        for root in self.partials.keys() {
            if done.contains(root.as_str()) {
                continue;
            }
            let mut path: Vec<(&str, std::vec::IntoIter<(&str, Span)>)> = vec![(root, self.sorted_references(root))];
            let mut depths = BTreeMap::from([(root.as_str(), 0)]);
            while let Some((current, references)) = path.last_mut() {
                let Some((name, span)) = references.next() else {
                    done.insert(current);
                    depths.remove(current);
                    path.pop();
                    continue;
                };
                if let Some(depth) = depths.get(name) {
                    let source = &self.partials[*current].source;
                    cycle_ends.insert((Arc::clone(&source.path), span));
                    let cycle: Vec<_> = path[*depth..].iter().map(|(name, _)| *name).chain([name]).collect();
                    diagnostics.push(report_cycle(&cycle, source, span));
                } else if !done.contains(name)
                    && let Some((name, _)) = self.partials.get_key_value(name)
                {
                    depths.insert(name, path.len());
                    path.push((name, self.sorted_references(name)));
                }
            }
        }
        self.cycle_ends = cycle_ends;
    }

    fn sorted_references(&self, name: &str) -> std::vec::IntoIter<(&str, Span)> {
        let mut references: Vec<_> = self.partials[name].references().collect();
        references.sort_by_key(|(_, span)| *span);
        references.into_iter()
    }
}

/// What became of parsing one partial.
#[derive(Clone, Debug)]
pub struct ParsedPartial {
    /// The partial, if it can be one at all.
    template: Option<Arc<Template>>,
    /// What is wrong with it.
    mistakes: Arc<[Diagnostic]>,
}

fn parse_partial(file: &SourceFile) -> ParsedPartial {
    let refused = |diagnostic| ParsedPartial { template: None, mistakes: [diagnostic].into() };
    let source = match file.to_text() {
        Ok(source) => source,
        Err(diagnostic) => return refused(diagnostic),
    };
    if is_reserved(&file.name) {
        let message = format!("`{}` is a tag of the language, so a partial can't be called so", file.name);
        let diagnostic = Diagnostic::new(Code::ReservedName, source.place(Span::default()), message);
        return refused(diagnostic.with_help("rename the file"));
    }
    let (template, mistakes) = Template::parse(&source, 0, Kind::Partial);
    ParsedPartial { template: Some(Arc::new(template)), mistakes: mistakes.into() }
}

/// The partials of a cycle that are named in full; the rest is left out.
const CYCLE_SHOWN_COUNT: usize = 8;

fn report_cycle(cycle: &[&str], source: &SourceText, span: Span) -> Diagnostic {
    let name = cycle[0];
    let message = format!("the partial `{name}` contains itself");
    let diagnostic = Diagnostic::new(Code::RecursivePartial, source.place(span), message);
    let shown = if cycle.len() <= CYCLE_SHOWN_COUNT {
        cycle.join(" → ")
    } else {
        let last = cycle.len() - CYCLE_SHOWN_COUNT / 2;
        format!("{} → … → {}", cycle[..CYCLE_SHOWN_COUNT / 2].join(" → "), cycle[last..].join(" → "))
    };
    diagnostic.with_help(format!("the cycle is {shown}"))
}

/// What to do instead.
pub(super) const BRANCH_HELP: &str = "`if` has only `<% else %>`, and is closed by `<%/ if %>`";

/// What other languages of templates call the parts of an `if`.
pub(super) fn is_branch_elsewhere(name: &str) -> bool {
    matches!(name, "elseif" | "elsif" | "elif" | "endif" | "end")
}

/// The mistakes of one template, different ones, that get a suggestion. Each is a search through all names. Guessed.
const HELP_COUNT_MAX: usize = 100;

/// Compares one template with the partials that it names.
struct Check<'a> {
    set: &'a TemplateSet,
    template: &'a Template,
    /// What was suggested: by a partial's name, and by that of what it lacks. An unknown partial lacks itself.
    helps: BTreeMap<(String, Option<Name>), Option<String>>,
    diagnostics: Vec<Diagnostic>,
}

impl Check<'_> {
    fn report(&mut self, code: Code, span: Span, message: String, help: Option<String>) {
        let mut diagnostic = Diagnostic::new(code, self.template.place(span), message);
        diagnostic.help = help;
        self.diagnostics.push(diagnostic);
    }

    /// A suggestion that is made once for each mistake, and for so many that somebody reads them.
    fn suggest(&mut self, partial: &str, lacks: Option<Name>, make: impl FnOnce() -> Option<String>) -> Option<String> {
        let is_full = self.helps.len() >= HELP_COUNT_MAX;
        match self.helps.entry((partial.to_owned(), lacks)) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(_) if is_full => None,
            Entry::Vacant(place) => place.insert(make()).clone(),
        }
    }

    fn check_tag(&mut self, tag: &Tag) {
        let Some(partial) = self.find(&tag.name, tag.name_span) else { return };
        if !tag.is_broken {
            let help = |missing: &str| format!("write `<% {} {missing}=\"…\" … %/>`", tag.name);
            self.check_attributes(tag.name_span, &tag.attributes, &partial, &help);
        }
        for word in &tag.words {
            let text = self.template.text(*word).to_owned();
            let message = format!("the attribute `{text}` has no value");
            self.report(Code::MalformedAttribute, *word, message, Some(format!("write `{text}=\"…\"`")));
        }
        self.check_closing(&tag.name, tag.closed_as, &format!("<%/ {} %>", tag.name));
        self.check_body(tag, &partial);
    }

    /// Reports a closing tag that is almost that of what is open, now that this is known to be right.
    fn check_closing(&mut self, open: &str, closed_as: Option<Span>, meant: &str) {
        if let Some(name) = closed_as {
            let (message, help) = almost_closed(self.template.text(name), open, meant);
            self.report(Code::UnexpectedClosingTag, name, message, Some(help));
        }
    }

    fn check_body(&mut self, tag: &Tag, partial: &Template) {
        match &tag.body {
            Some(Body::Slots(slots)) => {
                for slot in slots {
                    let asked = Name::slot(slot.name.clone());
                    if partial.asks.known.contains(&asked) {
                        self.check_closing(&slot.name, slot.closed_as, &format!("</slot:{}>", slot.name));
                    } else {
                        let message = format!("`{}` has no slot `{}`", tag.name, slot.name);
                        let help = self.suggest(&tag.name, Some(asked), || Some(suggest_slot(&slot.name, partial)));
                        self.report(Code::UnexpectedSlot, slot.name_span, message, help);
                    }
                }
            }
            Some(Body::Whole { first_stray: Some(stray), .. })
                if !partial.asks.known.contains(&Name::slot("default")) =>
            {
                let message = format!("this stands outside every slot of `{}` and would be lost", tag.name);
                let help = match partial.asks.known.iter().find(|known| known.target == Target::Slot) {
                    None => format!("`{}` has no slots; give it a `{{{{default}}}}` to take the whole body", tag.name),
                    Some(Name { text, .. }) => {
                        format!("move it into a slot, such as `<slot:{text}> … </slot:{text}>`")
                    }
                };
                self.report(Code::StrayText, *stray, message, Some(help));
            }
            _ => {}
        }
    }

    fn check_each(&mut self, each: &Each) {
        if let Some(partial) = self.find(&each.partial, each.partial_span) {
            let help = |missing: &str| format!("write `{missing}=\"…\"` in this `each`");
            self.check_attributes(each.partial_span, &each.attributes, &partial, &help);
        }
    }

    fn find(&mut self, name: &str, span: Span) -> Option<Arc<Template>> {
        let set = self.set;
        let source = &self.template.source;
        let diagnostic = set.check_name_with(name, source, span, || self.suggest(name, None, || set.suggest(name)));
        self.diagnostics.extend(diagnostic);
        set.find(name).cloned()
    }

    fn check_attributes(&mut self, span: Span, given: &[Attribute], partial: &Template, help: &dyn Fn(&str) -> String) {
        let name = self.template.text(span);
        let names: Vec<_> = given.iter().map(|attribute| attribute.name.as_str()).collect();
        let meant = partial.meant_names(Target::Attribute, &names);
        let is_given: BTreeSet<_> = meant.iter().copied().collect();
        let required = partial.asks.required.iter().filter(|asked| asked.target == Target::Attribute);
        let required: Vec<_> = required.map(|asked| asked.text.as_str()).collect();
        let missing: Vec<_> = required.iter().copied().filter(|asked| !is_given.contains(asked)).collect();
        if !missing.is_empty() {
            let noun = if missing.len() == 1 { "attribute" } else { "attributes" };
            let message = format!("`{name}` needs the {noun} {}", list_names(&missing));
            let help = format!("{}, or give `{{{{@{}}}}}` a default", help(missing[0]), missing[0]);
            self.report(Code::MissingAttributes, span, message, Some(help));
        }
        for (attribute, meant) in given.iter().zip(meant) {
            let asked = Name::attribute(attribute.name.clone());
            if partial.asks.known.contains(&asked) {
                continue;
            }
            if meant != attribute.name && required.contains(&meant) {
                let message = format!("`{name}` needs the attribute `{meant}`, and this is `{}`", attribute.name);
                let help = Some(format!("did you mean `{meant}`?"));
                self.report(Code::MissingAttributes, attribute.name_span, message, help);
                continue;
            }
            let help = self.suggest(name, Some(asked), || Some(suggest_attribute(&attribute.name, partial)));
            let message = format!("`{name}` never uses the attribute `{}`", attribute.name);
            self.report(Code::UnusedAttribute, attribute.name_span, message, help);
        }
    }
}

fn names_of(partial: &Template, target: Target) -> Vec<&str> {
    partial.asks.known.iter().filter(|name| name.target == target).map(|name| name.text.as_str()).collect()
}

fn suggest_attribute(name: &str, partial: &Template) -> String {
    let known = names_of(partial, Target::Attribute);
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if partial.asks.known.contains(&Name::slot(name)) => {
            format!("it is a slot: write `<slot:{name}> … </slot:{name}>` in the tag's body")
        }
        None if known.is_empty() => "it uses no attributes".to_owned(),
        None => format!("it uses {}", list_names(&known)),
    }
}

fn suggest_slot(name: &str, partial: &Template) -> String {
    let known = names_of(partial, Target::Slot);
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "it has no slots".to_owned(),
        None => format!("it has {}", list_names(&known)),
    }
}

impl Template {
    /// The partials that it names, and where.
    pub fn references(&self) -> impl Iterator<Item = (&str, Span)> {
        self.all_nodes().iter().filter_map(|node| match node {
            Node::Tag(tag) => Some((tag.name.as_str(), tag.name_span)),
            Node::Each(each) => Some((each.partial.as_str(), each.partial_span)),
            _ => None,
        })
    }
}
