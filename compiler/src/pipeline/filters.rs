//! The filters of a site: what their commands make of blocks of code is part of the sources from then on, so that all
//! that follows is pure.

use crate::config::{Config, Filter};
use crate::diagnostic::Diagnostic;
use crate::front_matter::Fields;
use crate::markdown;
use crate::site::{Defaults, Selection};
use crate::source::{self, Sources};
use crate::tools::filter::{self, FilterBench};

/// Has the filters' commands make what stands in the place of their blocks of code, in the pages that are published.
pub fn run_filters(
    sources: &mut Sources,
    config: &Config,
    selection: Selection,
    bench: FilterBench<'_>,
) -> Vec<Diagnostic> {
    let (defaults, _) = Defaults::read(&sources.defaults);
    let is_published = |name: &str, mut fields: Fields| {
        defaults.add_to(&mut fields, name);
        selection.leaves_out(&fields).is_none()
    };
    let inputs = markdown::find_filter_inputs(&sources.content, config, bench.cache, is_published);
    let root = bench.root;
    let own_files = |filter: &Filter| {
        // A word that names no file of the site is an argument like any other.
        let is_own = |word: &&String| !word.starts_with('/') && root.join(word).is_file();
        let files = filter.command.iter().filter(is_own);
        let files = files.map(|word| source::read_file(&root.join(word)).unwrap_or_default());
        files.collect::<Vec<_>>().concat()
    };
    let (filtered, diagnostics) = filter::run(&config.filters, &inputs, own_files, bench);
    sources.filtered = filtered;
    diagnostics
}
