//! The HTTP client: connections, TLS, proxies.

use std::path::Path;
use std::time::Duration;

use nephoscope_plugin::OptionsError;
use reqwest::{Certificate, Client, Identity};
use tokio::sync::OnceCell;

use crate::credentials::Access;
use crate::tls::TlsVersions;

/// The largest certificate file.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// An idle connection is closed after this time: soon after a cycle, and before the server closes it.
const IDLE: Duration = Duration::from_secs(15);

/// The time limit for connecting, including TLS.
const CONNECT: Duration = Duration::from_secs(10);

/// Creates the client at its first use, so that an agent without OpenStack spends no memory on it.
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
    /// A file cannot be used; names the option.
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

    /// Returns the client.
    ///
    /// # Errors
    ///
    /// The client cannot be created.
    pub(crate) async fn client(&self) -> Result<&Client, reqwest::Error> {
        self.client
            .get_or_try_init(|| async {
                let mut builder = Client::builder()
                    .user_agent(concat!("nephoscope/", env!("CARGO_PKG_VERSION")))
                    // A redirect would send the token to its target; `Request` follows redirects at the endpoint itself.
                    .redirect(reqwest::redirect::Policy::none())
                    .retry(reqwest::retry::never())
                    .referer(false)
                    .connect_timeout(CONNECT)
                    .read_timeout(self.timeout)
                    .pool_idle_timeout(IDLE)
                    .tls_danger_accept_invalid_certs(self.insecure);
                builder = builder.tls_certs_only(match &self.authorities {
                    Some(authorities) => authorities.clone(),
                    None => system_authorities(),
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

/// Returns the system's CA certificates. Without any, services without TLS remain reachable.
fn system_authorities() -> Vec<Certificate> {
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
        _ => Err(invalid("cafile", path, "contains no PEM certificate")),
    }
}

fn identity(certificate: &Path, key: Option<&Path>) -> Result<Identity, OptionsError> {
    let mut pem = read("certfile", certificate)?;
    if let Some(key) = key {
        pem.push(b'\n');
        pem.extend(read("keyfile", key)?);
    }
    // reqwest's error might contain a part of the key.
    Identity::from_pem(&pem)
        .map_err(|_| invalid("certfile", certificate, "contains no PEM certificate and key"))
}

fn read(option: &str, path: &Path) -> Result<Vec<u8>, OptionsError> {
    let found = std::fs::metadata(path).map_err(|error| invalid(option, path, &error.to_string()))?;
    if !found.is_file() || found.len() > MAX_FILE {
        return Err(invalid(option, path, "not a certificate file"));
    }
    std::fs::read(path).map_err(|error| invalid(option, path, &error.to_string()))
}

fn invalid(option: &str, path: &Path, message: &str) -> OptionsError {
    OptionsError::new(option.to_owned(), format!("{}: {message}", path.display()))
}
