//! Diagnostics drawn with their source lines, for people.

use std::borrow::Cow;

use annotate_snippets::renderer::DEFAULT_TERM_WIDTH;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::position::Positions;
use super::texts::{FindText, Indexes, Texts};
use super::{Diagnostic, Place, Severity, Span};

/// How many are drawn for a person unless asked otherwise.
pub const SHOWN_COUNT_DEFAULT: usize = 50;

/// A source line longer than this is cut around the span. Guessed: far wider than any screen.
const LINE_BYTES_MAX: usize = 400;

/// A span over more lines than this shows its first line only.
const LINES_MAX: usize = 6;

/// Places that lie further apart are drawn one by one. Guessed: a screen of text.
const EXCERPT_BYTES_MAX: usize = 2000;

/// Whether a drawing has colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Paint {
    /// Text alone.
    Plain,
    /// ANSI colours.
    Color,
}

/// Sorts by file and position, and leaves one of several that say the same of the same place.
pub fn sort(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|a, b| {
        fn key(one: &Diagnostic) -> impl Ord + '_ {
            (&one.place, one.code, &one.message, &one.help, &one.notes)
        }
        key(a).cmp(&key(b))
    });
    diagnostics.dedup_by(|b, a| a.place == b.place && a.code == b.code && a.message == b.message);
}

/// Draws the first `count_max` (0: all) for a person, errors before warnings if not all fit, in the given order, with
/// the number of all at the end. Empty if there are none.
pub fn draw_human(diagnostics: &[Diagnostic], find_text: FindText<'_>, count_max: usize, paint: Paint) -> String {
    let texts = Texts::new(diagnostics, find_text);
    let indexes = Indexes::new(&texts);
    let mut drawn = String::new();
    for diagnostic in choose(diagnostics, count_max) {
        drawn.push_str(&draw_one(diagnostic, &indexes, paint));
        drawn.push_str("\n\n");
    }
    let errors = diagnostics.iter().filter(|one| one.severity == Severity::Error).count();
    if let Some(count) = count_line(errors, diagnostics.len() - errors) {
        drawn.push_str(&count);
        if count_max > 0 && diagnostics.len() > count_max {
            drawn.push_str(&["; ", &count_max.to_string(), " are shown, `--error-limit 0` shows all"].concat());
        }
        drawn.push('\n');
    }
    drawn
}

/// All of them, or the first `count_max` errors, filled up with the first warnings.
fn choose(diagnostics: &[Diagnostic], count_max: usize) -> Vec<&Diagnostic> {
    if count_max == 0 || diagnostics.len() <= count_max {
        return diagnostics.iter().collect();
    }
    let errors = diagnostics.iter().filter(|one| one.severity == Severity::Error).count();
    let mut warnings_left = count_max.saturating_sub(errors);
    let chosen = diagnostics.iter().filter(|one| match one.severity {
        Severity::Error => true,
        Severity::Warning => {
            let fits = warnings_left > 0;
            warnings_left = warnings_left.saturating_sub(1);
            fits
        }
    });
    chosen.take(count_max).collect()
}

fn count_line(errors: usize, warnings: usize) -> Option<String> {
    let plural = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0, 0) => None,
        (_, 0) => Some(plural(errors, "error")),
        (0, _) => Some(plural(warnings, "warning")),
        _ => Some(format!("{} and {}", plural(errors, "error"), plural(warnings, "warning"))),
    }
}

fn draw_one(diagnostic: &Diagnostic, indexes: &Indexes<'_>, paint: Paint) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(&diagnostic.message).id(diagnostic.code.name());
    let mut group = Group::with_title(title);
    let mut notes: &[(Place, String)] = &diagnostic.notes;
    if let Some(snippet) = common_snippet(diagnostic, indexes) {
        group = group.element(snippet);
        notes = &[];
    } else {
        group = with_excerpt(group, &diagnostic.place, None, indexes);
    }
    for (place, label) in notes {
        group = with_excerpt(group, place, Some(label), indexes);
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help));
    }
    let renderer = match paint {
        Paint::Plain => Renderer::plain(),
        Paint::Color => Renderer::styled(),
    };
    // The width only decides where long lines are cut, which `excerpt` has done already.
    let drawn = renderer.term_width(DEFAULT_TERM_WIDTH + LINE_BYTES_MAX).render(&[group]);
    // A file without an excerpt has no column of line numbers, and its arrow would stand further left.
    let drawn = drawn.replace("\n--> ", "\n --> ");
    // A cut line comes without its file's name, and the drawing would say that something is left out.
    drawn.lines().map(str::trim_end).filter(|line| line.trim_start() != ":::").collect::<Vec<_>>().join("\n")
}

