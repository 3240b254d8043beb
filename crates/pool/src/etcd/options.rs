//! Where etcd is, who we are to it, and how long it may take.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use nephoscope_plugin::Secret;

/// What a [`crate::etcd::Store`] needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// `http://host:port` or `https://host:port`, each member of one etcd cluster. At least one.
    pub endpoints: Vec<String>,
    /// Name and password, if etcd asks for them.
    pub user: Option<User>,
    /// For endpoints with `https`: whom we trust, and what we show.
    pub tls: TlsFiles,
    /// How long one call may take, with all its attempts at all endpoints.
    pub request_timeout: Duration,
    /// How long it may take to connect to one endpoint: TCP, TLS, and the check of the password, which etcd makes slow on purpose.
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

/// Files in PEM form. They are read again at every connection, so that renewed certificates are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authorities that may sign etcd's certificate. Without it those of the system.
    pub ca: Option<PathBuf>,
    /// Our certificate, followed by those of intermediate authorities, and its key.
    pub identity: Option<Identity>,
}

/// A certificate and its key, both as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}
