//! What stands behind the `?` of a request.

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
