//! Style sheets on their way to a browser: SCSS becomes CSS, and CSS loses what no browser needs. Nothing is read but
//! the sources that it is given.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bundle::Body;
use codemap::SpanLoc;
use lightningcss::error::{Error as CssError, ParserError, SelectorError};
use lightningcss::printer::PrinterOptions;
use lightningcss::stylesheet::{MinifyOptions, ParserOptions, StyleSheet};
use rayon::prelude::*;

use super::css::{CSS_DEPTH_MAX, TooDeep, find_css_references};
use super::deep_stack::on_deep_stack;
use crate::cache::{Cache, CacheKey};
use crate::diagnostic::{Code, Diagnostic, Place, SourceText, Span};
use crate::source::SourceFile;

/// The names of the functions in the cache: what they are and in which version.
const COMPILE: &str = "grass 0.13.4";
const MINIFY: &str = "lightningcss 1.0.0-alpha.72";

/// How often one compilation may read its files: `@import` in a circle reads for ever. Guessed; each file of a large
/// framework is read once.
const READ_COUNT_MAX: usize = 10_000;

/// Compiles all sheets of the folder of styles that aren't for import only. What comes back stands for files under
/// `static/`: `styles/a/b.scss` is `css/a/b.css` there.
pub(super) fn compile_styles(styles: &[SourceFile], cache: &Cache) -> (Vec<SourceFile>, Vec<Diagnostic>) {
    let sheets = styles.par_iter().filter_map(|file| Some((file, sheet_name(file)?)));
    let results: Vec<_> = sheets.map(|(file, name)| compile(file, &name, styles, cache)).collect();
    let (mut compiled, mut diagnostics) = (Vec::new(), Vec::new());
    for (file, mistakes) in results {
        compiled.extend(file);
        // A mistake in a partial is one, however many sheets use it.
        for mistake in mistakes {
            if !diagnostics.contains(&mistake) {
                diagnostics.push(mistake);
            }
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

fn compile(
    file: &SourceFile,
    name: &str,
    styles: &[SourceFile],
    cache: &Cache,
) -> (Option<SourceFile>, Vec<Diagnostic>) {
    let published = |bytes| SourceFile { path: Arc::clone(&file.path), name: name.into(), bytes };
    if file.extension() == "css" {
        return (Some(published(file.bytes.clone())), Vec::new());
    }
    // Which partials a sheet reads is known only after reading them: all of them are its input.
    let digests: Vec<_> = styles.iter().map(|one| one.bytes.digest()).collect();
    let mut parts: Vec<&[u8]> = vec![file.path.as_bytes()];
    parts.extend(styles.iter().zip(&digests).flat_map(|(one, digest)| [one.path.as_bytes(), digest.as_bytes()]));
    let key = CacheKey::new(COMPILE, &parts);
    if let Some(css) = cache.find(&key) {
        return (Some(published(css.into())), Vec::new());
    }
    match compile_scss(file, styles) {
        Ok((css, warnings)) => {
            // Warnings aren't remembered, so a sheet that has some is compiled again.
            if warnings.is_empty() {
                cache.keep(&key, css.as_bytes());
            }
            (Some(published(css.into())), warnings)
        }
        Err(mistake) => (None, vec![*mistake]),
    }
}

fn compile_scss(file: &SourceFile, styles: &[SourceFile]) -> Result<(String, Vec<Diagnostic>), Box<Diagnostic>> {
    let mut texts = BTreeMap::new();
    for one in styles.iter().filter(|one| matches!(&*one.extension(), "css" | "scss" | "sass")) {
        let text = one.to_text()?;
        check_depth(&text)?;
        texts.insert(PathBuf::from(&*one.path), text);
    }
    let folder = file.path.strip_suffix(&*file.name).unwrap_or_default();
    let files = Files { folder: folder.into(), texts, read_count: AtomicUsize::new(0) };
    let result = on_deep_stack(&file.path, || {
        let log = Log::default();
        let compiled = grass::from_path(&*file.path, &grass::Options::default().fs(&files).logger(&log));
        let warnings = log.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let warnings = warnings.iter().map(|(loc, text)| files.warning(loc, text)).collect();
        compiled.map(|css| (css, warnings)).map_err(|error| files.mistake(file, *error))
    });
    result.map_or_else(|| Err(Box::new(stopped(&file.path, "compiled"))), |compiled| compiled.map_err(Box::new))
}

/// What is said when the code that recurses panicked.
fn stopped(path: &Arc<str>, done: &str) -> Diagnostic {
    let message = format!("the sheet can't be {done}: the program that does it stopped with a fault of its own");
    Diagnostic::new(Code::MalformedStyle, whole(path), message)
}

fn whole(path: &Arc<str>) -> Place {
    Place { path: Arc::clone(path), span: Span::default() }
}

/// The folder of styles as the compiler of SCSS sees it: there is nothing else.
#[derive(Debug)]
struct Files {
    folder: PathBuf,
    texts: BTreeMap<PathBuf, SourceText>,
    read_count: AtomicUsize,
}

impl grass::Fs for Files {
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

impl Files {
    fn find(&self, path: &Path) -> Option<&SourceText> {
        self.texts.get(&plain(path)?)
    }

    fn place(&self, loc: &SpanLoc) -> Option<Place> {
        let text = self.find(Path::new(loc.file.name()))?;
        let start = offset_of(&text.text, loc.begin.line, loc.begin.column);
        let end = offset_of(&text.text, loc.end.line, loc.end.column);
        Some(text.place(Span::new(start, end.max(start))))
    }

    fn mistake(&self, file: &SourceFile, error: grass::Error) -> Diagnostic {
        let (place, message) = match error.kind() {
            grass::ErrorKind::ParseError { message, loc, .. } => (self.place(&loc), message),
            grass::ErrorKind::IoError(error) => (None, error.to_string()),
            _ => (None, "the sheet can't be compiled".to_owned()),
        };
        let message = lower_first(message.trim_end_matches('.'));
        let diagnostic =
            Diagnostic::new(Code::MalformedStyle, place.unwrap_or_else(|| whole(&file.path)), message.clone());
        if message.starts_with("can't find stylesheet") {
            let folder = self.folder.display();
            return diagnostic.with_help(format!("sheets are looked for in `{folder}`, from the folder of this one"));
        }
        diagnostic
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

/// The sheet without what no browser needs.
///
/// # Errors
/// Everything in it that can't be read.
pub(super) fn minify_css(sheet: &SourceText, cache: &Cache) -> Result<String, Vec<Diagnostic>> {
    check_depth(sheet).map_err(|mistake| vec![*mistake])?;
    let key = CacheKey::new(MINIFY, &[sheet.text.as_bytes()]);
    if let Some(css) = cache.find(&key).and_then(|css| String::from_utf8(css).ok()) {
        return Ok(css);
    }
    let made = on_deep_stack(&sheet.path, || minify(sheet));
    let css = made.unwrap_or_else(|| Err(vec![stopped(&sheet.path, "minified").with_help(KEEP_HELP)]))?;
    cache.keep(&key, css.as_bytes());
    Ok(css)
}

/// What helps if the minifier and not the sheet is wrong.
const KEEP_HELP: &str = "if it is right all the same, `minify = false` under `[build]` leaves style sheets as they are";

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
