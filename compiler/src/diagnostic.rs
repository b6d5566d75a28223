//! What is wrong with a site, where, and what would help: values that every stage collects, and how they are shown to
//! people and machines. It neither reads files nor prints.

mod draw;
mod machine;
mod nearest;
mod position;
mod texts;

use std::sync::Arc;

pub use draw::{Paint, SHOWN_COUNT_DEFAULT, draw_human, sort};
pub use machine::{draw_github, draw_json, draw_sarif};
pub use nearest::{is_slip, list_names, nearest};
pub use position::{Position, Positions};
pub use texts::FindText;

/// A source file as text: what spans count in. Line ends are LF and there is no byte order mark, whatever the file has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceText {
    /// From the site's root, with `/` between folders.
    pub path: Arc<str>,
    /// The whole text, front matter included.
    pub text: Arc<str>,
}

/// A range of bytes of one source text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl Span {
    /// From the first byte to before `end`.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }
}

/// A span in a named file. A file as a whole has the empty span at its beginning.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// From the site's root, with `/` between folders.
    pub path: Arc<str>,
    /// Where in it.
    pub span: Span,
}

impl SourceText {
    /// A place in this text.
    pub fn place(&self, span: Span) -> Place {
        Place { path: Arc::clone(&self.path), span }
    }
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// The build fails.
    Error,
    /// The build goes on, unless warnings count as errors.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong with the site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// Its kind.
    pub code: Code,
    /// How bad it is here; as a rule, as bad as its kind.
    pub severity: Severity,
    /// Where it is.
    pub place: Place,
    /// What is wrong: lower case, no full stop, the culprit in backticks.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Other places that explain it, such as where a tag was opened.
    pub notes: Vec<(Place, String)>,
}

impl Diagnostic {
    /// A diagnostic without help or notes.
    pub fn new(code: Code, place: Place, message: impl Into<String>) -> Self {
        Self { code, severity: code.severity(), place, message: message.into(), help: None, notes: Vec::new() }
    }

    /// The same with a help line.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same where it does no harm for now: the development server goes on without what a build can't do without.
    pub fn as_warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// The same with another place that explains it.
    pub fn with_note(mut self, place: Place, label: impl Into<String>) -> Self {
        self.notes.push((place, label.into()));
        self
    }
}

impl Code {
    /// Whether a template is read in another way than its author meant it: what seems to follow from that, such as a partial
    /// that nothing uses or an element that is never closed, may be none of the author's mistakes.
    pub fn leaves_gaps(self) -> bool {
        matches!(
            self,
            Self::UnknownPartial
                | Self::UnclosedTag
                | Self::UnexpectedClosingTag
                | Self::MalformedTag
                | Self::MalformedAttribute
                | Self::PartialOutside
                | Self::RecursivePartial
                | Self::ReservedName
                | Self::BadEncoding
        )
    }
}

/// Every kind of diagnostic, with its stable name and its severity, in one table.
macro_rules! codes {
    ($($variant:ident $name:literal $severity:ident $doc:literal,)*) => {
        /// The kind of a diagnostic. Names are stable: scripts and documentation refer to them.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Code {
            $(#[doc = $doc] $variant,)*
        }

        impl Code {
            /// All kinds, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable name, in kebab-case.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whether it fails the build.
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }

            /// What the kind means, in one sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $doc.trim_ascii(),)* }
            }
        }
    };
}

