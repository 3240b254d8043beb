//! The pages of a run: those of each of its listings, without what is not this run's.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use nephoscope_plugin::Page;

use crate::classes::ClassSet;
use crate::keyhash::KeySet;
use crate::listing::{ListedPage, Reader};

/// The readers of one source's resources.
pub(crate) struct InputReaders {
    /// Those that may have resources for this agent. With a `fallback` it is all of them: whether they list anything at
    /// all is what decides about it.
    pub(crate) listings: Vec<Reader>,
    /// Read if `listings` list nothing; `None` if there is none, or nothing of it is this agent's.
    pub(crate) fallback: Option<Reader>,
    /// The classes of the sources that want these resources.
    pub(crate) classes: Arc<ClassSet>,
}

impl InputReaders {
    /// Whether this agent polls the resource with this key, if it is listed.
    pub(crate) fn own(&self, key: &str) -> bool {
        let mut readers = self.listings.iter().chain(&self.fallback);
        readers.any(|reader| reader.listing().part().share.contains(key))
    }
}

/// What a [`PageSource`] asks and tells of resources.
pub(crate) trait PageFilter {
    /// Whether a resource is polled that comes for the first time; with the hash of its key.
    fn takes(&self, hash: u128) -> bool;
    /// Nobody knows whether there would have been a fallback to read.
    fn unreachable(&self);
    /// A listing has ended before it was complete.
    fn incomplete(&self);
}

/// The pages of a run. No resource comes twice.
pub(crate) struct PageSource<F> {
    inputs: std::vec::IntoIter<InputReaders>,
    current: Option<CurrentInput>,
    seen: KeySet,
    filter: Arc<F>,
}

struct CurrentInput {
    listings: std::vec::IntoIter<Reader>,
    reader: Option<Reader>,
    fallback: Option<Reader>,
    classes: Arc<ClassSet>,
    /// Whether anything was listed, or could not be: then there is no fallback.
    listed: bool,
}

impl CurrentInput {
    fn new(input: InputReaders) -> Self {
        Self {
            listings: input.listings.into_iter(),
            reader: None,
            fallback: input.fallback,
            classes: input.classes,
            listed: false,
        }
    }

    /// The reader in use; the next one if there is none; the fallback if nothing was listed.
    fn take_reader(&mut self) -> Option<Reader> {
        self.reader
            .take()
            .or_else(|| self.listings.next())
            .or_else(|| if self.listed { None } else { self.fallback.take() })
    }
}

impl<F: PageFilter> PageSource<F> {
    pub(crate) fn new(inputs: Vec<InputReaders>, filter: Arc<F>) -> Self {
        Self {
            inputs: inputs.into_iter(),
            current: None,
            seen: KeySet::default(),
            filter,
        }
    }

    /// The next page with resources on it.
    async fn next(&mut self) -> Option<Page> {
        loop {
            let (listed, _) = self.listed().await?;
            let page = self.select(&listed, |_| {});
            if !page.is_empty() {
                return Some(page);
            }
        }
    }

    /// Reads everything, and finds out of each resource which classes want it. What is in memory then is bounded as listings are.
    pub(crate) async fn read_all(mut self) -> Divided {
        let mut classes = Classes::default();
        let mut kept = Vec::new();
        while let Some((listed, wanted_by)) = self.listed().await {
            let mut keep = HashSet::new();
            for hash in &listed.hashes {
                classes.add(*hash, &wanted_by);
            }
            if !self.select(&listed, |hash| _ = keep.insert(hash)).is_empty() {
                kept.push((listed, keep));
            }
        }
        classes.divide(&kept)
    }

    /// The resources of a page that are polled; `kept` hears of the hash of each.
    fn select(&self, page: &ListedPage, mut kept: impl FnMut(u128)) -> Page {
        let mut hashes = page.hashes.iter();
        Page::select(page.resources.clone(), |_| {
            let Some(hash) = hashes.next() else { return false };
            let keep = self.seen.insert(*hash) && self.filter.takes(*hash);
            if keep {
                kept(*hash);
            }
            keep
        })
    }

    /// The next page of any listing, and the classes that want its resources.
    async fn listed(&mut self) -> Option<(Arc<ListedPage>, Arc<ClassSet>)> {
        loop {
            let current = match &mut self.current {
                Some(current) => current,
                none => none.insert(CurrentInput::new(self.inputs.next()?)),
            };
            let Some(mut reader) = current.take_reader() else {
                self.current = None;
                continue;
            };
            match reader.next().await {
                Some(page) => {
                    current.reader = Some(reader);
                    return Some((page, current.classes.clone()));
                }
                None => {
                    let listing = reader.listing();
                    // What others list is theirs: there is no fallback for this agent either.
                    current.listed |= listing.found_anything();
                    if !listing.is_complete() {
                        self.filter.incomplete();
                    }
                    if listing.is_unreachable() && current.fallback.is_some() {
                        // Nobody knows whether there would have been one.
                        self.filter.unreachable();
                    }
                }
            }
        }
    }
}

/// The pages of a run, however they are read.
pub(crate) enum Pages<F> {
    /// As the listings give them.
    Listed(PageSource<F>),
    /// Read before, so that of each resource is known who wants it.
    Read(VecDeque<Page>),
}

impl<F: PageFilter> Pages<F> {
    /// The next page with resources on it.
    pub(crate) async fn next(&mut self) -> Option<Page> {
        match self {
            Self::Listed(pages) => pages.next().await,
            Self::Read(pages) => pages.pop_front(),
        }
    }
}

/// The resources of a run, divided by the classes of the sources that want them.
pub(crate) struct Divided {
    /// Those of one set of classes after those of another, so that few batches are cut short.
    pub(crate) pages: VecDeque<Page>,
    /// The distinct sets of classes.
    pub(crate) sets: Vec<ClassSet>,
    /// By the hash of a key: which of the sets.
    pub(crate) of: HashMap<u128, usize>,
}

#[derive(Default)]
struct Classes {
    sets: Vec<ClassSet>,
    of: HashMap<u128, usize>,
}

impl Classes {
    /// These classes want the resource, too.
    fn add(&mut self, hash: u128, wanted_by: &ClassSet) {
        let known = self.of.get(&hash).and_then(|set| self.sets.get(*set));
        let union = match known {
            Some(known) if known.is_superset(wanted_by) => return,
            Some(known) => known | wanted_by,
            None => wanted_by.clone(),
        };
        let set = match self.sets.iter().position(|set| *set == union) {
            Some(set) => set,
            None => {
                self.sets.push(union);
                self.sets.len() - 1
            }
        };
        self.of.insert(hash, set);
    }

    /// The kept resources of these pages, by what wants them.
    fn divide(self, kept: &[(Arc<ListedPage>, HashSet<u128>)]) -> Divided {
        let Self { sets, of } = self;
        let mut pages = VecDeque::new();
        for set in 0..sets.len() {
            for (listed, keep) in kept {
                let mut hashes = listed.hashes.iter();
                // A resource that a page has twice comes once.
                let mut left = keep.clone();
                let page = Page::select(listed.resources.clone(), |_| {
                    hashes
                        .next()
                        .is_some_and(|hash| of.get(hash) == Some(&set) && left.remove(hash))
                });
                if !page.is_empty() {
                    pages.push_back(page);
                }
            }
        }
        Divided { pages, sets, of }
    }
}
