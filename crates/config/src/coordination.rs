//! The section `coordination`: how agents divide shared resources.
//!
//! The doc comments of fields are the texts of the JSON schema and of the reference: they speak to users.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use nephoscope_plugin::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use crate::duration::HumanDuration;
use crate::size::ByteSize;

/// etcd grants no shorter lease.
const SHORTEST_LEASE: Duration = Duration::from_secs(2);

/// A lease that is longer leaves resources without an owner for longer than anybody wants.
const LONGEST_LEASE: Duration = Duration::from_secs(3600);

/// What a request to etcd may be allowed to take: agents wait so long for it before they go on without.
const REQUEST_TIMEOUTS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// What connecting may be allowed to take.
const CONNECT_TIMEOUTS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// How agents divide shared resources.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Coordination {
    /// What the agents agree by. By default `etcd` where `endpoints` are named, else `local`.
    pub backend: Option<Backend>,
    /// The members of the etcd cluster, as `http://HOST:PORT` or `https://HOST:PORT`. All should be named: an agent goes to another one
    /// when one does not answer.
    #[schemars(length(max = 32))]
    pub endpoints: Vec<Endpoint>,
    /// What the keys of the pool begin with. Agents with the same prefix are one pool.
    #[schemars(length(min = 1, max = 256))]
    pub prefix: String,
    /// Agents divide resources only with agents that have the same group prefix, as ceilometer's `partitioning_group_prefix`.
    #[schemars(length(max = 128))]
    pub group_prefix: String,
    /// How long after its last sign of life an agent counts as gone: at least 2s. What it left undone is taken over at the latest 1 s after
    /// that.
    #[serde(deserialize_with = "lease_ttl")]
    pub lease_ttl: HumanDuration,
    /// How long one request to etcd may take, with all attempts at all endpoints: at most half of `lease_ttl`. A plan is waited for
    /// so long after the edge, but at least 1 s, and at most half of the interval if that is more.
    #[serde(deserialize_with = "request_timeout")]
    pub request_timeout: HumanDuration,
    /// How long connecting to one endpoint may take: TCP, TLS, and the check of the password.
    #[serde(deserialize_with = "connect_timeout")]
    pub connect_timeout: HumanDuration,
    /// What is done while etcd cannot be reached.
    pub on_loss: OnLoss,
    /// A user of etcd with readwrite permission on `prefix`. Needs `password`.
    #[schemars(length(min = 1, max = 256))]
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// For endpoints with `https`.
    pub tls: CoordinationTls,
    /// The size at which etcd takes no more writes (its `--quota-backend-bytes`), for the warning at 80 %. etcd tells it from version
    /// 3.6 on; then this is not used.
    pub quota: ByteSize,
}

impl Default for Coordination {
    fn default() -> Self {
        Self {
            backend: None,
            endpoints: Vec::new(),
            prefix: "nephoscope/".to_owned(),
            group_prefix: String::new(),
            lease_ttl: HumanDuration::from_secs(5),
            request_timeout: HumanDuration::from_secs(1),
            connect_timeout: HumanDuration::from_secs(5),
            on_loss: OnLoss::Continue,
            user: None,
            password: None,
            tls: CoordinationTls::default(),
            quota: ByteSize(2 << 30),
        }
    }
}

/// What agents agree by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Nothing: this agent polls every resource itself.
    Local,
    /// etcd: each resource is polled by one of the agents that carry it.
    Etcd,
}

/// What is done while etcd cannot be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnLoss {
    /// Shared resources are polled as they were divided last. Agents that are cut off while others are not poll beside those.
    #[default]
    Continue,
    /// Shared resources are not polled.
    Pause,
}

/// TLS with etcd. The files are in PEM form, and read again at each connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CoordinationTls {
    /// The only authorities that are trusted; without it, those of the system.
    #[schemars(extend("format" = "path"))]
    pub ca: Option<PathBuf>,
    /// The certificate to show to etcd, with those between it and its authority. Needs `key`.
    #[schemars(extend("format" = "path"))]
    pub cert: Option<PathBuf>,
    /// The file with the certificate's private key. Needs `cert`.
    #[schemars(extend("format" = "path"))]
    pub key: Option<PathBuf>,
}

