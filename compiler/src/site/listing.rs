//! What a page that lists others has seen of them: what it asked for, and a digest of all that the answer can show. As long
//! as that is the same, so is the page.

use bundle::Digest;
use serde::{Deserialize, Serialize};

use super::{Item, Page, PageFile, Query, Selected, Site};

/// A page with more lists than this is made each time. Guessed: a list of latest posts, of the page's own tags, a menu.
const LISTING_COUNT_MAX: usize = 16;
/// So is one that lists more than this at once: to look at all of them takes as long. Guessed.
const LISTED_COUNT_MAX: usize = 100;
/// Fields that follow from a page's text. A page that shows them of others is made each time, so that an edit of the latest
/// post concerns only itself everywhere else.
const FIELDS_OF_TEXT: [&str; 2] = ["reading_time", "word_count"];

/// The lists that a page shows; nothing if more of the site is in it than they say.
#[derive(Clone, Debug)]
pub struct Listings(Option<Vec<Listing>>);

impl Default for Listings {
    fn default() -> Self {
        Self(Some(Vec::new()))
    }
}

/// One of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listing {
    collection: String,
    of: Option<String>,
    sort: Option<String>,
    filter: Option<String>,
    limit: Option<usize>,
    digest: [u8; Digest::BYTES],
}

impl Listings {
    /// Notes what was asked and answered.
    pub fn add(&mut self, query: &Query<'_, '_>, selected: &Selected<'_>) {
        let Some(known) = &mut self.0 else { return };
        match Listing::of(query, selected) {
            Some(listing) if known.contains(&listing) => {}
            Some(listing) if known.len() < LISTING_COUNT_MAX => known.push(listing),
            _ => self.0 = None,
        }
    }

    /// Notes that a field of something that is listed was looked at.
    pub fn add_field(&mut self, name: &str) {
        if FIELDS_OF_TEXT.contains(&name) {
            self.0 = None;
        }
    }

    /// All of them, if they say all.
    pub fn all(&self) -> Option<&[Listing]> {
        self.0.as_deref()
    }
}

impl Listing {
    fn of(query: &Query<'_, '_>, selected: &Selected<'_>) -> Option<Self> {
        let Query { collection, item: _, of, sort, filter, limit } = *query;
        let is_of_text =
            [sort, filter].into_iter().flatten().any(|text| FIELDS_OF_TEXT.iter().any(|f| text.contains(f)));
        if query.is_of_item() || is_of_text || !selected.mistakes.is_empty() || selected.items.len() > LISTED_COUNT_MAX
        {
            return None;
        }
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let digest = *digest_of(&selected.items).as_bytes();
        let collection = collection.to_owned();
        Some(Self { collection, of: owned(of), sort: owned(sort), filter: owned(filter), limit, digest })
    }

    /// Whether the page would see the same today.
    pub fn is_same(&self, site: &Site, page: &Page) -> bool {
        let Self { collection, of, sort, filter, limit, digest: _ } = self;
        let query = Query {
            collection,
            item: None,
            of: of.as_deref(),
            sort: sort.as_deref(),
            filter: filter.as_deref(),
            limit: *limit,
        };
        Self::of(&query, &site.select_part(&query, page, None)).as_ref() == Some(self)
    }
}

/// Of all that items can show, but for what follows from the texts of pages.
fn digest_of(items: &[Item<'_>]) -> Digest {
    let mut bytes = Vec::new();
    for item in items {
        match item {
            Item::Page(Page { file, previous, next }) => {
                bytes.extend_from_slice(file.card().as_bytes());
                for beside in [previous, next] {
                    bytes.extend(beside.as_ref().map_or([0; Digest::BYTES], |file| *file.card().as_bytes()));
                }
            }
            Item::Term(term) => bytes.extend(format!("{:?} {:?}", term.route, term.fields).into_bytes()),
            Item::Value(value) => bytes.extend(format!("{value:?}").into_bytes()),
        }
        bytes.push(b'\n');
    }
    Digest::of(&bytes)
}

impl PageFile {
    /// A digest of what lists can show of it, but for what follows from its text.
    fn card(&self) -> &Digest {
        self.card.get_or_init(|| {
            let computed: Vec<_> = self.computed.iter().filter(|(name, _)| !FIELDS_OF_TEXT.contains(name)).collect();
            Digest::of(format!("{:?} {computed:?} {:?}", self.route, self.front_matter).as_bytes())
        })
    }
}
