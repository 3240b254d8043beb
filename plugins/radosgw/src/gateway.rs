//! The gateway: which user stands for a project, and how it is asked about.

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

/// The gateway as the pollsters ask it.
pub(crate) struct Gateway {
    service: Service,
    /// `None`: nobody may ask.
    signer: Option<Signer>,
    implicit_tenants: bool,
}

/// A gateway that may be asked.
pub(crate) struct Access<'a> {
    pub(crate) service: &'a Service,
    signer: &'a Signer,
    implicit_tenants: bool,
}

impl Gateway {
    /// The gateway that the options say.
    ///
    /// # Errors
    ///
    /// When they are wrong.
    pub(crate) fn of(context: &BuildContext) -> Result<Self, BuildError> {
        let options: Options = context.options()?;
        let keys = match (options.access_key, options.secret_key) {
            (Some(access), Some(secret)) => Some(Keys { access, secret }),
            (None, None) => {
                context.shared(|| {
                    tracing::info!("Ceph's object gateway is not polled: no `access_key` is configured")
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
                    format!("missing, and `{other}` is of no use without it"),
                )));
            }
        };
        Ok(Self {
            service: Session::of(context)?.service(&RADOSGW),
            signer: keys.map(signer),
            implicit_tenants: options.implicit_tenants,
        })
    }

    /// Whether there are keys: without, nothing is asked.
    pub(crate) fn has_keys(&self) -> bool {
        self.signer.is_some()
    }

    /// The gateway, if there are keys to sign with.
    ///
    /// # Errors
    ///
    /// When there are none: the meters are not supported then.
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
    /// A request about the user that stands for a project.
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
