//! The section `coordination`: how agents divide shared resources.
//!
//! The doc comments of fields are the texts of the JSON schema and the reference documentation.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use nephoscope_plugin::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use crate::duration::HumanDuration;
use crate::size::ByteSize;

/// The minimum lease that etcd grants.
const SHORTEST_LEASE: Duration = Duration::from_secs(2);

/// The maximum lease. A longer lease would leave resources without an owner for too long.
const LONGEST_LEASE: Duration = Duration::from_secs(3600);

/// The bounds of `request_timeout`. Agents wait for this time before they continue without etcd.
const REQUEST_TIMEOUTS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// The bounds of `connect_timeout`.
const CONNECT_TIMEOUTS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// How agents divide shared resources.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Coordination {
    /// The coordination backend. Default: `etcd` if `endpoints` is set, otherwise `local`.
    pub backend: Option<Backend>,
    /// The members of the etcd cluster, as `http://HOST:PORT` or `https://HOST:PORT`. List all members: the agent tries another member
    /// if one does not respond.
    #[schemars(length(max = 32))]
    pub endpoints: Vec<Endpoint>,
    /// The prefix of the pool's keys. Agents with the same prefix form one pool.
    #[schemars(length(min = 1, max = 256))]
    pub prefix: String,
    /// The agent shares resources only with agents that have the same group prefix, as ceilometer's `partitioning_group_prefix`.
    #[schemars(length(max = 128))]
    pub group_prefix: String,
    /// The lease of an agent: after this time without a keepalive, other agents take over its units within 1 s. At least 2s.
    #[serde(deserialize_with = "lease_ttl")]
    pub lease_ttl: HumanDuration,
    /// The timeout of a request to etcd, including all attempts at all endpoints. At most half of `lease_ttl`. At the start of a cycle an
    /// agent waits for a plan for this time, but at least 1 s, and at most half of the interval if that is more.
    #[serde(deserialize_with = "request_timeout")]
    pub request_timeout: HumanDuration,
    /// The timeout for connecting to one endpoint: TCP, TLS and authentication.
    #[serde(deserialize_with = "connect_timeout")]
    pub connect_timeout: HumanDuration,
    /// The behavior while etcd is unreachable.
    pub on_loss: OnLoss,
    /// The etcd user, with readwrite permission on `prefix`. Requires `password`.
    #[schemars(length(min = 1, max = 256))]
    pub user: Option<String>,
    /// The password of the user.
    pub password: Option<Secret>,
    /// TLS for endpoints with `https`.
    pub tls: CoordinationTls,
    /// The database quota of etcd (`--quota-backend-bytes`), for the warning at 80 %. Not used with etcd 3.6 and later, which report
    /// their quota.
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

/// The coordination backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// No coordination: this agent polls every resource itself.
    Local,
    /// etcd: one of the agents with the unit polls each resource.
    Etcd,
}

/// The behavior while etcd is unreachable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnLoss {
    /// Polls shared resources by the last plan. If only some agents lose etcd, resources may be polled twice.
    #[default]
    Continue,
    /// Does not poll shared resources.
    Pause,
}

/// TLS for etcd. The files are in PEM format, and are read again for each connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CoordinationTls {
    /// The trusted certificate authorities. Default: those of the system.
    #[schemars(extend("format" = "path"))]
    pub ca: Option<PathBuf>,
    /// The client certificate, with intermediate certificates. Requires `key`.
    #[schemars(extend("format" = "path"))]
    pub cert: Option<PathBuf>,
    /// The private key of the certificate. Requires `cert`.
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
    /// Returns the URL.
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
            return Err("set user and password in `coordination.user` and `coordination.password`");
        }
        if !crate::format::is_address(rest.strip_suffix('/').unwrap_or(rest)) {
            return Err("expected a host and a port such as `http://etcd-1:2379`");
        }
        Ok(Self(text))
    }
}

/// A violated rule between keys of the section.
pub(crate) struct RuleViolation {
    pub(crate) key: &'static str,
    pub(crate) expected: &'static str,
}

impl Coordination {
    /// Returns the configured backend. Default: etcd if endpoints are set, because an agent that polls everything itself would
    /// duplicate the samples of the other agents.
    pub fn backend(&self) -> Backend {
        self.backend.unwrap_or(if self.endpoints.is_empty() {
            Backend::Local
        } else {
            Backend::Etcd
        })
    }

    /// Returns the violated rules between keys.
    pub(crate) fn violations(&self) -> Vec<RuleViolation> {
        let tls = &self.tls;
        let encrypted = |endpoint: &Endpoint| endpoint.0.starts_with("https:");
        let rules = [
            (
                self.backend == Some(Backend::Etcd) && self.endpoints.is_empty(),
                "endpoints",
                "the backend `etcd` requires `endpoints`",
            ),
            // A keepalive is sent after a third of the lease. If it is lost, there must be time for another one before the safety
            // margin, which is the last tenth of the lease.
            (
                2 * self.request_timeout.0 > self.lease_ttl.0,
                "request_timeout",
                "expected at most half of `lease_ttl`, so that one lost request does not end the lease",
            ),
            (
                self.user.is_some() && self.password.is_none(),
                "user",
                "`user` requires `password`",
            ),
            (
                self.password.is_some() && self.user.is_none(),
                "password",
                "`password` requires `user`",
            ),
            (
                tls.cert.is_some() != tls.key.is_some(),
                "tls",
                "set both `cert` and `key`, or neither",
            ),
            (
                *tls != CoordinationTls::default() && !self.endpoints.iter().any(encrypted),
                "tls",
                "`tls` requires endpoints with `https`",
            ),
        ];
        let violated = rules.into_iter().filter(|(violated, ..)| *violated);
        violated
            .map(|(_, key, expected)| RuleViolation { key, expected })
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
    (min, max): (Duration, Duration),
    expected: &str,
) -> Result<HumanDuration, D::Error> {
    let duration = HumanDuration::deserialize(deserializer)?;
    if duration.0 < min || duration.0 > max {
        return Err(serde::de::Error::custom(expected));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_select_the_etcd_backend_by_default() {
        let backend = |section: &str| serde_yaml::from_str::<Coordination>(section).unwrap().backend();
        assert_eq!(backend("{}"), Backend::Local);
        assert_eq!(backend("{endpoints: ['http://etcd:2379']}"), Backend::Etcd);
        assert_eq!(
            backend("{endpoints: ['http://etcd:2379'], backend: local}"),
            Backend::Local
        );
    }
}
