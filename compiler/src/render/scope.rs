//! What a partial sees: its own attributes and slots, and the page's front matter. Nothing leaks from its caller.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::lack::offered_field;
use super::markup::ValueId;
use crate::diagnostic::{Code, Diagnostic, Span, list_names};
use crate::front_matter::Value;
use crate::site::{Item, OFFERED_FIELDS, Page};
use crate::template::{Name, Target, Template};

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
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
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
    /// A field that every page offers and this item has not, or one whose own mistake has been reported.
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
            None => match page.field(&name.text) {
                Some(value) => Found::Field(value),
                None if page.front_matter.has_lost(&name.text) => Found::Empty,
                None => Found::Nothing,
            },
            Some(item) if name.text == "current" => Found::Text(item.current(page).into()),
            Some(item) => match item.field(&name.text) {
                Some(value) => Found::Field(value),
                None => match item {
                    Item::Page(item) if item.front_matter.has_lost(&name.text) => Found::Empty,
                    Item::Page(_) if OFFERED_FIELDS.contains(&name.text.as_str()) => Found::Empty,
                    _ => Found::Nothing,
                },
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
    let place = partial.place(partial.find_placeholder(&asked).unwrap_or_default());
    let code = if target == Target::Slot { Code::MissingSlots } else { Code::MissingAttributes };
    let message = format!("`{name}` asks for {}, which a page of a taxonomy doesn't have", list_names(names));
    Diagnostic::new(code, place, message).with_help("it has `title`, `url` and `count`; others need a default")
}

/// What is wrong with an item of a list that hasn't the slots which its partial asks for.
pub(super) fn missing_in_item(caller: Caller<'_>, item: Item<'_>, names: &[String]) -> Diagnostic {
    let noun = if names.len() == 1 { "slot" } else { "slots" };
    let of = match item {
        Item::Page(item) => format!("the page `{}`", item.source.path),
        Item::Term(term) => format!("the term `{}`", term.slug),
        Item::Value(_) => "an item".to_owned(),
    };
    let message = format!("`{}` needs the {noun} {}, which {of} doesn't have", caller.name, list_names(names));
    let help = format!("add `{0}` to it, or write `{{{{{0} ?? …}}}}` in `{1}`", names[0], caller.name);
    Diagnostic::new(Code::MissingSlots, caller.template.place(caller.span), message).with_help(help)
}

/// What is wrong with a partial that asks for a slot which no item of a list has.
pub(super) fn missing_in_items(caller: Caller<'_>, name: &str) -> Diagnostic {
    let message = format!("`{}` needs the slot `{name}`, which none of the items has", caller.name);
    let help = match offered_field(name) {
        Some(near) => format!("did you mean `{{{{{near}}}}}` in `{}`?", caller.name),
        None => format!("add `{name}` to them, or write `{{{{{name} ?? …}}}}` in `{}`", caller.name),
    };
    Diagnostic::new(Code::MissingSlots, caller.template.place(caller.span), message).with_help(help)
}

/// What is wrong with a use of a partial that got too few attributes.
pub(super) fn missing_attributes(caller: Caller<'_>, names: &[String]) -> Diagnostic {
    let noun = if names.len() == 1 { "attribute" } else { "attributes" };
    let mut message = format!("`{}` needs the {noun} {}", caller.name, list_names(names));
    let first = &names[0];
    let help = match caller.kind {
        CallerKind::Layout => {
            message += ", and a layout is given none";
            format!("ask for front matter in it: `{{{{{first}}}}}`")
        }
        CallerKind::Each => format!("write `{first}=\"…\"` in this `each`, or give `{{{{@{first}}}}}` a default"),
        CallerKind::Tag | CallerKind::BrokenTag => {
            format!("write `<% {} {first}=\"…\" … %/>`, or give `{{{{@{first}}}}}` a default", caller.name)
        }
    };
    Diagnostic::new(Code::MissingAttributes, caller.template.place(caller.span), message).with_help(help)
}
