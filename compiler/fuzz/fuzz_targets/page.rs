//! Any text as a page, as a Markdown page and as a partial: it is parsed, rendered and its mistakes are drawn, and
//! nothing panics.
#![no_main]

use std::sync::Arc;

use compiler::assets::{AssetManifest, AssetNames};
use compiler::config::Config;
use compiler::diagnostic::{Paint, draw_human, draw_json};
use compiler::render::{Materials, render_page};
use compiler::site::{Selection, Site};
use compiler::source::SourceFile;
use compiler::template::TemplateSet;
use libfuzzer_sys::fuzz_target;

fn file(folder: &str, name: &str, bytes: &[u8]) -> SourceFile {
    SourceFile { path: format!("{folder}/{name}").into(), name: name.into(), bytes: bytes.into() }
}

fuzz_target!(|bytes: &[u8]| {
    let partials = [file("templates", "any.html", bytes), file("templates", "note.html", b"{{default ??}}{{@x ??}}{{body ??}}")];
    let pages = [
        file("content", "a.html", bytes),
        file("content", "b.md", bytes),
        file("content", "c.html", b"<% any.html %/><% any.html x=\"1\" %>y<%/ any.html %>"),
    ];
    let (templates, mut diagnostics) = TemplateSet::parse(&partials);
    let selection = Selection { drafts: true, future: true, today: jiff::civil::date(2026, 1, 1) };
    let (site, mistakes) = Site::read(&pages, &Config::default(), selection);
    diagnostics.extend(mistakes);
    let (manifest, _) = AssetManifest::of_originals(&[], &pages, AssetNames::Plain);
    let materials = Materials { site: &site, templates: &templates, manifest: &manifest, live_reload: "" };
    for page in &site.pages {
        diagnostics.extend(render_page(page, &materials).diagnostics);
    }
    let find_text = |path: &str| {
        let found = pages.iter().chain(&partials).find(|file| &*file.path == path)?;
        Some(Arc::clone(&found.to_text().ok()?.text))
    };
    draw_human(&diagnostics, &find_text, 0, Paint::Plain);
    draw_json(&diagnostics, &find_text);
});
