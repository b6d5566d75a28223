//! The tag `img`, and the images of Markdown, which give the same.

use std::rc::Rc;

use super::Renderer;
use super::picture::{PRELOAD_COUNT_MAX, Picture};
use super::scope::Scope;
use crate::assets::Asset;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::site::{is_elsewhere, percent_decode};
use crate::template::{Attribute, Image, ImageOrigin, Template, find_attribute};

impl<'a> Renderer<'a> {
    pub(super) fn render_image(&mut self, template: &'a Template, image: &'a Image, scope: &Rc<Scope<'a>>) {
        let missed_before = scope.missing_count();
        let values: Vec<(&Attribute, Rc<str>)> =
            image.attributes.iter().map(|one| (one, self.evaluate(template, &one.value, scope))).collect();
        let Some(src) = find_attribute(&image.attributes, "src") else { return };
        if scope.missing_count() > missed_before {
            return;
        }
        let mut attributes: Vec<(&str, &str)> =
            values.iter().map(|(one, value)| (one.name.as_str(), &**value)).collect();
        let written = attributes.iter().find(|(name, _)| *name == "src").map_or("", |(_, value)| value);
        let Some((url, asset)) = self.find_image(template, image, src.value.span, written) else { return };
        let has_decoding = attributes.iter().any(|(name, value)| *name == "decoding" && !value.is_empty());
        if !has_decoding && (image.origin == ImageOrigin::Tag || asset.is_some_and(|asset| asset.size.is_some())) {
            attributes.retain(|(name, _)| *name != "decoding");
            attributes.push(("decoding", "async"));
        }
        let picture = Picture { url, asset, attributes };
        self.markup.push_made_of(template, image.span, |html| picture.write(html));
        if self.preloads.len() < PRELOAD_COUNT_MAX {
            self.preloads.extend(picture.preload());
        }
    }

    /// The URL and the asset that an image's `src` leads to; only in Markdown it may lead elsewhere.
    fn find_image(
        &mut self,
        template: &'a Template,
        image: &Image,
        span: Span,
        src: &str,
    ) -> Option<(String, Option<&'a Asset>)> {
        if is_elsewhere(src) {
            if image.origin == ImageOrigin::Markdown {
                return Some((src.to_owned(), None));
            }
            let message = format!("`{src}` is no file of the site");
            let help = "put the image under `static/`, or write a plain `<img>`";
            self.report(Diagnostic::new(Code::UnresolvedAsset, template.place(span), message).with_help(help));
            return None;
        }
        let (written, fragment) = src.split_at(src.find('#').unwrap_or(src.len()));
        let Some(path) = self.absolute_path(written) else {
            let message = format!("`{written}` leaves the folder of pages");
            let help = "name it by its path from the site's root, such as `/static/img/a.jpg`";
            self.report(Diagnostic::new(Code::UnresolvedAsset, template.place(span), message).with_help(help));
            return None;
        };
        let manifest = self.manifest;
        let asset = manifest.find(&path).or_else(|| manifest.find(&percent_decode(&path)?));
        let Some(asset) = asset else {
            let message = format!("there is no image `{written}`");
            let mut diagnostic = Diagnostic::new(Code::UnresolvedAsset, template.place(span), message);
            diagnostic.help = self.suggest_asset(&path);
            if template.source.path != self.page.source.path {
                diagnostic = diagnostic.with_note(self.page.source.place(Span::default()), "in this page");
            }
            self.report(diagnostic);
            return None;
        };
        if asset.format.is_none() {
            let message = format!("`{written}` is no image");
            let help = "images are `.png .jpg .jpeg .gif .webp .avif .svg`";
            self.report(Diagnostic::new(Code::NotAnImage, template.place(span), message).with_help(help));
            return None;
        }
        // One without a size is a drawing, or broken, which was said when it was read.
        Some((format!("{}{fragment}", asset.url), Some(asset)))
    }

    /// The path from the site's root of one that a page writes: relative ones begin in the page's folder, and none leads
    /// out of the site.
    pub(super) fn absolute_path(&self, written: &str) -> Option<String> {
        if written.starts_with('/') {
            return Some(written.to_owned());
        }
        let mut parts: Vec<&str> = self.page.content_path.split('/').collect();
        parts.pop();
        for part in written.split('/') {
            match part {
                "." | "" => {}
                ".." => drop(parts.pop()?),
                part => parts.push(part),
            }
        }
        Some(format!("/{}", parts.join("/")))
    }
}
