//! The division of resources among agents.

use std::fmt;

/// How the resources of a shared discovery are divided among agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PartitionMode {
    /// Every agent runs the discovery, and each resource has an owner. For resources that need a request each.
    Resource,
    /// One agent owns all resources. For discoveries whose response contains the values.
    Listing,
}

impl PartitionMode {
    /// The name in polling.yaml: `resource` or `listing`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Listing => "listing",
        }
    }
}

impl fmt::Display for PartitionMode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}
