//! A listing: the entries of all its pages, one by one, as they arrive.

use reqwest::Url;
use reqwest::header::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::events;
use crate::exchange::{Answer, shape};
use crate::items::{DocumentError, Items, List, Step};
use crate::link;
use crate::record::{Members, Record};
use crate::request::{Place, Request};
use crate::retry;

/// A service that links from empty page to empty page is followed so often.
const MAX_EMPTY_PAGES: u32 = 10;

/// A listing: entries come one by one, and the next page is asked for when those of the one before are taken.
///
/// A page whose body breaks off is asked for again, and the entries that came before are passed over.
#[derive(Debug)]
pub struct Listing {
    request: Request,
    list: List,
    marker: Option<Marker>,
    /// The next page; `None` before the first.
    next: Option<Url>,
    page: Option<Page>,
    /// So many entries of the page were taken before it broke off.
    known: u64,
    ended: bool,
    /// How often a page that breaks off is asked for again.
    retries: u32,
    /// How often the present one was.
    attempts: u32,
    empty_pages: u32,
    readable: u64,
    unreadable: u64,
    /// What was wrong with the first entry that could not be read.
    first_unreadable: Option<String>,
    aside: Map<String, Value>,
    headers: HeaderMap,
}

/// A page that arrives.
#[derive(Debug)]
struct Page {
    answer: Answer,
    place: Place,
    items: Items,
    /// How many entries have arrived.
    entries: u64,
}

/// How the next page is asked for where a service has no links: by the last entry of the page before.
#[derive(Debug)]
struct Marker {
    field: &'static str,
    /// That field alone.
    members: Members,
    limit: u64,
    last: Option<String>,
}

/// What is wrong with a page.
enum Broken {
    /// It may be whole when it is asked for again.
    Again(ApiError),
    /// It will be the same again.
    Lasting(ApiError),
}

impl Request {
    /// Lists what stands in the answer's `list`, and on the pages to which it links. Nothing is sent yet.
    pub fn list(self, list: List) -> Listing {
        let retries = self.service.endpoint.retries;
        Listing {
            request: self,
            list,
            marker: None,
            next: None,
            page: None,
            known: 0,
            ended: false,
            retries,
            attempts: 0,
            empty_pages: 0,
            readable: 0,
            unreadable: 0,
            first_unreadable: None,
            aside: Map::new(),
            headers: HeaderMap::new(),
        }
    }
}

impl Listing {
    /// For services without links: a further page is asked for with the parameter `marker`, the text of this
    /// field in the last entry. A page with fewer entries than asked for is the last.
    #[must_use]
    pub fn marked_by(mut self, field: &'static str) -> Self {
        let limit = self.request.service.page_size().into();
        self.request = self.request.paged();
        self.marker = Some(Marker {
            field,
            members: [field].into(),
            limit,
            last: None,
        });
        self
    }

