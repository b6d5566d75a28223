//! Style sheets on their way to a browser: SCSS becomes CSS, and CSS loses what no browser needs. Nothing is read but
//! the sources that it is given. What recurses or may not end is called in the process of `apart.rs` alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bundle::Body;
use codemap::SpanLoc;
use lightningcss::error::{Error as CssError, ParserError, SelectorError};
use lightningcss::printer::PrinterOptions;
use lightningcss::stylesheet::{MinifyOptions, ParserOptions, StyleSheet};

use super::apart::{Chore, Done, do_apart};
use super::css::{CSS_DEPTH_MAX, TooDeep, find_css_references};
use super::deep_stack::on_deep_stack;
use super::workshop::Workshop;
use crate::cache::CacheKey;
use crate::diagnostic::{Code, Diagnostic, Place, SourceText, Span};
use crate::source::SourceFile;

/// The names of the functions in the cache: what they are and in which version.
const COMPILE: &str = "grass 0.13.4; 2";
pub(super) const MINIFY: &str = "lightningcss 1.0.0-alpha.72";

/// How often one compilation may read its files: `@import` in a circle reads for ever. Guessed; each file of a large
/// framework is read once.
const READ_COUNT_MAX: usize = 10_000;

/// Compiles all sheets of the folder of styles that aren't for import only. What comes back stands for files under
/// `static/`: `styles/a/b.scss` is `css/a/b.css` there.
pub(super) fn compile_styles(styles: &[SourceFile], workshop: &Workshop<'_>) -> (Vec<SourceFile>, Vec<Diagnostic>) {
    let mut compiled = Vec::new();
    let mut warnings = Vec::new();
    let mut waiting = Vec::new();
    for (file, key) in styles.iter().zip(sheet_keys(styles)) {
        let Some(name) = sheet_name(file) else { continue };
        let published = |bytes| SourceFile { path: Arc::clone(&file.path), name: name.as_str().into(), bytes };
        if file.extension() == "css" {
            compiled.push(published(file.bytes.clone()));
            continue;
        }
        match workshop.cache.find(&key).and_then(|kept| Done::from_kept(&kept)) {
            Some(Done { text: Some(css), mistakes }) => {
                compiled.push(published(css.into()));
                warnings.extend(mistakes);
            }
            _ => waiting.push(Waiting { file, name, key }),
        }
    }
    let (made, mut diagnostics) = compile_waiting(&waiting, styles, workshop);
    compiled.extend(made);
    compiled.sort_by(|a, b| a.path.cmp(&b.path));
    diagnostics.extend(warnings);
    // A mistake in a partial is one, however many sheets use it.
    let mut told = BTreeSet::new();
    diagnostics.retain(|mistake| told.insert((mistake.place.clone(), mistake.message.clone())));
    (compiled, diagnostics)
}

/// Under what the cache keeps each of the sheets.
fn sheet_keys(styles: &[SourceFile]) -> Vec<CacheKey> {
    // Which partials a sheet reads is known only after reading them: all of them are its input.
    let digests: Vec<_> = styles.iter().map(|one| one.bytes.digest()).collect();
    let parts = styles.iter().zip(&digests).flat_map(|(one, digest)| [one.path.as_bytes(), digest.as_bytes()]);
    let all = CacheKey::new("styles", &parts.collect::<Vec<&[u8]>>());
    styles.iter().map(|file| CacheKey::new(COMPILE, &[file.path.as_bytes(), all.as_bytes()])).collect()
}

/// A sheet that the cache doesn't have.
struct Waiting<'a> {
    file: &'a SourceFile,
    name: String,
    key: CacheKey,
}

