//! What fields hold.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::DateTime;

use crate::diagnostic::{Place, Span};

/// Fields in the order in which they were written; no name twice.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Fields {
    in_order: Vec<(String, Field)>,
    by_name: BTreeMap<String, usize>,
    lost: Lost,
}

/// What was written and can't be used, which has been reported: that it is missing isn't worth a word.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Lost {
    names: BTreeSet<String>,
    /// Some of it has no name.
    has_others: bool,
}

/// A field's value, and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// What it says.
    pub value: Value,
    /// Where its name stands.
    pub name_span: Span,
    /// Where its value stands.
    pub span: Span,
    /// Where the items of a list stand, as many as are known.
    pub item_spans: Vec<Span>,
    /// The file that it stands in, if it isn't the page's own.
    pub origin: Option<Arc<str>>,
}

impl Field {
    /// Where its value stands, if it was read for the page whose source has this path.
    pub fn place(&self, page: &Arc<str>) -> Place {
        self.place_of(self.span, page)
    }

    /// Where an item of its list stands.
    pub fn item_place(&self, index: usize, page: &Arc<str>) -> Place {
        self.place_of(self.item_spans.get(index).copied().unwrap_or(self.span), page)
    }

    fn place_of(&self, span: Span, page: &Arc<str>) -> Place {
        Place { path: Arc::clone(self.origin.as_ref().unwrap_or(page)), span }
    }
}

/// A value of a field or of data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// Text.
    Text(String),
    /// A number as it was written.
    Number(String),
    /// `true` or `false`
    Bool(bool),
    /// An ISO 8601 date, with or without a time, as it was written.
    Date(String),
    /// Values in order.
    List(Vec<Value>),
    /// Values by name.
    Map(BTreeMap<String, Value>),
}

impl Fields {
    /// The field of that name.
    pub fn get(&self, name: &str) -> Option<&Field> {
        self.by_name.get(name).map(|index| &self.in_order[*index].1)
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Field)> {
        self.in_order.iter().map(|(name, field)| (name.as_str(), field))
    }

    /// Adds a field, in place of one of the same name if there is one.
    pub fn insert(&mut self, name: impl Into<String>, field: Field) {
        let name = name.into();
        if let Some(index) = self.by_name.get(&name) {
            self.in_order[*index].1 = field;
        } else {
            self.by_name.insert(name.clone(), self.in_order.len());
            self.in_order.push((name, field));
        }
    }

    /// Notes that there is a field of that name whose value can't be used.
    pub(super) fn lose(&mut self, name: &str) {
        self.lost.names.insert(name.to_owned());
    }

    /// Notes that something can't be read, whatever it is.
    pub(super) fn lose_something(&mut self) {
        self.lost.has_others = true;
    }

    /// Notes that what others have lost may have been meant for these as well.
    pub fn lose_with(&mut self, others: &Self) {
        self.lost.names.extend(others.lost.names.iter().cloned());
        self.lost.has_others |= others.lost.has_others;
    }

    /// Whether a field may be missing because it was written wrongly.
    pub fn has_lost(&self, name: &str) -> bool {
        // Some fields are made of what is written.
        let name = if matches!(name, "date_iso" | "date_rfc2822") { "date" } else { name };
        self.lost.has_others || self.lost.names.contains(name)
    }

    /// Leaves only the fields that are wanted.
    pub fn retain(&mut self, mut is_wanted: impl FnMut(&str, &mut Field) -> bool) {
        self.in_order.retain_mut(|(name, field)| is_wanted(name, field));
        self.by_name = self.in_order.iter().enumerate().map(|(index, (name, _))| (name.clone(), index)).collect();
    }
}

impl Value {
    /// What a placeholder shows; nothing for a list or a map.
    pub fn as_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) | Self::Number(text) | Self::Date(text) => Some(Cow::Borrowed(text)),
            Self::Bool(true) => Some(Cow::Borrowed("true")),
            Self::Bool(false) => Some(Cow::Borrowed("false")),
            Self::List(_) | Self::Map(_) => None,
        }
    }

    /// A number's size.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(text) => parse_number(text),
            _ => None,
        }
    }

    /// A date's day and time: midnight if it has none, in UTC if it has an offset.
    pub fn as_date_time(&self) -> Option<DateTime> {
        match self {
            Self::Date(text) => parse_date(text),
            _ => None,
        }
    }

    /// A date's day and time as its author wrote them, wherever on earth that was.
    pub fn as_local_date_time(&self) -> Option<DateTime> {
        match self {
            Self::Date(text) => parse_local_date(text),
            _ => None,
        }
    }

    /// Whether `if` takes it for given: neither `false`, nor blank, nor an empty list or map.
    pub fn is_something(&self) -> bool {
        match self {
            Self::Text(text) | Self::Number(text) | Self::Date(text) => !text.trim_ascii().is_empty(),
            Self::Bool(is_set) => *is_set,
            Self::List(items) => !items.is_empty(),
            Self::Map(fields) => !fields.is_empty(),
        }
    }

    /// The value of a word without quotes, as YAML has it; nothing if it says that there is none.
    pub(crate) fn of_plain(text: &str) -> Option<Self> {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => None,
            "true" | "True" | "TRUE" => Some(Self::Bool(true)),
            "false" | "False" | "FALSE" => Some(Self::Bool(false)),
            _ if parse_number(text).is_some() => Some(Self::Number(text.to_owned())),
            _ if parse_date(text).is_some() => Some(Self::Date(text.to_owned())),
            _ => Some(Self::Text(text.to_owned())),
        }
    }
}

fn parse_number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().any(|byte| byte.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'-' | b'+'));
    if is_number { text.parse().ok() } else { None }
}

/// `2026-02-05`, `2026-02-05T10:30:00`, `2026-02-05 10:30:00+01:00` and the like.
pub(crate) fn parse_date(text: &str) -> Option<DateTime> {
    if !is_date_like(text) {
        return None;
    }
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(jiff::tz::Offset::UTC.to_datetime(instant));
    }
    text.parse().ok()
}

fn parse_local_date(text: &str) -> Option<DateTime> {
    let without_zulu = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    if is_date_like(text) { without_zulu.parse().ok() } else { None }
}

fn is_date_like(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_date_like = bytes.len() >= 10 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-';
    is_date_like && (bytes.len() == 10 || matches!(bytes[10], b'T' | b't' | b' '))
}
