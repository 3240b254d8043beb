//! A thing that can be measured.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::Value;

/// What a discovery knows of a resource beyond its key; pollsters of the same family read it back with
/// [`Resource::body`].
pub trait ResourceBody: Any + Send + Sync + fmt::Debug {
    /// What `nephoscope discover` prints; without secrets.
    fn describe(&self) -> Value;
}

impl ResourceBody for Value {
    fn describe(&self) -> Value {
        self.clone()
    }
}

/// A resource: a stable key, and what its discovery found.
///
/// The key decides which agent polls the resource and is part of the identity of its samples, so it
/// must never be made of fields that change (a status, a name that users may edit).
#[derive(Debug, Clone)]
pub struct Resource {
    key: Arc<str>,
    body: Option<Arc<dyn ResourceBody>>,
}

impl Resource {
    /// A resource that is nothing but its key, as a static entry of `resources:` is.
    pub fn new(key: impl Into<Arc<str>>) -> Self {
        Self {
            key: key.into(),
            body: None,
        }
    }

    /// A resource with what its discovery found.
    pub fn with_body(key: impl Into<Arc<str>>, body: impl ResourceBody) -> Self {
        Self {
            key: key.into(),
            body: Some(Arc::new(body)),
        }
    }

    /// The stable key.
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// What the discovery found, if it is of type `T`. Static resources and those of other families
    /// give `None`: a pollster that cannot work with them reports them as not supported.
    pub fn body<T: ResourceBody>(&self) -> Option<&T> {
        let body: &dyn Any = self.body.as_deref()?;
        body.downcast_ref()
    }

    /// What `nephoscope discover` prints of the resource.
    pub fn describe(&self) -> Value {
        self.body.as_ref().map_or(Value::Null, |body| body.describe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Volume {
        size: u64,
    }

    impl ResourceBody for Volume {
        fn describe(&self) -> Value {
            Value::Map(vec![("size".into(), self.size.into())])
        }
    }

    #[test]
    fn a_body_is_read_back_by_type() {
        let volume = Resource::with_body("vol-1", Volume { size: 10 });
        assert_eq!(volume.body::<Volume>().map(|volume| volume.size), Some(10));
        assert!(volume.body::<Value>().is_none());
        assert!(Resource::new("vol-2").body::<Volume>().is_none());
    }
}
