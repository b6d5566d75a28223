//! The road of each image: look at its header, look into the cache, decode it once if anything is missing, make what is
//! missing, and keep what is worth publishing.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bundle::{Body, Digest};
use rayon::prelude::*;

use super::keep::{Measured, MeasuredSet, keep};
use super::plan::{Facts, PlannedSet, held_bytes_per_pixel, plan};
use super::schedule::{self, Load, Work};
use crate::assets::image::{
    self, EncodeSettings, FaultKind, ImageFault, ImageFormat, ImageSize, Kind, Picture, Probe, Reference, Search,
    decode, encode, encode_bytes, probe, quality_of_avif, resize, score_bytes, strip,
};
use crate::assets::workshop::{ImageWork, Workshop};
use crate::bytes::Bytes;
use crate::cache::CacheKey;
use crate::config::{Images, Quality};
use crate::source::{LEAVE_ALONE, ReadError, SourceFile};

/// Bytes that decoding and encoding may take at once, unless one image alone takes more. Specified by the design of the
/// image road; a third of the memory that there is, if that is less.
const WORK_BYTES_MAX: u64 = 160 * 1024 * 1024;

/// An image's original, and the pictures made of it that are worth publishing.
#[derive(Clone, Debug)]
pub(crate) struct MadeImage {
    /// What its original is encoded in.
    pub(crate) format: ImageFormat,
    /// Its size as shown, if it has one.
    pub(crate) size: Option<ImageSize>,
    /// The original without its metadata.
    pub(crate) original: Bytes,
    /// By format, the one that browsers are to take first in front and the original's own last; widths ascend.
    pub(crate) pictures: Vec<MadePicture>,
    /// Whether something is missing that nobody was asked to make.
    pub(crate) is_waiting: bool,
}

/// One picture made of an image.
#[derive(Clone, Debug)]
pub(crate) struct MadePicture {
    pub(crate) format: ImageFormat,
    pub(crate) size: ImageSize,
    /// Whether it is as wide as the original.
    pub(crate) is_full: bool,
    pub(crate) bytes: Bytes,
}

/// What became of the images of a build, in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct ImageCounts {
    /// Images that were looked at.
    pub images: u64,
    /// Originals that were decoded.
    pub decoded: u64,
    /// Pictures that were encoded.
    pub encoded: u64,
    /// Pictures that the cache had.
    pub from_cache: u64,
    /// Pictures that aren't worth publishing, and aren't published.
    pub dropped: u64,
    /// Bytes of all originals that have variants, as they were.
    pub original_bytes: u64,
    /// Bytes of these images as wide as the originals, in the format that browsers take first.
    pub best_bytes: u64,
}

/// Makes the variants of images, or finds them in the cache. The results are in the order of the files.
pub(crate) fn make(
    files: &[&SourceFile],
    images: &Images,
    image_work: ImageWork,
    workshop: &Workshop<'_>,
) -> (Vec<Result<MadeImage, ImageFault>>, ImageCounts) {
    let counters = Counters::default();
    let road = Road { images, workshop, counters: &counters };
    let examined: Vec<_> = files.par_iter().map(|file| road.examine(file)).collect();
    let mut results: Vec<Option<Result<MadeImage, ImageFault>>> = Vec::new();
    let mut waiting = Vec::new();
    for (index, task) in examined.into_iter().enumerate() {
        results.push(match task {
            Err(fault) => Some(Err(fault)),
            Ok(task) if task.missing.is_empty() => Some(Ok(road.finish(&task))),
            Ok(task) if image_work == ImageWork::Remember => Some(Ok(task.as_it_is())),
            Ok(task) => {
                waiting.push((index, task));
                None
            }
        });
    }
    for (index, result) in road.make_missing(waiting) {
        results[index] = Some(result);
    }
    let results: Vec<_> = results.into_iter().flatten().collect();
    assert!(results.len() == files.len(), "every image is examined, remembered or made");
    (results, counters.read(files.len()))
}

