//! Data files: TOML, YAML, JSON and CSV as values that pages list. It knows nothing of pages.

use std::collections::{BTreeMap, HashSet};

use crate::config::{TOO_DEEP, find_too_deep};
use crate::diagnostic::{Code, Diagnostic, Place, SourceText, Span, nearest};
use crate::front_matter::{Value, convert_toml, read_yaml};
use crate::source::SourceFile;

/// The key of a map that stands for the map's rows: TOML has no list at its top.
const ROWS_KEY: &str = "row";

/// All data of a site, by the files' names without their extensions.
#[derive(Clone, Default, Debug)]
pub struct Data {
    files: BTreeMap<String, Value>,
}

impl Data {
    /// Reads all files that have the extension of a known format. Others, such as a README, are left alone.
    pub fn read(files: &[SourceFile]) -> (Self, Vec<Diagnostic>) {
        let mut data = Self::default();
        let mut diagnostics = Vec::new();
        let mut first_paths = BTreeMap::new();
        for file in files {
            let extension = file.extension();
            let Some(read) = reader_of(&extension) else { continue };
            let name = file.name[..file.name.len() - extension.len() - 1].to_owned();
            if let Some(first) = first_paths.insert(name.clone(), file.path.clone()) {
                let place = Place { path: file.path.clone(), span: Span::default() };
                let message = format!("`data/{name}` is this file, and `{first}` too");
                diagnostics.push(Diagnostic::new(Code::BadData, place, message).with_help("rename one of them"));
                continue;
            }
            // A file that can't be read is there all the same: its lists are empty rather than unknown.
            let value = file.to_text().and_then(|source| read(&source)).unwrap_or_else(|diagnostic| {
                diagnostics.push(diagnostic);
                Value::List(Vec::new())
            });
            data.files.insert(name, value);
        }
        (data, diagnostics)
    }

    /// The rows of a file, or of a list in it: `team`, `menu.main.links`.
    ///
    /// # Errors
    /// What is wrong with the name, and what may be meant.
    pub fn find(&self, name: &str) -> Result<&[Value], (String, Option<String>)> {
        let Some((file, keys, mut value)) = self.find_file(name) else {
            let near = nearest(name, self.files.keys().map(String::as_str));
            let help = near.map(|near| format!("did you mean `data/{near}`?"));
            return Err((format!("there is no data file `{name}`"), help));
        };
        let mut path = format!("data/{file}");
        for key in keys {
            let Value::Map(map) = value else { return Err((format!("`{path}` has no keys"), None)) };
            value = map.get(key).ok_or_else(|| {
                let near = nearest(key, map.keys().map(String::as_str));
                (format!("`{path}` has no key `{key}`"), near.map(|near| format!("did you mean `{path}.{near}`?")))
            })?;
            path = format!("{path}.{key}");
        }
        match value {
            Value::List(items) => Ok(items),
            Value::Map(map) => {
                if let Some(Value::List(items)) = map.get(ROWS_KEY) {
                    return Ok(items);
                }
                let help = map.keys().next().map(|key| format!("name a list in it, such as `{path}.{key}`"));
                Err((format!("`{path}` is a map, and `each` wants a list"), help))
            }
            _ => Err((format!("`{path}` is one value, and `each` wants a list"), None)),
        }
    }

    /// The file with the longest name that begins so, and the keys that are left.
    fn find_file<'n>(&self, name: &'n str) -> Option<(&'n str, std::str::Split<'n, char>, &Value)> {
        let mut end = name.len();
        loop {
            if let Some(value) = self.files.get(&name[..end]) {
                let mut keys = name[end..].split('.');
                keys.next();
                return Some((&name[..end], keys, value));
            }
            end = name[..end].rfind('.')?;
        }
    }
}

type Read = fn(&SourceText) -> Result<Value, Diagnostic>;

fn reader_of(extension: &str) -> Option<Read> {
    Some(match extension {
        "toml" => read_toml,
        "yaml" | "yml" => read_yaml_file,
        "json" => read_json,
        "csv" => read_csv,
        _ => return None,
    })
}

fn bad_data(source: &SourceText, span: Span, message: String) -> Diagnostic {
    Diagnostic::new(Code::BadData, source.place(span), message)
}

