//! What is wrong besides what keeps a page from being made: tools that failed, and what the check of the whole site
//! found in the files of a page. A page shows it as a mark, and errors over itself.

use super::edition::Edition;
use crate::diagnostic::Diagnostic;

/// What is known to be wrong with the site now.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    /// Of tools: every page tells it, since any may lack what they make.
    pub(super) of_tools: Vec<Diagnostic>,
    /// Of the whole site; nothing until it was checked.
    pub(super) of_site: Vec<Diagnostic>,
}

impl Notes {
    /// What concerns whoever has a page open. The rest is shown in the terminal.
    pub(super) fn for_page(&self, page: &str, edition: &Edition) -> Vec<Diagnostic> {
        let files = edition.page_path(page).map(|path| edition.files_behind(&path)).unwrap_or_default();
        let of_page = self.of_site.iter().filter(|one| files.contains(&one.place.path));
        of_page.chain(&self.of_tools).cloned().collect()
    }
}
