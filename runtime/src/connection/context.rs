//! What every connection of a server knows of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::access_log::AccessLog;
use crate::clock::Clock;
use crate::http::proxy::AddressRange;
use crate::limits::Limits;
use crate::metrics::{Event, Metrics};
use crate::panics;

/// What every connection of a server shares.
#[derive(Debug)]
pub struct Context {
    /// The bounds.
    pub limits: Limits,
    /// The time.
    pub clock: Clock,
    /// Set when the server stops: answers under way are finished, and then connections close.
    pub is_stopping: AtomicBool,
    /// Grows when what is served changes; see [`Remote::begin_epoch`](crate::server::Remote::begin_epoch).
    pub epoch: AtomicU64,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether answers are counted, by path and duration, and not rare events only.
    pub counts_answers: bool,
    /// Where each answer leaves a line.
    pub access_log: Option<AccessLog>,
    /// Proxies that are believed when they say who asks.
    pub trusted_proxies: Vec<AddressRange>,
    /// Tells a person what went wrong in answering a request.
    pub report: fn(&str),
}

impl Context {
    /// For a server that has just started.
    pub fn new(limits: Limits, clock: Clock) -> Self {
        Self {
            limits,
            clock,
            is_stopping: AtomicBool::new(false),
            epoch: AtomicU64::new(0),
            metrics: Arc::new(Metrics::new(1)),
            counts_answers: false,
            access_log: None,
            trusted_proxies: Vec::new(),
            report: |_| {},
        }
    }

    /// Counts and reports a panic that cost a request.
    pub(crate) fn tell_of_panic(&self, request_id: &str) {
        self.metrics.count(Event::Panic);
        (self.report)(&format!("request `{request_id}`: {}", panics::take()));
    }

    pub(super) fn wants_durations(&self) -> bool {
        self.counts_answers || self.access_log.is_some()
    }
}
