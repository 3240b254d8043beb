//! The HTTP client: connections, TLS, proxies.

use std::path::Path;
use std::time::Duration;

use nephoscope_plugin::OptionsError;
use reqwest::{Certificate, Client, Identity};
use tokio::sync::OnceCell;

use crate::credentials::Access;
use crate::tls::TlsVersions;

/// A certificate file is no larger; more is some other file.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// A connection that nobody uses is closed after this time: soon after a cycle, and before the far side does.
const IDLE: Duration = Duration::from_secs(15);

/// How long a connection may take to come about, TLS included.
const CONNECT: Duration = Duration::from_secs(10);

/// Makes the client when it is first needed: it takes memory that an agent without OpenStack does not spend.
#[derive(Debug)]
pub(crate) struct Transport {
    authorities: Option<Vec<Certificate>>,
    identity: Option<Identity>,
    insecure: bool,
    versions: TlsVersions,
    timeout: Duration,
    client: OnceCell<Client>,
}

impl Transport {
    /// Reads the files that `access` names.
    ///
    /// # Errors
    ///
    /// The option whose file cannot be used.
    pub(crate) fn new(access: &Access, timeout: Duration) -> Result<Self, OptionsError> {
        access.versions.check()?;
        let authorities = access.ca.as_deref().map(authorities).transpose()?;
        let identity = match (&access.certificate, &access.key) {
            (Some(certificate), key) => Some(identity(certificate, key.as_deref())?),
            (None, _) => None,
        };
        Ok(Self {
            authorities,
            identity,
            insecure: access.insecure,
            versions: access.versions,
            timeout,
            client: OnceCell::new(),
        })
    }

    /// The client.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub(crate) async fn client(&self) -> Result<&Client, reqwest::Error> {
        self.client
            .get_or_try_init(|| async {
                let mut builder = Client::builder()
                    .user_agent(concat!("nephoscope/", env!("CARGO_PKG_VERSION")))
                    // A redirect would take the token to wherever it leads; what is followed is followed by `Service`.
                    .redirect(reqwest::redirect::Policy::none())
                    .retry(reqwest::retry::never())
                    .referer(false)
                    .connect_timeout(CONNECT)
                    .read_timeout(self.timeout)
                    .pool_idle_timeout(IDLE)
                    .tls_danger_accept_invalid_certs(self.insecure);
                builder = builder.tls_certs_only(match &self.authorities {
                    Some(authorities) => authorities.clone(),
                    None => of_the_system(),
                });
                if let Some(version) = self.versions.min {
                    builder = builder.tls_version_min(version.into());
                }
                if let Some(version) = self.versions.max {
                    builder = builder.tls_version_max(version.into());
                }
                if let Some(identity) = &self.identity {
                    builder = builder.identity(identity.clone());
                }
                builder.build()
            })
            .await
    }
}

/// The authorities of the system. One without any can still reach services without TLS.
fn of_the_system() -> Vec<Certificate> {
    let found = rustls_native_certs::load_native_certs().certs;
    found
        .iter()
        .filter_map(|certificate| Certificate::from_der(certificate).ok())
        .collect()
}

fn authorities(path: &Path) -> Result<Vec<Certificate>, OptionsError> {
    let pem = read("cafile", path)?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(wrong("cafile", path, "has no certificate in PEM form")),
    }
}

fn identity(certificate: &Path, key: Option<&Path>) -> Result<Identity, OptionsError> {
    let mut pem = read("certfile", certificate)?;
    if let Some(key) = key {
        pem.push(b'\n');
        pem.extend(read("keyfile", key)?);
    }
    // What reqwest says of it might show a part of the key.
    Identity::from_pem(&pem)
        .map_err(|_| wrong("certfile", certificate, "has no certificate and key in PEM form"))
}

fn read(option: &str, path: &Path) -> Result<Vec<u8>, OptionsError> {
    let found = std::fs::metadata(path).map_err(|error| wrong(option, path, &error.to_string()))?;
    if !found.is_file() || found.len() > MAX_FILE {
        return Err(wrong(option, path, "not a file of certificates"));
    }
    std::fs::read(path).map_err(|error| wrong(option, path, &error.to_string()))
}

fn wrong(option: &str, path: &Path, message: &str) -> OptionsError {
    OptionsError::new(option.to_owned(), format!("{}: {message}", path.display()))
}