/// The place and the notes in one excerpt, if they stand near one another in one file.
fn common_snippet<'a>(diagnostic: &'a Diagnostic, indexes: &Indexes<'a>) -> Option<Snippet<'a, Annotation<'a>>> {
    let place = &diagnostic.place;
    let positions = indexes.positions(place)?;
    if diagnostic.notes.is_empty() || diagnostic.notes.iter().any(|(note, _)| note.path != place.path) {
        return None;
    }
    let spans = || std::iter::once(place.span).chain(diagnostic.notes.iter().map(|(note, _)| note.span));
    let (start, end) = (spans().map(|span| span.start).min()?, spans().map(|span| span.end).max()?);
    if end.checked_sub(start)? > EXCERPT_BYTES_MAX {
        return None;
    }
    let lines = positions.lines(Span::new(start, end));
    if lines.end - lines.start > EXCERPT_BYTES_MAX {
        return None;
    }
    let range = |span: Span| span.start - lines.start..span.end - lines.start;
    let notes = diagnostic.notes.iter();
    let notes = notes.map(|(note, label)| AnnotationKind::Context.span(range(note.span)).label(label.as_str()));
    let snippet = Snippet::source(&positions.text()[lines.start..lines.end])
        .path(shown_path(place))
        .line_start(positions.find(lines.start).line)
        .annotation(AnnotationKind::Primary.span(range(place.span)))
        .annotations(notes);
    Some(snippet)
}

/// Adds a place: its name as `file:line:column`, and its line with the span underlined if the file is a text.
fn with_excerpt<'a>(
    mut group: Group<'a>,
    place: &'a Place,
    label: Option<&'a str>,
    indexes: &Indexes<'a>,
) -> Group<'a> {
    let position = indexes.find(place);
    let origin = Origin::path(shown_path(place)).line(position.line).char_column(position.column);
    let is_whole_file = place.span == Span::default();
    let Some(positions) = indexes.positions(place).filter(|_| !is_whole_file) else {
        group = group.element(origin);
        return match label {
            Some(label) => group.element(Level::NOTE.message(label)),
            None => group,
        };
    };
    let excerpt = Excerpt::cut(positions, place.span);
    let kind = if label.is_some() { AnnotationKind::Context } else { AnnotationKind::Primary };
    let annotation = kind.span(excerpt.span.start..excerpt.span.end).label(label);
    let snippet = Snippet::source(excerpt.text).line_start(position.line).annotation(annotation);
    if excerpt.is_cut_before {
        // The snippet alone would count its columns from the cut.
        group.element(origin).element(snippet)
    } else {
        group.element(snippet.path(shown_path(place)))
    }
}

/// A file's path with pictures in the place of control characters: a name must not move the cursor.
fn shown_path(place: &Place) -> Cow<'_, str> {
    if !place.path.contains(char::is_control) {
        return Cow::Borrowed(&place.path);
    }
    let picture = |c: char| if c.is_ascii_control() { char::from_u32(0x2400 + u32::from(c)) } else { None };
    let shown = |c: char| if c.is_control() { picture(c).unwrap_or(char::REPLACEMENT_CHARACTER) } else { c };
    Cow::Owned(place.path.chars().map(shown).collect())
}

/// The lines of a span, cut to what can be shown.
struct Excerpt {
    text: String,
    span: Span,
    is_cut_before: bool,
}

impl Excerpt {
    fn cut(positions: &Positions<'_>, span: Span) -> Self {
        let text = positions.text();
        let start = text.floor_char_boundary(span.start);
        let mut end = text.floor_char_boundary(span.end.max(start));
        let spanned = &text[start..end];
        if let Some(line_end) = spanned.find('\n')
            && (spanned.len() > LINE_BYTES_MAX || spanned.matches('\n').count() > LINES_MAX)
        {
            end = start + line_end;
        }
        end = end.min(text.ceil_char_boundary(start + LINE_BYTES_MAX));
        let lines = positions.lines(Span::new(start, end));
        let from = text.floor_char_boundary(lines.start.max(start.saturating_sub(LINE_BYTES_MAX / 4)));
        let to = text.ceil_char_boundary(lines.end.min(end + LINE_BYTES_MAX / 4));
        let before = if from > lines.start { "…" } else { "" };
        let after = if to < lines.end { "…" } else { "" };
        let shift = |offset: usize| offset - from + before.len();
        Self {
            text: format!("{before}{}{after}", &text[from..to]),
            span: Span::new(shift(start), shift(end)),
            is_cut_before: from > lines.start,
        }
    }
}
