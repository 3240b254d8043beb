//! Flavors or images, by id: asked for when a server has them, and again when what is known of them is old.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use nephoscope_model::Timestamp;
use nephoscope_openstack::ApiError;

use crate::nova::age::is_old;

/// What is known of the things of one kind. Only those that servers have are kept.
#[derive(Debug)]
pub(crate) struct Details<T>(HashMap<String, Known<T>>);

#[derive(Debug)]
struct Known<T> {
    at: Timestamp,
    /// What it is; or why it could not be asked for.
    value: Result<Arc<T>, String>,
}

impl<T> Details<T> {
    /// What the thing of this id is; or why that is not known.
    pub(crate) fn get(&self, id: &str) -> Result<&Arc<T>, &str> {
        match self.0.get(id).map(|known| &known.value) {
            Some(Ok(value)) => Ok(value),
            Some(Err(reason)) => Err(reason),
            None => Err("it was not told in time"),
        }
    }

    /// Asks for those of `wanted` that are not known, or longer than `expiry`; forgets all others. What was told before
    /// stands if nothing is told now. What comes is kept even if this is dropped halfway.
    pub(crate) async fn learn<'a, F>(
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
        // The budget of the service says how many are under way at once.
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
