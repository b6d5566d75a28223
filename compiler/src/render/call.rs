//! A partial in its place: the slots that a tag's body fills, the layout around a page, and what was missing in the end.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::markup::ValueId;
use super::scope::{self, Caller, CallerKind, Scope};
use super::{Call, Lack, Renderer, Task};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::template::{Attribute, Body, Name, Tag, Target, Template};

impl<'a> Renderer<'a> {
    pub(super) fn render_layout(&mut self, name: &'a str, span: Span, body: ValueId) -> ValueId {
        let page: &'a Template = &self.page.template;
        let Some(partial) = self.templates.find(name) else {
            // A layout that `_defaults.toml` names is reported there.
            let is_own = self.page.layout.as_ref().is_some_and(|(_, span)| span.is_some());
            if let Some(diagnostic) = self.templates.check_name(name, &page.source, span).filter(|_| is_own) {
                self.report(diagnostic);
            }
            return body;
        };
        let body_slot = partial.meant_names(Target::Slot, &["body"])[0];
        if !partial.asks.known.contains(&Name::slot("body")) {
            let message = format!("the layout `{name}` has no slot `body`");
            let help = match partial.find_placeholder(&Name::slot(body_slot)) {
                Some(_) => format!("did you mean `{{{{body}}}}` instead of `{{{{{body_slot}}}}}`?"),
                None => "write `{{body}}` in it where the page's text belongs".to_owned(),
            };
            let diagnostic = Diagnostic::new(Code::UnexpectedSlot, partial.place(Span::default()), message);
            self.report(diagnostic.with_note(page.place(span), "it is the layout of this page").with_help(help));
        }
        let caller = Caller { name, template: page, span, kind: CallerKind::Layout };
        self.markup.open_value();
        let slots = BTreeMap::from([(body_slot, body)]);
        self.push_partial(partial, Scope::of_partial(caller, Rc::default(), slots));
        self.run();
        self.markup.close_value()
    }

    pub(super) fn begin_call(&mut self, template: &'a Template, tag: &'a Tag, scope: &Rc<Scope<'a>>) {
        let Some(partial) = self.templates.find(&tag.name) else { return };
        if self.templates.ends_cycle(template, tag.name_span) {
            return;
        }
        let attributes = self.evaluate_attributes(template, &tag.attributes, partial, scope);
        let fills = match &tag.body {
            Some(Body::Slots(slots)) => {
                let names: Vec<_> = slots.iter().map(|slot| slot.name.as_str()).collect();
                partial.meant_names(Target::Slot, &names).into_iter().zip(slots.iter().map(|slot| slot.block)).collect()
            }
            Some(Body::Whole { block, .. }) => vec![("default", *block)],
            Some(Body::Blank) | None => Vec::new(),
        };
        let kind = if tag.is_broken { CallerKind::BrokenTag } else { CallerKind::Tag };
        let caller = Caller { name: &tag.name, template, span: tag.name_span, kind };
        self.tasks.push(Task::Call(Box::new(Call {
            partial,
            caller,
            outer: Rc::clone(scope),
            attributes,
            fills,
            slots: BTreeMap::new(),
        })));
        self.begin_fill();
    }

    /// What a partial is given. A slip in a name has been reported, and stands for what was meant.
    pub(super) fn evaluate_attributes(
        &mut self,
        template: &'a Template,
        given: &'a [Attribute],
        partial: &'a Template,
        scope: &Rc<Scope<'a>>,
    ) -> Rc<BTreeMap<&'a str, Rc<str>>> {
        let names: Vec<_> = given.iter().map(|one| one.name.as_str()).collect();
        let names = partial.meant_names(Target::Attribute, &names);
        let values = given.iter().map(|one| self.evaluate(template, &one.value, scope));
        Rc::new(names.into_iter().zip(values).collect())
    }

    /// Renders the next slot of the call that is the last task, or its partial if there is none.
    fn begin_fill(&mut self) {
        let Some(Task::Call(call)) = self.tasks.last() else { return };
        if let Some((_, block)) = call.fills.get(call.slots.len()) {
            let (template, block, outer) = (call.caller.template, *block, Rc::clone(&call.outer));
            self.node_count += 1;
            self.markup.open_value();
            self.push_block(template, block, &outer);
        } else if let Some(Task::Call(call)) = self.tasks.pop() {
            let Call { partial, caller, attributes, slots, .. } = *call;
            self.push_partial(partial, Scope::of_partial(caller, attributes, slots));
        }
    }

    /// The slot that was being rendered is done.
    pub(super) fn continue_call(&mut self) {
        let value = self.markup.close_value();
        if let Some(Task::Call(call)) = self.tasks.last_mut()
            && let Some((name, _)) = call.fills.get(call.slots.len())
        {
            call.slots.insert(name, value);
        }
        self.begin_fill();
    }

    /// Reports what a partial asked for and nothing gave.
    pub(super) fn report_missing(&mut self, scope: &Scope<'a>) {
        let Some(caller) = scope.caller.filter(|caller| caller.kind != CallerKind::BrokenTag) else { return };
        for target in [Target::Slot, Target::Attribute] {
            let names = scope.missing(target);
            if names.is_empty() {
                continue;
            }
            let made_from = self.templates.find(caller.name).filter(|_| self.page.is_made && scope.item().is_none());
            let is_made = made_from.filter(|_| caller.template.source.path == self.page.source.path);
            let diagnostic = match (is_made, target, scope.item()) {
                (Some(partial), ..) => scope::missing_in_made(partial, caller.name, &names, target),
                (None, Target::Attribute, _) => scope::missing_attributes(caller, &names),
                (None, Target::Slot, Some(item)) => {
                    self.note_lacking(item, names);
                    continue;
                }
                (None, Target::Slot, None) => {
                    let key = (Code::MissingSlots, caller.template.place(caller.span), names.join(" "));
                    if self.seen.insert(key) {
                        self.lacks.push(Lack::new(caller, names, self.page));
                    }
                    continue;
                }
            };
            self.report(diagnostic);
        }
    }
}
