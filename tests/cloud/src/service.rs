//! The services of the cloud.

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Identity.
    Keystone,
    /// Compute.
    Nova,
    /// Images.
    Glance,
    /// Block storage.
    Cinder,
    /// Network.
    Neutron,
    /// Load balancers.
    Octavia,
    /// DNS.
    Designate,
    /// Shared file systems.
    Manila,
    /// Alarms.
    Aodh,
    /// Object storage.
    Swift,
    /// Object storage of Ceph: its admin API.
    Rgw,
    /// Secrets.
    Barbican,
}

impl Service {
    /// All services.
    pub const ALL: [Self; 12] = [
        Self::Keystone,
        Self::Nova,
        Self::Glance,
        Self::Cinder,
        Self::Neutron,
        Self::Octavia,
        Self::Designate,
        Self::Manila,
        Self::Aodh,
        Self::Swift,
        Self::Rgw,
        Self::Barbican,
    ];

    /// Returns its name, in the catalog and in counts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Keystone => "keystone",
            Self::Nova => "nova",
            Self::Glance => "glance",
            Self::Cinder => "cinder",
            Self::Neutron => "neutron",
            Self::Octavia => "octavia",
            Self::Designate => "designate",
            Self::Manila => "manila",
            Self::Aodh => "aodh",
            Self::Swift => "swift",
            Self::Rgw => "radosgw",
            Self::Barbican => "barbican",
        }
    }

    /// Returns its type in the catalog: the one of deployments, which is not always the official one.
    pub(crate) fn catalog_type(self) -> &'static str {
        match self {
            Self::Keystone => "identity",
            Self::Nova => "compute",
            Self::Glance => "image",
            Self::Cinder => "volumev3",
            Self::Neutron => "network",
            Self::Octavia => "load-balancer",
            Self::Designate => "dns",
            Self::Manila => "sharev2",
            Self::Aodh => "alarming",
            Self::Swift | Self::Rgw => "object-store",
            Self::Barbican => "key-manager",
        }
    }

    /// Returns the path of its endpoint in the catalog.
    pub(crate) fn endpoint(self, project: &str) -> String {
        match self {
            Self::Keystone => "/identity/v3".to_owned(),
            Self::Nova => "/compute/v2.1".to_owned(),
            Self::Glance => "/image".to_owned(),
            Self::Cinder => format!("/volume/v3/{project}"),
            Self::Neutron => "/networking".to_owned(),
            Self::Octavia => "/load-balancer".to_owned(),
            Self::Designate => "/dns".to_owned(),
            Self::Manila => format!("/share/v2/{project}"),
            Self::Aodh => "/alarming".to_owned(),
            Self::Swift => format!("/object-store/v1/AUTH_{project}"),
            Self::Rgw => "/rgw/swift/v1".to_owned(),
            Self::Barbican => "/key-manager".to_owned(),
        }
    }

    /// Returns the service of a path.
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        let first = path.split('/').nth(1)?;
        Some(match first {
            "identity" => Self::Keystone,
            "compute" => Self::Nova,
            "image" => Self::Glance,
            "volume" => Self::Cinder,
            "networking" => Self::Neutron,
            "load-balancer" => Self::Octavia,
            "dns" => Self::Designate,
            "share" => Self::Manila,
            "alarming" => Self::Aodh,
            "object-store" => Self::Swift,
            "admin" | "rgw" => Self::Rgw,
            "key-manager" => Self::Barbican,
            _ => return None,
        })
    }
}
