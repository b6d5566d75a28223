//! The fields that have a meaning, and what they may hold.

use super::Mistakes;
use super::value::{Field, Fields, Value, parse_date};
use crate::diagnostic::{Code, is_slip};

#[derive(Clone, Copy)]
enum Type {
    Text,
    Texts,
    Date,
    Flag,
    Number,
}

const KNOWN: [(&str, Type); 16] = [
    ("title", Type::Text),
    ("date", Type::Date),
    ("updated", Type::Date),
    ("summary", Type::Text),
    ("description", Type::Text),
    ("category", Type::Text),
    ("tags", Type::Texts),
    ("draft", Type::Flag),
    ("noindex", Type::Flag),
    ("path", Type::Text),
    ("aliases", Type::Texts),
    ("canonical", Type::Text),
    ("layout", Type::Text),
    ("image", Type::Text),
    ("weight", Type::Number),
    ("author", Type::Text),
];

/// Whether a name has a meaning.
pub(crate) fn is_known(name: &str) -> bool {
    KNOWN.iter().any(|(known, _)| *known == name)
}

/// Reports known fields of a wrong type and takes them out, and warns of names that are almost known.
pub(super) fn check(fields: &mut Fields, mistakes: &mut Mistakes<'_>) {
    for (name, field) in fields.iter() {
        let is_known = KNOWN.iter().any(|(known, _)| *known == name);
        let meant = KNOWN.iter().map(|(known, _)| *known).find(|known| is_slip(name, known));
        if let Some(meant) = meant
            && !is_known
            && fields.get(meant).is_none()
        {
            let message = format!("the field `{name}` has no meaning, and is almost `{meant}`");
            mistakes.report(Code::LikelyTypo, field.name_span, message, &format!("did you mean `{meant}`?"));
        }
    }
    let mut lost = Vec::new();
    fields.retain(|name, field| {
        let known = KNOWN.iter().find(|(known, _)| *known == name);
        let is_right = known.is_none_or(|(_, known)| check_type(name, *known, field, mistakes));
        lost.extend((!is_right).then(|| name.to_owned()));
        is_right
    });
    for name in lost {
        fields.lose(&name);
    }
}

fn check_type(name: &str, known: Type, field: &mut Field, mistakes: &mut Mistakes<'_>) -> bool {
    if let (Type::Date, Value::Text(text)) = (known, &field.value)
        && parse_date(text).is_some()
    {
        // In quotes it is a text to YAML and TOML, and a date to its author.
        field.value = Value::Date(text.clone());
    }
    let value = &field.value;
    let (is_right, needs, help) = match known {
        Type::Text => (value.as_text().is_some(), "a text", "write one text, in quotes if need be"),
        Type::Texts => (is_texts(value), "a list of texts", "write `[one, two]`"),
        Type::Flag => (matches!(value, Value::Bool(_)), "`true` or `false`", "write one of these, without quotes"),
        Type::Number => (matches!(value, Value::Number(_)), "a number", "write digits, without quotes"),
        Type::Date => (matches!(value, Value::Date(_)), "", ""),
    };
    if is_right {
        return true;
    }
    if matches!(known, Type::Date) {
        let message = format!("`{name}` is no date in ISO 8601");
        let help = "write it like `2026-02-05` or `2026-02-05T10:30:00Z`";
        mistakes.report(Code::BadDate, field.span, message, help);
    } else {
        mistakes.report(Code::BadFrontMatter, field.span, format!("`{name}` is not {needs}"), help);
    }
    false
}

fn is_texts(value: &Value) -> bool {
    matches!(value, Value::List(items) if items.iter().all(|item| item.as_text().is_some()))
}