/// The URL of a member of an etcd cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Endpoint(String);

impl JsonSchema for Endpoint {
    fn schema_name() -> Cow<'static, str> {
        "Endpoint".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "url" })
    }
}

impl Endpoint {
    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Endpoint {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let rest = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"));
        let Some(rest) = rest else {
            return Err("expected `http://HOST:PORT` or `https://HOST:PORT`");
        };
        if rest.contains('@') {
            return Err("user and password stand in `coordination.user` and `coordination.password`");
        }
        if !crate::format::is_address(rest.strip_suffix('/').unwrap_or(rest)) {
            return Err("expected a host and a port, such as `http://etcd-1:2379`");
        }
        Ok(Self(text))
    }
}

/// A rule between the keys of the section that is broken: at which key, and what is expected.
pub(crate) struct Broken {
    pub(crate) key: &'static str,
    pub(crate) expected: &'static str,
}

impl Coordination {
    /// What the agents agree by: what is configured, or what follows from whether endpoints are. An agent that was given etcd's
    /// endpoints and polls everything itself would double what the others poll.
    pub fn backend(&self) -> Backend {
        self.backend.unwrap_or(if self.endpoints.is_empty() {
            Backend::Local
        } else {
            Backend::Etcd
        })
    }

    /// The rules between keys that are broken.
    pub(crate) fn broken(&self) -> Vec<Broken> {
        let tls = &self.tls;
        let encrypted = |endpoint: &Endpoint| endpoint.0.starts_with("https:");
        let rules = [
            (
                self.backend == Some(Backend::Etcd) && self.endpoints.is_empty(),
                "endpoints",
                "the backend `etcd` needs `endpoints`",
            ),
            // A keepalive is sent when a third of the lease is over. One that is lost must leave time for another one before the margin
            // of a tenth at the lease's end.
            (
                2 * self.request_timeout.0 > self.lease_ttl.0,
                "request_timeout",
                "expected at most half of `lease_ttl`: or else one request without an answer could cost the lease",
            ),
            (
                self.user.is_some() && self.password.is_none(),
                "user",
                "`user` needs `password`",
            ),
            (
                self.password.is_some() && self.user.is_none(),
                "password",
                "`password` needs `user`",
            ),
            (
                tls.cert.is_some() != tls.key.is_some(),
                "tls",
                "`cert` and `key` go together",
            ),
            (
                *tls != CoordinationTls::default() && !self.endpoints.iter().any(encrypted),
                "tls",
                "`tls` needs endpoints with `https`",
            ),
        ];
        let broken = rules.into_iter().filter(|(broken, ..)| *broken);
        broken
            .map(|(_, key, expected)| Broken { key, expected })
            .collect()
    }
}

fn lease_ttl<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HumanDuration, D::Error> {
    between(deserializer, (SHORTEST_LEASE, LONGEST_LEASE), "expected 2s to 1h")
}

fn request_timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HumanDuration, D::Error> {
    between(deserializer, REQUEST_TIMEOUTS, "expected 100ms to 10s")
}

fn connect_timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HumanDuration, D::Error> {
    between(deserializer, CONNECT_TIMEOUTS, "expected 100ms to 30s")
}

fn between<'de, D: Deserializer<'de>>(
    deserializer: D,
    (least, most): (Duration, Duration),
    expected: &str,
) -> Result<HumanDuration, D::Error> {
    let duration = HumanDuration::deserialize(deserializer)?;
    if duration.0 < least || duration.0 > most {
        return Err(serde::de::Error::custom(expected));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_names_endpoints_shares_work_unless_told_otherwise() {
        let backend = |section: &str| serde_yaml::from_str::<Coordination>(section).unwrap().backend();
        assert_eq!(backend("{}"), Backend::Local);
        assert_eq!(backend("{endpoints: ['http://etcd:2379']}"), Backend::Etcd);
        assert_eq!(
            backend("{endpoints: ['http://etcd:2379'], backend: local}"),
            Backend::Local
        );
    }
}
