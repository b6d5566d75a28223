//! Where redirects end, and which of them can't be right: those that lead nowhere, in a circle, to another redirect, or
//! that no request ever reaches.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::HashMap;

use bundle::{PATTERN_COUNT_MAX, RedirectPattern};

use super::{LinkTargets, RoutePath};
use crate::config::{self, Config, Redirect};
use crate::diagnostic::{Code, Diagnostic, Place};

/// Redirects by pattern, in the order in which the server tries them: more bytes before the first gap go first.
pub fn patterns_in_order(config: &Config) -> Vec<(&Redirect, &RedirectPattern)> {
    let patterns = config.redirects.iter().filter_map(|redirect| Some((redirect, redirect.pattern.as_ref()?)));
    let mut patterns: Vec<_> = patterns.collect();
    patterns.sort_by_key(|(_, pattern)| Reverse(pattern.literal_prefix_len()));
    patterns
}

/// Reports redirects that can't be right.
pub fn check_redirects(config: &Config, targets: &LinkTargets) -> Vec<Diagnostic> {
    let exact = config.redirects.iter().filter(|redirect| redirect.pattern.is_none());
    let exact = exact.filter_map(|redirect| Some((key(&redirect.from)?, redirect))).collect();
    let roads = Roads { exact, patterns: patterns_in_order(config), targets, ends: RefCell::default() };
    let mut diagnostics = roads.find_unreachable();
    let local = config.redirects.iter().filter(|redirect| redirect.to.starts_with('/'));
    diagnostics.extend(local.filter_map(|redirect| match Shape::of_location(redirect) {
        Some(shape) => roads.check_gaps(redirect, &shape),
        None => roads.check_single(redirect),
    }));
    if let Some((redirect, _)) = roads.patterns.get(PATTERN_COUNT_MAX) {
        let message =
            format!("there are {} redirects by pattern, and {PATTERN_COUNT_MAX} are the most", roads.patterns.len());
        diagnostics.push(Diagnostic::new(Code::BadConfig, place(redirect), message));
    }
    diagnostics
}

/// The path of a location, percent-decoded and normalised.
fn key(location: &str) -> Option<RoutePath> {
    RoutePath::parse(location.split(['?', '#']).next().unwrap_or_default()).ok()
}

fn place(redirect: &Redirect) -> Place {
    Place { path: config::FILE_NAME.into(), span: redirect.span }
}

/// Where a road ends.
#[derive(Clone, Debug)]
enum End {
    /// At this location.
    At(String),
    /// At the word that something is gone.
    Gone,
    /// It goes on in a circle, or for ever.
    Never,
}

struct Roads<'a> {
    exact: HashMap<RoutePath, &'a Redirect>,
    patterns: Vec<(&'a Redirect, &'a RedirectPattern)>,
    targets: &'a LinkTargets,
    /// Where what was followed ends.
    ends: RefCell<HashMap<RoutePath, End>>,
}

impl<'a> Roads<'a> {
    /// The redirect that takes a path, and where it leads it. Pages and files go before patterns.
    fn next(&self, path: &RoutePath) -> Option<(&'a Redirect, String)> {
        if let Some(redirect) = self.exact.get(path) {
            return Some((redirect, redirect.to.clone()));
        }
        if self.targets.find(path.as_str()).is_some() {
            return None;
        }
        let taken = |(redirect, pattern): &(&'a Redirect, &RedirectPattern)| {
            Some((*redirect, pattern.location(path.as_str().as_bytes())?))
        };
        self.patterns.iter().find_map(taken)
    }

    /// Where a location leads in the end. What was found on the way is remembered: many redirects may take the same way.
    fn find_end(&self, location: &str) -> End {
        let step_count_max = self.exact.len() + self.patterns.len();
        let (mut way, mut last) = (Vec::new(), location.to_owned());
        let end = loop {
            if last.is_empty() {
                break End::Gone;
            }
            let Some(path) = key(&last) else { break End::At(last) };
            if let Some(end) = self.ends.borrow().get(&path) {
                break end.clone();
            }
            let Some((_, location)) = self.next(&path) else { break End::At(last) };
            way.push(path);
            last = location;
            if way.len() > step_count_max {
                break End::Never;
            }
        };
        self.ends.borrow_mut().extend(way.into_iter().map(|path| (path, end.clone())));
        end
    }

    /// A redirect that always leads to the same place.
    fn check_single(&self, redirect: &Redirect) -> Option<Diagnostic> {
        let (from, to) = (&redirect.from, &redirect.to);
        let target = key(to)?;
        let second = self.next(&target).map(|(second, _)| second);
        let wrong = |message: String| Some(Diagnostic::new(Code::RedirectLoop, place(redirect), message));
        let diagnostic = match second.map(|_| self.find_end(to)) {
            Some(End::Never) => wrong(format!("the redirect from `{from}` never arrives")),
            Some(End::Gone) => wrong(format!("the redirect from `{from}` leads to what is gone")),
            Some(End::At(last)) => wrong(format!("`{to}` is redirected once more"))
                .map(|diagnostic| diagnostic.with_help(format!("write `\"{from}\" = \"{last}\"`"))),
            None if self.targets.find(target.as_str()).is_none() => Some(self.leads_nowhere(redirect, &target)),
            None => None,
        };
        let is_other = |second: &&Redirect| second.span != redirect.span;
        match second.filter(is_other) {
            Some(second) => diagnostic.map(|diagnostic| diagnostic.with_note(place(second), "by this one")),
            None => diagnostic,
        }
    }

