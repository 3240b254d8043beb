//! A cache of flavors or images by id: requested when a server refers to them, and again when they expire.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use nephoscope_model::Timestamp;
use nephoscope_openstack::ApiError;

use crate::nova::age::is_old;

/// The cached objects of one kind. Only those that servers refer to are stored.
#[derive(Debug)]
pub(crate) struct Details<T>(HashMap<String, Known<T>>);

#[derive(Debug)]
struct Known<T> {
    at: Timestamp,
    /// The object; or why it is unavailable.
    value: Result<Arc<T>, String>,
}

impl<T> Details<T> {
    /// Returns an object by id; or why it is unavailable.
    pub(crate) fn get(&self, id: &str) -> Result<&Arc<T>, &str> {
        match self.0.get(id).map(|known| &known.value) {
            Some(Ok(value)) => Ok(value),
            Some(Err(reason)) => Err(reason),
            None => Err("no answer in time"),
        }
    }

    /// Requests the `wanted` objects that are unknown or older than `expiry`; drops all others. An expired object remains in
    /// use if the request fails. Answers are stored even if this future is dropped halfway.
    pub(crate) async fn refresh<'a, F>(
        &mut self,
        wanted: HashSet<&'a str>,
        now: Timestamp,
        expiry: Duration,
        ask: impl Fn(&'a str) -> F,
    ) where
        F: Future<Output = Result<T, ApiError>>,
    {
        self.0.retain(|id, _| wanted.contains(id.as_str()));
        let is_due = |id: &&str| match self.0.get(*id) {
            Some(known) => known.value.is_err() || is_old(now, Some(known.at), expiry),
            None => true,
        };
        let due: Vec<_> = wanted.into_iter().filter(is_due).collect();
        // The service's budget limits concurrency.
        let mut answers: FuturesUnordered<_> = due
            .into_iter()
            .map(|id| {
                let answer = ask(id);
                async move { (id, answer.await) }
            })
            .collect();
        while let Some((id, answer)) = answers.next().await {
            self.put(id, now, answer);
        }
    }

    fn put(&mut self, id: &str, now: Timestamp, answer: Result<T, ApiError>) {
        let value = match (answer, self.0.get(id)) {
            (Ok(value), _) => Ok(Arc::new(value)),
            (Err(_), Some(Known { value: Ok(_), .. })) => return,
            (Err(error), _) => Err(error.to_string()),
        };
        self.0.insert(id.to_owned(), Known { at: now, value });
    }
}

impl<T> Default for Details<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> Clone for Details<T> {
    fn clone(&self) -> Self {
        let entries = self.0.iter().map(|(id, known)| {
            let known = Known {
                at: known.at,
                value: known.value.clone(),
            };
            (id.clone(), known)
        });
        Self(entries.collect())
    }
}
