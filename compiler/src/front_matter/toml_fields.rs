//! Fields in TOML.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Mistakes;
use super::value::{Field, Fields, Value};
use crate::config::{TOO_DEEP, find_too_deep};
use crate::diagnostic::{Code, Diagnostic, Span};

/// Reads the fields in `span`.
pub(super) fn read(span: Span, mistakes: &mut Mistakes<'_>) -> Fields {
    let text = &mistakes.source.text[span.start..span.end];
    let mut fields = Fields::default();
    if let Some(deep) = find_too_deep(text) {
        fields.lose_something();
        let place = mistakes.source.place(place(span, deep.start..deep.end));
        mistakes.diagnostics.push(Diagnostic::new(Code::BadFrontMatter, place, TOO_DEEP));
        return fields;
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        fields.lose_something();
        let range = error.span().unwrap_or_default();
        let message = error.message().lines().next().unwrap_or_default().to_owned();
        let place = mistakes.source.place(place(span, range));
        mistakes.diagnostics.push(Diagnostic::new(Code::BadFrontMatter, place, message));
    }
    let mut entries: Vec<_> = table.into_inner().into_iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    for (name, value) in entries {
        let (name_span, value_span) = (place(span, name.span()), place(span, value.span()));
        let items = value.get_ref().as_array().into_iter().flatten();
        let item_spans = items.map(|item| place(span, item.span())).collect();
        let field = Field { value: convert(value), name_span, span: value_span, item_spans, origin: None };
        fields.insert(name.get_ref().to_string(), field);
    }
    fields
}

fn place(fields: Span, range: std::ops::Range<usize>) -> Span {
    Span::new(fields.start + range.start, fields.start + range.end)
}

/// How deep it is was looked at before it was parsed.
pub(crate) fn convert(value: Spanned<DeValue<'_>>) -> Value {
    match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(whole) => Value::Number(whole.to_string()),
            Err(_) => Value::Text(number.as_str().to_owned()),
        },
        DeValue::Float(number) => Value::Number(number.as_str().to_owned()),
        DeValue::Boolean(is_set) => Value::Bool(is_set),
        DeValue::Datetime(date) => Value::of_plain(&date.to_string()).unwrap_or(Value::Bool(false)),
        DeValue::Array(items) => Value::List(items.into_iter().map(convert).collect()),
        DeValue::Table(fields) => Value::Map(
            fields.into_iter().map(|(name, value)| (name.into_inner().into_owned(), convert(value))).collect(),
        ),
    }
}