codes! {
    UnknownPartial "unknown-partial" Error " A tag names a partial that isn't there.",
    UnclosedTag "unclosed-tag" Error " A tag or slot is never closed.",
    UnexpectedClosingTag "unexpected-closing-tag" Error " A closing tag or slot closes nothing.",
    MalformedTag "malformed-tag" Error " A tag or placeholder can't be read.",
    MalformedAttribute "malformed-attribute" Error " An attribute can't be read.",
    DuplicateAttribute "duplicate-attribute" Error " An attribute is given twice.",
    MissingSlots "missing-slots" Error " A partial asks for slots that nothing fills.",
    UnexpectedSlot "unexpected-slot" Error " A slot is filled that the partial doesn't have.",
    DuplicateSlot "duplicate-slot" Error " A slot is filled twice.",
    StrayText "stray-text" Error " Text in a body stands outside every slot and would be lost.",
    MissingAttributes "missing-attributes" Error " A tag lacks attributes that its partial asks for.",
    RecursivePartial "recursive-partial" Error " A partial contains itself.",
    ReservedName "reserved-name" Error " A partial has the name of a built-in tag.",
    PartialOutside "partial-outside" Error " A partial's name leaves the folder of templates.",
    UnresolvedAsset "unresolved-asset" Error " An asset isn't there.",
    MalformedStyle "malformed-style" Error " A style sheet can't be read.",
    TooCostly "too-costly" Error " A style sheet or script takes too long, or too much memory.",
    ImportCycle "import-cycle" Error " Style sheets import each other in a circle.",
    ToolFailed "tool-failed" Error " A tool is missing or failed.",
    NotAnImage "not-an-image" Error " An image is asked for, and the file is none.",
    BrokenImage "broken-image" Error " An image is damaged, too large, or of a kind that browsers don't show.",
    ImageTypeMismatch "image-type-mismatch" Error " An image's content is of another format than its name says.",
    BadFrontMatter "bad-front-matter" Error " Front matter can't be read.",
    BadDate "bad-date" Error " A date is not ISO 8601.",
    FilterFailed "filter-failed" Error " A filter's command is missing or failed.",
    BadConfig "bad-config" Error " `site.toml` can't be read or has a wrong key or value.",
    ChangedFile "changed-file" Error " A file was changed, or went away, while the site was built.",
    BadEncoding "bad-encoding" Error " A text file is not UTF-8.",
    LinkOutside "link-outside" Error " A symbolic link leaves the site.",
    UnknownCollection "unknown-collection" Error " A collection, term or data file isn't there.",
    BadData "bad-data" Error " A data file can't be read.",
    UnknownField "unknown-field" Error " `where` or `sort` names a field by a slip.",
    ListInPlaceholder "list-in-placeholder" Error " A placeholder holds a list or a map.",
    PageTooLarge "page-too-large" Error " A page renders to more than 256 MB.",
    BadPath "bad-path" Error " A file's name can't be a URL.",
    DuplicateUrl "duplicate-url" Error " Two pages, redirects or files have one URL.",
    BrokenLink "broken-link" Error " A link leads to no page or file of the site.",
    BrokenFragment "broken-fragment" Error " A link names a part of a page that isn't there.",
    UnreachableRedirect "unreachable-redirect" Error " A redirect by pattern is never reached.",
    LostUrl "lost-url" Error " A URL that was published answers no more.",
    BadLock "bad-lock" Error " A line of `urls.lock` can't be read.",
    DuplicateId "duplicate-id" Error " Two elements of a page have one id.",
    ChangedNesting "changed-nesting" Error " Elements stand in each other as a browser won't keep them.",
    RedirectLoop "redirect-loop" Error " A redirect leads to another one, or in a circle.",
    TooLongPolicy "too-long-policy" Error " A page's own security policy is too long for the head of an answer.",
    WrongIntegrity "wrong-integrity" Error " An `integrity` is not that of the site's file.",
    UnusedAttribute "unused-attribute" Warning " A tag gives an attribute that its partial never uses.",
    UnusedPartial "unused-partial" Warning " No page uses a partial.",
    EmptyAlt "empty-alt" Warning " A Markdown image has no alternative text.",
    MissingAlt "missing-alt" Warning " An `<img>` has no `alt`.",
    SkippedHeading "skipped-heading" Warning " A heading is more than one level below the one before it.",
    OverBudget "over-budget" Warning " A page weighs more than `[budget]` allows.",
    BlockedSource "blocked-source" Warning " The page's own security policy blocks something in it.",
    LongPolicy "long-policy" Warning " A page's own security policy makes the head of an answer long.",
    LikelyTypo "likely-typo" Warning " A field has almost the name of a known one.",
    HiddenField "hidden-field" Warning " A field has the name of one that every page has by itself.",
    ForeignSyntax "foreign-syntax" Warning " Something is written as another generator has it, and means nothing here.",
    EmptyField "empty-field" Warning " `where` or `sort` names a field that no item has.",
    NoBaseUrl "no-base-url" Warning " The site's address isn't known, so nothing that needs it is made.",
    NearMissPlaceholder "near-miss-placeholder" Warning " Text looks almost like a placeholder.",
    UncompiledStyle "uncompiled-style" Warning " A style sheet lies where nothing compiles it.",
    StyleWarning "style-warning" Warning " A style sheet warns with `@warn`.",
    MalformedScript "malformed-script" Warning " A script can't be minified, and is left as it is.",
    DanglingSourceMap "dangling-source-map" Warning " A source map is named that isn't there.",
}
