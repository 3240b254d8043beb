//! The TLS files: authorities, and the client certificate.

use std::path::Path;

use nephoscope_plugin::OptionsError;
use reqwest::{Certificate, Identity};

use crate::options::{TlsOptions, invalid};

/// The size limit of a certificate file. A larger file is something else.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// The contents of the TLS files.
#[derive(Debug)]
pub(crate) struct TlsFiles {
    /// The trusted authorities; `None`: those of the system.
    authorities: Option<Vec<Certificate>>,
    pub(crate) identity: Option<Identity>,
}

impl TlsFiles {
    /// Reads the files in `options`.
    pub(crate) fn read(options: &TlsOptions) -> Result<Self, OptionsError> {
        let authorities = options.ca.as_deref().map(authorities).transpose()?;
        let identity = match (options.certificate.as_deref(), options.key.as_deref()) {
            (Some(certificate), Some(key)) => Some(identity(certificate, key)?),
            (Some(_), None) => return Err(invalid("tls.certificate", "`tls.key` is missing")),
            (None, Some(_)) => return Err(invalid("tls.key", "`tls.certificate` is missing")),
            (None, None) => None,
        };
        Ok(Self {
            authorities,
            identity,
        })
    }

    /// Returns the trusted certificates. A system without certificates can still send without TLS.
    pub(crate) fn trusted(&self) -> Vec<Certificate> {
        if let Some(authorities) = &self.authorities {
            return authorities.clone();
        }
        let found = rustls_native_certs::load_native_certs().certs;
        found
            .iter()
            .filter_map(|certificate| Certificate::from_der(certificate).ok())
            .collect()
    }
}

fn authorities(path: &Path) -> Result<Vec<Certificate>, OptionsError> {
    match Certificate::from_pem_bundle(&read("tls.ca", path)?) {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(unusable("tls.ca", path, "no certificate in PEM form")),
    }
}

fn identity(certificate: &Path, key: &Path) -> Result<Identity, OptionsError> {
    let mut pem = read("tls.certificate", certificate)?;
    pem.push(b'\n');
    pem.extend(read("tls.key", key)?);
    // The library's error may contain a part of the key.
    Identity::from_pem(&pem).map_err(|_| {
        let message = "this file and that of `tls.key` contain no certificate with its key in PEM form";
        unusable("tls.certificate", certificate, message)
    })
}

fn read(option: &str, path: &Path) -> Result<Vec<u8>, OptionsError> {
    let failed = |error: std::io::Error| unusable(option, path, &error.to_string());
    let found = std::fs::metadata(path).map_err(failed)?;
    if !found.is_file() || found.len() > MAX_FILE {
        return Err(unusable(option, path, "not a certificate file"));
    }
    std::fs::read(path).map_err(failed)
}

fn unusable(option: &str, path: &Path, message: &str) -> OptionsError {
    invalid(option, format!("{}: {message}", path.display()))
}
