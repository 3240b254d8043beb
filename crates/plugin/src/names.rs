//! Plugins that know the names of projects and users.

use std::sync::Arc;

use async_trait::async_trait;

/// A project or a user, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Identity {
    /// Published as `project_id`.
    Project(Arc<str>),
    /// Published as `user_id`.
    User(Arc<str>),
}

/// What an [`Identity`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum IdentityKind {
    /// A project.
    Project,
    /// A user.
    User,
}

/// Knows the names of projects and users. The engine asks before it hands samples on, with all ids of a batch.
#[async_trait]
pub trait IdentityNames: Send + Sync + 'static {
    /// The name of each identity, in their order; `None` where it has none, or where it cannot be had now. An answer
    /// comes within seconds, whatever becomes of the service: samples wait for it.
    async fn names(&self, identities: &[Identity]) -> Vec<Option<Arc<str>>>;
}

/// One who knows names, as the agent holds it.
pub type Names = Arc<dyn IdentityNames>;
