//! What the making of assets works with: memory of earlier results, room, and someone to tell how far it is. Nothing
//! here changes what is made.

use super::apart::Annex;
use crate::cache::Cache;

/// Tools and bounds of the stages that do long work.
#[derive(Clone, Copy)]
pub struct Workshop<'a> {
    /// What was made before.
    pub cache: &'a Cache,
    /// Who is told how far it is.
    pub progress: &'a dyn Progress,
    /// Where work on style sheets and scripts is done that may not end.
    pub annex: &'a Annex,
    /// The bytes of memory that this process may have, as far as that is known.
    pub memory_bytes_max: u64,
}

impl<'a> Workshop<'a> {
    /// One that tells nobody and knows no bound.
    pub fn new(cache: &'a Cache, annex: &'a Annex) -> Self {
        Self { cache, progress: &Silent, annex, memory_bytes_max: u64::MAX }
    }
}

impl std::fmt::Debug for Workshop<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Workshop").field("memory_bytes_max", &self.memory_bytes_max).finish_non_exhaustive()
    }
}

/// Someone who is told how far long work is. Work is weighed, since a large picture takes longer than a small one.
pub trait Progress: Sync {
    /// So many pieces of work begin, which weigh so much together.
    fn begin(&self, count: usize, weight: u64);
    /// One of them is done.
    fn advance(&self, weight: u64);
    /// All of them are.
    fn end(&self);
}

/// Nobody.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _count: usize, _weight: u64) {}
    fn advance(&self, _weight: u64) {}
    fn end(&self) {}
}

/// Which variants of images a build has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ImageWork {
    /// All of them: what the cache doesn't have is made.
    #[default]
    Make,
    /// Those that the cache has. An image that lacks one is its original alone, and stands in the list of those that
    /// wait: nothing is decoded or encoded.
    Remember,
}