fn compile_waiting<'a>(
    waiting: &[Waiting<'a>],
    styles: &[SourceFile],
    workshop: &Workshop<'_>,
) -> (Vec<SourceFile>, Vec<Diagnostic>) {
    if waiting.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let (mut sheets, mut diagnostics) = (Vec::new(), Vec::new());
    for file in styles.iter().filter(|one| matches!(&*one.extension(), "css" | "scss" | "sass")) {
        let text = file.to_text().and_then(|text| check_depth(&text).map(|()| text).map_err(|mistake| *mistake));
        match text {
            Ok(text) => sheets.push(text),
            Err(mistake) => diagnostics.push(mistake),
        }
    }
    if !diagnostics.is_empty() {
        return (Vec::new(), diagnostics);
    }
    let chore = |one: &Waiting<'a>| {
        let (path, name) = (&*one.file.path, &*one.file.name);
        Chore::Compile { path: path.into(), folder: path.strip_suffix(name).unwrap_or_default().into() }
    };
    let chores: Vec<_> = waiting.iter().map(chore).collect();
    let mut compiled = Vec::new();
    for (one, result) in waiting.iter().zip(do_apart(&sheets, &chores, workshop.annex)) {
        let done = result.unwrap_or_else(|loss| {
            let help = "does a `@while` never end, or does a `@function` or `@mixin` use itself without end?";
            let mistake = loss.mistake(whole(&one.file.path), "the sheet can't be compiled", help);
            Done { text: None, mistakes: vec![mistake] }
        });
        diagnostics.extend(done.mistakes.iter().cloned());
        if let Some(css) = done.text.clone() {
            if let Some(kept) = done.into_kept() {
                workshop.cache.keep(&one.key, &kept);
            }
            let (path, name) = (Arc::clone(&one.file.path), one.name.as_str().into());
            compiled.push(SourceFile { path, name, bytes: css.into() });
        }
    }
    (compiled, diagnostics)
}

/// The name below `static/` under which a file in the folder of styles is published, if it is: one that begins with `_` is
/// for import only.
pub fn sheet_name(file: &SourceFile) -> Option<String> {
    let own = file.name.rsplit('/').next().unwrap_or_default();
    let stem = file.name.rsplit_once('.').map_or(&*file.name, |(stem, _)| stem);
    (!own.starts_with('_') && matches!(&*file.extension(), "css" | "scss")).then(|| format!("css/{stem}.css"))
}

/// All that sheets may import, as the compiler of SCSS sees it: there is nothing else.
#[derive(Debug)]
pub(super) struct Sheets(BTreeMap<PathBuf, SourceText>);

impl Sheets {
    /// Those of the folder of styles.
    pub(super) fn new(sheets: impl Iterator<Item = SourceText>) -> Self {
        Self(sheets.map(|sheet| (PathBuf::from(&*sheet.path), sheet)).collect())
    }

    /// What one of them is as CSS. `folder` is the folder of styles.
    pub(super) fn compile(&self, path: &str, folder: &str) -> Done {
        let files = Files { folder, sheet: path.into(), texts: &self.0, read_count: AtomicUsize::new(0) };
        let result = on_deep_stack(path, || {
            let log = Log::default();
            let compiled = grass::from_path(path, &grass::Options::default().fs(&files).logger(&log));
            let warnings = log.0.into_inner().unwrap_or_else(PoisonError::into_inner);
            match compiled {
                Ok(css) => Done {
                    text: Some(css),
                    mistakes: warnings.iter().map(|(loc, text)| files.warning(loc, text)).collect(),
                },
                Err(error) => Done { text: None, mistakes: vec![files.mistake(*error)] },
            }
        });
        result.unwrap_or_else(|| Done { text: None, mistakes: vec![stopped(&files.sheet, "compiled")] })
    }
}

/// What is said when the code that recurses panicked.
fn stopped(path: &Arc<str>, done: &str) -> Diagnostic {
    let message = format!("the sheet can't be {done}: the program that does it stopped with a fault of its own");
    Diagnostic::new(Code::MalformedStyle, whole(path), message)
}

fn whole(path: &Arc<str>) -> Place {
    Place { path: Arc::clone(path), span: Span::default() }
}

/// The same while one of them is compiled.
#[derive(Debug)]
struct Files<'a> {
    folder: &'a str,
    sheet: Arc<str>,
    texts: &'a BTreeMap<PathBuf, SourceText>,
    read_count: AtomicUsize,
}

