//! What stands behind the `?` of a request.

use std::time::Duration;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use serde::Deserialize;

/// How much of a list is wanted.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limit {
    limit: Option<usize>,
}

impl Limit {
    /// The limit that a request asks for, or what is wrong with it.
    pub(crate) fn of(
        query: Result<Query<Self>, QueryRejection>,
        default: usize,
        most: usize,
    ) -> Result<usize, String> {
        match query {
            Ok(Query(Self { limit: None })) => Ok(default),
            Ok(Query(Self { limit: Some(limit) })) if (1..=most).contains(&limit) => Ok(limit),
            _ => Err(format!(
                "the query may have `limit`, a number from 1 to {most}, and nothing else"
            )),
        }
    }
}

/// Which publisher is meant.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    publisher: Option<String>,
}

impl Which {
    /// The publisher that a request names, none if it means all; or what is wrong with it.
    pub(crate) fn of(query: Result<Query<Self>, QueryRejection>) -> Result<Option<String>, String> {
        match query {
            Ok(Query(Self { publisher })) => Ok(publisher),
            Err(_) => Err("the query may have `publisher`, a name, and nothing else".to_owned()),
        }
    }
}

/// What is to be dropped.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DropOld {
    /// Seconds.
    older_than: u64,
    publisher: Option<String>,
}

impl DropOld {
    /// How old what is dropped is at least, and the publisher that a request names; or what is wrong with it.
    pub(crate) fn of(
        query: Result<Query<Self>, QueryRejection>,
    ) -> Result<(Duration, Option<String>), String> {
        match query {
            Ok(Query(Self {
                older_than,
                publisher,
            })) => Ok((Duration::from_secs(older_than), publisher)),
            Err(_) => Err(
                "the query must have `older_than`, a number of seconds, and may have `publisher`, a name"
                    .to_owned(),
            ),
        }
    }
}
