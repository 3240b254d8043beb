//! How agents share a listing.

use std::fmt;

/// How a shared listing is divided among agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PartitionMode {
    /// Every agent lists, and each resource has an owner: for resources that cost a call each.
    Resource,
    /// One agent owns the whole listing: where the listing itself carries the values.
    Listing,
}

impl PartitionMode {
    /// The word in polling.yaml: `resource` or `listing`.
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
