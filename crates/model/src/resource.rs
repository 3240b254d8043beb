//! Resources to measure.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::Value;

/// The data of a discovery about a resource, apart from its key. Pollsters of the same family read it with [`Resource::body`].
pub trait ResourceBody: Any + Send + Sync + fmt::Debug {
    /// The output of `nephoscope discover`, without secrets.
    fn describe(&self) -> Value;
}

impl ResourceBody for Value {
    fn describe(&self) -> Value {
        self.clone()
    }
}

/// A resource: a stable key, and the data of its discovery.
///
/// The key decides which agent polls the resource and is part of the identity of its samples. It must not contain fields that
/// change, such as a status or a name that users may edit.
#[derive(Debug, Clone)]
pub struct Resource {
    key: Arc<str>,
    body: Option<Arc<dyn ResourceBody>>,
}

impl Resource {
    /// Creates a resource without data, like a static entry of `resources:`.
    pub fn new(key: impl Into<Arc<str>>) -> Self {
        Self {
            key: key.into(),
            body: None,
        }
    }

    /// Creates a resource with the data of its discovery.
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

    /// The data of the discovery, if it has type `T`. Returns `None` for static resources and for those of other families,
    /// which a pollster reports as not supported.
    pub fn body<T: ResourceBody>(&self) -> Option<&T> {
        let body: &dyn Any = self.body.as_deref()?;
        body.downcast_ref()
    }

    /// The output of `nephoscope discover` for the resource.
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
    fn a_body_is_read_by_its_type() {
        let volume = Resource::with_body("vol-1", Volume { size: 10 });
        assert_eq!(volume.body::<Volume>().map(|volume| volume.size), Some(10));
        assert!(volume.body::<Value>().is_none());
        assert!(Resource::new("vol-2").body::<Volume>().is_none());
    }
}
