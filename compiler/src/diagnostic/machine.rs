//! Diagnostics as text for machines: one JSON object a line, workflow commands of GitHub Actions, and SARIF 2.1.0.
//! All of them, whatever their number, in the given order.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};

use super::texts::{FindText, Indexes, Texts};
use super::{Code, Diagnostic, Place, Span};

/// A diagnostic as a JSON object.
#[derive(Serialize)]
struct Record<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    severity: &'static str,
    code: &'static str,
    message: &'a str,
    help: Option<&'a str>,
}

/// One JSON object a line: `file line column severity code message help`.
///
/// # Panics
/// Never: texts and numbers are always JSON.
pub fn draw_json(diagnostics: &[Diagnostic], find_text: FindText<'_>) -> String {
    let texts = Texts::new(diagnostics, find_text);
    let indexes = Indexes::new(&texts);
    let mut lines = String::new();
    for diagnostic in diagnostics {
        let position = indexes.find(&diagnostic.place);
        let record = Record {
            file: &diagnostic.place.path,
            line: position.line,
            column: position.column,
            severity: diagnostic.severity.name(),
            code: diagnostic.code.name(),
            message: &diagnostic.message,
            help: diagnostic.help.as_deref(),
        };
        lines.push_str(&serde_json::to_string(&record).expect("texts and numbers are always JSON"));
        lines.push('\n');
    }
    lines
}

/// Workflow commands, which GitHub Actions shows as annotations of a pull request's files. `site` is the site's folder
/// as seen from the repository's, empty or with `/` at its end.
pub fn draw_github(diagnostics: &[Diagnostic], find_text: FindText<'_>, site: &str) -> String {
    let texts = Texts::new(diagnostics, find_text);
    let indexes = Indexes::new(&texts);
    let command = |diagnostic: &Diagnostic| {
        let place = &diagnostic.place;
        let file = escape_property(&format!("{site}{}", place.path));
        let (start, end) = (indexes.find(place), indexes.find_end(place));
        let position = match (place.span == Span::default(), end.line == start.line) {
            (true, _) => String::new(),
            (false, true) => format!(",line={},col={},endColumn={}", start.line, start.column, end.column),
            (false, false) => format!(",line={},endLine={}", start.line, end.line),
        };
        let (severity, title) = (diagnostic.severity.name(), escape_property(diagnostic.code.name()));
        format!("::{severity} file={file}{position},title={title}::{}\n", escape_data(&with_help(diagnostic)))
    };
    diagnostics.iter().map(command).collect()
}

fn with_help(diagnostic: &Diagnostic) -> String {
    match &diagnostic.help {
        Some(help) => format!("{}\nhelp: {help}", diagnostic.message),
        None => diagnostic.message.clone(),
    }
}

/// A workflow command ends with its line; `%` begins an escape.
fn escape_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Properties are told apart by commas, and end with a colon.
fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}

/// A log in the Static Analysis Results Interchange Format 2.1.0, as code scanning services read it. `site` is the
/// site's folder as seen from the repository's, empty or with `/` at its end.
pub fn draw_sarif(diagnostics: &[Diagnostic], find_text: FindText<'_>, site: &str) -> String {
    let texts = Texts::new(diagnostics, find_text);
    let indexes = Indexes::new(&texts);
    let codes: Vec<Code> = diagnostics.iter().map(|one| one.code).collect::<BTreeSet<_>>().into_iter().collect();
    let rules: Vec<_> = codes.iter().map(|code| rule(*code)).collect();
    let results: Vec<_> = diagnostics.iter().map(|one| result(one, &codes, &indexes, site)).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "kiln", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.name(),
        "shortDescription": { "text": code.meaning() },
        "defaultConfiguration": { "level": code.severity().name() },
    })
}

fn result(diagnostic: &Diagnostic, codes: &[Code], indexes: &Indexes<'_>, site: &str) -> Value {
    let mut result = json!({
        "ruleId": diagnostic.code.name(),
        "ruleIndex": codes.binary_search(&diagnostic.code).unwrap_or_default(),
        "level": diagnostic.severity.name(),
        "message": { "text": with_help(diagnostic) },
        "locations": [{ "physicalLocation": physical_location(&diagnostic.place, indexes, site) }],
    });
    if !diagnostic.notes.is_empty() {
        let related = diagnostic.notes.iter().map(|(place, label)| {
            let place = physical_location(place, indexes, site);
            json!({ "physicalLocation": place, "message": { "text": label } })
        });
        result["relatedLocations"] = related.collect();
    }
    result
}

fn physical_location(place: &Place, indexes: &Indexes<'_>, site: &str) -> Value {
    let uri = bundle::percent_encode(format!("{site}{}", place.path).as_bytes());
    // A first segment with a colon would be taken for a scheme (RFC 3986 section 4.2).
    let is_like_scheme = uri.split('/').next().is_some_and(|first| first.contains(':'));
    let before = match uri.starts_with('/') {
        true => "file://",
        false if is_like_scheme => "./",
        false => "",
    };
    let uri = format!("{before}{uri}");
    let mut location = json!({ "artifactLocation": { "uri": uri } });
    if place.span != Span::default() {
        let (start, end) = (indexes.find(place), indexes.find_end(place));
        location["region"] = json!({
            "startLine": start.line,
            "startColumn": start.column,
            "endLine": end.line,
            "endColumn": end.column,
        });
    }
    location
}
