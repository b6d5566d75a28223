//! The markup of a picture: `<picture>` with a `<source>` for each format that browsers may take first, around the
//! `<img>`; and the hint in the page's head that lets a browser load it before anything else.

use super::escape::push_escaped;
use crate::assets::{Asset, ImageFormat};
use crate::html::find_head_end;

/// What a browser assumes when nothing says how wide a picture is shown: as wide as the window. HTML demands that it is
/// said (“The source element”).
const SIZES_DEFAULT: &str = "100vw";

/// The attributes between the size and what follows from the variants.
const BEFORE_SRCSET: [&str; 2] = ["class", "loading"];
/// Those after it.
const AFTER_SRCSET: [&str; 5] = ["decoding", "title", "fetchpriority", "id", "style"];

/// Pages ask for so many pictures to be loaded first that are looked at; one of them is. Guessed.
pub(super) const PRELOAD_COUNT_MAX: usize = 8;

/// What a picture shows, and how it was asked for.
pub(super) struct Picture<'a> {
    /// The URL of the original, with a fragment if one was written.
    pub(super) url: String,
    /// The image of this site; `None` for one that is elsewhere.
    pub(super) asset: Option<&'a Asset>,
    /// What was written, by name; an empty value counts as not written, save for `alt` and `data-*`.
    pub(super) attributes: Vec<(&'a str, &'a str)>,
}

/// The pictures of one format that a browser chooses from.
struct Candidates {
    format: ImageFormat,
    /// Each URL with the picture's width, ascending.
    urls: Vec<(String, u32)>,
}

impl Picture<'_> {
    fn value(&self, name: &str) -> &str {
        self.attributes.iter().find(|(one, _)| *one == name).map_or("", |(_, value)| value)
    }

    fn sizes(&self) -> &str {
        let sizes = self.value("sizes");
        if sizes.trim_ascii().is_empty() { SIZES_DEFAULT } else { sizes }
    }

    /// The formats that a browser may take, the one to be taken first in front; the original's own is the last.
    fn candidates(&self) -> Vec<Candidates> {
        let Some(asset) = self.asset else { return Vec::new() };
        let Some(own_format) = asset.format else { return Vec::new() };
        let mut sets: Vec<Candidates> = Vec::new();
        for variant in &asset.variants {
            if sets.last().is_none_or(|set| set.format != variant.format) {
                sets.push(Candidates { format: variant.format, urls: Vec::new() });
            }
            if let Some(set) = sets.last_mut() {
                set.urls.push((variant.url.clone(), variant.size.width));
            }
        }
        if sets.last().is_none_or(|set| set.format != own_format) {
            sets.push(Candidates { format: own_format, urls: Vec::new() });
        }
        if let Some(own) = sets.last_mut() {
            own.urls.push((self.url.clone(), asset.size.map_or(0, |size| size.width)));
        }
        sets
    }

    /// Writes the markup.
    pub(super) fn write(&self, html: &mut String) {
        let mut sets = self.candidates();
        let own = sets.pop();
        if !sets.is_empty() {
            html.push_str("<picture>");
        }
        for set in &sets {
            html.push_str("<source");
            push_attribute(html, "type", set.format.media_type());
            push_attribute(html, "srcset", &set.srcset());
            if set.has_widths() {
                push_attribute(html, "sizes", self.sizes());
            }
            html.push('>');
        }
        self.write_image(html, own.filter(Candidates::has_widths));
        if !sets.is_empty() {
            html.push_str("</picture>");
        }
    }

    fn write_image(&self, html: &mut String, choices: Option<Candidates>) {
        html.push_str("<img");
        push_attribute(html, "src", &self.url);
        push_attribute(html, "alt", self.value("alt"));
        if let Some(size) = self.asset.and_then(|asset| asset.size) {
            push_attribute(html, "width", &size.width.to_string());
            push_attribute(html, "height", &size.height.to_string());
        }
        self.push_given(html, &BEFORE_SRCSET);
        if let Some(choices) = choices {
            push_attribute(html, "srcset", &choices.srcset());
            push_attribute(html, "sizes", self.sizes());
        }
        self.push_given(html, &AFTER_SRCSET);
        for (name, value) in self.attributes.iter().filter(|(name, _)| name.starts_with("data-")) {
            push_attribute(html, name, value);
        }
        html.push_str(" />");
    }

    fn push_given(&self, html: &mut String, names: &[&str]) {
        for name in names {
            let value = self.value(name);
            if !value.is_empty() {
                push_attribute(html, name, value);
            }
        }
    }

    /// The hint for the page's head, if the picture is to be loaded first.
    pub(super) fn preload(&self) -> Option<Preload> {
        if !self.value("fetchpriority").eq_ignore_ascii_case("high") {
            return None;
        }
        let first = self.candidates().into_iter().next()?;
        let mut link = "<link rel=\"preload\" as=\"image\"".to_owned();
        push_attribute(&mut link, "imagesrcset", &first.srcset());
        if first.has_widths() {
            push_attribute(&mut link, "imagesizes", self.sizes());
        }
        push_attribute(&mut link, "type", first.format.media_type());
        link.push('>');
        let mut image = String::new();
        self.write(&mut image);
        Some(Preload { link, image })
    }
}

impl Candidates {
    /// Whether there is a choice.
    fn has_widths(&self) -> bool {
        self.urls.len() > 1
    }

    /// The value of `srcset`: each URL with its width, or the only one.
    fn srcset(&self) -> String {
        let candidates = self.urls.iter().map(|(url, width)| {
            // A comma would end the candidate; a blank is encoded in every URL already.
            let url = url.replace(',', "%2C");
            if self.has_widths() { format!("{url} {width}w") } else { url }
        });
        candidates.collect::<Vec<_>>().join(", ")
    }
}

fn push_attribute(html: &mut String, name: &str, value: &str) {
    html.push(' ');
    html.push_str(name);
    html.push_str("=\"");
    push_escaped(html, value);
    html.push('"');
}

/// A hint that an image is loaded first.
#[derive(Debug)]
pub(super) struct Preload {
    /// The element for the page's head.
    link: String,
    /// The image's markup, by which it is found in the finished page.
    image: String,
}

/// Adds the hint for the first of these images that a page shows to the end of the page's head, if it has one.
pub(super) fn add_preload(text: String, preloads: &[Preload]) -> String {
    let shown = preloads.iter().filter_map(|preload| Some((text.find(&preload.image)?, preload)));
    let Some((_, preload)) = shown.min_by_key(|(position, _)| *position) else { return text };
    let Some(head_end) = find_head_end(&text) else { return text };
    [&text[..head_end], &preload.link, &text[head_end..]].concat()
}
