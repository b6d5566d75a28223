//! The variants of images that the cache doesn't have. Pages show originals meanwhile; the variants are made when nothing
//! else is to be done, those of open pages first, and then handed to whoever follows the sources.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;

use rustix::process::setpriority_process;

use super::DevOptions;
use super::edition::Edition;
use super::studio::{Edit, Studio};
use crate::assets::{Annex, AssetNames, AssetOptions, ImageWork, Progress, ReadAsset, Workshop, make_image};
use crate::cache::{CACHE_FOLDER, Cache};
use crate::config::Images;
use crate::source::SourceFile;

/// So many images are handed on together if no open page waits for them: each time the site is put in order anew.
/// Guessed.
const BATCH_COUNT_MAX: usize = 16;
/// The system gives a thread of this priority what nobody else wants.
const LEAST_PRIORITY: i32 = 19;

/// Images with their variants.
pub(super) struct MadeImages {
    /// The settings that they were made with.
    pub(super) settings: Images,
    pub(super) images: Vec<(SourceFile, ReadAsset)>,
}

impl MadeImages {
    pub(super) fn count(&self) -> usize {
        self.images.len()
    }
}

/// An image that lacks variants.
struct Waiting {
    file: SourceFile,
    /// The path that pages write.
    path: String,
}

/// Makes what is missing, for ever.
pub(super) fn work(studio: &Arc<Studio>, options: &DevOptions) {
    let (cache, annex) = (Cache::new(options.site.join(CACHE_FOLDER)), Annex::new(&options.program));
    let patient = Patient(Arc::clone(studio));
    let threads = thread::available_parallelism().map_or(1, |count| count.get().saturating_sub(1).max(1));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).start_handler(|_| lower_priority()).build();
    // Without threads pages keep their originals.
    let Ok(pool) = pool else { return };
    let mut seen = 0;
    loop {
        let edition = studio.wait_for_quiet(seen);
        seen = edition.number;
        // Other programs come and go in a day.
        let memory_bytes_max = (options.read_memory_bytes_max)();
        let workshop = Workshop { cache: &cache, progress: &patient, annex: &annex, memory_bytes_max };
        pool.install(|| make_missing(studio, &edition, &workshop));
    }
}

/// Makes what an edition lacks, until there is another one.
fn make_missing(studio: &Studio, edition: &Edition, workshop: &Workshop<'_>) {
    let mut waiting = find_waiting(edition);
    let settings = &edition.plan.config.images;
    let options = AssetOptions { names: AssetNames::Plain, images: settings, image_work: ImageWork::Make };
    let mut made = Vec::new();
    while !waiting.is_empty() && studio.is_current(edition) {
        workshop.progress.advance(0);
        let named = studio.clients.named_files(edition);
        let is_named = |one: &Waiting| named.contains(&one.path);
        let index = waiting.iter().position(is_named).unwrap_or(0);
        let one = waiting.remove(index);
        let read = make_image(&one.file, &one.path, &options, workshop);
        let is_last_named = is_named(&one) && !waiting.iter().any(is_named);
        made.push((one.file, read));
        if is_last_named || made.len() >= BATCH_COUNT_MAX {
            break;
        }
    }
    if !made.is_empty() {
        studio.ask(Edit::Images(MadeImages { settings: settings.clone(), images: made }));
    }
}

fn find_waiting(edition: &Edition) -> Vec<Waiting> {
    let sources = &edition.plan.sources;
    let waiting: BTreeSet<&str> = edition.plan.manifest.waiting().iter().map(|path| &**path).collect();
    let files = sources.static_files.iter().map(|file| (file, "/static/"));
    let files = files.chain(sources.content.iter().map(|file| (file, "/")));
    let files = files.filter(|(file, _)| waiting.contains(&*file.path));
    files.map(|(file, folder)| Waiting { file: file.clone(), path: format!("{folder}{}", file.name) }).collect()
}

/// Where the system refuses it, the work takes time from others like any other work.
fn lower_priority() {
    setpriority_process(None, LEAST_PRIORITY).ok();
}

/// Stops the work between two pictures for as long as somebody waits for something else.
struct Patient(Arc<Studio>);

impl Progress for Patient {
    fn begin(&self, _count: usize, _weight: u64) {}

    fn advance(&self, _weight: u64) {
        self.0.give_way();
    }

    fn end(&self) {}
}
