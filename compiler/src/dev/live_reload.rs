//! Browsers that wait for changes: what each of them shows, and what it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use may::sync::mpsc::{Receiver, Sender, channel};
use runtime::http::response::BodyStream;

use super::edition::{Edition, Shown, extension_of};
use super::notes::Notes;
use super::overlay;
use crate::diagnostic::Diagnostic;

/// Between two signs of life: only a write shows that a browser has gone. Specified.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// What style sheets alone can change.
const CSS: &str = r#"{"type":"css"}"#;
/// What takes a reload.
const FULL: &str = r#"{"type":"full"}"#;

/// The stream of events that one browser reads.
pub(super) struct Events {
    receiver: Receiver<String>,
    has_begun: bool,
    /// There for as long as this is.
    _life: Arc<()>,
}

impl BodyStream for Events {
    fn next(&mut self) -> Option<Vec<u8>> {
        if !std::mem::replace(&mut self.has_begun, true) {
            return Some(b": kiln\n\n".to_vec());
        }
        match self.receiver.recv_timeout(PING_INTERVAL) {
            Ok(event) => Some(format!("data: {event}\n\n").into_bytes()),
            Err(RecvTimeoutError::Timeout) => Some(b": ping\n\n".to_vec()),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }
}

/// A browser that waits.
pub(super) struct Client {
    /// The path that it shows, as it asked for it; `None`: it wants to know of everything.
    pub(super) page: Option<String>,
    /// What the page that it shows is recognised by, if it knows.
    pub(super) seen: Option<String>,
    has_error: bool,
    /// What else it was told is wrong; nothing by now if it is empty.
    noted: Vec<Diagnostic>,
    sender: Sender<String>,
    life: Weak<()>,
}

impl Client {
    /// A browser, and the stream that it reads.
    pub(super) fn new(page: Option<String>, seen: Option<String>) -> (Self, Events) {
        let ((sender, receiver), life) = (channel(), Arc::new(()));
        let client = Self { page, seen, has_error: false, noted: Vec::new(), sender, life: Arc::downgrade(&life) };
        (client, Events { receiver, has_begun: false, _life: life })
    }

    /// Whether somebody reads its stream still, as far as is known.
    fn is_there(&self) -> bool {
        self.life.strong_count() > 0
    }

    /// Tells it what else is wrong, if it doesn't know and has nothing worse to show.
    fn note(&mut self, diagnostics: Vec<Diagnostic>, edition: &Edition) -> bool {
        if self.has_error || self.noted == diagnostics {
            return true;
        }
        let is_there = self.tell(&overlay::notes_event(&diagnostics, &|path| edition.find_text(path)));
        self.noted = diagnostics;
        is_there
    }

    /// Tells it something; returns whether it is still there, as far as is known.
    fn tell(&self, event: &str) -> bool {
        self.sender.send(event.to_owned()).is_ok()
    }
}

/// What was told to whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Told {
    /// Browsers that reload or swap their style sheets.
    pub(super) reloaded: usize,
    /// Browsers that show mistakes.
    pub(super) warned: usize,
}

/// All browsers that wait.
#[derive(Default)]
pub(super) struct Clients(Mutex<Vec<Client>>);

impl Clients {
    /// The paths that are open. Browsers that have gone are forgotten.
    pub(super) fn open_pages(&self) -> BTreeSet<String> {
        let mut clients = self.lock();
        clients.retain(Client::is_there);
        clients.iter().filter_map(|client| client.page.clone()).collect()
    }

    /// The files that open pages name.
    pub(super) fn named_files(&self, edition: &Edition) -> BTreeSet<String> {
        let open = self.open_pages();
        let shown = open.iter().filter_map(|page| edition.find_shown(&edition.page_path(page)?));
        shown.flat_map(|shown| shown.files.iter().cloned().collect::<Vec<_>>()).collect()
    }

    /// Adds a browser. It is told at once what it missed: another version of its page, or mistakes.
    pub(super) fn join(&self, mut client: Client, edition: &Edition, notes: &Notes) {
        let state = client.page.as_deref().map(|page| PageState::of(page, edition));
        match &state {
            Some(state) if state.has_errors() => {
                client.has_error = true;
                client.tell(&state.error_event(edition));
            }
            Some(state) if client.seen.as_ref().is_some_and(|seen| *seen != state.digest()) => {
                client.tell(FULL);
            }
            None if !edition.config_errors().is_empty() => {
                client.has_error = true;
                client.tell(&config_event(edition));
            }
            _ => {}
        }
        if let Some(state) = state {
            client.seen = Some(state.digest());
        }
        if let Some(page) = client.page.clone() {
            client.note(notes.for_page(&page, edition), edition);
        }
        self.lock().push(client);
    }

