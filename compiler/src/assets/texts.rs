//! Style sheets and scripts on their way from sources to finished bytes: what they refer to is found and checked, then
//! they are minified, then the digested names of other files are put in, in the order in which they depend on each
//! other. So a digest covers all that its file refers to.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::AssetSources;
use super::css::{CssReference, CssReferenceKind, css_url, find_css_references};
use super::manifest::{Asset, AssetManifest, AssetNames};
use super::minify::{Unminified, minify_all};
use super::references::{FileReferences, Named};
use super::script::source_map_of_script;
use super::style::too_deep_mistake;
use super::workshop::Workshop;
use crate::config::{Build, Scripts};
use crate::diagnostic::{Code, Diagnostic, Place, SourceText, Span};
use crate::source::SourceFile;

/// What finishing style sheets and scripts is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextSettings<'a> {
    /// `[build]`
    pub build: &'a Build,
    /// Whether other files are named by their digest.
    pub names: AssetNames,
    /// Where minifying is done.
    pub workshop: &'a Workshop<'a>,
}

/// Whether a file is a style sheet or a script, which can be shown line by line.
pub fn is_text_asset(file: &SourceFile) -> bool {
    is_text_path(&file.name)
}

/// The same by its path.
pub(super) fn is_text_path(path: &str) -> bool {
    Kind::of(path).is_some()
}

/// What a text is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// CSS.
    Style,
    /// JavaScript.
    Script,
}

impl Kind {
    fn of(path: &str) -> Option<Self> {
        match path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).as_deref() {
            Some("css") => Some(Self::Style),
            Some("js" | "mjs") => Some(Self::Script),
            _ => None,
        }
    }
}

/// A style sheet or script before it names others by their digests.
struct Draft {
    path: String,
    text: String,
    edits: Vec<Edit>,
    /// What is still to be minified: the text, as spans count in it.
    unminified: Option<SourceText>,
    /// The files of this kind that it refers to, each with the first place.
    needs: BTreeMap<String, Place>,
    diagnostics: Vec<Diagnostic>,
}

/// What is to be done to a draft.
enum Edit {
    /// The file's public URL is written here, and what follows it.
    Name { range: Range<usize>, path: String, suffix: String },
    /// This is left out.
    Drop(Range<usize>),
}

/// Finishes all style sheets and scripts of a manifest.
pub(super) fn finish_texts(
    manifest: &mut AssetManifest,
    sources: AssetSources<'_>,
    settings: TextSettings<'_>,
) -> Vec<Diagnostic> {
    let files = FileReferences::new(manifest, sources.content);
    let texts: Vec<_> = manifest.iter().filter(|asset| asset.digested_path.is_some()).collect();
    let texts = texts.into_par_iter().filter_map(|asset| Some((asset, Kind::of(&asset.path)?)));
    let desks = texts.map(|(asset, kind)| Desk { asset, kind, files: &files, styles: sources.styles, settings });
    let mut drafts: Vec<_> = desks
        .map(|desk| match desk.kind {
            Kind::Style => (desk.draft_style(), desk),
            Kind::Script => (desk.draft_script(), desk),
        })
        .collect();
    minify_drafts(&mut drafts, settings.workshop);
    let drafts: Vec<_> = drafts.into_iter().map(|(draft, _)| draft).collect();
    let mut diagnostics: Vec<_> = drafts.iter().flat_map(|draft| draft.diagnostics.iter().cloned()).collect();
    let (order, circles) = in_order(&drafts);
    diagnostics.extend(circles);
    for draft in order {
        let bytes = draft.finish(manifest, settings.names);
        manifest.finish(&draft.path, bytes, settings.names);
    }
    diagnostics
}

