//! The content of the cloud: resources by kind and number.
//!
//! A resource is created from its number on request, so a large cloud needs no memory. The numbers of a kind are a window
//! that churn moves: the oldest are removed, and as many are added.

use std::ops::Range;

use crate::size::Size;

/// A kind of resource; part of its ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Server = 1,
    Image,
    Volume,
    Snapshot,
    Backup,
    FloatingIp,
    Vpn,
    Ipsec,
    FirewallGroup,
    FirewallPolicy,
    LoadBalancer,
    Zone,
    Share,
    Alarm,
    LbPool,
    LbListener,
    LbMember,
    LbMonitor,
    LbBalancer,
    LbVip,
}

/// The content of the cloud at one moment.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) size: Size,
    /// The number of the first resource of each kind.
    pub(crate) first: usize,
    /// `http://127.0.0.1:PORT`, or the base of links instead of it.
    pub(crate) base: String,
}

impl World {
    /// Returns the numbers of a kind.
    pub(crate) fn range(&self, kind: Kind) -> Range<usize> {
        let count = match kind {
            Kind::Server => self.size.servers,
            Kind::Image => self.size.images,
            Kind::Volume | Kind::Snapshot | Kind::Backup => self.size.volumes,
            Kind::FloatingIp => self.size.floating_ips,
            Kind::LoadBalancer => self.size.load_balancers,
            Kind::Zone => self.size.zones,
            Kind::Share => self.size.shares,
            Kind::Alarm => self.size.alarms,
            Kind::Vpn
            | Kind::Ipsec
            | Kind::FirewallGroup
            | Kind::FirewallPolicy
            | Kind::LbPool
            | Kind::LbListener
            | Kind::LbMember
            | Kind::LbMonitor
            | Kind::LbBalancer
            | Kind::LbVip => self.size.network_services,
        };
        self.first..self.first + count
    }

    /// Returns the number of the resource with this id, if it exists.
    pub(crate) fn find(&self, kind: Kind, wanted: &str) -> Option<usize> {
        let number = usize::from_str_radix(wanted.rsplit('-').next()?, 16).ok()?;
        (id(kind, number) == wanted && self.range(kind).contains(&number)).then_some(number)
    }

    /// Returns the project of a resource: never the agent's.
    pub(crate) fn owner(&self, number: usize) -> String {
        project(number % self.size.projects.max(1))
    }
}

/// Returns the id of a resource.
pub(crate) fn id(kind: Kind, number: usize) -> String {
    format!("{:08x}-0000-4000-8000-{number:012x}", kind as usize)
}

/// Returns the id of a project.
pub(crate) fn project(number: usize) -> String {
    format!("a{number:031x}")
}

/// Returns the id of a user.
pub(crate) fn user(number: usize) -> String {
    format!("b{number:031x}")
}

/// Selects one of some words by number.
pub(crate) fn one_of<T: Copy>(words: &[T], number: usize) -> T {
    words[number % words.len()]
}
