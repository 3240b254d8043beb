//! The calls that plugins make, for the reference, the required roles and the cost estimate.

use std::borrow::Cow;

use crate::IdentityKind;

/// A request or other external access that a plugin makes, declared in the plugin's static table.
///
/// ```
/// use nephoscope_plugin::{CallDef, CallRate};
///
/// const IMAGES: CallDef = CallDef::new("glance", "GET", "/v2/images")
///     .role("reader")
///     .rate(CallRate::PerPage(1000));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallDef {
    /// The service, for example `nova`, `libvirt`, `procfs`.
    pub service: &'static str,
    /// The method, for example `GET`, `read`, `virConnectGetAllDomainStats`.
    pub method: &'static str,
    /// The path template, for example `/v2.1/servers/detail`.
    pub path: &'static str,
    /// The least privileged role that may make it, for example `reader`.
    pub role: &'static str,
    /// How often it is made.
    pub rate: CallRate,
}

impl CallDef {
    /// A call that is made once per cycle. Set the role with [`CallDef::role`].
    pub const fn new(service: &'static str, method: &'static str, path: &'static str) -> Self {
        Self {
            service,
            method,
            path,
            role: "",
            rate: CallRate::PerCycle,
        }
    }

    /// Sets the least privileged role that may make it.
    #[must_use]
    pub const fn role(mut self, role: &'static str) -> Self {
        self.role = role;
        self
    }

    /// Sets how often it is made.
    #[must_use]
    pub const fn rate(mut self, rate: CallRate) -> Self {
        self.rate = rate;
        self
    }
}

/// A call in the catalog: from a static table, or from a definition that was read from a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Call {
    /// The service.
    pub service: Cow<'static, str>,
    /// The method.
    pub method: Cow<'static, str>,
    /// The path template.
    pub path: Cow<'static, str>,
    /// The least privileged role that may make it.
    pub role: Cow<'static, str>,
    /// How often it is made.
    pub rate: CallRate,
}

impl Call {
    /// A call that is made once per cycle. Set the role with [`Call::role`].
    pub fn new(
        service: impl Into<Cow<'static, str>>,
        method: impl Into<Cow<'static, str>>,
        path: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            service: service.into(),
            method: method.into(),
            path: path.into(),
            role: Cow::Borrowed(""),
            rate: CallRate::PerCycle,
        }
    }

    /// Sets the least privileged role that may make it.
    #[must_use]
    pub fn role(mut self, role: impl Into<Cow<'static, str>>) -> Self {
        self.role = role.into();
        self
    }

    /// Sets how often it is made.
    #[must_use]
    pub fn rate(mut self, rate: CallRate) -> Self {
        self.rate = rate;
        self
    }
}

impl From<&CallDef> for Call {
    fn from(def: &CallDef) -> Self {
        Self::new(def.service, def.method, def.path)
            .role(def.role)
            .rate(def.rate)
    }
}

impl PartialEq<CallDef> for Call {
    fn eq(&self, other: &CallDef) -> bool {
        let own = (&*self.service, &*self.method, &*self.path, &*self.role, self.rate);
        own == (other.service, other.method, other.path, other.role, other.rate)
    }
}

/// How often a [`Call`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallRate {
    /// Once per cycle.
    PerCycle,
    /// Once per page of this many resources.
    PerPage(u32),
    /// Once per resource.
    PerResource,
    /// Once for each project or user of the samples, by each agent that has samples of it, and again in the first cycle
    /// after this many seconds.
    PerIdentity(IdentityKind, u32),
    /// About once an hour by each agent, however many plugins need it: tokens, versions.
    Hourly,
}
