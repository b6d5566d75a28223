//! What `each` goes through: a collection by its name, filtered, sorted and cut as the tag says.

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jiff::civil::DateTime;

use super::{OFFERED_FIELDS, Page, RoutePath, Site, Taxonomy, Term};
use crate::diagnostic::{Code, is_slip, nearest};
use crate::front_matter::{Value, is_known};

/// What an `each` asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<'a, 'q> {
    /// `posts`, `pages`, `section/blog`, `children`, `data/team`, `page.tags`, `item.tags`.
    pub collection: &'q str,
    /// The item that is being shown, in a partial that another `each` shows.
    pub item: Option<Item<'a>>,
    /// `of`: the page whose children are meant, instead of the page being made.
    pub of: Option<&'q str>,
    /// `sort`: a field, and `desc` for the other direction.
    pub sort: Option<&'q str>,
    /// `where`: `field=text`.
    pub filter: Option<&'q str>,
    /// `limit`: at most this many items.
    pub limit: Option<usize>,
}

impl Query<'_, '_> {
    /// Whether the answer is the same for every page.
    fn is_for_all(&self) -> bool {
        let name = self.collection;
        let is_of_page = matches!(name, "term" | "terms") || name.starts_with("page.") || self.is_of_item();
        !is_of_page && (name != "children" || self.of.is_some())
    }

    /// Whether it asks the item that is being shown, and not the site.
    pub(super) fn is_of_item(&self) -> bool {
        self.collection.starts_with("item.")
    }
}

/// One item of a collection.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// A page.
    Page(&'a Page),
    /// A term of a taxonomy: `title`, `url`, `count`.
    Term(&'a Term),
    /// An item of a list in front matter: slot `value`, or the map's own fields.
    Value(&'a Value),
}

impl<'a> Item<'a> {
    /// A field of the item by name.
    pub fn field(&self, name: &str) -> Option<&'a Value> {
        match self {
            Self::Page(page) => page.field(name),
            Self::Term(term) => term.fields.get(name),
            Self::Value(Value::Map(fields)) => fields.get(name),
            Self::Value(value) => (name == "value").then_some(value),
        }
    }

    /// The names of all that it has.
    fn field_names(&self) -> Vec<&'a str> {
        match self {
            Self::Page(page) => {
                page.computed.keys().copied().chain(page.front_matter.iter().map(|(name, _)| name)).collect()
            }
            Self::Term(term) => term.fields.keys().copied().collect(),
            Self::Value(Value::Map(fields)) => fields.keys().map(String::as_str).collect(),
            Self::Value(_) => vec!["value"],
        }
    }

    /// `page` if the item is the page being made, `true` if it is above it, else nothing.
    pub fn current(&self, page: &Page) -> &'static str {
        let route = match self {
            Self::Page(item) => &item.route,
            Self::Term(term) => &term.route,
            Self::Value(_) => return "",
        };
        match route {
            route if *route == page.route => "page",
            route if is_above(route, &page.route) => "true",
            _ => "",
        }
    }
}

fn is_above(upper: &RoutePath, lower: &RoutePath) -> bool {
    let rest = lower.as_str().strip_prefix(upper.as_str());
    upper.is_root() || rest.is_some_and(|rest| rest.starts_with('/'))
}

/// What an `each` shows, and what is wrong with how it asks.
#[derive(Clone, Debug, Default)]
pub struct Selected<'a> {
    /// In order.
    pub items: Vec<Item<'a>>,
    /// What is wrong, each with the part of the query that it is about.
    pub mistakes: Vec<QueryMistake>,
}

/// One thing that is wrong with a query.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueryMistake {
    /// What it is about.
    pub part: QueryPart,
    /// Its kind.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// A part of a query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueryPart {
    /// The collection's name, or `of`.
    Collection,
    /// `where`
    Filter,
    /// `sort`
    Sort,
}

/// Why there is no such collection, and what may be meant.
type Unknown = (String, Option<String>);

