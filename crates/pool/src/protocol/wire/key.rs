//! The encoding of keys.

use std::sync::Arc;

use nephoscope_model::ScheduleId;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_decode_str, utf8_percent_encode};

use super::bounds::MAX_SCHEDULE;
use super::value::decode;
use crate::protocol::ids::{AgentId, Incarnation, Revision};
use crate::protocol::invalid::{InvalidReason, InvalidRecord};
use crate::protocol::record::{Content, Entry, Key};

const MEMBERS: &str = "members/";
const PLANS: &str = "plans/";
const MARKS: &str = "marks/";
const GIVE_UPS: &str = "gaveup/";

/// The percent-encoded characters of a schedule.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b'_')
    .remove(b'-')
    .remove(b'~')
    .remove(b':');

/// The prefix of all keys of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// Creates a prefix. A `/` is appended unless it is empty or ends with one.
    pub fn new(prefix: &str) -> Self {
        if prefix.is_empty() || prefix.ends_with('/') {
            Self(prefix.into())
        } else {
            Self(format!("{prefix}/").into())
        }
    }

    /// Returns the key in etcd.
    pub fn key(&self, key: &Key) -> String {
        match key {
            Key::Member(id) => format!("{}{MEMBERS}{id}", self.0),
            Key::Plan(schedule) => format!("{}{PLANS}{}", self.0, encoded(schedule)),
            Key::Marks(schedule, of) => format!("{}{of}", self.marks_of(schedule)),
            Key::GiveUps(schedule, of) => format!("{}{GIVE_UPS}{}/{of}", self.0, encoded(schedule)),
        }
    }

    /// Returns the prefix of the members' keys.
    pub fn members(&self) -> String {
        format!("{}{MEMBERS}", self.0)
    }

    /// Returns the prefix of the plans' keys.
    pub fn plans(&self) -> String {
        format!("{}{PLANS}", self.0)
    }

    /// Returns the prefix of the give-ups' keys.
    pub fn give_ups(&self) -> String {
        format!("{}{GIVE_UPS}", self.0)
    }

    /// Returns the prefix of the marks' keys.
    pub fn marks(&self) -> String {
        format!("{}{MARKS}", self.0)
    }

    /// Returns the prefix of one schedule's marks.
    pub fn marks_of(&self, schedule: &ScheduleId) -> String {
        format!("{}{MARKS}{}/", self.0, encoded(schedule))
    }

    /// Parses a key in etcd.
    ///
    /// # Errors
    ///
    /// [`InvalidReason::Key`] if the protocol does not write this key.
    pub fn parse(&self, key: &[u8]) -> Result<Key, InvalidRecord> {
        let parsed = std::str::from_utf8(key)
            .ok()
            .and_then(|text| text.strip_prefix(&*self.0))
            .and_then(parse_key);
        parsed.ok_or_else(|| InvalidRecord {
            key: key.escape_ascii().to_string(),
            reason: InvalidReason::Key,
        })
    }

    /// Decodes a key and its value from a range or a watch; a value of `None` is a deletion.
    ///
    /// # Errors
    ///
    /// The key is not part of the protocol. An invalid value is not an error: the entry contains it.
    pub fn entry(
        &self,
        key: &[u8],
        value: Option<&[u8]>,
        created: Revision,
        revision: Revision,
    ) -> Result<Entry, InvalidRecord> {
        let key = self.parse(key)?;
        let content = match value {
            None => Content::Deleted,
            Some(bytes) => match decode(&key, bytes) {
                Ok(value) => Content::Value(value),
                Err(reason) => Content::Invalid(InvalidRecord {
                    key: self.key(&key),
                    reason,
                }),
            },
        };
        Ok(Entry {
            key,
            revision,
            created,
            content,
        })
    }
}

fn parse_key(text: &str) -> Option<Key> {
    if let Some(id) = text.strip_prefix(MEMBERS) {
        return AgentId::new(id).map(Key::Member);
    }
    if let Some(schedule) = text.strip_prefix(PLANS) {
        return decoded(schedule).map(Key::Plan);
    }
    let of = |rest: &str| {
        let (schedule, incarnation) = rest.split_once('/')?;
        Some((decoded(schedule)?, Incarnation::parse(incarnation)?))
    };
    if let Some(rest) = text.strip_prefix(MARKS) {
        return of(rest).map(|(schedule, incarnation)| Key::Marks(schedule, incarnation));
    }
    let rest = text.strip_prefix(GIVE_UPS)?;
    of(rest).map(|(schedule, incarnation)| Key::GiveUps(schedule, incarnation))
}

/// Encodes a schedule as a part of a key: letters, digits and a few signs are unchanged, other bytes become `%` and two
/// uppercase digits.
fn encoded(schedule: &ScheduleId) -> PercentEncode<'_> {
    utf8_percent_encode(schedule.as_str(), ENCODED)
}

/// Accepts only the output of [`encoded`], so that a schedule has one key.
fn decoded(text: &str) -> Option<ScheduleId> {
    let schedule = percent_decode_str(text).decode_utf8().ok()?;
    let fits = (1..=MAX_SCHEDULE).contains(&schedule.len());
    let schedule = fits.then(|| ScheduleId::new(schedule))?;
    (encoded(&schedule).to_string() == text).then_some(schedule)
}