    /// The next entry that has the form of `T`; `None` at the end.
    ///
    /// Entries that do not have it are passed over, and said in the log at the end of the listing.
    ///
    /// # Errors
    ///
    /// What ended the listing early. That no entry at all had the form is an error too.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ApiError> {
        self.next_by(|entry| serde_json::from_slice(entry)).await
    }

    /// As [`Listing::next`], with another way to read an entry: its bytes are those of one JSON value.
    ///
    /// # Errors
    ///
    /// As [`Listing::next`].
    pub async fn next_by<T>(
        &mut self,
        read: impl Fn(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<Option<T>, ApiError> {
        while !self.ended {
            let page = match &mut self.page {
                Some(page) => page,
                None => {
                    let page = self.open().await?;
                    self.headers = page.answer.headers().clone();
                    self.page.insert(page)
                }
            };
            let broken = match page.items.step() {
                Ok(Step::Entry(entry)) => {
                    page.entries += 1;
                    if page.entries <= self.known {
                        continue;
                    }
                    if let Some(marker) = &mut self.marker {
                        marker.note(entry);
                    }
                    match read(entry) {
                        Ok(entry) => {
                            self.readable += 1;
                            return Ok(Some(entry));
                        }
                        Err(error) => {
                            self.unreadable += 1;
                            self.first_unreadable.get_or_insert_with(|| shape(&error));
                            continue;
                        }
                    }
                }
                Ok(Step::More) => match page.answer.part().await {
                    Ok(Some(part)) => {
                        page.items.push(part.as_ref());
                        continue;
                    }
                    Ok(None) => match self.close() {
                        Ok(()) => continue,
                        Err(broken) => broken,
                    },
                    // A service that is slow already is not asked twice.
                    Err(error @ ApiError::TimedOut { .. }) => Broken::Lasting(error),
                    Err(error) => Broken::Again(error),
                },
                Err(error) => Broken::Lasting(page.answer.unreadable(error.to_string())),
            };
            self.mend(broken).await?;
        }
        Ok(None)
    }

    /// For what is summed up over all entries: that none was passed over.
    ///
    /// # Errors
    ///
    /// When one was.
    pub fn whole(&self) -> Result<(), ApiError> {
        match &self.first_unreadable {
            None => Ok(()),
            Some(first) => Err(ApiError::Answer {
                service: self.request.service.def.name,
                what: format!("GET {}", self.request.path()),
                reason: format!(
                    "{} entries do not have the expected form; the first: {first}",
                    self.unreadable
                ),
            }),
        }
    }

    /// What stood beside the list on the last page: totals and the like.
    pub fn aside(&self) -> &Map<String, Value> {
        &self.aside
    }

    /// The headers of the page that came last.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Asks for the page that comes next.
    async fn open(&self) -> Result<Page, ApiError> {
        let service = &self.request.service;
        let path = self.request.path();
        let absent = || ApiError::Absent {
            service: service.def.name,
            what: format!("GET {path}"),
        };
        if service.endpoint.is_absent(path) {
            return Err(absent());
        }
        let (answer, place) = self.request.send_to(self.next.as_ref()).await?;
        // Of a path with a name in it, 404 says that there is nothing of that name.
        if answer.status() == 404 && self.next.is_none() && !path.contains('{') {
            let error = absent();
            if service.endpoint.set_absent(path) {
                events::extension_absent(&error);
            }
            return Err(error);
        }
        let answer = answer.successful().await?;
        service.endpoint.set_present(path);
        Ok(Page {
            answer,
            place,
            items: Items::new(self.list),
            entries: 0,
        })
    }

    /// The page has arrived: finds the next one, or the end.
    fn close(&mut self) -> Result<(), Broken> {
        let Some(page) = &mut self.page else {
            return Ok(());
        };
        let entries = page.entries;
        let items = std::mem::replace(&mut page.items, Items::new(self.list));
        self.aside = match items.finish() {
            Ok(aside) => aside,
            Err(error) => {
                let unreadable = page.answer.unreadable(error.to_string());
                return Err(match error {
                    DocumentError::Truncated(_) => Broken::Again(unreadable),
                    _ => Broken::Lasting(unreadable),
                });
            }
        };
        let next = self.following(entries).map_err(Broken::Lasting)?;
        self.page = None;
        self.known = 0;
        self.attempts = 0;
        match next {
            Some(next) => self.next = Some(next),
            None => {
                self.ended = true;
                self.conclude().map_err(Broken::Lasting)?;
            }
        }
        Ok(())
    }

    /// The page that comes after the one that has arrived.
    fn following(&mut self, entries: u64) -> Result<Option<Url>, ApiError> {
        let Some(page) = &self.page else {
            return Ok(None);
        };
        self.empty_pages = if entries == 0 { self.empty_pages + 1 } else { 0 };
        let next = match &self.marker {
            Some(marker) => marker.after(&page.place.asked, entries),
            None => match next_link(&self.aside, self.list) {
                None => None,
                Some(link) => Some(link::follow(
                    self.request.service.def.name,
                    &page.place.endpoint,
                    &page.place.asked,
                    link,
                )?),
            },
        };
        if next.as_ref() == Some(&page.place.asked) || self.empty_pages > MAX_EMPTY_PAGES {
            return Err(page
                .answer
                .unreadable("its links to further pages lead nowhere".to_owned()));
        }
        Ok(next)
    }

    /// Prepares to ask for a broken page again, unless that was done as often as the options say.
    async fn mend(&mut self, broken: Broken) -> Result<(), ApiError> {
        let page = self.page.take();
        match broken {
            Broken::Again(error) if self.attempts < self.retries => {
                self.known = self.known.max(page.map_or(0, |page| page.entries));
                self.attempts += 1;
                let service = self.request.service.def.name;
                events::retried(service, self.request.path(), &error.to_string(), self.attempts);
                tokio::time::sleep(retry::pause(self.attempts)).await;
                Ok(())
            }
            Broken::Again(error) | Broken::Lasting(error) => {
                self.ended = true;
                Err(error)
            }
        }
    }

    /// Says how many entries could not be read.
    fn conclude(&self) -> Result<(), ApiError> {
        let Some(first) = &self.first_unreadable else {
            return Ok(());
        };
        let (service, path) = (self.request.service.def.name, self.request.path());
        if self.readable == 0 {
            return Err(ApiError::Answer {
                service,
                what: format!("GET {path}"),
                reason: format!("no entry has the expected form; the first: {first}"),
            });
        }
        events::entries_unreadable(service, path, self.unreadable, first);
        Ok(())
    }
}

impl Marker {
    /// Remembers the entry, if it may be the last of its page: one that has no text there cannot be asked from.
    fn note(&mut self, entry: &[u8]) {
        let record = Record::read(entry, &self.members).ok();
        let text = record.and_then(|record| Some(record.text(self.field)?.to_owned()));
        self.last = text.or(self.last.take());
    }

    /// The page after one that came from this URL with so many entries.
    fn after(&self, asked: &Url, entries: u64) -> Option<Url> {
        let last = self.last.as_deref().filter(|_| entries >= self.limit)?;
        let mut url = asked.clone();
        let others = asked.query_pairs().filter(|(name, _)| name != "marker");
        url.query_pairs_mut()
            .clear()
            .extend_pairs(others)
            .append_pair("marker", last);
        Some(url)
    }
}

/// The link to the next page, wherever a service puts it: `next` (Glance, Barbican), `links.next` (Keystone,
/// Designate), or the entry `next` of `links` or of the list's own links, as `volumes_links` (Cinder, Neutron, Nova,
/// Octavia, Manila).
fn next_link(aside: &Map<String, Value>, list: List) -> Option<&str> {
    fn href(links: &Value) -> Option<&str> {
        let is_next = |link: &&Value| link.get("rel").and_then(Value::as_str) == Some("next");
        links.as_array()?.iter().find(is_next)?.get("href")?.as_str()
    }
    let plain = aside.get("next").and_then(Value::as_str);
    let linked = aside.get("links");
    let own = match list {
        List::Document => None,
        List::Member(name) => aside.get(&format!("{name}_links")),
    };
    plain
        .or_else(|| linked?.get("next")?.as_str())
        .or_else(|| [own, linked].into_iter().flatten().find_map(href))
        .filter(|link| !link.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_marker_is_the_last_text_that_a_full_page_has() {
        let mut marker = Marker {
            field: "name",
            members: ["name"].into(),
            limit: 3,
            last: None,
        };
        for entry in [r#"{"name": "a", "bytes": {"name": "x"}}"#, r#"{"name": 7}"#, "[]"] {
            marker.note(entry.as_bytes());
        }
        let asked = Url::parse("http://c/v1/a?limit=3&marker=0").unwrap();
        let next = marker.after(&asked, 3).map(String::from);
        assert_eq!(next.as_deref(), Some("http://c/v1/a?limit=3&marker=a"));
        assert_eq!(marker.after(&asked, 2), None);
    }

    #[test]
    fn the_next_page_is_found_wherever_services_say_it() {
        let next = |aside: Value| {
            let Value::Object(aside) = aside else {
                panic!("no object")
            };
            next_link(&aside, List::Member("volumes")).map(str::to_owned)
        };
        let found = Some("http://c/2".to_owned());
        assert_eq!(next(json!({ "next": "http://c/2", "first": "x" })), found);
        assert_eq!(
            next(json!({ "links": { "next": "http://c/2", "self": "x" } })),
            found
        );
        let links = json!([{ "rel": "previous", "href": "x" }, { "rel": "next", "href": "http://c/2" }]);
        assert_eq!(next(json!({ "volumes_links": links })), found);
        assert_eq!(next(json!({ "links": links })), found);
        for last in [
            json!({}),
            json!({ "next": null, "links": { "next": null }, "volumes_links": [] }),
            json!({ "next": "", "links": [{ "rel": "previous", "href": "x" }], "images_links": links }),
            json!({ "next": 7, "links": "x", "volumes_links": { "next": 3 } }),
        ] {
            assert_eq!(next(last), None);
        }
    }
}
