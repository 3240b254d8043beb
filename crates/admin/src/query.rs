//! Query parameters of requests.

use std::time::Duration;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use serde::Deserialize;

/// The maximum number of items in a list.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limit {
    limit: Option<usize>,
}

impl Limit {
    /// Returns the limit of the request, or an error message.
    pub(crate) fn of(
        query: Result<Query<Self>, QueryRejection>,
        default: usize,
        most: usize,
    ) -> Result<usize, String> {
        match query {
            Ok(Query(Self { limit: None })) => Ok(default),
            Ok(Query(Self { limit: Some(limit) })) if (1..=most).contains(&limit) => Ok(limit),
            _ => Err(format!(
                "the query accepts only `limit`, a number from 1 to {most}"
            )),
        }
    }
}

/// The selected publisher.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    publisher: Option<String>,
}

impl Which {
    /// Returns the publisher of the request, `None` for all publishers, or an error message.
    pub(crate) fn of(query: Result<Query<Self>, QueryRejection>) -> Result<Option<String>, String> {
        match query {
            Ok(Query(Self { publisher })) => Ok(publisher),
            Err(_) => Err("the query accepts only `publisher`, a name".to_owned()),
        }
    }
}

/// The samples to drop.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DropOld {
    /// Seconds.
    older_than: u64,
    publisher: Option<String>,
}

impl DropOld {
    /// Returns the minimum age and the publisher of the request, or an error message.
    pub(crate) fn of(
        query: Result<Query<Self>, QueryRejection>,
    ) -> Result<(Duration, Option<String>), String> {
        match query {
            Ok(Query(Self {
                older_than,
                publisher,
            })) => Ok((Duration::from_secs(older_than), publisher)),
            Err(_) => Err(
                "the query requires `older_than`, a number of seconds, and accepts `publisher`, a name"
                    .to_owned(),
            ),
        }
    }
}
