//! How many bytes a page is on the wire, and what of it weighs most.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bundle::{Body, Encoding};
use rayon::prelude::*;

use super::{Output, Published, compress, head};
use crate::cache::Cache;
use crate::config::Budget;
use crate::html::{Event, Tag, read_events};

/// A page that is heavier than the budget allows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Overweight {
    /// The page's path.
    pub path: String,
    /// The key of `[budget]` that it breaks.
    pub key: &'static str,
    /// What that allows.
    pub bytes_max: usize,
    /// What the page comes to.
    pub bytes: usize,
    /// What it loads, the heaviest first; the page itself is among it.
    pub parts: Vec<(String, usize)>,
}

/// What a page loads at once from its own site.
#[derive(Default)]
struct Loads {
    /// Style sheets: nothing is shown before they are there.
    blocking: BTreeSet<String>,
    /// Scripts, fonts and pictures.
    others: BTreeSet<String>,
}

impl Output {
    /// The pages that are heavier than a budget allows, in order.
    pub fn find_overweight(&self, budget: Budget, cache: &Cache) -> Vec<Overweight> {
        if budget == Budget::default() {
            return Vec::new();
        }
        let pages = || self.published.par_iter().filter(|published| published.media_type.starts_with("text/html"));
        let loads: Vec<(&Published, Loads)> = pages().map(|page| (page, find_loads(page))).collect();
        let named: BTreeSet<&str> = loads
            .iter()
            .flat_map(|(_, loads)| loads.blocking.iter().chain(&loads.others))
            .map(String::as_str)
            .collect();
        let by_path: HashMap<&str, &Published> =
            self.published.iter().map(|published| (published.path.as_str(), published)).collect();
        let weighed = named.into_par_iter().filter_map(|path| Some((path, self.wire_bytes(by_path.get(path)?, cache))));
        let weights: BTreeMap<&str, usize> = weighed.collect();
        let over = loads.par_iter().flat_map_iter(|(page, loads)| {
            let own = (page.path.clone(), self.wire_bytes(page, cache));
            let weigh = |paths: &BTreeSet<String>| -> Vec<(String, usize)> {
                paths.iter().filter_map(|path| Some((path.clone(), *weights.get(path.as_str())?))).collect()
            };
            let first_view = [vec![own], weigh(&loads.blocking)].concat();
            let all = [first_view.clone(), weigh(&loads.others)].concat();
            let checks = [("first_view", budget.first_view, first_view), ("page_bytes", budget.page_bytes, all)];
            checks.into_iter().filter_map(|(key, bytes_max, mut parts)| {
                let bytes = parts.iter().map(|(_, bytes)| bytes).sum();
                parts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
                let path = page.path.clone();
                (bytes_max > 0 && bytes > bytes_max).then_some(Overweight { path, key, bytes_max, bytes, parts })
            })
        });
        over.collect()
    }

    /// The smallest that a body is sent as.
    fn wire_bytes(&self, published: &Published, cache: &Cache) -> usize {
        let codings = if head::is_compressible(&published.media_type) { &self.compress[..] } else { &[] };
        // One that can't be read any more fails the build when it is written.
        let compress =
            |coding: &Encoding| compress(*coding, published.kind, &published.body, cache).unwrap_or_default();
        let compressed = codings.iter().filter_map(compress);
        compressed.map(|body| body.len()).min().unwrap_or(published.body.len())
    }
}

fn find_loads(page: &Published) -> Loads {
    let mut loads = Loads::default();
    read_events(str::from_utf8(&page.body.read().unwrap_or_default()).unwrap_or_default(), |event, _| {
        if let Event::Start(tag) = event {
            loads.add(tag);
        }
    });
    loads
}

impl Loads {
    fn add(&mut self, tag: &Tag) {
        let is = |name: &[u8], value: &str| tag.value(name).is_some_and(|own| own.eq_ignore_ascii_case(value));
        let own_path = |name: &[u8]| {
            let path = tag.value(name)?.split(['?', '#']).next()?;
            path.starts_with('/').then(|| path.to_owned())
        };
        match tag.name() {
            b"link" if is(b"rel", "stylesheet") && !is(b"media", "print") => self.blocking.extend(own_path(b"href")),
            b"link" if is(b"rel", "preload") || is(b"rel", "modulepreload") => self.others.extend(own_path(b"href")),
            b"script" => self.others.extend(own_path(b"src")),
            b"img" if !is(b"loading", "lazy") => self.others.extend(own_path(b"src")),
            _ => {}
        }
    }
}