/// Something that may be made of an image.
struct Candidate {
    format: ImageFormat,
    size: ImageSize,
    is_full: bool,
    settings: EncodeSettings,
    key: CacheKey,
}

impl Candidate {
    /// Bytes that making it takes at the peak.
    fn work_bytes(&self) -> u64 {
        let looking = if self.is_searched() { score_bytes(self.size) } else { 0 };
        encode_bytes(self.size, self.format) + looking
    }

    /// How long making it takes, beside others.
    fn weight(&self) -> u64 {
        encode_bytes(self.size, self.format)
    }

    /// Whether its quality is searched for.
    fn is_searched(&self) -> bool {
        matches!(self.settings.quality, image::Quality::Target(_))
    }
}

/// An image of which something is missing.
struct Task<'a> {
    file: &'a SourceFile,
    probe: Probe,
    /// Each format by itself, the original's first; within it widths ascend.
    candidates: Vec<Candidate>,
    /// What is known of each candidate.
    found: Vec<OnceLock<Bytes>>,
    /// The lengths of all candidates, if the cache knows them.
    lengths: Option<Vec<u64>>,
    /// Numbers of the candidates that have to be made.
    missing: Vec<usize>,
    /// The work that this is: candidates that are made one after the other, narrow ones first.
    parts: Vec<Vec<usize>>,
    /// The quality of its AVIFs, if one was made.
    avif_quality: OnceLock<Result<u8, ImageFault>>,
    /// What went wrong while they were made.
    fault: OnceLock<ImageFault>,
}

impl Task<'_> {
    /// The number of the picture that is published under the original's own name.
    fn original_index(&self) -> usize {
        self.candidates.iter().position(|one| one.format == self.probe.format && one.is_full).unwrap_or(0)
    }

    fn set_original(&mut self, bytes: Bytes) {
        let index = self.original_index();
        if let Some(found) = self.found.get_mut(index) {
            *found = OnceLock::from(bytes);
        }
    }

    /// The image without variants, and if its original has to be written anew, as it was.
    fn as_it_is(&self) -> MadeImage {
        let original = self.found.get(self.original_index()).and_then(OnceLock::get);
        let original = original.unwrap_or(&self.file.bytes).clone();
        MadeImage { format: self.probe.format, size: self.probe.size, original, pictures: Vec::new(), is_waiting: true }
    }

    /// What is missing, as work. Where a quality is searched for, what is found for narrower pictures tells where to begin:
    /// these are one part, with the narrower ones that aren't missing, so that the result is the same whatever was kept.
    fn divide(&self) -> Vec<Vec<usize>> {
        let is_searched = |index: &usize| self.candidates[*index].is_searched();
        let (searched, alone): (Vec<usize>, Vec<usize>) = self.missing.iter().copied().partition(is_searched);
        let mut parts: Vec<_> = alone.into_iter().map(|index| vec![index]).collect();
        let widest = |format| {
            let of_format = searched.iter().map(|index| &self.candidates[*index]).filter(|one| one.format == format);
            of_format.map(|one| one.size.width).max().unwrap_or(0)
        };
        let is_needed = |one: &Candidate| one.is_searched() && one.size.width <= widest(one.format);
        let mut ladder: Vec<_> =
            (0..self.candidates.len()).filter(|index| is_needed(&self.candidates[*index])).collect();
        ladder.sort_by_key(|index| (self.candidates[*index].size.width, self.candidates[*index].size.height));
        parts.extend(Some(ladder).filter(|ladder| !ladder.is_empty()));
        parts
    }

    /// The name under which the lengths of all candidates are kept: what was dropped is known without its bytes.
    fn lengths_key(&self) -> CacheKey {
        let keys: Vec<u8> = self.candidates.iter().flat_map(|one| *one.key.as_bytes()).collect();
        CacheKey::new("lengths of variants 1", &[&keys])
    }

    /// Numbers of the candidates that are worth publishing, given the lengths of all.
    fn kept(&self, lengths: &[u64]) -> Vec<usize> {
        let mut sets: Vec<MeasuredSet> = Vec::new();
        for (candidate, len) in self.candidates.iter().zip(lengths) {
            if sets.last().is_none_or(|set| set.format != candidate.format) {
                sets.push(MeasuredSet { format: candidate.format, pictures: Vec::new() });
            }
            if let Some(set) = sets.last_mut() {
                set.pictures.push(Measured { width: candidate.size.width, len: *len });
            }
        }
        let sets = keep(sets);
        let is_kept = |candidate: &Candidate| {
            let set = sets.iter().find(|set| set.format == candidate.format);
            set.is_some_and(|set| set.pictures.iter().any(|picture| picture.width == candidate.size.width))
        };
        (0..self.candidates.len()).filter(|index| is_kept(&self.candidates[*index])).collect()
    }

    /// The quality at which AVIFs are made of the original where one is asked for: the same for all of them.
    fn avif_quality(&self, original: &Picture, asked: u8) -> Result<u8, ImageFault> {
        self.avif_quality.get_or_init(|| quality_of_avif(original, asked)).clone()
    }

    fn load(&self) -> Load {
        let part = |part: &Vec<usize>| part.iter().map(|index| self.candidates[*index].work_bytes()).max().unwrap_or(0);
        let pixels = self.probe.size.map_or(0, ImageSize::pixels);
        Load {
            // The file's own bytes are given back with what the decoder took.
            opening_bytes: self.probe.decode_bytes + self.file.bytes.len() as u64,
            held_bytes: pixels * held_bytes_per_pixel(self.probe.kind),
            part_bytes: self.parts.iter().map(part).collect(),
        }
    }
}

