//! Pages of a collection: limit and marker.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;

use crate::refusal::Refusal;
use crate::service::Service;

/// The decoded parameters of a query. The last one of duplicates wins.
pub(crate) type Query = BTreeMap<String, String>;

/// The paging rules of a service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) service: Service,
    /// The default number of entries of a page; `None` means all.
    pub(crate) default: Option<usize>,
    /// The maximum limit, to which larger ones are reduced; `None` means unlimited.
    pub(crate) max: Option<usize>,
    /// The status for an unknown marker.
    pub(crate) bad_marker: u16,
}

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) entries: Vec<Value>,
    /// The query of the next page.
    pub(crate) next: Option<String>,
}

impl Rules {
    /// Returns the page of a query, with the numbers of `range`.
    pub(crate) fn page(
        &self,
        query: &Query,
        range: Range<usize>,
        find: impl Fn(&str) -> Option<usize>,
        id: impl Fn(usize) -> String,
        make: impl Fn(usize) -> Option<Value>,
    ) -> Result<Page, Refusal> {
        let limit = self.limit(query)?;
        let begin = match query.get("marker") {
            None => range.start,
            Some(marker) => {
                let found = find(marker).filter(|number| range.contains(number));
                let refused = || {
                    Refusal::new(
                        self.service,
                        self.bad_marker,
                        format!("Marker {marker} could not be found."),
                    )
                };
                found.ok_or_else(refused)? + 1
            }
        };
        let mut numbers = (begin..range.end).filter_map(|number| Some((number, make(number)?)));
        let mut entries = Vec::new();
        let mut last = None;
        for (number, entry) in numbers.by_ref().take(limit.unwrap_or(usize::MAX)) {
            entries.push(entry);
            last = Some(number);
        }
        let more = numbers.next().is_some();
        let next = last.filter(|_| more).map(|last| {
            let mut query = query.clone();
            query.insert("marker".to_owned(), id(last));
            let pairs: Vec<_> = query
                .iter()
                .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
                .collect();
            pairs.join("&")
        });
        Ok(Page { entries, next })
    }

    /// Returns the number of entries of the page.
    pub(crate) fn limit(&self, query: &Query) -> Result<Option<usize>, Refusal> {
        let requested = match query.get("limit") {
            None => None,
            Some(text) => match text.parse::<usize>() {
                Ok(limit) => Some(limit),
                Err(_) => {
                    let message = format!("Invalid input for field/attribute limit. Value: {text}.");
                    return Err(Refusal::new(self.service, 400, message));
                }
            },
        };
        let limit = requested.or(self.default);
        Ok(match (limit, self.max) {
            (Some(limit), Some(max)) => Some(limit.min(max)),
            (limit, max) => limit.or(max),
        })
    }
}

/// Returns whether a parameter is true, as services parse it.
pub(crate) fn is_true(query: &Query, name: &str) -> bool {
    query.get(name).is_some_and(|value| {
        matches!(
            value.to_ascii_lowercase().as_str(),
            "1" | "true" | "t" | "yes" | "on"
        )
    })
}

/// Percent-encodes text for a query.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
