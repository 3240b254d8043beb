//! The pages of a run: the pages of its listings, reduced to the resources of this run.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use nephoscope_plugin::Page;

use crate::classes::ClassSet;
use crate::keyhash::KeySet;
use crate::listing::{ListedPage, Reader};

/// The readers of one source's resources.
pub(crate) struct InputReaders {
    /// The listings that may have resources for this agent. With a `fallback`, all of them, because the fallback is used only
    /// if none of them lists anything.
    pub(crate) listings: Vec<Reader>,
    /// Read if `listings` list nothing; `None` if there is none, or this agent's share of it is empty.
    pub(crate) fallback: Option<Reader>,
    /// The classes of the sources that collect from these resources.
    pub(crate) classes: Arc<ClassSet>,
}

impl InputReaders {
    /// Whether this agent polls the resource with this key, if it is listed.
    pub(crate) fn own(&self, key: &str) -> bool {
        let mut readers = self.listings.iter().chain(&self.fallback);
        readers.any(|reader| reader.listing().part().share.contains(key))
    }
}

/// Filters resources for a [`PageSource`], and receives what it finds out about the listings.
pub(crate) trait PageFilter {
    /// Whether a resource is polled, given the hash of its key. Called at its first occurrence.
    fn accepts(&self, hash: u128) -> bool;
    /// A listing was unreachable, so it is unknown whether the fallback would be needed.
    fn unreachable(&self);
    /// A listing ended before it was complete.
    fn incomplete(&self);
}

/// The pages of a run, in which no resource occurs twice.
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
    /// Whether anything was listed or a listing failed. If so, the fallback is not used.
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

    /// The current reader, else the next one, else the fallback if nothing was listed.
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

    /// Returns the next page that has resources.
    async fn next(&mut self) -> Option<Page> {
        loop {
            let (listed, _) = self.next_listed().await?;
            let page = self.select(&listed, |_| {});
            if !page.is_empty() {
                return Some(page);
            }
        }
    }

    /// Reads all pages and determines which classes collect from each resource. Memory use is bounded as listings are.
    pub(crate) async fn read_all(mut self) -> DividedPages {
        let mut classes = Classes::default();
        let mut selected = Vec::new();
        while let Some((listed, wanted_by)) = self.next_listed().await {
            let mut keep = HashSet::new();
            for hash in &listed.hashes {
                classes.add(*hash, &wanted_by);
            }
            if !self.select(&listed, |hash| _ = keep.insert(hash)).is_empty() {
                selected.push((listed, keep));
            }
        }
        classes.divide(&selected)
    }

    /// Selects the resources of a page that are polled; calls `on_selected` with the hash of each.
    fn select(&self, page: &ListedPage, mut on_selected: impl FnMut(u128)) -> Page {
        let mut hashes = page.hashes.iter();
        Page::select(page.resources.clone(), |_| {
            let Some(hash) = hashes.next() else { return false };
            let keep = self.seen.insert(*hash) && self.filter.accepts(*hash);
            if keep {
                on_selected(*hash);
            }
            keep
        })
    }

    /// Returns the next page of any listing, and the classes that collect from its resources.
    async fn next_listed(&mut self) -> Option<(Arc<ListedPage>, Arc<ClassSet>)> {
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
                    // Resources of other agents count too: this agent must not use the fallback either.
                    current.listed |= listing.found_anything();
                    if !listing.is_complete() {
                        self.filter.incomplete();
                    }
                    if listing.is_unreachable() && current.fallback.is_some() {
                        // It is unknown whether the listing would have found anything.
                        self.filter.unreachable();
                    }
                }
            }
        }
    }
}

/// The pages of a run, streamed or read in advance.
pub(crate) enum Pages<F> {
    /// Streamed from the listings.
    Listed(PageSource<F>),
    /// Read in advance, to determine which sources collect from each resource.
    Read(VecDeque<Page>),
}

impl<F: PageFilter> Pages<F> {
    /// Returns the next page that has resources.
    pub(crate) async fn next(&mut self) -> Option<Page> {
        match self {
            Self::Listed(pages) => pages.next().await,
            Self::Read(pages) => pages.pop_front(),
        }
    }
}

/// The resources of a run, divided by the classes of the sources that collect from them.
pub(crate) struct DividedPages {
    /// Grouped by set of classes, so that few batches are closed early.
    pub(crate) pages: VecDeque<Page>,
    /// The distinct sets of classes.
    pub(crate) sets: Vec<ClassSet>,
    /// The index of the set for each key hash.
    pub(crate) of: HashMap<u128, usize>,
}

#[derive(Default)]
struct Classes {
    sets: Vec<ClassSet>,
    of: HashMap<u128, usize>,
}

impl Classes {
    /// Adds classes to those that collect from a resource.
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

    /// Divides the selected resources of these pages by their sets of classes.
    fn divide(self, selected: &[(Arc<ListedPage>, HashSet<u128>)]) -> DividedPages {
        let Self { sets, of } = self;
        let mut pages = VecDeque::new();
        for set in 0..sets.len() {
            for (listed, keep) in selected {
                let mut hashes = listed.hashes.iter();
                // A resource that occurs twice on a page is selected once.
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
        DividedPages { pages, sets, of }
    }
}
