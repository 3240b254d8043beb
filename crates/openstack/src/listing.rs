//! A list of a service: the entries of all its pages, one by one, as they arrive.

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
use crate::request::{AnswerUrls, Request};
use crate::retry;

/// How many consecutive empty pages are followed.
const MAX_EMPTY_PAGES: u32 = 10;

/// A list of a service: returns entries one by one, and requests the next page when all entries of the previous one are
/// read.
///
/// An incomplete page is requested again; the entries that were already read are skipped.
#[derive(Debug)]
pub struct Listing {
    request: Request,
    list: List,
    marker: Option<Marker>,
    /// The next page; `None` before the first.
    next: Option<Url>,
    page: Option<Page>,
    /// The number of entries that were read from the page before it broke off.
    skip: u64,
    ended: bool,
    /// How often an incomplete page is requested again.
    retries: u32,
    /// How often the current page was.
    attempts: u32,
    empty_pages: u32,
    readable: u64,
    unreadable: u64,
    /// Why the first unreadable entry is unreadable.
    first_unreadable: Option<String>,
    extra: Map<String, Value>,
    headers: HeaderMap,
}

/// A page that arrives.
#[derive(Debug)]
struct Page {
    answer: Answer,
    urls: AnswerUrls,
    items: Items,
    /// How many entries have arrived.
    entries: u64,
}

/// Paging by marker, for services without links: the next page starts after the last entry of the previous one.
#[derive(Debug)]
struct Marker {
    field: &'static str,
    /// Contains only that field.
    members: Members,
    limit: u64,
    last: Option<String>,
}

/// Why a page is unusable.
enum PageError {
    /// Another request may succeed.
    Retryable(ApiError),
    /// Another request would have the same result.
    Permanent(ApiError),
}

impl Request {
    /// Lists the entries of the answer's `list`, and of the pages that it links to. Sends no request yet.
    pub fn list(self, list: List) -> Listing {
        let retries = self.service.endpoint.retries;
        Listing {
            request: self,
            list,
            marker: None,
            next: None,
            page: None,
            skip: 0,
            ended: false,
            retries,
            attempts: 0,
            empty_pages: 0,
            readable: 0,
            unreadable: 0,
            first_unreadable: None,
            extra: Map::new(),
            headers: HeaderMap::new(),
        }
    }
}

impl Listing {
    /// For services without links: requests a further page with the parameter `marker`, the text of this field in the
    /// last entry. A page with fewer entries than requested is the last one.
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