fn unknown(message: impl Into<String>) -> Unknown {
    (message.into(), None)
}

impl Site {
    /// The items of a collection, for a page.
    pub fn select<'a>(&'a self, query: &Query<'a, '_>, page: &'a Page) -> Selected<'a> {
        let mut items = match self.find_collection(query, page) {
            Ok(items) => items,
            Err((message, help)) => {
                let mistake =
                    QueryMistake { part: QueryPart::Collection, code: Code::UnknownCollection, message, help };
                return Selected { items: Vec::new(), mistakes: vec![mistake] };
            }
        };
        let mut mistakes = Vec::new();
        // What can't be understood at all has been reported where it is written.
        let sort: Vec<_> = query.sort.unwrap_or_default().split_ascii_whitespace().collect();
        if let [field, ..] = sort[..] {
            mistakes.extend(find_doubt(&items, field, QueryPart::Sort));
        }
        if let Some((field, text)) = query.filter.and_then(|filter| filter.split_once('=')) {
            let (field, text) = (field.trim(), text.trim());
            mistakes.extend(find_doubt(&items, field, QueryPart::Filter));
            items.retain(|item| item.field(field).is_some_and(|value| matches_text(value, text)));
        }
        // Items without the field come last in both directions.
        match sort[..] {
            [field, "desc", ..] => {
                items.sort_by_cached_key(|item| SortKey::of(item, field).map(Reverse).ok_or(Absent));
            }
            [field, ..] => items.sort_by_cached_key(|item| SortKey::of(item, field).ok_or(Absent)),
            [] => {}
        }
        items.truncate(query.limit.unwrap_or(usize::MAX));
        Selected { items, mistakes }
    }

    fn find_collection<'a>(&'a self, query: &Query<'a, '_>, page: &'a Page) -> Result<Vec<Item<'a>>, Unknown> {
        let pages = |numbers: &[usize]| numbers.iter().map(|number| Item::Page(&self.pages[*number])).collect();
        let name = query.collection;
        if let Some(folder) = name.strip_prefix("section/") {
            let folder = folder.trim_matches('/');
            let section = self.index.sections.get(folder);
            return section.map(|numbers| pages(numbers)).ok_or_else(|| {
                let near = nearest(folder, self.index.sections.keys().map(String::as_str));
                let help = near.map(|near| format!("did you mean `section/{near}`?"));
                (format!("there is no section `{folder}`"), help)
            });
        }
        if let Some(data) = name.strip_prefix("data/") {
            return Ok(self.data.find(data)?.iter().map(Item::Value).collect());
        }
        if let Some(field) = name.strip_prefix("page.") {
            let value = page.front_matter.get(field).map(|field| &field.value);
            return self.find_list(value, field, "this page's front matter");
        }
        if let Some(field) = name.strip_prefix("item.") {
            let item = query.item.ok_or_else(|| unknown("`item` is for a partial that an `each` shows"))?;
            return self.find_list(item.field(field), field, "the item");
        }
        if let Some((taxonomy, term)) = name.split_once('/').and_then(|(taxonomy, term)| {
            Some((self.index.taxonomies.iter().find(|known| known.name == taxonomy)?, term))
        }) {
            let near = || nearest(term, taxonomy.terms.iter().map(|term| term.slug.as_str()));
            let help = || near().map(|near| format!("did you mean `{}/{near}`?", taxonomy.name));
            let found = taxonomy.find(term);
            let term = found.ok_or_else(|| (format!("`{}` has no term `{term}`", taxonomy.name), help()))?;
            return Ok(pages(&term.pages));
        }
        match name {
            "term" | "terms" => self.find_terms(name, page).map_err(unknown),
            "posts" => Ok(pages(&self.index.posts)),
            "pages" => Ok(self
                .index
                .order
                .iter()
                .map(|number| &self.pages[*number])
                .filter(|page| page.route.as_str() != "/404")
                .map(Item::Page)
                .collect()),
            "children" => {
                let parent = match query.of {
                    None => page.list_route(),
                    Some(of) => RoutePath::parse(of).map_err(|reason| unknown(format!("`of`: the path {reason}")))?,
                };
                if self.find(&parent).is_none() {
                    let near = nearest(parent.as_str(), self.pages.iter().map(|page| page.route.as_str()));
                    let help = near.map(|near| format!("did you mean `{near}`?"));
                    return Err((format!("there is no page `{}`", parent.as_str()), help));
                }
                Ok(self.index.children.get(&parent).map(|numbers| pages(numbers)).unwrap_or_default())
            }
            _ => Err(unknown(format!("there is no collection `{name}`"))),
        }
    }

