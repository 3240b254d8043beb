//! Plugins that resolve names of projects and users.

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

/// The kind of an [`Identity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum IdentityKind {
    /// A project.
    Project,
    /// A user.
    User,
}

/// Resolves names of projects and users. The engine calls it with all ids of a batch before it submits the samples.
#[async_trait]
pub trait IdentityNames: Send + Sync + 'static {
    /// Returns the name of each identity, in order; `None` if it has none or the name is not available now. Samples wait
    /// for the answer, so it must arrive within seconds even if the service is down.
    async fn names(&self, identities: &[Identity]) -> Vec<Option<Arc<str>>>;
}

/// A loaded resolver of names.
pub type Names = Arc<dyn IdentityNames>;