    /// Returns the next entry that has the form of `T`; `None` at the end.
    ///
    /// Other entries are skipped, and logged at the end of the list.
    ///
    /// # Errors
    ///
    /// The error that ended the list early. It is also an error if no entry has the form.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ApiError> {
        self.next_by(|entry| serde_json::from_slice(entry)).await
    }

    /// As [`Listing::next`], with a custom parser of an entry: the bytes of one JSON value.
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
            let failure = match page.items.step() {
                Ok(Step::Entry(entry)) => {
                    page.entries += 1;
                    if page.entries <= self.skip {
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
                        Err(failure) => failure,
                    },
                    // A slow service gets no retry.
                    Err(error @ ApiError::TimedOut { .. }) => PageError::Permanent(error),
                    Err(error) => PageError::Retryable(error),
                },
                Err(error) => PageError::Permanent(page.answer.unreadable(error.to_string())),
            };
            self.retry_page(failure).await?;
        }
        Ok(None)
    }

    /// Checks that no entry was skipped, for values that are computed over all entries.
    ///
    /// # Errors
    ///
    /// An entry was skipped.
    pub fn ensure_complete(&self) -> Result<(), ApiError> {
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

    /// Returns the values outside the list on the last page, for example totals.
    pub fn extra(&self) -> &Map<String, Value> {
        &self.extra
    }

    /// Returns the headers of the last page.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Requests the next page.
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
        let (answer, urls) = self.request.send_to(self.next.as_ref()).await?;
        // On a path with a parameter, 404 means that the named object does not exist.
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
            urls,
            items: Items::new(self.list),
            entries: 0,
        })
    }

    /// Completes the page: finds the next one, or the end.
    fn close(&mut self) -> Result<(), PageError> {
        let Some(page) = &mut self.page else {
            return Ok(());
        };
        let entries = page.entries;
        let items = std::mem::replace(&mut page.items, Items::new(self.list));
        self.extra = match items.finish() {
            Ok(extra) => extra,
            Err(error) => {
                let unreadable = page.answer.unreadable(error.to_string());
                return Err(match error {
                    DocumentError::Truncated(_) => PageError::Retryable(unreadable),
                    _ => PageError::Permanent(unreadable),
                });
            }
        };
        let next = self.following(entries).map_err(PageError::Permanent)?;
        self.page = None;
        self.skip = 0;
        self.attempts = 0;
        match next {
            Some(next) => self.next = Some(next),
            None => {
                self.ended = true;
                self.report_unreadable().map_err(PageError::Permanent)?;
            }
        }
        Ok(())
    }

    /// Returns the URL of the next page.
    fn following(&mut self, entries: u64) -> Result<Option<Url>, ApiError> {
        let Some(page) = &self.page else {
            return Ok(None);
        };
        self.empty_pages = if entries == 0 { self.empty_pages + 1 } else { 0 };
        let next = match &self.marker {
            Some(marker) => marker.after(&page.urls.requested, entries),
            None => match next_link(&self.extra, self.list) {
                None => None,
                Some(link) => Some(link::follow(
                    self.request.service.def.name,
                    &page.urls.endpoint,
                    &page.urls.requested,
                    link,
                )?),
            },
        };
        if next.as_ref() == Some(&page.urls.requested) || self.empty_pages > MAX_EMPTY_PAGES {
            return Err(page
                .answer
                .unreadable("its links to further pages form a loop or lead to empty pages".to_owned()));
        }
        Ok(next)
    }

    /// Prepares another request for a failure page, unless the retries are used up.
    async fn retry_page(&mut self, failure: PageError) -> Result<(), ApiError> {
        let page = self.page.take();
        match failure {
            PageError::Retryable(error) if self.attempts < self.retries => {
                self.skip = self.skip.max(page.map_or(0, |page| page.entries));
                self.attempts += 1;
                let service = self.request.service.def.name;
                events::retried(service, self.request.path(), &error.to_string(), self.attempts);
                tokio::time::sleep(retry::pause(self.attempts)).await;
                Ok(())
            }
            PageError::Retryable(error) | PageError::Permanent(error) => {
                self.ended = true;
                Err(error)
            }
        }
    }

    /// Reports unreadable entries.
    fn report_unreadable(&self) -> Result<(), ApiError> {
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
    /// Stores the entry's marker if it has one; the last one of the page is used.
    fn note(&mut self, entry: &[u8]) {
        let record = Record::read(entry, &self.members).ok();
        let text = record.and_then(|record| Some(record.text(self.field)?.to_owned()));
        self.last = text.or(self.last.take());
    }

    /// Returns the page after the one at this URL with this number of entries.
    fn after(&self, requested: &Url, entries: u64) -> Option<Url> {
        let last = self.last.as_deref().filter(|_| entries >= self.limit)?;
        let mut url = requested.clone();
        let others = requested.query_pairs().filter(|(name, _)| name != "marker");
        url.query_pairs_mut()
            .clear()
            .extend_pairs(others)
            .append_pair("marker", last);
        Some(url)
    }
}

/// Returns the link to the next page: `next` (Glance, Barbican), `links.next` (Keystone, Designate), or the entry `next`
/// of `links` or of the list's own links, as `volumes_links` (Cinder, Neutron, Nova, Octavia, Manila).
fn next_link(extra: &Map<String, Value>, list: List) -> Option<&str> {
    fn href(links: &Value) -> Option<&str> {
        let is_next = |link: &&Value| link.get("rel").and_then(Value::as_str) == Some("next");
        links.as_array()?.iter().find(is_next)?.get("href")?.as_str()
    }
    let plain = extra.get("next").and_then(Value::as_str);
    let linked = extra.get("links");
    let own = match list {
        List::Document => None,
        List::Member(name) => extra.get(&format!("{name}_links")),
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
    fn a_marker_is_the_last_text_of_a_full_page() {
        let mut marker = Marker {
            field: "name",
            members: ["name"].into(),
            limit: 3,
            last: None,
        };
        for entry in [r#"{"name": "a", "bytes": {"name": "x"}}"#, r#"{"name": 7}"#, "[]"] {
            marker.note(entry.as_bytes());
        }
        let requested = Url::parse("http://c/v1/a?limit=3&marker=0").unwrap();
        let next = marker.after(&requested, 3).map(String::from);
        assert_eq!(next.as_deref(), Some("http://c/v1/a?limit=3&marker=a"));
        assert_eq!(marker.after(&requested, 2), None);
    }

    #[test]
    fn the_next_page_is_found_in_each_service_s_format() {
        let next = |extra: Value| {
            let Value::Object(extra) = extra else {
                panic!("no object")
            };
            next_link(&extra, List::Member("volumes")).map(str::to_owned)
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
