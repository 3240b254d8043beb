//! A cache of the domains' definitions, which are read again only after changes.
//!
//! A change is detected by libvirt's events; by the statistics, which contain each device's name and the domain's id; and by
//! age, for all other changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use crate::changes::{Changes, Known};
use crate::definition::Definition;
use crate::events;
use crate::stats::{DomainStats, Shape};
use crate::xml::XmlError;

/// A definition, or why it is invalid.
pub(crate) type Read = Arc<Result<Definition, XmlError>>;

/// The cache of definitions.
pub(crate) struct Definitions {
    changes: Arc<Changes>,
    check: Duration,
    known: Mutex<HashMap<Uuid, Entry>>,
}

struct Entry {
    read: Read,
    shape: Shape,
    at: Instant,
    is_stale: bool,
}

impl Definitions {
    /// Creates an empty cache. `changes` receives events; without events, a definition is read again when it is older than
    /// `check`.
    pub(crate) fn new(changes: Arc<Changes>, check: Duration) -> Self {
        Self {
            changes,
            check,
            known: Mutex::default(),
        }
    }

    /// Returns the domains whose definitions must be read, and drops those of domains that no longer exist.
    pub(crate) fn due(&self, domains: &[DomainStats]) -> Vec<(Uuid, Shape)> {
        let Known {
            all,
            domains: changed,
        } = self.changes.take();
        let now = Instant::now();
        let mut known = self.known.lock();
        let mut remaining = HashMap::with_capacity(domains.len());
        let mut due = Vec::new();
        for domain in domains {
            let shape = domain.shape();
            let Some(mut entry) = known.remove(&domain.uuid) else {
                due.push((domain.uuid, shape));
                continue;
            };
            entry.is_stale |= all
                || changed.contains(&domain.uuid)
                || !entry.shape.agrees(&shape)
                || now.saturating_duration_since(entry.at) >= self.check;
            if entry.is_stale {
                due.push((domain.uuid, shape));
            } else {
                entry.shape = entry.shape.with(&shape);
            }
            remaining.insert(domain.uuid, entry);
        }
        *known = remaining;
        due
    }

    /// Parses and stores a definition.
    pub(crate) fn put(&self, domain: Uuid, shape: Shape, text: &str) {
        let read = Definition::parse(text);
        if let Err(error) = &read {
            events::definition_invalid(&domain, error);
        }
        let entry = Entry {
            read: Arc::new(read),
            shape,
            at: Instant::now(),
            is_stale: false,
        };
        self.known.lock().insert(domain, entry);
    }

    /// Drops a domain that no longer exists.
    pub(crate) fn forget(&self, domain: &Uuid) {
        self.known.lock().remove(domain);
    }

    /// Returns the last definition of a domain.
    pub(crate) fn get(&self, domain: &Uuid) -> Option<Read> {
        self.known.lock().get(domain).map(|entry| entry.read.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Value;

    const CHECK: Duration = Duration::from_secs(600);
    const NONE: [u8; 0] = [];

    fn domain(number: u8) -> DomainStats {
        DomainStats::new(
            Uuid::from_bytes([number; 16]),
            format!("instance-{number}"),
            Some(1),
        )
    }

    fn definitions() -> (Arc<Changes>, Definitions) {
        let changes = Arc::new(Changes::default());
        (changes.clone(), Definitions::new(changes, CHECK))
    }

    /// Reads the due definitions and returns their domains.
    fn read(definitions: &Definitions, domains: &[DomainStats]) -> Vec<u8> {
        let due = definitions.due(domains);
        for (uuid, shape) in &due {
            definitions.put(*uuid, *shape, "<domain/>");
        }
        due.iter().map(|(uuid, _)| uuid.as_bytes()[0]).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_definition_is_read_once_and_again_after_an_event_a_change_or_a_long_time() {
        let (changes, definitions) = definitions();
        let mut domains = [domain(1), domain(2)];
        assert_eq!(read(&definitions, &domains), [1, 2]);
        assert_eq!(read(&definitions, &domains), NONE);
        changes.add(domains[1].uuid);
        assert_eq!(read(&definitions, &domains), [2]);
        domains[0].set("block.count", Value::Unsigned(0));
        assert_eq!(
            read(&definitions, &domains),
            NONE,
            "first statistics of the group"
        );
        domains[0].set("block.0.name", Value::Text("vdb"));
        assert_eq!(read(&definitions, &domains), [1], "hot-plugged");
        domains[1].id = None;
        assert_eq!(read(&definitions, &domains), [2], "stopped");
        changes.add_all();
        assert_eq!(read(&definitions, &domains), [1, 2]);
        tokio::time::advance(CHECK).await;
        assert_eq!(read(&definitions, &domains), [1, 2]);
        assert_eq!(read(&definitions, &domains), NONE);
    }

    #[tokio::test]
    async fn a_definition_that_was_not_read_remains_due_and_the_old_one_is_used() {
        let (changes, definitions) = definitions();
        let domains = [domain(1)];
        read(&definitions, &domains);
        changes.add(domains[0].uuid);
        assert_eq!(definitions.due(&domains).len(), 1);
        assert!(definitions.get(&domains[0].uuid).is_some());
        assert_eq!(read(&definitions, &domains), [1]);
    }

    #[tokio::test]
    async fn a_removed_domain_is_dropped() {
        let (_, definitions) = definitions();
        let domains = [domain(1), domain(2)];
        read(&definitions, &domains);
        assert_eq!(read(&definitions, &domains[1..]), NONE);
        assert!(definitions.get(&domains[0].uuid).is_none());
        assert_eq!(read(&definitions, &domains), [1]);
    }
}
