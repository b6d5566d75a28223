//! Pages whose list is split: `paginate` on an `each` makes `/blog`, `/blog/page/2` and so on of one page.

use std::sync::{Arc, OnceLock};

use super::page::page_url;
use super::{Page, PageFile, PageHead, Query, Site};
use crate::config::Config;
use crate::diagnostic::{Code, Diagnostic};
use crate::front_matter::Value;
use crate::template::{self, Each, Node, Template, TemplateSet};

/// Which part of a list a page shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// From 1.
    pub number: usize,
    /// How many parts there are.
    pub count: usize,
}

impl Site {
    /// Splits the lists of all pages that want it. The first part takes its page's place.
    pub fn add_list_pages(&mut self, templates: &TemplateSet, config: &Config) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        let mut more = Vec::new();
        let mut first_parts = Vec::new();
        for (index, page) in self.pages.iter().chain(&self.made_pages).enumerate() {
            let Some(template) = listing(page, templates) else { continue };
            let Some(each) = find_split(template) else { continue };
            diagnostics.extend(report_more_splits(template));
            let Some(size) = size_of(each) else { continue };
            let text = |value: &'_ Option<template::Value>| {
                value.as_ref().and_then(|value| value.as_text().map(str::to_owned))
            };
            let (of, sort, filter, limit) = (text(&each.of), text(&each.sort), text(&each.filter), text(&each.limit));
            let query = Query {
                collection: &each.collection,
                item: None,
                of: of.as_deref(),
                sort: sort.as_deref(),
                filter: filter.as_deref(),
                limit: limit.and_then(|limit| limit.parse().ok()),
            };
            let count = self.select(&query, page).items.len().div_ceil(size).max(1);
            first_parts.push((index, part_of(page, Part { number: 1, count }, config)));
            more.extend((2..=count).map(|number| part_of(page, Part { number, count }, config)));
        }
        let file_count = self.pages.len();
        for (index, file) in first_parts {
            match index.checked_sub(file_count) {
                None => self.pages[index].file = file,
                Some(index) => self.made_pages[index].file = file,
            }
        }
        self.made_pages.extend(more.into_iter().map(Page::alone));
        diagnostics
    }
}

/// Items on each part.
pub(crate) fn size_of(each: &Each) -> Option<usize> {
    each.paginate.as_ref()?.as_text()?.parse().ok().filter(|size| *size > 0)
}

/// The first list of a template that is split.
pub(super) fn find_split(template: &Template) -> Option<&Each> {
    find_splits(template).next().map(|(each, _)| each)
}

/// All of them, each with what says so.
fn find_splits(template: &Template) -> impl Iterator<Item = (&Each, &template::Value)> {
    template.all_nodes().iter().filter_map(|node| match node {
        Node::Each(each) => each.paginate.as_ref().map(|paginate| (&**each, paginate)),
        _ => None,
    })
}

/// The template whose list counts: a page that no file holds is one partial.
fn listing<'a>(page: &'a Page, templates: &'a TemplateSet) -> Option<&'a Template> {
    if !page.is_made {
        return page.body.facts.has_split_list.then(|| page.body.template());
    }
    let (name, _) = page.body.template().references().next()?;
    templates.find(name).map(|template| &**template)
}

/// Reports all lists of a template that are split but the first.
fn report_more_splits(template: &Template) -> impl Iterator<Item = Diagnostic> {
    find_splits(template).skip(1).map(|(_, paginate)| {
        let place = template.place(paginate.span);
        let message = "two lists of one page can't both be split";
        Diagnostic::new(Code::MalformedAttribute, place, message)
            .with_help("leave `paginate` out of one of them, or use `limit`")
    })
}

fn part_of(page: &Page, part: Part, config: &Config) -> Arc<PageFile> {
    let mut file = PageFile::clone(&page.file);
    let mut head = PageHead::clone(&page.head);
    let base = page.route.clone();
    let url_of = |number: usize| {
        let route = if number == 1 { base.clone() } else { base.child("page").child(&number.to_string()) };
        (page_url(&route, config.build.trailing_slash), route)
    };
    (head.url, head.route) = url_of(part.number);
    if part.number > 1 {
        head.aliases.clear();
    }
    let previous = (part.number > 1).then(|| url_of(part.number - 1).0);
    let next = (part.number < part.count).then(|| url_of(part.number + 1).0);
    let mut fields = vec![
        ("url", Value::Text(head.url.clone())),
        ("page_number", Value::Number(part.number.to_string())),
        ("page_count", Value::Number(part.count.to_string())),
        ("previous_url", Value::Text(previous.unwrap_or_default())),
        ("next_url", Value::Text(next.unwrap_or_default())),
    ];
    if !config.base_url.is_empty() {
        fields.push(("permalink", Value::Text(format!("{}{}", config.base_url, head.url))));
    }
    file.computed.extend(fields);
    file.head = Arc::new(head);
    file.part = Some(part);
    file.card = OnceLock::new();
    Arc::new(file)
}