/// Minifies all texts that are to be, at once.
fn minify_drafts(drafts: &mut [(Draft, Desk<'_>)], workshop: &Workshop<'_>) {
    let unminified = |(draft, desk): &mut (Draft, Desk<'_>)| {
        let (kind, path) = (desk.kind, draft.path.clone());
        Some(Unminified { kind, path, source: draft.unminified.take()? })
    };
    let is_waiting: Vec<bool> = drafts.iter().map(|(draft, _)| draft.unminified.is_some()).collect();
    let waiting: Vec<_> = drafts.iter_mut().filter_map(unminified).collect();
    let results = minify_all(&waiting, workshop);
    let left = drafts.iter_mut().zip(is_waiting).filter(|(_, is_waiting)| *is_waiting);
    for (((draft, desk), one), result) in left.map(|(draft, _)| draft).zip(waiting).zip(results) {
        desk.take_minified(draft, &one.source, result);
    }
}

impl Draft {
    fn finish(&self, manifest: &AssetManifest, names: AssetNames) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.text.len());
        let mut copied_to = 0;
        for edit in &self.edits {
            let (range, text) = match edit {
                Edit::Drop(range) => (range, String::new()),
                Edit::Name { range, path, suffix } => {
                    let Some(url) = manifest.find_url(path).filter(|_| names == AssetNames::Digested) else { continue };
                    (range, css_url(&format!("{url}{suffix}")))
                }
            };
            bytes.extend_from_slice(&self.text.as_bytes()[copied_to..range.start]);
            bytes.extend_from_slice(text.as_bytes());
            copied_to = range.end;
        }
        bytes.extend_from_slice(&self.text.as_bytes()[copied_to..]);
        bytes
    }
}

/// One style sheet or script, and all that is needed to finish it.
struct Desk<'a> {
    asset: &'a Asset,
    kind: Kind,
    files: &'a FileReferences<'a>,
    styles: &'a [SourceFile],
    settings: TextSettings<'a>,
}

