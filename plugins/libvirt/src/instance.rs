//! An instance of Nova, and what its samples say of it.

mod metadata;
mod told;
mod user_metadata;
mod written;

use std::borrow::Cow;
use std::sync::Arc;

use nephoscope_model::{Map, ResourceBody, Subject, Value};

use crate::definition::{Definition, Disk, Interface, NovaMetadata};
use crate::identity::Identity;
use crate::instance::metadata::put;
use crate::nova::{Listed, NovaServer};
use crate::options::Options;
use crate::stats::DomainStats;

/// An instance, wherever what is known of it comes from: a pollster needs nothing but this and the hypervisor.
#[derive(Debug)]
pub(crate) struct Instance {
    /// How its domain is found.
    pub(crate) identity: Identity,
    /// Who says that there is one.
    pub(crate) source: Source,
    /// What its samples say of it; or why nothing can be said.
    pub(crate) server: Result<Server, String>,
}

/// Who says that there is an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Its domain.
    Domain,
    /// Nova. It may have no domain, or not yet.
    Nova,
}

/// What samples say of an instance.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Server {
    /// Of its samples; with a resource id and the metadata of the instance as a whole.
    pub(crate) subject: Arc<Subject>,
    /// The name of its domain, which is part of the resource id of an interface.
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
    /// From what Nova wrote into the domain's definition. `flavor_id` is the flavor's, wherever it is from; `noted` is what the
    /// owner noted on the instance, if that was asked for.
    pub(crate) fn written(
        host: &str,
        stats: &DomainStats,
        definition: &Definition,
        nova: &NovaMetadata,
        flavor_id: &str,
        noted: Option<&Map>,
        options: &Options,
    ) -> Self {
        let mut subject = Subject::new(stats.uuid.to_string());
        subject.project_id = nova.project.as_deref().map(Arc::from);
        subject.user_id = nova.user.as_deref().map(Arc::from);
        subject.metadata = written::metadata(host, stats, definition, nova, flavor_id);
        user_metadata::add(&mut subject.metadata, noted.into_iter().flatten(), options);
        Self {
            subject: subject.shared(),
            domain: stats.name.clone(),
            disk: nova.flavor.disk,
            ephemeral: nova.flavor.ephemeral,
        }
    }

    /// From what Nova tells when it is asked.
    ///
    /// # Errors
    ///
    /// Why that is not enough.
    pub(crate) fn told(server: &NovaServer, listed: &Listed, options: &Options) -> Result<Self, String> {
        let flavor = listed.flavor(server)?;
        let mut subject = Subject::new(server.id.as_str());
        subject.project_id = server.tenant_id.as_deref().map(Arc::from);
        subject.user_id = server.user_id.as_deref().map(Arc::from);
        subject.metadata = told::metadata(server, flavor, listed.image(server));
        user_metadata::add(&mut subject.metadata, &server.metadata, options);
        Ok(Self {
            subject: subject.shared(),
            domain: server.instance_name.clone().unwrap_or_default(),
            disk: flavor.disk,
            ephemeral: flavor.ephemeral,
        })
    }

    /// The subject of samples with further metadata.
    pub(crate) fn with(&self, key: &'static str, value: impl Into<Value>) -> Arc<Subject> {
        let mut subject = self.subject.as_ref().clone();
        put(&mut subject.metadata, key, value.into());
        subject.shared()
    }

    /// The subject of a disk's samples.
    pub(crate) fn disk(&self, disk: &Disk) -> Arc<Subject> {
        let mut subject = self.subject.as_ref().clone();
        subject.resource_id = format!("{}-{}", self.subject.resource_id, disk.device).into();
        put(&mut subject.metadata, "disk_name", disk.device.clone().into());
        subject.shared()
    }

    /// The subject of an interface's samples. (That `name` is the interface's there, and not the domain's, is
    /// ceilometer's doing.)
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
