//! The requests of ceilometer to the same cloud, derived from its code.
//!
//! Every agent of its pool lists everything and keeps the share of its hash ring; requests per resource are sent only by the
//! resource's agent. Pages have the default size of the services, which ceilometer never changes.

use nephoscope_cloud::Size;

/// The number of agents.
pub(crate) const AGENTS: usize = 10;

/// The pages of the services' defaults: Cinder's `osapi_max_limit`, Glance's `limit_param_default`, Designate's `default_limit_v2`.
const CINDER_PAGE: usize = 1000;
const GLANCE_PAGE: usize = 25;
const DESIGNATE_PAGE: usize = 20;

/// A kind of work, by its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Volumes,
    FloatingIps,
    Images,
    Zones,
    RecordSets,
    Accounts,
    Projects,
    Tokens,
    Versions,
}

impl Work {
    pub(crate) const ALL: [Self; 9] = [
        Self::Volumes,
        Self::FloatingIps,
        Self::Images,
        Self::Zones,
        Self::RecordSets,
        Self::Accounts,
        Self::Projects,
        Self::Tokens,
        Self::Versions,
    ];

    /// Returns the kind of a request.
    pub(crate) fn of(service: &str, path: &str) -> Option<Self> {
        Some(match (service, path) {
            ("cinder", path) if path.ends_with("/volumes/detail") => Self::Volumes,
            ("neutron", path) if path.ends_with("/floatingips") => Self::FloatingIps,
            ("glance", path) if path.ends_with("/images") => Self::Images,
            ("designate", path) if path.ends_with("/zones") => Self::Zones,
            ("designate", path) if path.ends_with("/recordsets") => Self::RecordSets,
            ("swift", _) => Self::Accounts,
            ("keystone", path) if path.ends_with("/auth/tokens") => Self::Tokens,
            ("keystone", _) => Self::Projects,
            ("cinder", _) => Self::Versions,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Volumes => "volumes",
            Self::FloatingIps => "floating IPs",
            Self::Images => "images",
            Self::Zones => "zones",
            Self::RecordSets => "record sets",
            Self::Accounts => "Swift accounts",
            Self::Projects => "projects",
            Self::Tokens => "tokens",
            Self::Versions => "versions",
        }
    }

    /// Returns the requests of ceilometer's pool in a cycle.
    pub(crate) fn of_ceilometer(self, size: &Size) -> usize {
        match self {
            Self::Volumes => AGENTS * size.volumes.div_ceil(CINDER_PAGE),
            Self::FloatingIps => AGENTS,
            Self::Images => AGENTS * size.images.div_ceil(GLANCE_PAGE),
            Self::Zones => AGENTS * size.zones.div_ceil(DESIGNATE_PAGE),
            Self::RecordSets => size.zones * size.record_sets.div_ceil(DESIGNATE_PAGE).max(1),
            // HEAD for the account, GET for its containers; the services have a project too.
            Self::Accounts => 2 * (size.projects + 1),
            // The domains, then the projects of each; `Size::domains` does not include `default`.
            Self::Projects => AGENTS * (1 + 1 + size.domains),
            // One token per cycle, and before it the versions of Keystone.
            Self::Tokens => AGENTS * 2,
            // Requested once per session.
            Self::Versions => 0,
        }
    }

    /// Returns the minimum ratio of ceilometer's requests to those of the program.
    pub(crate) fn least_ratio(self) -> Option<f64> {
        match self {
            Self::Volumes | Self::FloatingIps | Self::Zones | Self::RecordSets => Some(10.0),
            Self::Images => Some(40.0),
            Self::Accounts => Some(2.0),
            Self::Projects | Self::Tokens | Self::Versions => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_ceilometer_match_its_code() {
        let size = Size {
            volumes: 10_000,
            floating_ips: 10_000,
            images: 1_000,
            projects: 999,
            zones: 500,
            record_sets: 200,
            ..Size::of(0)
        };
        let requests = Work::ALL.map(|work| work.of_ceilometer(&size));
        assert_eq!(requests, [100, 10, 400, 250, 5000, 2000, 30, 20, 0]);
    }

    #[test]
    fn every_request_has_a_kind() {
        for (service, path, work) in [
            ("cinder", "/v3/{project}/volumes/detail", Work::Volumes),
            ("cinder", "/v3/", Work::Versions),
            ("designate", "/v2/zones", Work::Zones),
            ("designate", "/v2/zones/{id}/recordsets", Work::RecordSets),
            ("keystone", "/v3/auth/tokens", Work::Tokens),
            ("keystone", "/v3/projects", Work::Projects),
        ] {
            assert_eq!(Work::of(service, path), Some(work), "{service} {path}");
        }
        assert_eq!(Work::of("manila", "/v2/{project}/shares/detail"), None);
    }
}