/// What all images of a build have in common.
struct Road<'a> {
    images: &'a Images,
    workshop: &'a Workshop<'a>,
    counters: &'a Counters,
}

impl Road<'_> {
    /// Looks at an image's header and into the cache. Nothing is decoded.
    fn examine<'f>(&self, file: &'f SourceFile) -> Result<Task<'f>, ImageFault> {
        let bytes = read(file)?;
        let probe = probe(&file.extension(), &bytes, self.images.max_pixels)?;
        let digest = file.bytes.digest();
        let mut candidates = Vec::new();
        for set in self.plan(file, &probe) {
            candidates.extend((0..set.sizes.len()).map(|index| self.candidate(&digest, &probe, &set, index)));
        }
        let found = candidates.iter().map(|_| OnceLock::new()).collect();
        let (missing, parts) = (Vec::new(), Vec::new());
        let (avif_quality, fault) = (OnceLock::new(), OnceLock::new());
        let mut task = Task { file, probe, candidates, found, lengths: None, missing, parts, avif_quality, fault };
        match strip(&bytes, &task.probe) {
            Some(stripped) if *stripped == *bytes => task.set_original(file.bytes.clone()),
            Some(stripped) => task.set_original(self.keep_stripped(&digest, stripped)),
            None if task.probe.needs_rewriting() => {}
            None => {
                return Err(ImageFault::new("its metadata can't be taken out", "replace the file by an intact copy"));
            }
        }
        self.look_up(&mut task);
        task.parts = task.divide();
        let alone_bytes = task.load().alone_bytes();
        // The system's allocator doesn't give all back at once: measured were up to 15 % more with 37 million pixels.
        let needed = alone_bytes + alone_bytes / 6;
        if !task.missing.is_empty() && needed > self.workshop.memory_bytes_max {
            let message = format!(
                "making its variants takes {} MB of memory, and there are {} MB",
                needed.div_ceil(1_000_000),
                self.workshop.memory_bytes_max / 1_000_000
            );
            return Err(ImageFault::new(message, "make the image smaller, or give the build more memory"));
        }
        Ok(task)
    }

    /// An original without its metadata: not to be held, it is kept like what was made of it.
    fn keep_stripped(&self, digest: &Digest, stripped: Vec<u8>) -> Bytes {
        if !Bytes::can_leave(&stripped) {
            return stripped.into();
        }
        let key = CacheKey::new("stripped", &[image::VERSION.as_bytes(), digest.as_bytes()]);
        let cache = self.workshop.cache;
        cache.find_bytes(&key).unwrap_or_else(|| cache.keep_bytes(&key, stripped))
    }

    /// The formats and sizes that are tried; for what is published as it is, only that.
    fn plan(&self, file: &SourceFile, probe: &Probe) -> Vec<PlannedSet> {
        let Some(size) = probe.size else { return Vec::new() };
        let facts = Facts { format: probe.format, size, kind: probe.kind };
        if probe.can_vary() && !self.images.is_excluded(&file.name) {
            return plan(facts, self.images);
        }
        vec![PlannedSet { format: probe.format, sizes: vec![size] }]
    }

    /// One of the pictures of a set.
    fn candidate(&self, digest: &Digest, probe: &Probe, set: &PlannedSet, index: usize) -> Candidate {
        let (format, size) = (set.format, set.sizes[index]);
        let is_lossless = format == ImageFormat::Png || (format == ImageFormat::WebP && probe.kind == Kind::Graphic);
        let quality = match format {
            ImageFormat::Avif => self.images.avif_quality,
            ImageFormat::WebP => self.images.webp_quality,
            _ => self.images.jpeg_quality,
        };
        let (quality, quality_name) = match quality {
            _ if is_lossless => (image::Quality::Fixed(100), [0, 0]),
            Quality::Fixed(quality) => (image::Quality::Fixed(quality), [1, quality]),
            Quality::Target(score) => (image::Quality::Target(f32::from(score)), [2, score]),
        };
        // What a search finds depends on the narrower ones too.
        let first = if matches!(quality, image::Quality::Target(_)) { 0 } else { index };
        let sizes = &set.sizes[first..=index];
        let sizes: Vec<u8> =
            sizes.iter().flat_map(|size| [size.width.to_le_bytes(), size.height.to_le_bytes()]).flatten().collect();
        let kind: &[u8] = if probe.kind == Kind::Photograph { b"photograph" } else { b"graphic" };
        let parts =
            [image::VERSION.as_bytes(), digest.as_bytes(), format.name().as_bytes(), &sizes, kind, &quality_name];
        Candidate {
            format,
            size,
            is_full: probe.size == Some(size),
            settings: EncodeSettings { quality, kind: probe.kind },
            key: CacheKey::new("variant", &parts),
        }
    }

    /// Takes from the cache what is worth publishing, and notes what is missing.
    fn look_up(&self, task: &mut Task<'_>) {
        let unknown = (0..task.candidates.len()).filter(|index| task.found[*index].get().is_none()).count();
        if unknown == 0 {
            return;
        }
        let cache = self.workshop.cache;
        task.lengths = cache.find(&task.lengths_key()).and_then(|bytes| read_lengths(&bytes, task.candidates.len()));
        let wanted = match &task.lengths {
            Some(lengths) => task.kept(lengths),
            None => (0..task.candidates.len()).collect(),
        };
        for index in wanted {
            if task.found[index].get().is_some() {
                continue;
            }
            match cache.find_bytes(&task.candidates[index].key) {
                Some(bytes) => {
                    task.found[index] = OnceLock::from(bytes);
                    self.counters.from_cache.fetch_add(1, Ordering::Relaxed);
                }
                None => task.missing.push(index),
            }
        }
    }

    /// Makes what is missing, the largest first.
    fn make_missing(&self, waiting: Vec<(usize, Task<'_>)>) -> Vec<(usize, Result<MadeImage, ImageFault>)> {
        if waiting.is_empty() {
            return Vec::new();
        }
        let (numbers, tasks): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        let loads: Vec<_> = tasks.iter().map(Task::load).collect();
        let missing: Vec<_> =
            tasks.iter().flat_map(|task| task.missing.iter().map(|one| &task.candidates[*one])).collect();
        self.workshop.progress.begin(missing.len(), missing.iter().map(|one| one.weight()).sum());
        let bench = Bench {
            road: self,
            pictures: tasks.iter().map(|_| Mutex::new(None)).collect(),
            results: tasks.iter().map(|_| Mutex::new(None)).collect(),
            tasks,
        };
        schedule::run(&loads, WORK_BYTES_MAX.min(self.workshop.memory_bytes_max / 3), &bench);
        self.workshop.progress.end();
        let results =
            bench.results.into_iter().map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner));
        numbers.into_iter().zip(results).filter_map(|(number, result)| Some((number, result?))).collect()
    }

    /// Decides what is worth publishing, and remembers what isn't. Every candidate that may be is there.
    fn finish(&self, task: &Task<'_>) -> MadeImage {
        let lengths = task.lengths.clone().unwrap_or_else(|| {
            let len = |found: &OnceLock<Bytes>| found.get().map_or(0, |bytes| bytes.len() as u64);
            let lengths: Vec<u64> = task.found.iter().map(len).collect();
            if lengths.len() > 1 {
                let bytes: Vec<u8> = lengths.iter().flat_map(|len| len.to_le_bytes()).collect();
                self.workshop.cache.keep(&task.lengths_key(), &bytes);
            }
            lengths
        });
        let kept = task.kept(&lengths);
        self.counters.dropped.fetch_add((lengths.len() - kept.len()) as u64, Ordering::Relaxed);
        let original_index = task.original_index();
        let mut pictures: Vec<MadePicture> = kept
            .iter()
            .filter(|index| **index != original_index)
            .filter_map(|index| {
                let Candidate { format, size, is_full, .. } = task.candidates[*index];
                Some(MadePicture { format, size, is_full, bytes: task.found[*index].get()?.clone() })
            })
            .collect();
        // Candidates begin with the original's format and end with the one that browsers take first.
        pictures.sort_by_key(|picture| {
            let set = task.candidates.iter().position(|one| one.format == picture.format);
            (std::cmp::Reverse(set), picture.size.width)
        });
        let original = task.found.get(original_index).and_then(OnceLock::get);
        let original = original.unwrap_or(&task.file.bytes).clone();
        if task.candidates.len() > 1 {
            let best = pictures.iter().find(|picture| picture.is_full).map_or(original.len(), |best| best.bytes.len());
            self.counters.original_bytes.fetch_add(task.file.bytes.len() as u64, Ordering::Relaxed);
            self.counters.best_bytes.fetch_add(best as u64, Ordering::Relaxed);
        }
        MadeImage { format: task.probe.format, size: task.probe.size, original, pictures, is_waiting: false }
    }
}