impl Desk<'_> {
    fn draft(&self) -> Draft {
        let (path, text) = (self.asset.path.clone(), String::new());
        Draft { path, text, edits: Vec::new(), unminified: None, needs: BTreeMap::new(), diagnostics: Vec::new() }
    }

    /// The file's text as it is, and as spans count in it.
    fn texts(&self, draft: &mut Draft) -> Option<SourceText> {
        let Asset { source_path, bytes, .. } = self.asset;
        let file = SourceFile { path: Arc::clone(source_path), name: Arc::clone(source_path), bytes: bytes.clone() };
        match file.read().and_then(|bytes| Ok((String::from_utf8_lossy(&bytes).into_owned(), file.to_text()?))) {
            Ok((text, source)) => {
                draft.text = text;
                Some(source)
            }
            Err(mistake) => {
                draft.diagnostics.push(mistake);
                None
            }
        }
    }

    fn draft_style(&self) -> Draft {
        let mut draft = self.draft();
        let Some(source) = self.texts(&mut draft) else { return draft };
        let references = match find_css_references(&draft.text) {
            Ok(references) => references,
            Err(too_deep) => {
                draft.diagnostics.push(too_deep_mistake(&source, too_deep));
                return draft;
            }
        };
        let mut has_map = false;
        for reference in &references {
            let is_map = matches!(reference.kind, CssReferenceKind::SourceMap(_));
            let named = self.files.find(&self.asset.path, &reference.url);
            has_map |= is_map && !matches!(named, Named::Missing(_));
            self.check(&mut draft, &named, reference.range.clone(), is_map);
            self.check_elsewhere(&mut draft, reference);
        }
        // A sheet with a map was made by another tool, and the map is of these bytes.
        if !self.settings.build.minify || has_map {
            draft.edits = self.edits(references);
            return draft;
        }
        draft.unminified = Some(source);
        draft
    }

    /// Takes what came of minifying a draft.
    fn take_minified(&self, draft: &mut Draft, source: &SourceText, result: Result<String, Vec<Diagnostic>>) {
        match (self.kind, result) {
            (Kind::Script, Ok(text)) => {
                draft.text = text;
                draft.edits.clear();
            }
            (Kind::Script, Err(mistakes)) => draft.diagnostics.extend(mistakes),
            (Kind::Style, result) => {
                match result {
                    Ok(text) => draft.text = text,
                    Err(mistakes) => {
                        draft.diagnostics.extend(mistakes.into_iter().map(|one| self.in_sources(source, one)));
                    }
                }
                draft.edits = find_css_references(&draft.text).map_or_else(|_| Vec::new(), |found| self.edits(found));
            }
        }
    }

    /// Notes what no policy of a page allows, or what nobody can know.
    fn check_elsewhere(&self, draft: &mut Draft, reference: &CssReference) {
        let url = reference.url.trim_ascii();
        let starts_with = |start: &str| url.get(..start.len()).is_some_and(|own| own.eq_ignore_ascii_case(start));
        let is_foreign = starts_with("https://") || starts_with("//");
        let (message, help) = if starts_with("http://") && !matches!(reference.kind, CssReferenceKind::SourceMap(_)) {
            (format!("the security policy of pages blocks `{url}`: it is not encrypted"), "write `https://`")
        } else if is_foreign && reference.kind == CssReferenceKind::Import {
            let message = format!("what `{url}` loads can't be known, and the security policy of pages blocks it");
            (
                message,
                "copy it with its fonts into `static/`; or write a `csp` under `[security]` with their hosts in it",
            )
        } else {
            return;
        };
        let place = self.place(draft, reference.range.clone());
        draft.diagnostics.push(Diagnostic::new(Code::BlockedSource, place, message).with_help(help));
    }

    fn edits(&self, references: Vec<CssReference>) -> Vec<Edit> {
        let edit = |reference: CssReference| match (self.files.find(&self.asset.path, &reference.url), reference.kind) {
            (Named::Asset { path, suffix }, _) => Some(Edit::Name { range: reference.range, path, suffix }),
            (Named::Missing(_), CssReferenceKind::SourceMap(comment)) => Some(Edit::Drop(comment)),
            _ => None,
        };
        references.into_iter().filter_map(edit).collect()
    }

    fn draft_script(&self) -> Draft {
        let mut draft = self.draft();
        let Some(source) = self.texts(&mut draft) else { return draft };
        if let Some(map) = source_map_of_script(&draft.text) {
            let named = self.files.find(&self.asset.path, &draft.text[map.url.clone()]);
            self.check(&mut draft, &named, map.url.clone(), true);
            match named {
                Named::Missing(_) => draft.edits.push(Edit::Drop(map.comment)),
                // As with style sheets: another tool made it.
                Named::Elsewhere => return draft,
                Named::Asset { path, suffix } => {
                    draft.edits.push(Edit::Name { range: map.url, path, suffix });
                    return draft;
                }
            }
        }
        if self.settings.build.scripts == Scripts::Minify {
            draft.unminified = Some(source);
        }
        draft
    }

    /// Notes what a reference of the source means: another file that has to be finished before, or a mistake.
    fn check(&self, draft: &mut Draft, named: &Named, range: Range<usize>, is_map: bool) {
        let place = |draft: &Draft| self.place(draft, range.clone());
        match named {
            Named::Asset { path, .. } if Kind::of(path).is_some() && !draft.needs.contains_key(path) => {
                draft.needs.insert(path.clone(), place(draft));
            }
            Named::Missing(path) => {
                let (place, url) = (place(draft), &draft.text[range.clone()]);
                let (code, what) = if is_map {
                    (Code::DanglingSourceMap, "there is no source map")
                } else {
                    (Code::UnresolvedAsset, "there is no asset")
                };
                let shown = if url == path { String::new() } else { format!(", which `{url}` means here") };
                let mut diagnostic = Diagnostic::new(code, place, format!("{what} `{path}`{shown}"));
                diagnostic.help = if is_map {
                    Some("the line that names it is left out".to_owned())
                } else {
                    self.files.nearest(path).map(|near| format!("did you mean `{near}`?"))
                };
                draft.diagnostics.push(diagnostic);
            }
            Named::Asset { .. } | Named::Elsewhere => {}
        }
    }

    /// Where a reference was written.
    fn place(&self, draft: &Draft, range: Range<usize>) -> Place {
        let source_path = &self.asset.source_path;
        if self.is_compiled() {
            return self.find_in_styles(&draft.text[range]).unwrap_or_else(|| whole(source_path));
        }
        let offset = |at: usize| {
            let before = &draft.text[..at];
            let mark = before.strip_prefix('\u{feff}').unwrap_or(before);
            mark.len() - mark.matches("\r\n").count()
        };
        Place { path: Arc::clone(source_path), span: Span::new(offset(range.start), offset(range.end)) }
    }

    fn is_compiled(&self) -> bool {
        !self.asset.source_path.to_ascii_lowercase().ends_with(".css")
            && Kind::of(&self.asset.path) == Some(Kind::Style)
    }

    /// Where a text of a compiled sheet probably comes from: the sheet itself first, then the others.
    fn find_in_styles(&self, text: &str) -> Option<Place> {
        let (own, others): (Vec<_>, Vec<_>) = self.styles.iter().partition(|file| file.path == self.asset.source_path);
        own.into_iter().chain(others).find_map(|file| {
            let source = file.to_text().ok()?;
            let start = source.text.find(text).filter(|_| !text.is_empty())?;
            Some(source.place(Span::new(start, start + text.len())))
        })
    }

    /// A mistake that was found in a compiled sheet, at the place where its line was written, if that can be told.
    fn in_sources(&self, compiled: &SourceText, mistake: Diagnostic) -> Diagnostic {
        if !self.is_compiled() {
            return mistake;
        }
        let at = mistake.place.span.start.min(compiled.text.len());
        let line_start = compiled.text[..at].rfind('\n').map_or(0, |index| index + 1);
        let line =
            compiled.text[line_start..].lines().next().unwrap_or_default().trim().trim_end_matches(['{', ';', ' ']);
        let place = self.find_in_styles(line).unwrap_or_else(|| whole(&self.asset.source_path));
        let message = format!("{} in the compiled `{line}`", mistake.message);
        Diagnostic { place, message, ..mistake }
    }
}

