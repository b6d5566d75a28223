//! One YAML document as a value. Names of other values and more than one document are refused: what is published should
//! stand where it is read.

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle};

use super::value::Value;

/// Lists and maps in one another. Guessed: nobody nests so deep by hand.
const DEPTH_MAX: usize = 64;

/// What a document says.
#[derive(Default)]
pub(crate) struct Document {
    /// Nothing if it is empty.
    pub(crate) value: Option<Value>,
    /// Where the items of a list stand that is a value of the outermost map.
    pub(crate) item_spans: Vec<(usize, usize)>,
}

/// Why a document can't be read, and how many bytes from its beginning.
pub(crate) struct Mistake {
    pub(crate) at: usize,
    pub(crate) message: String,
}

/// A list or a map that is still open, with the key that the next value has.
enum Open {
    List(Vec<Value>),
    Map(BTreeMap<String, Value>, Option<String>),
}

/// Reads a document.
pub(crate) fn read(text: &str) -> Result<Document, Mistake> {
    let mut document = Document::default();
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(found) => found,
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or_default();
                return Err(Mistake { at, message: lower_first(&error.info()) });
            }
        };
        let (start, end) = (span.start.byte_offset().unwrap_or_default(), span.end.byte_offset().unwrap_or_default());
        let mistake = |message: &str| Mistake { at: start, message: message.to_owned() };
        let done = match event {
            Event::SequenceStart(..) if open.len() <= DEPTH_MAX => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) if open.len() <= DEPTH_MAX => {
                open.push(Open::Map(BTreeMap::new(), None));
                continue;
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => return Err(mistake("it is nested too deep")),
            Event::Scalar(text, style, ..) => match (&style, open.last_mut()) {
                (_, Some(Open::Map(map, key @ None))) => {
                    if map.contains_key(&*text) {
                        return Err(mistake(&format!("the key `{text}` is given twice")));
                    }
                    *key = Some(text.into_owned());
                    continue;
                }
                (ScalarStyle::Plain, _) => Value::of_plain(&text),
                _ => Some(Value::Text(text.trim_end_matches('\n').to_owned())),
            },
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(items)) => Some(Value::List(items)),
                Some(Open::Map(map, _)) => Some(Value::Map(map)),
                None => None,
            },
            Event::Alias(_) => return Err(mistake("names of other values (`*name`) aren't known here")),
            Event::DocumentStart(..) if document.value.is_some() => {
                return Err(mistake("a second document begins here"));
            }
            _ => continue,
        };
        let depth = open.len();
        match open.last_mut() {
            Some(Open::List(items)) => {
                if depth == 2 && done.is_some() {
                    document.item_spans.push((start, end));
                }
                items.extend(done);
            }
            Some(Open::Map(_, None)) => return Err(mistake("a key is one text")),
            Some(Open::Map(map, key)) => {
                if let (Some(key), Some(value)) = (key.take(), done) {
                    map.insert(key, value);
                }
            }
            None => document.value = done,
        }
    }
    Ok(document)
}

fn lower_first(message: &str) -> String {
    let mut letters = message.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
