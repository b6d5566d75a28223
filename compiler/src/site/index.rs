//! How the pages of a site stand to each other: their order, their sections, what is above what, which are posts, the
//! terms that they name, where links to them lead. It is made of the pages' heads alone, so it stays as it is when only
//! their texts change.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rayon::prelude::*;

use super::links::PagePaths;
use super::{PageHead, RoutePath, Taxonomy};
use crate::config::Config;
use crate::diagnostic::Diagnostic;

/// The order of a site's pages. Pages are numbers: their places in the list that it was made from.
#[derive(Debug, Default)]
pub struct Index {
    /// What it was made from, ascending by path of the source.
    pub heads: Vec<Arc<PageHead>>,
    /// Numbers of the posts, newest first.
    pub posts: Vec<usize>,
    /// Taxonomies with their terms.
    pub taxonomies: Vec<Taxonomy>,
    /// Numbers of the pages that have other paths besides their own.
    pub aliased: Vec<usize>,
    /// Numbers of all pages by weight, then title.
    pub(super) order: Vec<usize>,
    /// Numbers of the pages one segment below each path, in the same order.
    pub(super) children: HashMap<RoutePath, Vec<usize>>,
    /// Numbers of the pages below each folder of pages, its index left out, in the same order.
    pub(super) sections: BTreeMap<String, Vec<usize>>,
    /// Where links to these pages lead.
    pub(super) paths: PagePaths,
    /// What is wrong with the terms that pages name.
    pub(super) mistakes: Vec<Diagnostic>,
    by_route: HashMap<RoutePath, usize>,
}

impl Index {
    /// The index of these pages.
    pub(super) fn new(heads: &[Arc<PageHead>], config: &Config) -> Self {
        let order_pages = || {
            let order = in_order(heads);
            let (children, sections) = group(heads, &order);
            (order, children, sections)
        };
        let gather_terms = || {
            let wanted = config.taxonomies.iter().filter(|settings| !settings.path.is_empty());
            let (taxonomies, mistakes): (Vec<_>, Vec<_>) =
                wanted.map(|settings| Taxonomy::gather(settings, heads, config)).unzip();
            (taxonomies, mistakes.concat())
        };
        let ((order, children, sections), ((taxonomies, mistakes), paths)) =
            rayon::join(order_pages, || (gather_terms(), PagePaths::new(heads)));
        Self {
            posts: find_posts(heads),
            aliased: (0..heads.len()).filter(|number| !heads[*number].aliases.is_empty()).collect(),
            by_route: heads.iter().enumerate().map(|(number, head)| (head.route.clone(), number)).collect(),
            heads: heads.to_vec(),
            taxonomies,
            order,
            children,
            sections,
            paths,
            mistakes,
        }
    }

    /// The number of the page at a path.
    pub fn find(&self, route: &RoutePath) -> Option<usize> {
        self.by_route.get(route).copied()
    }
}

/// The numbers of all pages by weight, then title, then path.
fn in_order(heads: &[Arc<PageHead>]) -> Vec<usize> {
    // What is compared is looked up once: comparing ten thousand pages would look it up 300,000 times.
    let key = |(number, head): (usize, &'_ Arc<PageHead>)| (head.weight(), head.text("title").into_owned(), number);
    let mut keys: Vec<_> = heads.iter().enumerate().map(key).collect();
    keys.par_sort_unstable_by(|(weight_a, title_a, a), (weight_b, title_b, b)| {
        let by_route = || heads[*a].route.cmp(&heads[*b].route).then(a.cmp(b));
        weight_a.total_cmp(weight_b).then_with(|| title_a.cmp(title_b)).then_with(by_route)
    });
    keys.into_iter().map(|(_, _, number)| number).collect()
}

type Groups<K> = (HashMap<RoutePath, Vec<usize>>, BTreeMap<K, Vec<usize>>);

/// The pages below each path and in each folder, in the order of `order`.
fn group(heads: &[Arc<PageHead>], order: &[usize]) -> Groups<String> {
    let mut children: HashMap<RoutePath, Vec<usize>> = HashMap::new();
    let mut sections: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for number in order {
        let head = &heads[*number];
        if let Some(parent) = head.route.parent().filter(|_| head.route.as_str() != "/404") {
            children.entry(parent).or_default().push(*number);
        }
        let (mut folder, name) = head.content_path.rsplit_once('/').unwrap_or(("", &head.content_path));
        let mut is_index = name.starts_with("index.");
        while !folder.is_empty() {
            let section = sections.entry(folder).or_default();
            section.extend((!is_index).then_some(*number));
            is_index = false;
            folder = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
    }
    (children, sections.into_iter().map(|(folder, numbers)| (folder.to_owned(), numbers)).collect())
}

fn find_posts(heads: &[Arc<PageHead>]) -> Vec<usize> {
    let mut posts: Vec<_> = (0..heads.len()).filter(|number| heads[*number].is_post()).collect();
    posts.sort_by(|a, b| {
        let (a, b) = (&heads[*a], &heads[*b]);
        b.date.cmp(&a.date).then_with(|| a.route.cmp(&b.route))
    });
    posts
}