    /// The items of a list in front matter or data; the words of a taxonomy's field as its terms.
    fn find_list<'a>(&'a self, value: Option<&'a Value>, field: &str, of: &str) -> Result<Vec<Item<'a>>, Unknown> {
        match value {
            None => Ok(Vec::new()),
            Some(Value::List(items)) => {
                let taxonomy = self.index.taxonomies.iter().find(|taxonomy| taxonomy.name == field);
                let term = |value: &Value| taxonomy?.find(&value.as_text()?);
                Ok(items.iter().map(|value| term(value).map_or(Item::Value(value), Item::Term)).collect())
            }
            Some(_) => Err(unknown(format!("`{field}` in {of} is no list"))),
        }
    }

    /// `term`: the pages of the term whose page is being made. `terms`: the terms of the taxonomy whose list is.
    fn find_terms<'a>(&'a self, name: &str, page: &Page) -> Result<Vec<Item<'a>>, String> {
        if name == "terms" {
            let route = page.list_route();
            let taxonomy = self.index.taxonomies.iter().find(|taxonomy| taxonomy.route == route);
            let message = || "`terms` is for the partial `list.html` of a taxonomy".to_owned();
            return Ok(taxonomy.ok_or_else(message)?.terms.iter().map(Item::Term).collect());
        }
        let route = page.list_route();
        let parent = route.parent();
        let slug = route.as_str().rsplit('/').next().unwrap_or_default();
        let find = |taxonomy: &'a Taxonomy| taxonomy.find(slug).filter(|_| parent.as_ref() == Some(&taxonomy.route));
        let term = self.index.taxonomies.iter().find_map(find);
        let term = term.ok_or("`term` is for the partial `term.html` of a taxonomy")?;
        Ok(term.pages.iter().map(|number| Item::Page(&self.pages[*number])).collect())
    }
}

/// A field that no item has is a slip, or one that nobody has written yet.
fn find_doubt(items: &[Item<'_>], field: &str, part: QueryPart) -> Option<QueryMistake> {
    if items.is_empty() || items.iter().any(|item| item.field(field).is_some()) {
        return None;
    }
    let has_page = items.iter().any(|item| matches!(item, Item::Page(_)));
    if has_page && (OFFERED_FIELDS.contains(&field) || is_known(field)) {
        return None;
    }
    let offered = OFFERED_FIELDS.iter().copied().filter(|_| has_page);
    let names: BTreeSet<&str> = items.iter().flat_map(Item::field_names).chain(offered).collect();
    let slip = names.iter().copied().find(|name| is_slip(field, name));
    let near = slip.or_else(|| nearest(field, names.iter().copied()));
    let code = if slip.is_some() { Code::UnknownField } else { Code::EmptyField };
    let message = format!("no item of this collection has the field `{field}`");
    Some(QueryMistake { part, code, message, help: near.map(|near| format!("did you mean `{near}`?")) })
}

/// Whether a value is a text, or a list that has it.
fn matches_text(value: &Value, text: &str) -> bool {
    match value {
        Value::List(items) => items.iter().any(|item| matches_text(item, text)),
        value => value.as_text().is_some_and(|own| own == text),
    }
}

/// What items are sorted by. Kinds don't mix: dates come before numbers, numbers before text.
#[derive(PartialEq)]
enum SortKey<'a> {
    Date(DateTime),
    Number(f64),
    Text(Cow<'a, str>),
}

impl<'a> SortKey<'a> {
    fn of(item: &Item<'a>, field: &str) -> Option<Self> {
        let written = match item {
            Item::Page(page) => page.front_matter.get(field).map(|field| &field.value),
            _ => None,
        };
        // `date` and `updated` are formatted for people; their order is that of what was written.
        if let Some(date) = written.and_then(Value::as_date_time) {
            return Some(Self::Date(date));
        }
        let value = item.field(field)?;
        let number = value.as_number().filter(|number| !number.is_nan());
        number.map(Self::Number).or_else(|| value.as_text().map(Self::Text))
    }
}

impl Eq for SortKey<'_> {}

impl PartialOrd for SortKey<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SortKey<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => {
                a.partial_cmp(b).expect("no key is a NaN, so all numbers can be compared")
            }
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Date(_), _) | (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Number(_) | Self::Text(_), _) => Ordering::Greater,
        }
    }
}

