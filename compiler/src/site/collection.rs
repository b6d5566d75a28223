//! What `each` goes through: a collection by its name, filtered, sorted and cut as the tag says.

use std::borrow::Cow;
use std::cmp::Ordering;

use jiff::civil::DateTime;

use super::{Page, RoutePath, Site, Taxonomy, Term};
use crate::front_matter::Value;

/// What an `each` asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Query<'a> {
    /// `posts`, `pages`, `section/blog`, `children`, `page.tags`.
    pub collection: &'a str,
    /// `of`: the page whose children are meant, instead of the page being made.
    pub of: Option<&'a str>,
    /// `sort`: a field, and `desc` for the other direction.
    pub sort: Option<&'a str>,
    /// `where`: `field=text`.
    pub filter: Option<&'a str>,
    /// `limit`: at most this many items.
    pub limit: Option<usize>,
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

impl Site {
    /// The items of a collection, for a page.
    ///
    /// # Errors
    /// What is wrong with the query, as a message.
    pub fn select<'a>(&'a self, query: &Query<'_>, page: &'a Page) -> Result<Vec<Item<'a>>, String> {
        let mut items = self.find_collection(query, page)?;
        if let Some(filter) = query.filter {
            let (field, text) = filter.split_once('=').ok_or("`where` is a field, `=` and a text")?;
            let (field, text) = (field.trim(), text.trim());
            items.retain(|item| item.field(field).is_some_and(|value| matches_text(value, text)));
        }
        if let Some(sort) = query.sort {
            let (field, descending) = match sort.split_ascii_whitespace().collect::<Vec<_>>()[..] {
                [field] | [field, "asc"] => (field, false),
                [field, "desc"] => (field, true),
                _ => return Err("`sort` is a field, and `desc` for the other direction".to_owned()),
            };
            items.sort_by(|a, b| compare_items(a, b, field, descending));
        }
        items.truncate(query.limit.unwrap_or(usize::MAX));
        Ok(items)
    }

    fn find_collection<'a>(&'a self, query: &Query<'_>, page: &'a Page) -> Result<Vec<Item<'a>>, String> {
        let pages = |numbers: &[usize]| numbers.iter().map(|number| Item::Page(&self.pages[*number])).collect();
        let name = query.collection;
        if let Some(folder) = name.strip_prefix("section/") {
            let prefix = format!("{}/", folder.trim_matches('/'));
            let within = |page: &Page| {
                let rest = page.content_path.strip_prefix(&prefix);
                rest.is_some_and(|rest| !rest.starts_with("index."))
            };
            let items: Vec<_> = self.in_order().filter(|page| within(page)).map(Item::Page).collect();
            let is_there = self.pages.iter().any(|page| page.content_path.starts_with(&prefix));
            return if is_there { Ok(items) } else { Err(format!("there is no section `{folder}`")) };
        }
        if let Some(field) = name.strip_prefix("page.") {
            return match page.front_matter.get(field).map(|field| &field.value) {
                None => Ok(Vec::new()),
                Some(Value::List(items)) => {
                    let taxonomy = self.taxonomies.iter().find(|taxonomy| taxonomy.name == field);
                    let term = |value: &Value| taxonomy?.find(&value.as_text()?);
                    Ok(items.iter().map(|value| term(value).map_or(Item::Value(value), Item::Term)).collect())
                }
                Some(_) => Err(format!("`{field}` in this page's front matter is no list")),
            };
        }
        if let Some((taxonomy, term)) = name
            .split_once('/')
            .and_then(|(taxonomy, term)| Some((self.taxonomies.iter().find(|known| known.name == taxonomy)?, term)))
        {
            let term = taxonomy.find(term).ok_or_else(|| format!("`{}` has no term `{term}`", taxonomy.name))?;
            return Ok(pages(&term.pages));
        }
        match name {
            "term" | "terms" => self.find_terms(name, page),
            "posts" => Ok(pages(&self.posts)),
            "pages" => Ok(self.in_order().filter(|page| page.route.as_str() != "/404").map(Item::Page).collect()),
            "children" => {
                let parent = match query.of {
                    None => page.route.clone(),
                    Some(of) => RoutePath::parse(of).map_err(|reason| format!("`of`: the path {reason}"))?,
                };
                if self.find(&parent).is_none() {
                    return Err(format!("there is no page `{}`", parent.as_str()));
                }
                let is_child =
                    |page: &&Page| page.route.parent().as_ref() == Some(&parent) && page.route.as_str() != "/404";
                Ok(self.in_order().filter(is_child).map(Item::Page).collect())
            }
            _ => Err(format!("there is no collection `{name}`")),
        }
    }

    /// `term`: the pages of the term whose page is being made. `terms`: the terms of the taxonomy whose list is.
    fn find_terms<'a>(&'a self, name: &str, page: &Page) -> Result<Vec<Item<'a>>, String> {
        if name == "terms" {
            let taxonomy = self.taxonomies.iter().find(|taxonomy| taxonomy.route == page.route);
            let message = || "`terms` is for the partial `list.html` of a taxonomy".to_owned();
            return Ok(taxonomy.ok_or_else(message)?.terms.iter().map(Item::Term).collect());
        }
        let parent = page.route.parent();
        let slug = page.route.as_str().rsplit('/').next().unwrap_or_default();
        let find = |taxonomy: &'a Taxonomy| taxonomy.find(slug).filter(|_| parent.as_ref() == Some(&taxonomy.route));
        let term = self.taxonomies.iter().find_map(find);
        let term = term.ok_or("`term` is for the partial `term.html` of a taxonomy")?;
        Ok(term.pages.iter().map(|number| Item::Page(&self.pages[*number])).collect())
    }
}

/// Whether a value is a text, or a list that has it.
fn matches_text(value: &Value, text: &str) -> bool {
    match value {
        Value::List(items) => items.iter().any(|item| matches_text(item, text)),
        value => value.as_text().is_some_and(|own| own == text),
    }
}

/// What items are sorted by. Kinds don't mix: dates come before numbers, numbers before text.
#[derive(PartialEq, PartialOrd)]
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

/// Items without the field come last in both directions.
fn compare_items(a: &Item<'_>, b: &Item<'_>, field: &str, descending: bool) -> Ordering {
    match (SortKey::of(a, field), SortKey::of(b, field)) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => {
            let ordering = a.partial_cmp(&b).expect("no key is a NaN, so all keys can be compared");
            if descending { ordering.reverse() } else { ordering }
        }
    }
}