fn whole(path: &Arc<str>) -> Place {
    Place { path: Arc::clone(path), span: Span::default() }
}

/// The drafts, each behind those that it refers to, and a mistake for each circle of references.
fn in_order(drafts: &[Draft]) -> (Vec<&Draft>, Vec<Diagnostic>) {
    let by_path: BTreeMap<&str, &Draft> = drafts.iter().map(|draft| (draft.path.as_str(), draft)).collect();
    let (mut order, mut circles, mut done) = (Vec::new(), Vec::new(), BTreeSet::new());
    for first in drafts {
        // The way down to the draft that is looked at, each with what of its needs is left. Nothing recurses.
        let mut way: Vec<(&Draft, std::collections::btree_map::Iter<'_, String, Place>)> = Vec::new();
        if !done.contains(first.path.as_str()) {
            way.push((first, first.needs.iter()));
        }
        while let Some((draft, needs)) = way.last_mut() {
            let draft = *draft;
            let Some((needed, place)) = needs.next() else {
                done.insert(draft.path.as_str());
                order.push(draft);
                way.pop();
                continue;
            };
            if let Some(start) = way.iter().position(|(one, _)| one.path == *needed) {
                let mut names: Vec<_> = way[start..].iter().map(|(one, _)| format!("`{}`", one.path)).collect();
                names.push(format!("`{needed}`"));
                let message = format!("files refer to each other in a circle: {}", names.join(" → "));
                let help = "no digest can cover itself; take one of the references out";
                circles.push(Diagnostic::new(Code::ImportCycle, place.clone(), message).with_help(help));
            } else if let Some(next) = by_path.get(needed.as_str()).filter(|_| !done.contains(needed.as_str())) {
                way.push((next, next.needs.iter()));
            }
        }
    }
    (order, circles)
}
