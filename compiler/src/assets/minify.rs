//! Style sheets and scripts without what no browser needs: those that the cache doesn't have are minified all at once, in
//! the process of `apart.rs`.

use rayon::prelude::*;

use super::apart::{Chore, Done, Loss, do_apart};
use super::script::{self, is_module};
use super::style::{self, KEEP_HELP};
use super::texts::Kind;
use super::workshop::Workshop;
use crate::cache::CacheKey;
use crate::diagnostic::{Diagnostic, SourceText, Span};

/// A text that is to be minified.
pub(super) struct Unminified {
    /// What it is.
    pub kind: Kind,
    /// The path at which it is published.
    pub path: String,
    /// The text, and where it comes from.
    pub source: SourceText,
}

/// The texts without what no browser needs, or what is wrong with them. A script with warnings is left as it is.
pub(super) fn minify_all(texts: &[Unminified], workshop: &Workshop<'_>) -> Vec<Result<String, Vec<Diagnostic>>> {
    let keys: Vec<_> = texts.par_iter().map(Unminified::key).collect();
    let find = |key: &CacheKey| workshop.cache.find(key).and_then(|text| String::from_utf8(text).ok());
    let found: Vec<_> = keys.par_iter().map(find).collect();
    let missing = texts.iter().zip(&found).filter(|(_, found)| found.is_none());
    let chores: Vec<_> = missing.map(|(text, _)| text.chore()).collect();
    let mut made = do_apart(&[], &chores, workshop.annex).into_iter();
    let each = texts.iter().zip(&keys).zip(found).map(|((text, key), found)| {
        if let Some(found) = found {
            return Ok(found);
        }
        let Done { text: minified, mistakes } =
            made.next().unwrap_or(Err(Loss::NotStarted)).map_err(|loss| vec![text.mistake(loss)])?;
        let minified = minified.ok_or(mistakes)?;
        workshop.cache.keep(key, minified.as_bytes());
        Ok(minified)
    });
    each.collect()
}

impl Unminified {
    fn key(&self) -> CacheKey {
        let text = self.source.text.as_bytes();
        match self.kind {
            Kind::Style => CacheKey::new(style::MINIFY, &[text]),
            Kind::Script => CacheKey::new(script::MINIFY, &[&[u8::from(is_module(&self.path))], text]),
        }
    }

    fn chore(&self) -> Chore<'_> {
        let text = (&self.source).into();
        match self.kind {
            Kind::Style => Chore::MinifyStyle(text),
            Kind::Script => Chore::MinifyScript { script: text, is_module: is_module(&self.path) },
        }
    }

    /// What is said when nothing came of the text.
    fn mistake(&self, loss: Loss) -> Diagnostic {
        // An error for scripts too: left as it is on a slow machine and minified on a fast one, it would have two digests.
        let (result, help) = match self.kind {
            Kind::Style => ("the sheet can't be minified", KEEP_HELP),
            Kind::Script => {
                ("the script can't be minified", "`js = \"keep\"` under `[build]` leaves scripts as they are")
            }
        };
        loss.mistake(self.source.place(Span::default()), result, help)
    }
}
