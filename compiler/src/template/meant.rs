//! Names with a slip in them: what a partial is given under almost the name that it asks for. The slip is one mistake, and
//! what the partial lacks because of it is none.

use super::syntax::{Target, Template};
use crate::diagnostic::nearest;

/// Names are compared each with each where there are at most so many of both. Guessed: more than anybody reads.
const NAMES_MAX: usize = 20;

impl Template {
    /// What the names that this partial is given stand for: themselves, or the nearest one that it asks for and that nothing
    /// else gives. No name comes twice.
    pub fn meant_names<'a>(&'a self, target: Target, given: &[&'a str]) -> Vec<&'a str> {
        let mut meant = given.to_vec();
        if given.len() > NAMES_MAX || self.asks.known.len() > NAMES_MAX {
            return meant;
        }
        let known = || self.asks.known.iter().filter(|name| name.target == target).map(|name| name.text.as_str());
        for index in 0..meant.len() {
            if known().all(|name| name != meant[index]) {
                let free = known().filter(|name| !meant.contains(name));
                meant[index] = nearest(meant[index], free).unwrap_or(meant[index]);
            }
        }
        meant
    }
}
