//! What front matter says for all pages of a folder: `_defaults.toml`. Nearer folders go first, a page's own fields
//! before all.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, SourceText};
use crate::front_matter::{self, Fields};
use crate::source::{DEFAULTS_NAME, SourceFile};
use crate::template::TemplateSet;

/// The defaults of all folders of pages.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    by_folder: BTreeMap<String, (SourceText, Fields)>,
}

impl Defaults {
    /// Reads the files, which are named by their paths below the folder of pages.
    pub fn read(files: &[SourceFile]) -> (Self, Vec<Diagnostic>) {
        let mut defaults = Self::default();
        let mut diagnostics = Vec::new();
        for file in files {
            let folder = file.name.strip_suffix(DEFAULTS_NAME).unwrap_or_default().trim_end_matches('/');
            match file.to_text() {
                Ok(source) => {
                    let (fields, mistakes) = front_matter::parse_defaults(&source);
                    diagnostics.extend(mistakes);
                    defaults.by_folder.insert(folder.to_owned(), (source, fields));
                }
                Err(diagnostic) => diagnostics.push(diagnostic),
            }
        }
        (defaults, diagnostics)
    }

    /// What is wrong with the layouts that they name.
    pub fn check_layouts(&self, templates: &TemplateSet) -> Vec<Diagnostic> {
        let layouts = self.by_folder.values().filter_map(|(source, fields)| {
            let field = fields.get("layout")?;
            templates.check_name(&field.value.as_text()?, source, field.span)
        });
        layouts.collect()
    }

    /// Those for a page, the nearest first.
    fn for_page(&self, content_path: &str) -> impl Iterator<Item = &(SourceText, Fields)> {
        let mut folder = Some(content_path);
        std::iter::from_fn(move || {
            let path = folder?;
            folder = path.rsplit_once('/').map(|(parent, _)| parent).or((!path.is_empty()).then_some(""));
            Some(self.by_folder.get(folder?))
        })
        .flatten()
    }

    /// Adds to a page's own fields those that it doesn't have.
    pub fn add_to(&self, fields: &mut Fields, content_path: &str) {
        for (_, defaults) in self.for_page(content_path) {
            for (name, field) in defaults.iter() {
                if fields.get(name).is_none() {
                    fields.insert(name, field.clone());
                }
            }
            fields.lose_with(defaults);
        }
    }

    /// A name for a page together with all that its defaults say: the same only if they are the same.
    pub(super) fn name_with(&self, file: &SourceFile) -> Arc<str> {
        let mut name = Arc::clone(&file.path);
        for (source, _) in self.for_page(&file.name) {
            name = format!("{name}\n{}", source.text).into();
        }
        name
    }
}