/// A file's bytes for as long as they are worked on.
fn read(file: &SourceFile) -> Result<Cow<'_, [u8]>, ImageFault> {
    file.bytes.read().map_err(|ReadError { error, .. }| ImageFault {
        kind: FaultKind::Changed,
        ..ImageFault::new(error.to_string(), LEAVE_ALONE)
    })
}

/// Lengths as they were kept, or nothing if there aren't as many as there should be.
fn read_lengths(bytes: &[u8], count: usize) -> Option<Vec<u64>> {
    let (lengths, rest) = bytes.as_chunks::<8>();
    let lengths: Vec<u64> = lengths.iter().map(|len| u64::from_le_bytes(*len)).collect();
    (rest.is_empty() && lengths.len() == count).then_some(lengths)
}

/// Images whose missing pictures are being made.
struct Bench<'a, 'f> {
    road: &'a Road<'a>,
    tasks: Vec<Task<'f>>,
    /// The decoded originals of open jobs.
    pictures: Vec<Mutex<Option<Arc<Picture>>>>,
    results: Vec<Mutex<Option<Result<MadeImage, ImageFault>>>>,
}

impl Bench<'_, '_> {
    /// Makes the candidates of a part, in their order. Those of one size have one picture in common, and how it is known.
    fn make_part(&self, task: &Task<'_>, part: &[usize], picture: &Picture) -> Result<(), ImageFault> {
        let mut searches: Vec<(ImageFormat, Search)> = Vec::new();
        let size = |index: &usize| task.candidates[*index].size;
        for same_size in part.chunk_by(|one, other| size(one) == size(other)) {
            let size = size(&same_size[0]);
            let resized = if size == picture.size() { None } else { Some(resize(picture, size.width)?) };
            let smaller = resized.as_ref().unwrap_or(picture);
            let is_searched = same_size.iter().any(|index| task.candidates[*index].is_searched());
            let reference = if is_searched { Reference::new(smaller) } else { None };
            for index in same_size {
                let Candidate { format, settings, .. } = &task.candidates[*index];
                let bytes = match settings.quality {
                    image::Quality::Fixed(asked) => {
                        let quality =
                            if *format == ImageFormat::Avif { task.avif_quality(picture, asked)? } else { asked };
                        encode(
                            smaller,
                            *format,
                            &EncodeSettings { quality: image::Quality::Fixed(quality), ..*settings },
                        )?
                    }
                    image::Quality::Target(score) => {
                        if !searches.iter().any(|(of, _)| of == format) {
                            searches.push((*format, Search::new(*format, score)));
                        }
                        let search = searches.iter_mut().find(|(of, _)| of == format).map(|(_, search)| search);
                        search.expect("it was put there just now").encode(smaller, reference.as_ref())?
                    }
                };
                self.keep(task, *index, bytes);
            }
        }
        Ok(())
    }