impl grass::Fs for Files<'_> {
    fn is_dir(&self, path: &Path) -> bool {
        plain(path).is_some_and(|path| self.texts.keys().any(|file| file.starts_with(&path) && *file != path))
    }

    fn is_file(&self, path: &Path) -> bool {
        self.find(path).is_some()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if self.read_count.fetch_add(1, Ordering::Relaxed) >= READ_COUNT_MAX {
            return Err(io::Error::other("the sheets import each other without end"));
        }
        let text = self.find(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(text.text.as_bytes().to_vec())
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        plain(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Files<'_> {
    fn find(&self, path: &Path) -> Option<&SourceText> {
        self.texts.get(&plain(path)?)
    }

    fn place(&self, loc: &SpanLoc) -> Option<Place> {
        let text = self.find(Path::new(loc.file.name()))?;
        let start = offset_of(&text.text, loc.begin.line, loc.begin.column);
        let end = offset_of(&text.text, loc.end.line, loc.end.column);
        Some(text.place(Span::new(start, end.max(start))))
    }

    fn mistake(&self, error: grass::Error) -> Diagnostic {
        let (place, message) = match error.kind() {
            grass::ErrorKind::ParseError { message, loc, .. } => (self.place(&loc), message),
            grass::ErrorKind::IoError(error) => (None, error.to_string()),
            _ => (None, "the sheet can't be compiled".to_owned()),
        };
        let mut message = lower_first(message.trim_end_matches('.'));
        if let Some(name) = place.as_ref().and_then(|place| self.text_at(place)).filter(|name| name.starts_with('$')) {
            message = format!("{message} `{name}`");
        }
        let diagnostic =
            Diagnostic::new(Code::MalformedStyle, place.unwrap_or_else(|| whole(&self.sheet)), message.clone());
        if message.starts_with("can't find stylesheet") {
            let folder = self.folder;
            return diagnostic.with_help(format!("sheets are looked for in `{folder}`, from the folder of this one"));
        }
        diagnostic
    }

    fn text_at(&self, place: &Place) -> Option<&str> {
        self.texts.get(Path::new(&*place.path))?.text.get(place.span.start..place.span.end)
    }

    fn warning(&self, loc: &SpanLoc, text: &str) -> Diagnostic {
        let place = self.place(loc).unwrap_or_else(|| whole(&loc.file.name().into()));
        Diagnostic::new(Code::StyleWarning, place, text.to_owned())
    }
}

/// A path without `.` and `..`, or `None` if it leads out of the site.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => result.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !result.pop() {
                    return None;
                }
            }
            Component::Prefix(_) | Component::RootDir => return None,
        }
    }
    Some(result)
}

/// What sheets say with `@warn`. What they say with `@debug` is for whoever runs the compiler by hand.
#[derive(Default, Debug)]
struct Log(Mutex<Vec<(SpanLoc, String)>>);

impl grass::Logger for Log {
    fn debug(&self, _: SpanLoc, _: &str) {}

    fn warn(&self, loc: SpanLoc, message: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((loc, message.to_owned()));
    }
}

/// The sheet without what no browser needs. Its brackets aren't nested too deeply.
///
/// # Errors
/// Everything in it that can't be read.
pub(super) fn minify_style(sheet: &SourceText) -> Result<String, Vec<Diagnostic>> {
    let made = on_deep_stack(&sheet.path, || minify(sheet));
    made.unwrap_or_else(|| Err(vec![stopped(&sheet.path, "minified").with_help(KEEP_HELP)]))
}

/// What helps if the minifier and not the sheet is wrong.
pub(super) const KEEP_HELP: &str =
    "if it is right all the same, `minify = false` under `[build]` leaves style sheets as they are";

fn minify(sheet: &SourceText) -> Result<String, Vec<Diagnostic>> {
    let parsed = StyleSheet::parse(&sheet.text, ParserOptions::default());
    let Ok(mut parsed) = parsed else { return Err(find_mistakes(sheet)) };
    parsed.minify(MinifyOptions::default()).map_err(|error| {
        let place = error.loc.map(|loc| (loc.line, loc.column));
        vec![mistake(sheet, lower_first(&error.kind.to_string()), place).with_help(KEEP_HELP)]
    })?;
    let printed = parsed.to_css(PrinterOptions { minify: true, ..PrinterOptions::default() });
    printed.map(|printed| printed.code).map_err(|error| {
        let message = lower_first(&error.kind.to_string());
        vec![Diagnostic::new(Code::MalformedStyle, whole(&sheet.path), message).with_help(KEEP_HELP)]
    })
}

/// All mistakes of a sheet: the parser goes on behind each.
fn find_mistakes(sheet: &SourceText) -> Vec<Diagnostic> {
    let warnings = Arc::default();
    let options =
        ParserOptions { error_recovery: true, warnings: Some(Arc::clone(&warnings)), ..ParserOptions::default() };
    let first = StyleSheet::parse(&sheet.text, options).err();
    let warnings = warnings.read().unwrap_or_else(PoisonError::into_inner);
    let errors = warnings.iter().filter(|error| !is_only_unknown(&error.kind)).chain(&first);
    let place = |error: &CssError<ParserError<'_>>| error.loc.as_ref().map(|loc| (loc.line, loc.column));
    let found = errors.map(|error| {
        let mut found = mistake(sheet, lower_first(&error.kind.to_string()), place(error));
        let rest = &sheet.text[found.place.span.start..];
        // The parser shows tokens as its programmers call them.
        match (&error.kind, rest.trim_start().chars().next()) {
            (ParserError::SelectorError(_), _) => "the selector can't be read".clone_into(&mut found.message),
            (ParserError::UnexpectedToken(_) | ParserError::EndOfInput, Some(next)) => {
                found.message = format!("unexpected `{next}`");
            }
            (_, None) => "the sheet ends in the middle of a rule".clone_into(&mut found.message),
            _ => {}
        }
        found
    });
    found.collect()
}

