//! Taxonomies: what pages say of themselves in a list (`tags`) or a word (`category`), turned around into terms with
//! their pages.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{PageHead, RoutePath};
use crate::config::Config;
use crate::diagnostic::{Code, Diagnostic};
use crate::front_matter::Value;

/// Bytes of a term's segment in its path. Guessed: a name has some words.
const SLUG_BYTES_MAX: usize = 500;

/// One way of sorting pages, such as `tags`.
#[derive(Clone, Debug)]
pub struct Taxonomy {
    /// Its name in collections and below `templates/`.
    pub name: String,
    /// Where its list of terms is published.
    pub route: RoutePath,
    /// Ascending by slug.
    pub terms: Vec<Term>,
}

/// One term of a taxonomy, such as `rust`.
#[derive(Clone, Debug)]
pub struct Term {
    /// The last segment of its path.
    pub slug: String,
    /// Where its pages are listed.
    pub route: RoutePath,
    /// `title`, `url`, `count` and, as in a list of front matter, `value`.
    pub fields: BTreeMap<&'static str, Value>,
    /// Numbers of its pages, newest first, those without a date last.
    pub pages: Vec<usize>,
}

impl Taxonomy {
    /// Gathers the terms that pages name. Two different words with one slug are a mistake at the second.
    pub(super) fn gather(
        settings: &crate::config::Taxonomy,
        pages: &[Arc<PageHead>],
        config: &Config,
    ) -> (Self, Vec<Diagnostic>) {
        let route = RoutePath::parse(&settings.path).expect("the path was checked when `site.toml` was read");
        let mut found: BTreeMap<String, (String, Vec<usize>)> = BTreeMap::new();
        // Many pages name few words.
        let mut slugs: HashMap<String, String> = HashMap::new();
        let mut diagnostics = Vec::new();
        for (number, page) in pages.iter().enumerate() {
            let fields = &page.front_matter;
            let Some(field) = fields.get(&settings.field).or_else(|| fields.get(&settings.name)) else { continue };
            for (index, word) in words(&field.value) {
                let slug = slugs.entry(word.clone()).or_insert_with(|| slug::slugify(&word)).clone();
                let fault = if slug.is_empty() {
                    Some(format!("`{word}` can't be a term: it has no letter and no digit"))
                } else {
                    (slug.len() > SLUG_BYTES_MAX).then(|| format!("a term of {} letters is too long", slug.len()))
                };
                if let Some(message) = fault {
                    diagnostics.push(Diagnostic::new(
                        Code::BadFrontMatter,
                        field.item_place(index, &page.source_path),
                        message,
                    ));
                    continue;
                }
                let (first, numbers) = found.entry(slug.clone()).or_insert_with(|| (word.clone(), Vec::new()));
                if *first != word && first.to_lowercase() != word.to_lowercase() {
                    let message = format!("`{word}` and `{first}` would both be published as `{slug}`");
                    let diagnostic =
                        Diagnostic::new(Code::DuplicateUrl, field.item_place(index, &page.source_path), message);
                    diagnostics.push(diagnostic.with_help("give one of them another name"));
                } else if numbers.last() != Some(&number) {
                    numbers.push(number);
                }
            }
        }
        let terms = found.into_iter().map(|(slug, (title, mut numbers))| {
            numbers.sort_by(|a, b| {
                let (a, b) = (&pages[*a], &pages[*b]);
                b.date.cmp(&a.date).then_with(|| a.route.cmp(&b.route))
            });
            let route = route.child(&slug);
            let url = super::page::page_url(&route, config.build.trailing_slash);
            let fields = BTreeMap::from([
                ("count", Value::Number(numbers.len().to_string())),
                ("title", Value::Text(title.clone())),
                ("url", Value::Text(url)),
                ("value", Value::Text(title)),
            ]);
            Term { slug, route, fields, pages: numbers }
        });
        let terms = terms.collect();
        (Self { name: settings.name.clone(), route, terms }, diagnostics)
    }

    /// The partials that show the list of its terms and one of them.
    pub fn partials(&self) -> [String; 2] {
        [format!("{}/list.html", self.name), format!("{}/term.html", self.name)]
    }

    /// The term that a word of front matter names.
    pub fn find(&self, word: &str) -> Option<&Term> {
        let slug = slug::slugify(word);
        self.terms.binary_search_by(|term| term.slug.as_str().cmp(&slug)).ok().map(|number| &self.terms[number])
    }
}

/// The words of a list, or a word by itself, each with its number. A blank one is not given.
fn words(value: &Value) -> Vec<(usize, String)> {
    let texts = match value {
        Value::List(items) => items.iter().map(Value::as_text).collect(),
        value => vec![value.as_text()],
    };
    let words = texts.into_iter().enumerate().filter_map(|(index, text)| Some((index, text?.trim().to_owned())));
    words.filter(|(_, word)| !word.is_empty()).collect()
}
