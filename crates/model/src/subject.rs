//! The properties that the samples of one resource share: owner and metadata.

use std::borrow::Cow;
use std::sync::Arc;

use crate::{Map, Value};

/// The resource id, owner and metadata of samples.
///
/// Samples reference their subject, so that metadata is neither copied nor encoded for each sample. A pollster creates one
/// subject for all samples with the same properties (and one for each disk, if disks have their own resource ids).
///
/// ```
/// use nephoscope_model::Subject;
///
/// let subject = Subject::new("vol-1").project("p1").metadata("size", 10u64).shared();
/// assert_eq!(&*subject.resource_id, "vol-1");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Subject {
    /// Published as `resource_id`.
    pub resource_id: Arc<str>,
    /// Published as `project_id`.
    pub project_id: Option<Arc<str>>,
    /// Published as `project_name`; only set if names are resolved.
    pub project_name: Option<Arc<str>>,
    /// Published as `user_id`.
    pub user_id: Option<Arc<str>>,
    /// Published as `user_name`; only set if names are resolved.
    pub user_name: Option<Arc<str>>,
    /// Published as `source` instead of `agent.sample_source` (`hardware` for ceilometer's SNMP meters).
    pub source: Option<Cow<'static, str>>,
    /// Published as `resource_metadata`.
    pub metadata: Map,
}

impl Subject {
    /// Creates a subject with only an id.
    pub fn new(resource_id: impl Into<Arc<str>>) -> Self {
        Self {
            resource_id: resource_id.into(),
            project_id: None,
            project_name: None,
            user_id: None,
            user_name: None,
            source: None,
            metadata: Map::new(),
        }
    }

    /// Sets the project id.
    #[must_use]
    pub fn project(mut self, id: impl Into<Arc<str>>) -> Self {
        self.project_id = Some(id.into());
        self
    }

    /// Sets the user id.
    #[must_use]
    pub fn user(mut self, id: impl Into<Arc<str>>) -> Self {
        self.user_id = Some(id.into());
        self
    }

    /// Sets the `source` of its samples.
    #[must_use]
    pub fn source(mut self, source: impl Into<Cow<'static, str>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds an entry to the metadata. The key must be new.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.metadata.push((key.into(), value.into()));
        self
    }

    /// Wraps the subject for use in samples.
    pub fn shared(self) -> Arc<Self> {
        Arc::new(self)
    }
}
