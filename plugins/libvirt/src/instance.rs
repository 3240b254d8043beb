//! An instance of Nova, and the attributes of its samples.

mod from_domain;
mod from_nova;
mod metadata;
mod user_metadata;

use std::borrow::Cow;
use std::sync::Arc;

use nephoscope_model::{Map, ResourceBody, Subject, Value};

use crate::definition::{Definition, Disk, Interface, NovaMetadata};
use crate::identity::Identity;
use crate::instance::metadata::put;
use crate::nova::{NovaServer, ServerList};
use crate::options::Options;
use crate::stats::DomainStats;

/// An instance, whatever its source: a pollster needs only this and the hypervisor.
#[derive(Debug)]
pub(crate) struct Instance {
    /// How its domain is found.
    pub(crate) identity: Identity,
    /// Where the instance was discovered.
    pub(crate) source: Source,
    /// The attributes of its samples; or why they are unknown.
    pub(crate) server: Result<Server, String>,
}

/// Where an instance was discovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Its domain.
    Domain,
    /// Nova. The instance may have no domain yet.
    Nova,
}

/// The attributes of an instance's samples.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Server {
    /// The subject of its samples, with the resource id and metadata of the whole instance.
    pub(crate) subject: Arc<Subject>,
    /// The name of its domain, which is part of an interface's resource id.
    pub(crate) domain: String,
    /// GiB.
    pub(crate) disk: i64,
    /// GiB.
    pub(crate) ephemeral: i64,
}

impl ResourceBody for Instance {
    fn describe(&self) -> Value {
        match &self.server {
            Ok(server) => Value::Map(server.subject.metadata.clone()),
            Err(problem) => Value::Map(vec![("problem".into(), problem.clone().into())]),
        }
    }
}

impl Server {
    /// From Nova's metadata in the domain's definition. `user_metadata` is the user's metadata of the server, if it is enabled.
    pub(crate) fn from_domain(
        host: &str,
        stats: &DomainStats,
        definition: &Definition,
        nova: &NovaMetadata,
        flavor_id: &str,
        user_metadata: Option<&Map>,
        options: &Options,
    ) -> Self {
        let mut subject = Subject::new(stats.uuid.to_string());
        subject.project_id = nova.project.as_deref().map(Arc::from);
        subject.user_id = nova.user.as_deref().map(Arc::from);
        subject.metadata = from_domain::metadata(host, stats, definition, nova, flavor_id);
        user_metadata::add(
            &mut subject.metadata,
            user_metadata.into_iter().flatten(),
            options,
        );
        Self {
            subject: subject.shared(),
            domain: stats.name.clone(),
            disk: nova.flavor.disk,
            ephemeral: nova.flavor.ephemeral,
        }
    }

    /// From Nova's answer.
    ///
    /// # Errors
    ///
    /// Required attributes are missing.
    pub(crate) fn from_nova(
        server: &NovaServer,
        listed: &ServerList,
        options: &Options,
    ) -> Result<Self, String> {
        let flavor = listed.flavor(server)?;
        let mut subject = Subject::new(server.id.as_str());
        subject.project_id = server.tenant_id.as_deref().map(Arc::from);
        subject.user_id = server.user_id.as_deref().map(Arc::from);
        subject.metadata = from_nova::metadata(server, flavor, listed.image(server));
        user_metadata::add(&mut subject.metadata, &server.metadata, options);
        Ok(Self {
            subject: subject.shared(),
            domain: server.instance_name.clone().unwrap_or_default(),
            disk: flavor.disk,
            ephemeral: flavor.ephemeral,
        })
    }

    /// Returns the subject with further metadata.
    pub(crate) fn with(&self, key: &'static str, value: impl Into<Value>) -> Arc<Subject> {
        let mut subject = self.subject.as_ref().clone();
        put(&mut subject.metadata, key, value.into());
        subject.shared()
    }

    /// Returns the subject of a disk's samples.
    pub(crate) fn disk(&self, disk: &Disk) -> Arc<Subject> {
        let mut subject = self.subject.as_ref().clone();
        subject.resource_id = format!("{}-{}", self.subject.resource_id, disk.device).into();
        put(&mut subject.metadata, "disk_name", disk.device.clone().into());
        subject.shared()
    }

    /// Returns the subject of an interface's samples. (Its `name` is the interface's, not the domain's, as in ceilometer.)
    pub(crate) fn interface(&self, interface: &Interface) -> Arc<Subject> {
        let mut subject = self.subject.as_ref().clone();
        subject.resource_id = match &interface.filter {
            Some(filter) => filter.as_str().into(),
            None => format!(
                "{}-{}-{}",
                self.domain, self.subject.resource_id, interface.device
            )
            .into(),
        };
        let parameters = interface.parameters.iter();
        let parameters: Map = parameters
            .map(|(name, value)| (Cow::Owned(name.clone()), value.clone().into()))
            .collect();
        let name = interface.filter.as_ref().unwrap_or(&interface.device);
        let metadata = &mut subject.metadata;
        put(metadata, "name", interface.device.clone().into());
        put(metadata, "mac", interface.mac.clone().into());
        put(metadata, "fref", interface.filter.clone().into());
        put(metadata, "parameters", parameters.into());
        put(metadata, "vnic_name", name.clone().into());
        subject.shared()
    }
}
