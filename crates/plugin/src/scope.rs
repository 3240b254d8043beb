//! Whose resources a discovery lists.

/// Whose resources a discovery lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Those of this host: its group has one member by definition.
    Host,
    /// Those of a service that many agents see: they are divided among the agents.
    Shared,
}
