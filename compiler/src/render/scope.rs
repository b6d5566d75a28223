//! What a partial sees: its own attributes and slots, and the page's front matter. Nothing leaks from its caller.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::markup::ValueId;
use crate::diagnostic::{Code, Diagnostic, Span, is_slip, list_names};
use crate::front_matter::Value;
use crate::site::{Item, OFFERED_FIELDS, Page};
use crate::template::{Name, Node, Target, Template};

/// Where a partial was called.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    /// The partial's name.
    pub(super) name: &'a str,
    /// What the tag stands in.
    pub(super) template: &'a Template,
    /// Where in it.
    pub(super) span: Span,
    /// What calls it.
    pub(super) kind: CallerKind,
}

/// What calls a partial.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CallerKind {
    Tag,
    /// A mistake in the tag has been reported, so that what it lacks isn't worth a word.
    BrokenTag,
    Each,
    /// A page's `layout`.
    Layout,
}

/// What names mean in a page or in one use of a partial.
#[derive(Default)]
pub(super) struct Scope<'a> {
    /// Nothing in a page.
    pub(super) caller: Option<Caller<'a>>,
    attributes: Rc<BTreeMap<&'a str, Rc<str>>>,
    slots: BTreeMap<&'a str, ValueId>,
    item: Option<Item<'a>>,
    /// What was asked for and not found, by when it was first asked for.
    missing: RefCell<BTreeMap<Name, usize>>,
}

/// What a name stands for.
pub(super) enum Found<'a> {
    /// A slot that was filled.
    Markup(ValueId),
    /// An attribute.
    Text(Rc<str>),
    /// A field of the page or the item.
    Field(&'a Value),
    /// A field that every page offers and this item has not.
    Empty,
    /// It wasn't given.
    Nothing,
}

impl<'a> Scope<'a> {
    pub(super) fn of_page() -> Self {
        Self::default()
    }

    pub(super) fn of_partial(
        caller: Caller<'a>,
        attributes: Rc<BTreeMap<&'a str, Rc<str>>>,
        slots: BTreeMap<&'a str, ValueId>,
    ) -> Self {
        Self { caller: Some(caller), attributes, slots, ..Self::default() }
    }

    pub(super) fn of_item(caller: Caller<'a>, attributes: Rc<BTreeMap<&'a str, Rc<str>>>, item: Item<'a>) -> Self {
        Self { caller: Some(caller), attributes, item: Some(item), ..Self::default() }
    }

    pub(super) fn find(&self, name: &Name, page: &'a Page) -> Found<'a> {
        if name.target == Target::Attribute {
            return self.attributes.get(name.text.as_str()).map_or(Found::Nothing, |text| Found::Text(Rc::clone(text)));
        }
        if let Some(id) = self.slots.get(name.text.as_str()) {
            return Found::Markup(*id);
        }
        match self.item {
            None => page.field(&name.text).map_or(Found::Nothing, Found::Field),
            Some(item) if name.text == "current" => Found::Text(item.current(page).into()),
            Some(item) => match item.field(&name.text) {
                Some(value) => Found::Field(value),
                None if matches!(item, Item::Page(_)) && OFFERED_FIELDS.contains(&name.text.as_str()) => Found::Empty,
                None => Found::Nothing,
            },
        }
    }

    /// Notes that a name wasn't given.
    pub(super) fn miss(&self, name: &Name) {
        let mut missing = self.missing.borrow_mut();
        if !missing.contains_key(name) {
            let order = missing.len();
            missing.insert(name.clone(), order);
        }
    }

    pub(super) fn missing_count(&self) -> usize {
        self.missing.borrow().len()
    }

    pub(super) fn missing(&self, target: Target) -> Vec<String> {
        let missing = self.missing.borrow();
        let mut names: Vec<_> = missing.iter().filter(|(name, _)| name.target == target).collect();
        names.sort_by_key(|(_, order)| **order);
        names.into_iter().map(|(name, _)| name.text.clone()).collect()
    }

    pub(super) fn item(&self) -> Option<Item<'a>> {
        self.item
    }
}

