//! The scope of resources.

/// Whether resources belong to one host or are shared by the agents of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// A host's own resources: only its agent polls them, without coordination.
    Host,
    /// Resources of a service that many agents can reach: the agents of the pool divide them.
    Shared,
}