/// Whether the parser reads it and only doesn't know it.
fn is_only_unknown(kind: &ParserError<'_>) -> bool {
    matches!(
        kind,
        ParserError::AtRuleInvalid(_)
            | ParserError::SelectorError(
                SelectorError::UnsupportedPseudoClass(_) | SelectorError::UnsupportedPseudoElement(_)
            )
    )
}

fn mistake(sheet: &SourceText, message: String, at: Option<(u32, u32)>) -> Diagnostic {
    let span = at.map_or_else(Span::default, |(line, column)| {
        let start = offset_of_utf16(&sheet.text, line, column);
        let len = sheet.text[start..].chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8);
        Span::new(start, start + len)
    });
    Diagnostic::new(Code::MalformedStyle, sheet.place(span), message)
}

/// Parsers of CSS and SCSS recurse: what is nested too deeply is refused before they see it.
fn check_depth(sheet: &SourceText) -> Result<(), Box<Diagnostic>> {
    find_css_references(&sheet.text).map(drop).map_err(|too_deep| Box::new(too_deep_mistake(sheet, too_deep)))
}

/// What is said of brackets that are nested too deeply.
pub(super) fn too_deep_mistake(sheet: &SourceText, TooDeep(offset): TooDeep) -> Diagnostic {
    let message = format!("brackets are nested more than {CSS_DEPTH_MAX} deep");
    let span = Span::new(offset, offset + 1);
    Diagnostic::new(Code::MalformedStyle, sheet.place(span), message).with_help("is one above never closed?")
}

/// The offset of a line and a column, both from 0, the column in characters.
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let start = line_start(text, line, &['\n']);
    text[start..].char_indices().nth(column).map_or(text.len(), |(index, _)| start + index)
}

/// The offset of a line from 0 and a column from 1 in units of UTF-16, as the parser of CSS counts them. To it a form
/// feed ends a line too.
fn offset_of_utf16(text: &str, line: u32, column: u32) -> usize {
    let start = line_start(text, line as usize, &['\n', '\u{c}']);
    let mut units = column.saturating_sub(1) as usize;
    for (index, character) in text[start..].char_indices() {
        if units < character.len_utf16() {
            return start + index;
        }
        units -= character.len_utf16();
    }
    text.len()
}

fn line_start(text: &str, line: usize, ends: &[char]) -> usize {
    if line == 0 {
        return 0;
    }
    text.match_indices(ends).nth(line - 1).map_or(text.len(), |(index, end)| index + end.len())
}

fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assets::Annex;
    use crate::cache::Cache;

    #[test]
    fn a_sheet_with_warnings_is_compiled_once_and_they_are_told_at_each_build() {
        let folder = std::env::temp_dir().join(format!("kiln-warnings-{}", std::process::id()));
        let cache = Cache::new(folder.clone());
        // No program that could compile anything.
        let annex = Annex::new(Path::new("/no-such-program"));
        let workshop = Workshop::new(&cache, &annex);
        let text = b"@warn \"old\"; p { margin: 0; }".to_vec();
        let file = SourceFile { path: "styles/a.scss".into(), name: "a.scss".into(), bytes: text.into() };
        let styles = [file];
        let (sheets, diagnostics) = compile_styles(&styles, &workshop);
        assert_eq!((sheets.len(), diagnostics[0].code), (0, Code::ToolFailed));

        let done =
            Sheets::new(styles.iter().filter_map(|file| file.to_text().ok())).compile("styles/a.scss", "styles/");
        cache.keep(&sheet_keys(&styles)[0], &done.into_kept().unwrap());
        let (sheets, diagnostics) = compile_styles(&styles, &workshop);
        assert_eq!(sheets[0].bytes.text().map(|css| &**css), Some("p {\n  margin: 0;\n}\n"));
        assert_eq!((diagnostics[0].code, &*diagnostics[0].message), (Code::StyleWarning, "\"old\""));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
