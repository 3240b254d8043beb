//! The gateway's admin API: its access, and the user of a project.

use std::sync::Arc;

use jiff::Timestamp;
use nephoscope_openstack::{HeaderMap, Method, Request, Root, Service, ServiceDef, Session, Signer, Url};
use nephoscope_plugin::{BuildContext, BuildError, CallDef, Failure, OptionsError};

use crate::signature::Keys;
use crate::{FAMILY, Options};

static RADOSGW: ServiceDef = ServiceDef {
    name: FAMILY,
    service_type: "object-store",
    // The endpoint is that of the gateway's Swift API, at `/swift/v1`.
    root: Root::Origin,
    microversion: None,
};

/// The gateway's admin API.
pub(crate) struct Gateway {
    service: Service,
    /// `None`: no keys are configured.
    signer: Option<Signer>,
    implicit_tenants: bool,
}

/// Access to the gateway with keys.
pub(crate) struct Access<'a> {
    pub(crate) service: &'a Service,
    signer: &'a Signer,
    implicit_tenants: bool,
}

impl Gateway {
    /// Creates the gateway from the options.
    ///
    /// # Errors
    ///
    /// The options are invalid.
    pub(crate) fn of(context: &BuildContext) -> Result<Self, BuildError> {
        let options: Options = context.options()?;
        let keys = match (options.access_key, options.secret_key) {
            (Some(access), Some(secret)) => Some(Keys { access, secret }),
            (None, None) => {
                context.shared(|| {
                    tracing::info!("no `access_key` is configured; Ceph's object gateway is not polled")
                });
                None
            }
            (access, _) => {
                let (path, other) = match access {
                    Some(_) => ("secret_key", "access_key"),
                    None => ("access_key", "secret_key"),
                };
                return Err(BuildError::Options(OptionsError::new(
                    path.to_owned(),
                    format!("missing; `{other}` requires it"),
                )));
            }
        };
        Ok(Self {
            service: Session::of(context)?.service(&RADOSGW),
            signer: keys.map(signer),
            implicit_tenants: options.implicit_tenants,
        })
    }

    /// Whether keys are configured: without keys no requests are sent.
    pub(crate) fn has_keys(&self) -> bool {
        self.signer.is_some()
    }

    /// Returns the access to the gateway.
    ///
    /// # Errors
    ///
    /// No keys are configured: the meters are not supported.
    pub(crate) fn access(&self) -> Result<Access<'_>, Failure> {
        let signer = self.signer.as_ref().ok_or_else(|| {
            Failure::not_supported("no `access_key` and `secret_key` of the object gateway are configured")
        })?;
        Ok(Access {
            service: &self.service,
            signer,
            implicit_tenants: self.implicit_tenants,
        })
    }
}

impl Access<'_> {
    /// Creates a request for the user of a project.
    pub(crate) fn about(&self, service: &Service, call: &'static CallDef, project: &str) -> Request {
        let user = if self.implicit_tenants {
            format!("{project}${project}")
        } else {
            project.to_owned()
        };
        service
            .request(call)
            .query("uid", user)
            .signed(self.signer.clone())
    }
}

fn signer(keys: Keys) -> Signer {
    Arc::new(move |method: &Method, url: &Url, headers: &mut HeaderMap| {
        #[allow(
            clippy::disallowed_methods,
            reason = "the gateway compares the time of a signature with its own clock"
        )]
        keys.sign(method, url, headers, Timestamp::now());
    })
}
