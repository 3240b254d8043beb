//! Endpoints, credentials and timeouts of etcd.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use nephoscope_plugin::Secret;

/// The options of a [`crate::etcd::Store`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// `http://host:port` or `https://host:port` of each member of one etcd cluster. At least one.
    pub endpoints: Vec<String>,
    /// The user, if authentication is enabled in etcd.
    pub user: Option<User>,
    /// The certificates for `https` endpoints.
    pub tls: TlsFiles,
    /// The time limit of one call, including all attempts at all endpoints.
    pub request_timeout: Duration,
    /// The time limit for connecting to one endpoint: TCP, TLS, and the password check, which etcd makes slow on purpose.
    pub connect_timeout: Duration,
}

/// A user of etcd.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: Secret,
}

impl fmt::Debug for User {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("User")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// PEM files. They are read at every connection, so that renewed certificates take effect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authorities that may sign etcd's certificate. Default: those of the system.
    pub ca: Option<PathBuf>,
    /// The client certificate, followed by intermediate certificates, and its key.
    pub identity: Option<Identity>,
}

/// The files of a certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}
