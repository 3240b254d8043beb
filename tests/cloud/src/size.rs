//! The size of the cloud.

/// The number of resources of each kind.
#[derive(Debug, Clone)]
pub struct Size {
    /// Domains of Keystone, in addition to `default`; each has an equal part of the projects. Every tenth is disabled.
    pub domains: usize,
    /// Projects. Every tenth is disabled.
    pub projects: usize,
    /// Servers of Nova.
    pub servers: usize,
    /// Compute hosts, each with an equal part of the servers: `host-0`, `host-1` ...
    pub hosts: usize,
    /// Images of Glance.
    pub images: usize,
    /// Volumes, snapshots and backups of Cinder, of each.
    pub volumes: usize,
    /// Storage pools and services of Cinder, of each.
    pub pools: usize,
    /// Floating IPs of Neutron.
    pub floating_ips: usize,
    /// VPN services, IPsec connections, firewall groups and policies of Neutron, of each.
    pub network_services: usize,
    /// Load balancers of Octavia.
    pub load_balancers: usize,
    /// Zones of Designate.
    pub zones: usize,
    /// Record sets in each zone.
    pub record_sets: usize,
    /// Shares of Manila.
    pub shares: usize,
    /// Alarms of Aodh.
    pub alarms: usize,
    /// Containers of Swift, and buckets of the object gateway, in each project.
    pub containers: usize,
}

impl Size {
    /// The same number of each kind, but few of those that multiply others.
    #[must_use]
    pub fn of(each: usize) -> Self {
        Self {
            domains: 1,
            projects: each,
            servers: each,
            hosts: 2,
            images: each,
            volumes: each,
            pools: each.min(20),
            floating_ips: each,
            network_services: each,
            load_balancers: each,
            zones: each,
            record_sets: 3,
            shares: each,
            alarms: each,
            containers: 2,
        }
    }
}