    fn leads_nowhere(&self, redirect: &Redirect, target: &RoutePath) -> Diagnostic {
        let message = format!("`{}` leads nowhere: the site has no such page or file", redirect.to);
        let diagnostic = Diagnostic::new(Code::BrokenLink, place(redirect), message);
        match self.targets.nearest(target.as_str()) {
            Some(near) => diagnostic.with_help(format!("did you mean `{near}`?")),
            None => diagnostic,
        }
    }

    /// A pattern that carries something over: all that it can lead to is looked at as one shape.
    fn check_gaps(&self, redirect: &'a Redirect, shape: &Shape) -> Option<Diagnostic> {
        let from = &redirect.from;
        let mut seen = vec![redirect];
        let mut next = self.covering(shape);
        while let Some(found) = next {
            if found.span == redirect.span {
                let message =
                    format!("the redirect from `{from}` never arrives where no page is: it takes what it leads to");
                let help = "name a beginning that its own pages don't have, or the pages one by one";
                let diagnostic = Diagnostic::new(Code::RedirectLoop, place(redirect), message).with_help(help);
                return Some(match seen.get(1) {
                    Some(second) => diagnostic.with_note(place(second), "by way of this one"),
                    None => diagnostic,
                });
            }
            // A circle that this one isn't part of is reported where it is.
            if seen.iter().any(|one| one.span == found.span) {
                break;
            }
            seen.push(found);
            next = Shape::of_location(found).and_then(|shape| self.covering(&shape));
        }
        if self.targets.paths().any(|path| shape.takes(path)) {
            return None;
        }
        if let Some(second) = seen.get(1) {
            let message = format!("all that `{from}` leads to is redirected once more");
            let help = format!("lead it to `{}`, with its own gaps", second.to);
            let diagnostic = Diagnostic::new(Code::RedirectLoop, place(redirect), message);
            return Some(diagnostic.with_note(place(second), "by this one").with_help(help));
        }
        let message = format!("`{}` leads nowhere: the site has no page or file of this shape", redirect.to);
        Some(Diagnostic::new(Code::BrokenLink, place(redirect), message))
    }

    /// The first pattern that takes every path of a shape.
    fn covering(&self, shape: &Shape) -> Option<&'a Redirect> {
        let covers = |(redirect, _): &&(&'a Redirect, &RedirectPattern)| Shape::of_pattern(redirect).covers(shape);
        self.patterns.iter().find(covers).map(|(redirect, _)| *redirect)
    }

    /// Patterns all of whose paths another one takes that is tried before.
    fn find_unreachable(&self) -> Vec<Diagnostic> {
        let shapes: Vec<_> = self.patterns.iter().map(|(redirect, _)| Shape::of_pattern(redirect)).collect();
        let report = |(number, shape): (usize, &Shape)| {
            let first = shapes[..number].iter().position(|before| before.covers(shape))?;
            let (redirect, first) = (self.patterns[number].0, self.patterns[first].0);
            let message = format!("`{}` is never reached: `{}` takes all its paths", redirect.from, first.from);
            let diagnostic = Diagnostic::new(Code::UnreachableRedirect, place(redirect), message);
            Some(
                diagnostic
                    .with_note(place(first), "the one that is tried first")
                    .with_help("put it before the other one"),
            )
        };
        shapes.iter().enumerate().filter_map(report).collect()
    }
}

/// A set of paths: segments that are fixed or not, and perhaps more of them.
struct Shape {
    /// `None` for a gap.
    segments: Vec<Option<String>>,
    has_rest: bool,
}

impl Shape {
    fn of_pattern(redirect: &Redirect) -> Self {
        let path = redirect.from.trim_matches('/');
        let (path, has_rest) = match path.strip_suffix('*') {
            Some(before) => (before.trim_end_matches('/'), true),
            None => (path, false),
        };
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        let segment = |segment: &str| (!segment.starts_with(':')).then(|| decoded(segment));
        Self { segments: segments.map(segment).collect(), has_rest }
    }

    /// What a pattern leads to, if that varies by path.
    fn of_location(redirect: &Redirect) -> Option<Self> {
        redirect.pattern.as_ref()?;
        let path = redirect.to.split(['?', '#']).next().unwrap_or_default();
        let has_gap = |segment: &str| {
            segment.split(':').skip(1).any(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
        };
        let mut shape = Self { segments: Vec::new(), has_rest: false };
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            if segment.contains(":splat") {
                shape.has_rest = true;
                return Some(shape);
            }
            shape.segments.push((!has_gap(segment)).then(|| decoded(segment)));
        }
        shape.segments.iter().any(Option::is_none).then_some(shape)
    }

    /// Whether every path of the other one is one of this.
    fn covers(&self, other: &Self) -> bool {
        let fits = |(own, other): (&Option<String>, &Option<String>)| own.is_none() || own == other;
        let is_long_enough = self.segments.len() <= other.segments.len();
        let ends = self.has_rest || (!other.has_rest && self.segments.len() == other.segments.len());
        is_long_enough && ends && self.segments.iter().zip(&other.segments).all(fits)
    }

    fn takes(&self, path: &str) -> bool {
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        let segments = segments.map(|segment| Some(segment.to_owned())).collect();
        self.covers(&Self { segments, has_rest: false })
    }
}

fn decoded(segment: &str) -> String {
    bundle::percent_decode(segment).unwrap_or_else(|| segment.to_owned())
}