    /// Tells each browser what else is wrong with its page, or no more, if that is new to it.
    pub(super) fn note_all(&self, edition: &Edition, notes: &Notes) {
        let mut known: BTreeMap<String, Vec<Diagnostic>> = BTreeMap::new();
        self.lock().retain_mut(|client| {
            let Some(page) = client.page.clone() else { return true };
            let diagnostics = known.entry(page).or_insert_with_key(|page| notes.for_page(page, edition));
            client.note(diagnostics.clone(), edition)
        });
    }

    /// Tells each browser what of a change concerns it.
    pub(super) fn tell_all(&self, before: &Edition, edition: &Edition) -> Told {
        let files = edition.changed_files(before);
        let are_styles = !files.is_empty() && files.iter().all(|path| extension_of(path) == "css");
        let mut told = Told::default();
        let mut states: BTreeMap<String, PageState> = BTreeMap::new();
        self.lock().retain_mut(|client| {
            let event = match &client.page {
                None => Some(event_for_all(edition, are_styles)),
                Some(page) => {
                    let state = states.entry(page.clone()).or_insert_with(|| PageState::of(page, edition));
                    let event = state.event(client, &files, edition);
                    client.seen = Some(state.digest());
                    event
                }
            };
            let Some(event) = event else { return true };
            let is_error = event != CSS && event != FULL;
            client.has_error = is_error;
            // One that has gone is forgotten.
            let is_there = client.tell(&event);
            told.warned += usize::from(is_there && is_error);
            told.reloaded += usize::from(is_there && !is_error);
            is_there
        });
        told
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Client>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn event_for_all(edition: &Edition, are_styles: bool) -> String {
    if !edition.config_errors().is_empty() {
        return config_event(edition);
    }
    if are_styles { CSS } else { FULL }.to_owned()
}

fn config_event(edition: &Edition) -> String {
    overlay::error_event(edition.config_errors(), &|path| edition.find_text(path), true)
}

/// What a path shows in an edition.
struct PageState {
    /// `None`: nothing, not even the page for what isn't there.
    shown: Option<Arc<Shown>>,
    /// It is the page for what isn't there.
    is_missing: bool,
}

impl PageState {
    fn of(page: &str, edition: &Edition) -> Self {
        match edition.page_path(page).and_then(|path| edition.show(&path)) {
            Some(shown) => Self { shown: Some(shown), is_missing: false },
            None => Self { shown: edition.show("/404"), is_missing: true },
        }
    }

    fn digest(&self) -> String {
        let digest = self.shown.as_ref().map(|shown| shown.digest.as_str()).unwrap_or_default();
        // The script in the page for what isn't there knows that page's digest only.
        digest.to_owned()
    }

    fn errors(&self) -> &[Diagnostic] {
        self.shown.as_ref().map_or(&[], |shown| &shown.errors)
    }

    fn has_errors(&self) -> bool {
        !self.is_missing && !self.errors().is_empty()
    }

    fn error_event(&self, edition: &Edition) -> String {
        let has_page = self.shown.as_ref().is_some_and(|shown| shown.answer.is_some());
        overlay::error_event(self.errors(), &|path| edition.find_text(path), has_page)
    }

    /// What concerns a browser that shows this.
    fn event(&self, client: &Client, files: &BTreeSet<String>, edition: &Edition) -> Option<String> {
        if self.has_errors() {
            return Some(self.error_event(edition));
        }
        if client.has_error || client.seen.as_ref() != Some(&self.digest()) {
            return Some(FULL.to_owned());
        }
        let named = self.shown.as_ref().map(|shown| &shown.files)?;
        let changed: Vec<_> = files.iter().filter(|path| named.contains(*path)).collect();
        if changed.is_empty() {
            return None;
        }
        Some(if changed.iter().all(|path| extension_of(path) == "css") { CSS } else { FULL }.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_open_as_long_as_its_stream_is_read() {
        // Every page that was ever looked at would be made again at each edit.
        let clients = Clients::default();
        let (one, events) = Client::new(Some("/one".to_owned()), None);
        let (other, _other_events) = Client::new(Some("/other".to_owned()), None);
        clients.lock().extend([one, other]);
        assert_eq!(clients.open_pages(), ["/one", "/other"].map(str::to_owned).into());
        drop(events);
        assert_eq!(clients.open_pages(), ["/other".to_owned()].into());
        assert_eq!(clients.lock().len(), 1);
    }
}