/// In the place of a key that an item doesn't have.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Absent;

/// What more than one page asks for: lists that don't depend on the page, and those that are split, of which each part asks
/// for the same. A copy of a site has to ask anew.
#[derive(Debug, Default)]
pub(super) struct Selections(Mutex<HashMap<Asked, Arc<OnceLock<Selection>>>>);

/// Who asks, if it depends on that: the page's source, and the route of the first part. And the query as text.
type Asked = (Option<(Arc<str>, RoutePath)>, String);

/// The numbers of the pages that a query gives, and what is wrong with it; nothing if it gives something else than pages.
type Selection = Option<(Vec<usize>, Vec<QueryMistake>)>;

impl Clone for Selections {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Site {
    /// The items of a collection that one part of a page's list shows, `size` on each; all of them if it isn't split.
    pub fn select_part<'a>(&'a self, query: &Query<'a, '_>, page: &'a Page, size: Option<usize>) -> Selected<'a> {
        let part = page.part.zip(size);
        let (start, count) = part.map_or((0, usize::MAX), |(part, size)| ((part.number - 1) * size, size));
        let is_shared = query.is_for_all() || part.is_some() && !query.is_of_item();
        let kept = is_shared.then(|| self.find_selection(query, page));
        let Some((numbers, mistakes)) = kept.as_ref().and_then(|kept| kept.get()?.as_ref()) else {
            let Selected { items, mistakes } = self.select(query, page);
            return Selected { items: items.into_iter().skip(start).take(count).collect(), mistakes };
        };
        let numbers = numbers.iter().skip(start).take(count);
        let items = numbers.map(|number| Item::Page(&self.pages[*number])).collect();
        Selected { items, mistakes: mistakes.clone() }
    }

    fn find_selection(&self, query: &Query<'_, '_>, page: &Page) -> Arc<OnceLock<Selection>> {
        let Query { collection, item: _, of, sort, filter, limit } = query;
        let whose = (!query.is_for_all()).then(|| (Arc::clone(&page.source.path), page.list_route()));
        let asked = (whose, format!("{collection:?} {of:?} {sort:?} {filter:?} {limit:?}"));
        let mut selections = self.selections.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = Arc::clone(selections.entry(asked).or_default());
        drop(selections);
        kept.get_or_init(|| {
            let Selected { items, mistakes } = self.select(&Query { item: None, ..*query }, page);
            let number_of = |item: &Item<'_>| match item {
                Item::Page(page) => {
                    self.index.find(&page.route).filter(|number| self.pages[*number].route == page.route)
                }
                _ => None,
            };
            let numbers: Option<Vec<usize>> = items.iter().map(number_of).collect();
            Some((numbers?, mistakes))
        });
        kept
    }
}
