//! Pages and partials whose templates can't be read as they were meant. What seems to follow from that isn't told: it goes
//! away with the mistake, or is told once that is mended.

use std::collections::{BTreeSet, HashMap};

use crate::diagnostic::{Code, Diagnostic};
use crate::render::RenderedPage;
use crate::site::Page;
use crate::template::TemplateSet;

/// What has a gap where something should stand.
pub(super) struct Gaps<'a> {
    /// The paths of the files that have such mistakes.
    files: BTreeSet<&'a str>,
    /// The partials among them, and all that use them.
    partials: BTreeSet<&'a str>,
}

impl<'a> Gaps<'a> {
    pub(super) fn find(diagnostics: impl Iterator<Item = &'a Diagnostic>, templates: &'a TemplateSet) -> Self {
        let broken = diagnostics.filter(|one| one.code.leaves_gaps());
        let files: BTreeSet<&str> = broken.map(|one| &*one.place.path).collect();
        let mut partials = BTreeSet::new();
        if !files.is_empty() {
            let all = || templates.names().filter_map(|name| Some((name, templates.find(name)?)));
            let mut users: HashMap<&str, Vec<&str>> = HashMap::new();
            for (user, template) in all() {
                for (used, _) in template.references() {
                    users.entry(used).or_default().push(user);
                }
            }
            let own = all().filter(|(_, template)| files.contains(&*template.source.path));
            let mut open: Vec<&str> = own.map(|(name, _)| name).collect();
            while let Some(name) = open.pop() {
                if partials.insert(name) {
                    open.extend(users.get(name).into_iter().flatten());
                }
            }
        }
        Self { files, partials }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether a mistake in a page's markup may be none.
    pub(super) fn may_explain(&self, mistake: &Diagnostic, page: &Page, rendered: &RenderedPage) -> bool {
        let is_of_structure = matches!(mistake.code, Code::ChangedNesting | Code::SkippedHeading);
        let has_gap = || {
            self.files.contains(&*page.source.path)
                || self.files.contains(&*mistake.place.path)
                || rendered.partials.iter().any(|name| self.partials.contains(name.as_str()))
        };
        !self.is_empty() && is_of_structure && has_gap()
    }
}