/// What is wrong with a partial that is a page by itself and asks for more than such a page has. It is the same for all
/// terms, so it is reported in the partial.
pub(super) fn missing_in_made(partial: &Template, name: &str, names: &[String], target: Target) -> Diagnostic {
    let asked = Name { target, text: names[0].clone() };
    let spans = partial.all_nodes().iter().filter_map(|node| match node {
        Node::Placeholder(placeholder) if placeholder.name == asked => Some(placeholder.span),
        _ => None,
    });
    let place = partial.place(spans.min().unwrap_or_default());
    let code = if target == Target::Slot { Code::MissingSlots } else { Code::MissingAttributes };
    let message = format!("`{name}` asks for {}, which a page of a taxonomy doesn't have", list_names(names));
    Diagnostic::new(code, place, message).with_help("it has `title`, `url` and `count`; others need a default")
}

/// What is wrong with a use of a partial that got too little.
pub(super) fn missing_diagnostic(
    caller: Caller<'_>,
    item: Option<Item<'_>>,
    names: &[String],
    target: Target,
    page: &Page,
) -> Diagnostic {
    let noun = match (target, names.len()) {
        (Target::Slot, 1) => "slot",
        (Target::Slot, _) => "slots",
        (Target::Attribute, 1) => "attribute",
        (Target::Attribute, _) => "attributes",
    };
    let place = caller.template.place(caller.span);
    let needs = format!("`{}` needs the {noun} {}", caller.name, list_names(names));
    let first = &names[0];
    let code = if target == Target::Slot { Code::MissingSlots } else { Code::MissingAttributes };
    if let (Some(item), Target::Slot) = (item, target) {
        let of = match item {
            Item::Page(item) => format!("the page `{}`", item.source.path),
            Item::Term(term) => format!("the term `{}`", term.slug),
            Item::Value(_) => "an item".to_owned(),
        };
        let message = format!("{needs}, which {of} doesn't have");
        let help = format!("add `{first}` to it, or write `{{{{{first} ?? …}}}}` in `{}`", caller.name);
        return Diagnostic::new(code, place, message).with_help(help);
    }
    // Some fields are made of what is written.
    let field = if ["date_iso", "date_rfc2822"].contains(&first.as_str()) { "date" } else { first };
    let path = &page.source.path;
    let help = match (target, caller.kind) {
        (Target::Attribute, CallerKind::Layout) => {
            return Diagnostic::new(code, place, format!("{needs}, and a layout is given none"))
                .with_help(format!("ask for front matter in it: `{{{{{first}}}}}`"));
        }
        (Target::Attribute, CallerKind::Each) => {
            format!("write `{first}=\"…\"` in this `each`, or give `{{{{@{first}}}}}`")
        }
        (Target::Attribute, _) => format!("write `<% {} {first}=\"…\" … %/>`, or give `{{{{@{first}}}}}`", caller.name),
        (Target::Slot, CallerKind::Layout)
            if let Some(near) = OFFERED_FIELDS.iter().find(|near| is_slip(first, near)) =>
        {
            format!("did you mean `{{{{{near}}}}}` in `{}`? Else write `{field}: …` here, or give it", caller.name)
        }
        (Target::Slot, CallerKind::Layout) => {
            format!("write `{field}: …` in the front matter of `{path}`, or give `{{{{{first}}}}}`")
        }
        (Target::Slot, _) if first == "default" => {
            format!("write `<% {0} %> … <%/ {0} %>`, or give `{{{{default}}}}`", caller.name)
        }
        (Target::Slot, _) => format!(
            "write `<slot:{first}> … </slot:{first}>` in the tag's body, or `{field}: …` in the front matter of `{path}`, \
             or give `{{{{{first}}}}}`"
        ),
    };
    Diagnostic::new(code, place, needs).with_help(format!("{help} a default"))
}