fn read_toml(source: &SourceText) -> Result<Value, Diagnostic> {
    if let Some(span) = find_too_deep(&source.text) {
        return Err(bad_data(source, span, TOO_DEEP.to_owned()));
    }
    let table = toml::de::DeTable::parse(&source.text).map_err(|error| {
        let span = error.span().unwrap_or_default();
        let message = error.message().lines().next().unwrap_or_default().to_owned();
        bad_data(source, Span::new(span.start, span.end), message)
    })?;
    let fields = table.into_inner().into_iter();
    Ok(Value::Map(fields.map(|(name, value)| (name.into_inner().into_owned(), convert_toml(value))).collect()))
}

fn read_yaml_file(source: &SourceText) -> Result<Value, Diagnostic> {
    match read_yaml(&source.text) {
        Ok(document) => Ok(document.value.unwrap_or_else(|| Value::List(Vec::new()))),
        Err(mistake) => Err(bad_data(source, character_at(source, mistake.at), mistake.message)),
    }
}

fn read_json(source: &SourceText) -> Result<Value, Diagnostic> {
    let value = serde_json::from_str(&source.text).map_err(|error| {
        let line_start =
            source.text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
        let span = character_at(source, line_start + error.column().saturating_sub(1));
        let message = error.to_string();
        bad_data(source, span, message.split(" at line ").next().unwrap_or_default().to_owned())
    })?;
    Ok(convert_json(value).unwrap_or_else(|| Value::List(Vec::new())))
}

/// The depth of JSON is bounded by its parser. `null` is what isn't given.
fn convert_json(value: serde_json::Value) -> Option<Value> {
    Some(match value {
        serde_json::Value::Null => return None,
        serde_json::Value::Bool(is_set) => Value::Bool(is_set),
        serde_json::Value::Number(number) => Value::Number(number.to_string()),
        // A date is a text to JSON, and a date to its author.
        serde_json::Value::String(text) => match Value::of_plain(&text) {
            Some(Value::Date(date)) => Value::Date(date),
            _ => Value::Text(text),
        },
        serde_json::Value::Array(items) => Value::List(items.into_iter().filter_map(convert_json).collect()),
        serde_json::Value::Object(fields) => {
            Value::Map(fields.into_iter().filter_map(|(name, value)| Some((name, convert_json(value)?))).collect())
        }
    })
}

/// The first row names the columns.
fn read_csv(source: &SourceText) -> Result<Value, Diagnostic> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(source.text.as_bytes());
    let mistake = |error: &csv::Error| {
        let at = error.position().map_or(0, |position| usize::try_from(position.byte()).unwrap_or(usize::MAX));
        let message = match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("this row has {len} fields, and the first row {expected_len}")
            }
            _ => error.to_string(),
        };
        bad_data(source, line_at(source, at), message)
    };
    let names = reader.headers().map_err(|error| mistake(&error))?.clone();
    let mut seen = HashSet::new();
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() || !seen.insert(name) {
            let message =
                format!("column {} has {}", index + 1, if name.is_empty() { "no name" } else { "the name of another" });
            return Err(bad_data(source, line_at(source, 0), message));
        }
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| mistake(&error))?;
        let fields = names.iter().zip(&record).map(|(name, text)| {
            let value = match Value::of_plain(text.trim()) {
                Some(value @ (Value::Number(_) | Value::Date(_))) => value,
                _ => Value::Text(text.to_owned()),
            };
            (name.to_owned(), value)
        });
        rows.push(Value::Map(fields.collect()));
    }
    Ok(Value::List(rows))
}

/// The character at a byte, or the last one.
fn character_at(source: &SourceText, at: usize) -> Span {
    let start = source.text.floor_char_boundary(at);
    let length = source.text[start..].chars().next().map_or(0, char::len_utf8);
    Span::new(start, start + length)
}

/// The line that a byte is in; the one after it if it is a line's end.
fn line_at(source: &SourceText, at: usize) -> Span {
    let at = source.text.floor_char_boundary(at);
    let start = at + source.text[at..].len() - source.text[at..].trim_start_matches('\n').len();
    let length = source.text[start..].find('\n').unwrap_or(source.text.len() - start);
    Span::new(start, start + length)
}
