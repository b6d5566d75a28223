//! The tag `each`: a collection, and a partial for each of its items.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::scope::{self, Caller, CallerKind, Scope};
use super::{Items, Renderer, Task};
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::site::{self, Item, Query, QueryMistake, QueryPart, Selected};
use crate::template::{Each, Template, Value, check_query_attribute};

/// Collections with a name of their own, of which a slip is known.
const COLLECTIONS: [&str; 5] = ["posts", "pages", "children", "term", "terms"];

impl<'a> Renderer<'a> {
    pub(super) fn begin_items(&mut self, template: &'a Template, each: &'a Each, scope: &Rc<Scope<'a>>) {
        let Some(partial) = self.templates.find(&each.partial) else { return };
        if self.templates.ends_cycle(template, each.partial_span) {
            return;
        }
        let missed_before = scope.missing_count();
        let mut text = |value: &'a Option<Value>| value.as_ref().map(|value| self.evaluate(template, value, scope));
        let (of, sort, filter) = (text(&each.of), text(&each.sort), text(&each.filter));
        let limit = text(&each.limit);
        let attributes = self.evaluate_attributes(template, &each.attributes, partial, scope);
        if scope.missing_count() > missed_before {
            return;
        }
        let mut is_right = self.check_query(template, "sort", each.sort.as_ref(), sort.as_deref());
        is_right &= self.check_query(template, "where", each.filter.as_ref(), filter.as_deref());
        is_right &= self.check_query(template, "limit", each.limit.as_ref(), limit.as_deref());
        if !is_right {
            return;
        }
        let query = Query {
            collection: &each.collection,
            item: scope.item(),
            of: of.as_deref(),
            sort: sort.as_deref(),
            filter: filter.as_deref(),
            limit: limit.and_then(|limit| limit.parse().ok()),
        };
        let Selected { items, mistakes } = self.site.select_part(&query, self.page, site::size_of(each));
        for mistake in mistakes {
            self.report_query(template, each, mistake);
        }
        let caller = Caller { name: &each.partial, template, span: each.partial_span, kind: CallerKind::Each };
        let items = Items { partial, caller, attributes, left: items.into_iter(), begun_count: 0, lacking: Vec::new() };
        self.tasks.push(Task::Items(Box::new(items)));
    }

    fn report_query(&mut self, template: &'a Template, each: &'a Each, mistake: QueryMistake) {
        let value = match mistake.part {
            QueryPart::Collection => &each.of,
            QueryPart::Filter => &each.filter,
            QueryPart::Sort => &each.sort,
        };
        let span = value.as_ref().map_or(each.collection_span, |value| value.span);
        let mut diagnostic = Diagnostic::new(mistake.code, template.place(span), mistake.message);
        diagnostic.help = mistake.help;
        if mistake.part == QueryPart::Collection && diagnostic.help.is_none() {
            diagnostic.help = suggest_collection(&each.collection);
        }
        self.report(diagnostic);
    }

    /// Whether an attribute of an `each` can be understood. If it was written out, the parser has checked it.
    fn check_query(&mut self, template: &'a Template, name: &str, value: Option<&Value>, text: Option<&str>) -> bool {
        let (Some(value), Some(text)) = (value, text) else { return true };
        if value.as_text().is_some() {
            return true;
        }
        let Some((message, help)) = check_query_attribute(name, text) else { return true };
        let diagnostic = Diagnostic::new(Code::MalformedAttribute, template.place(value.span), message);
        self.report(diagnostic.with_help(help));
        false
    }

    pub(super) fn continue_items(&mut self) {
        let Some(Task::Items(items)) = self.tasks.last_mut() else { return };
        let Some(item) = items.left.next() else {
            if let Some(Task::Items(items)) = self.tasks.pop() {
                self.report_lacking(&items);
            }
            return;
        };
        self.node_count += 1;
        items.begun_count += 1;
        let is_first = items.begun_count == 1;
        let (partial, caller, attributes) = (items.partial, items.caller, Rc::clone(&items.attributes));
        if !is_first {
            self.markup.push_text("\n");
        }
        self.push_partial(partial, Scope::of_item(caller, attributes, item));
    }
}

impl<'a> Renderer<'a> {
    /// The item that has just been shown lacks slots.
    pub(super) fn note_lacking(&mut self, item: Item<'a>, names: Vec<String>) {
        if let Some(Task::Items(items)) = self.tasks.last_mut() {
            items.lacking.push((item, names));
        }
    }

    /// Reports what items lack: a slot that all of them lack once.
    fn report_lacking(&mut self, items: &Items<'a>) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for name in items.lacking.iter().flat_map(|(_, names)| names) {
            *counts.entry(name).or_default() += 1;
        }
        let is_shared = |name: &str| items.begun_count > 1 && counts.get(name) == Some(&items.begun_count);
        for name in counts.keys().filter(|name| is_shared(name)) {
            self.report(scope::missing_in_items(items.caller, name));
        }
        for (item, names) in &items.lacking {
            let names: Vec<_> = names.iter().filter(|name| !is_shared(name)).cloned().collect();
            if !names.is_empty() {
                self.report(scope::missing_in_item(items.caller, *item, &names));
            }
        }
    }
}

/// The collection that was probably meant. What has a folder, a term or a field in its name is wrong in another way.
fn suggest_collection(name: &str) -> Option<String> {
    if name.contains(['/', '.']) || COLLECTIONS.contains(&name) {
        return None;
    }
    nearest(name, COLLECTIONS).map(|near| format!("did you mean `{near}`?"))
}
