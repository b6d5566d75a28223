//! The tag `img`, and the images of Markdown, which give the same.

use std::rc::Rc;

use super::Renderer;
use super::escape::push_escaped;
use super::scope::Scope;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::site::percent_decode;
use crate::template::{Attribute, Image, ImageOrigin, Template, find_attribute};

/// The attributes that follow the size, in the order in which they are written. `sizes` goes with a `srcset`.
const AFTER_SIZE: [&str; 7] = ["class", "loading", "decoding", "title", "fetchpriority", "id", "style"];

/// What an image's `src` leads to.
struct Source {
    url: String,
    size: Option<(u32, u32)>,
}

impl<'a> Renderer<'a> {
    pub(super) fn render_image(&mut self, template: &'a Template, image: &'a Image, scope: &Rc<Scope<'a>>) {
        let missed_before = scope.missing_count();
        let attributes: Vec<(&Attribute, Rc<str>)> =
            image.attributes.iter().map(|one| (one, self.evaluate(template, &one.value, scope))).collect();
        let Some(src) = find_attribute(&image.attributes, "src") else { return };
        if scope.missing_count() > missed_before {
            return;
        }
        let value = |name: &str| attributes.iter().find(|(one, _)| one.name == name).map_or("", |(_, text)| &**text);
        let Some(source) = self.find_image(template, image, src.value.span, value("src")) else { return };
        let mut others: Vec<(&str, &str)> = AFTER_SIZE.map(|name| (name, value(name))).to_vec();
        if image.origin == ImageOrigin::Tag || source.size.is_some() {
            others
                .iter_mut()
                .filter(|(name, text)| *name == "decoding" && text.is_empty())
                .for_each(|one| one.1 = "async");
        }
        let data = attributes.iter().filter(|(one, _)| one.name.starts_with("data-"));
        others.extend(data.map(|(one, text)| (one.name.as_str(), &**text)));
        self.markup.push_made(|html| {
            html.push_str("<img");
            push_attribute(html, "src", &source.url);
            push_attribute(html, "alt", value("alt"));
            if let Some((width, height)) = source.size {
                push_attribute(html, "width", &width.to_string());
                push_attribute(html, "height", &height.to_string());
            }
            for (name, text) in others {
                if !text.is_empty() || name.starts_with("data-") {
                    push_attribute(html, name, text);
                }
            }
            html.push_str(" />");
        });
    }

    fn find_image(&mut self, template: &'a Template, image: &Image, span: Span, src: &str) -> Option<Source> {
        if is_elsewhere(src) {
            if image.origin == ImageOrigin::Markdown {
                return Some(Source { url: src.to_owned(), size: None });
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
        let asset = self.manifest.find(&path).or_else(|| self.manifest.find(&percent_decode(&path)?));
        let Some(asset) = asset else {
            let message = format!("there is no image `{written}`");
            let mut diagnostic = Diagnostic::new(Code::UnresolvedAsset, template.place(span), message);
            diagnostic.help = self.suggest_asset(&path);
            self.report(diagnostic);
            return None;
        };
        if !asset.is_image {
            let message = format!("`{written}` is no image");
            let help = "images are `.png .jpg .jpeg .gif .webp .avif .svg`";
            self.report(Diagnostic::new(Code::NotAnImage, template.place(span), message).with_help(help));
            return None;
        }
        let size = asset.size.map(|size| (size.width, size.height));
        if size.is_none() && !may_lack_size(&path) {
            let message = format!("the size of `{written}` can't be found out");
            let help = "a browser needs it to keep the image's place; is the file whole?";
            self.report(Diagnostic::new(Code::NoImageMetadata, template.place(span), message).with_help(help));
            return None;
        }
        Some(Source { url: format!("{}{fragment}", asset.url), size })
    }

    /// The path from the site's root of one that a page writes: relative ones begin in the page's folder, and none leads
    /// out of the site.
    fn absolute_path(&self, written: &str) -> Option<String> {
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

/// A drawing need not have a size, and that of an AVIF isn't read.
fn may_lack_size(path: &str) -> bool {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    extension.eq_ignore_ascii_case("svg") || extension.eq_ignore_ascii_case("avif")
}

/// Whether a URL names its scheme or its host.
fn is_elsewhere(url: &str) -> bool {
    let scheme = url.split_once(':').map(|(scheme, _)| scheme);
    url.starts_with("//")
        || scheme.is_some_and(|scheme| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        })
}

fn push_attribute(html: &mut String, name: &str, value: &str) {
    html.push(' ');
    html.push_str(name);
    html.push_str("=\"");
    push_escaped(html, value);
    html.push('"');
}
