//! What was read of a conversation and not yet answered: a buffer that never grows beyond what a head may be.

use std::io;
use std::ops::Range;

use super::{Awaiting, Transport};
use crate::http::request::{HeadScan, Refusal, lower_minor_version};
use crate::limits::{INPUT_BYTES_FIRST, Limits};

/// Bytes read and not yet taken.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) bytes: Vec<u8>,
    pub(super) start: usize,
    end: usize,
    scan: HeadScan,
    /// Set when a wait ended in a way that deserves an answer.
    pub(super) refused: Option<Refusal>,
}

impl Input {
    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(super) fn take(&mut self, len: usize) {
        self.start += len;
        self.scan = HeadScan::default();
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Finds the next whole head, as a range of `bytes`.
    pub(super) fn find_head(&mut self, limits: &Limits) -> Result<Option<Range<usize>>, Refusal> {
        if self.start == self.end {
            return Ok(None);
        }
        let end = self.scan.find_end(&self.bytes[self.start..self.end], limits)?;
        let Some(end) = end else { return Ok(None) };
        let head_start = self.start + self.scan.head_start;
        lower_minor_version(&mut self.bytes[head_start..self.start + self.scan.first_line_end]);
        Ok(Some(head_start..self.start + end))
    }

    /// Reads once, making room first. The buffer never grows beyond what a head may be.
    pub(super) fn fill(
        &mut self,
        transport: &mut impl Transport,
        awaiting: Awaiting,
        head_bytes_max: usize,
    ) -> io::Result<usize> {
        if self.end == self.bytes.len() {
            if self.start > 0 {
                self.bytes.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else {
                // An empty line may come before a head.
                let wanted = (self.bytes.len() * 2).max(INPUT_BYTES_FIRST).min(head_bytes_max.saturating_add(2));
                self.bytes.resize(wanted.max(self.bytes.len() + 1), 0);
            }
        }
        let len = transport.receive(awaiting, &mut self.bytes[self.end..])?;
        self.end += len;
        Ok(len)
    }
}