    /// Keeps what was made, if it was missing. At once, so that a build that is killed has not worked for nothing, and what
    /// is made isn't held until the end.
    fn keep(&self, task: &Task<'_>, index: usize, bytes: Vec<u8>) {
        let (candidate, found) = (&task.candidates[index], &task.found[index]);
        if found.get().is_none() && task.missing.contains(&index) {
            self.road.counters.encoded.fetch_add(1, Ordering::Relaxed);
            drop(found.set(self.road.workshop.cache.keep_bytes(&candidate.key, bytes)));
            self.road.workshop.progress.advance(candidate.weight());
        }
    }
}

impl Work for Bench<'_, '_> {
    fn open(&self, job: usize) -> bool {
        let task = &self.tasks[job];
        self.road.counters.decoded.fetch_add(1, Ordering::Relaxed);
        match read(task.file).and_then(|bytes| decode(&bytes, &task.probe)) {
            Ok(picture) => *lock(&self.pictures[job]) = Some(Arc::new(picture)),
            Err(fault) => drop(task.fault.set(fault)),
        }
        task.fault.get().is_none()
    }

    fn do_part(&self, job: usize, part: usize) {
        let task = &self.tasks[job];
        let part = &task.parts[part];
        let picture = lock(&self.pictures[job]).clone();
        let made = picture.filter(|_| task.fault.get().is_none()).map(|picture| self.make_part(task, part, &picture));
        // The first fault of an image is the one that is told.
        if let Some(Err(fault)) = made {
            drop(task.fault.set(fault));
        }
        let is_unmade = |index: &&usize| task.found[**index].get().is_none() && task.missing.contains(index);
        for index in part.iter().filter(is_unmade) {
            self.road.workshop.progress.advance(task.candidates[*index].weight());
        }
    }

    fn close(&self, job: usize) {
        let task = &self.tasks[job];
        *lock(&self.pictures[job]) = None;
        let result = match task.fault.get() {
            Some(fault) => Err(fault.clone()),
            None => Ok(self.road.finish(task)),
        };
        *lock(&self.results[job]) = Some(result);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is in there is put in whole or not at all.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// [`ImageCounts`] while they are being counted.
#[derive(Default)]
struct Counters {
    decoded: AtomicU64,
    encoded: AtomicU64,
    from_cache: AtomicU64,
    dropped: AtomicU64,
    original_bytes: AtomicU64,
    best_bytes: AtomicU64,
}

impl Counters {
    fn read(&self, image_count: usize) -> ImageCounts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ImageCounts {
            images: image_count as u64,
            decoded: load(&self.decoded),
            encoded: load(&self.encoded),
            from_cache: load(&self.from_cache),
            dropped: load(&self.dropped),
            original_bytes: load(&self.original_bytes),
            best_bytes: load(&self.best_bytes),
        }
    }
}
