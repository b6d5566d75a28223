//! Slots of a partial that a page names and doesn't fill. If no page fills one, it is the partial that asks for too much, and
//! that is one mistake, on however many pages it is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::RenderedPage;
use super::scope::{Caller, CallerKind};
use crate::diagnostic::{Code, Diagnostic, Place, is_slip, list_names};
use crate::site::{OFFERED_FIELDS, Page};
use crate::template::TemplateSet;

/// What one use of a partial in a page lacks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Lack {
    /// The partial's name.
    partial: String,
    /// The names of its slots, by when it first asks for them; at least one.
    slots: Vec<String>,
    /// Where the page names the partial.
    place: Place,
    caller: CallerKind,
    /// The page's source.
    page: Arc<str>,
}

impl Lack {
    pub(super) fn new(caller: Caller<'_>, slots: Vec<String>, page: &Page) -> Self {
        Self {
            partial: caller.name.to_owned(),
            slots,
            place: caller.template.place(caller.span),
            caller: caller.kind,
            page: Arc::clone(&page.source.path),
        }
    }

    /// What is wrong with this use.
    pub fn to_diagnostic(&self) -> Diagnostic {
        let Self { partial, slots, page, .. } = self;
        let noun = if slots.len() == 1 { "slot" } else { "slots" };
        let first = &slots[0];
        let field = field_of(first);
        let help = match self.caller {
            CallerKind::Layout => match offered_field(first) {
                Some(near) => {
                    format!("did you mean `{{{{{near}}}}}` in `{partial}`? Else write `{field}: …` here, or give it")
                }
                None => format!("write `{field}: …` in the front matter of `{page}`, or give `{{{{{first}}}}}`"),
            },
            _ if first == "default" => format!("write `<% {partial} %> … <%/ {partial} %>`, or give `{{{{default}}}}`"),
            _ => format!(
                "write `<slot:{first}> … </slot:{first}>` in the tag's body, or `{field}: …` in the front matter of `{page}`, \
                 or give `{{{{{first}}}}}`"
            ),
        };
        let message = format!("`{partial}` needs the {noun} {}", list_names(slots));
        Diagnostic::new(Code::MissingSlots, self.place.clone(), message).with_help(format!("{help} a default"))
    }
}

/// What pages lack: a slot that all users of a partial lack once in the partial, all others in each page.
pub fn report_lacks(rendered: &[RenderedPage], templates: &TemplateSet) -> Vec<Diagnostic> {
    let mut shared: BTreeMap<(&str, &str), (usize, &Lack)> = BTreeMap::new();
    for page in rendered {
        let slots = page.lacks.iter().flat_map(|lack| lack.slots.iter().map(move |slot| (lack, slot.as_str())));
        let mut seen = BTreeSet::new();
        for (lack, slot) in slots {
            let key = (lack.partial.as_str(), slot);
            if seen.insert(key) {
                shared.entry(key).or_insert((0, lack)).0 += 1;
            }
        }
    }
    if shared.is_empty() {
        return Vec::new();
    }
    let mut user_counts: BTreeMap<&str, usize> = BTreeMap::new();
    for partial in rendered.iter().flat_map(|page| &page.partials) {
        *user_counts.entry(partial).or_default() += 1;
    }
    shared.retain(|(partial, _), (count, _)| *count > 1 && user_counts.get(partial) == Some(count));
    let in_pages = rendered.iter().flat_map(|page| &page.lacks).filter_map(|lack| {
        let is_own = |slot: &&String| !shared.contains_key(&(lack.partial.as_str(), slot.as_str()));
        let slots: Vec<_> = lack.slots.iter().filter(is_own).cloned().collect();
        (!slots.is_empty()).then(|| Lack { slots, ..lack.clone() }.to_diagnostic())
    });
    let names: BTreeSet<&str> = shared.keys().map(|(partial, _)| *partial).collect();
    let partials = names.into_iter().filter_map(|name| Some((name, templates.find(name)?)));
    let places: BTreeMap<_, _> = partials.map(|(name, partial)| (name, (partial, partial.first_slots()))).collect();
    let in_partials = shared.iter().filter_map(|((partial, slot), (count, first))| {
        let (template, slots) = places.get(partial)?;
        let place = template.place(slots.get(slot).copied().unwrap_or_default());
        let message = format!("`{partial}` needs the slot `{slot}`, which no page gives it");
        let help = match offered_field(slot) {
            Some(near) => format!("did you mean `{{{{{near}}}}}`? Else give it a default: `{{{{{slot} ?? …}}}}`"),
            None => format!(
                "write `{}: …` in the pages' front matter, or give it a default: `{{{{{slot} ?? …}}}}`",
                field_of(slot)
            ),
        };
        let diagnostic = Diagnostic::new(Code::MissingSlots, place, message).with_help(help);
        Some(diagnostic.with_note(first.place.clone(), format!("on {count} pages, this one first")))
    });
    in_pages.chain(in_partials).collect()
}

/// The field that would fill a slot: some are made of what is written.
fn field_of(slot: &str) -> &str {
    if matches!(slot, "date_iso" | "date_rfc2822") { "date" } else { slot }
}

/// The field of every page that was probably meant.
pub(super) fn offered_field(slot: &str) -> Option<&'static str> {
    OFFERED_FIELDS.into_iter().find(|known| is_slip(slot, known))
}
