//! The filters of a site: what their commands make of blocks of code is part of the sources from then on, so that all
//! that follows is pure.

use std::path::Path;

use crate::cache::Cache;
use crate::config::{Config, Filter};
use crate::diagnostic::Diagnostic;
use crate::markdown;
use crate::source::{self, Sources};
use crate::tools::filter;

/// Has the filters' commands make what stands in the place of their blocks of code.
pub fn run_filters(sources: &mut Sources, config: &Config, root: &Path, cache: &Cache) -> Vec<Diagnostic> {
    let inputs = markdown::find_filter_inputs(&sources.content, config, cache);
    let own_files = |filter: &Filter| {
        // A word that names no file of the site is an argument like any other.
        let is_own = |word: &&String| !word.starts_with('/') && root.join(word).is_file();
        let files = filter.command.iter().filter(is_own);
        let files = files.map(|word| source::read_file(&root.join(word)).unwrap_or_default());
        files.collect::<Vec<_>>().concat()
    };
    let (filtered, diagnostics) = filter::run(&config.filters, &inputs, root, own_files, cache);
    sources.filtered = filtered;
    diagnostics
}
