//! The check of the whole site, when nothing else is to be done.

use std::time::Instant;

use rayon::prelude::*;

use super::edition::Edition;
use super::studio::{Studio, draw};
use crate::diagnostic::{self, Diagnostic};
use crate::render::RenderedPage;

/// Checks the whole site whenever it was left alone for a while, and says what is new.
pub(super) fn work(studio: &Studio) {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().saturating_sub(1).max(1));
    let Ok(pool) = rayon::ThreadPoolBuilder::new().num_threads(threads).build() else { return };
    let mut checked = 0;
    let mut reported = Vec::new();
    loop {
        let edition = studio.wait_for_quiet(checked);
        checked = edition.number;
        let start = Instant::now();
        let Some(diagnostics) = pool.install(|| check_all(studio, &edition)) else { continue };
        let is_told = !diagnostics.is_empty() && studio.has_told(&diagnostics);
        if diagnostics != reported && !is_told {
            let terminal = &studio.terminal;
            let pages = edition.plan.counts().pages;
            let time = start.elapsed().as_millis();
            if diagnostics.is_empty() {
                terminal.say(&format!("no mistakes in {pages} pages, checked in {time} ms"));
            } else {
                terminal.show(&draw(&diagnostics, &edition, terminal.paint));
            }
        }
        studio.note_site(&diagnostics, &edition);
        reported = diagnostics;
    }
}

/// Everything that is wrong with a site; `None` if it changed meanwhile.
fn check_all(studio: &Studio, edition: &Edition) -> Option<Vec<Diagnostic>> {
    let plan = &edition.plan;
    let pages: Vec<_> = plan.site.all_pages().collect();
    let render = |page: &&_| {
        studio.give_way();
        studio.is_current(edition).then(|| plan.render(page))
    };
    let rendered: Option<Vec<RenderedPage>> = pages.par_iter().map(render).collect();
    let mut diagnostics = plan.check(&rendered?);
    diagnostics.extend(plan.diagnostics.iter().chain(edition.config_errors()).cloned());
    diagnostic::sort(&mut diagnostics);
    studio.is_current(edition).then_some(diagnostics)
}
