//! Reads the files in `tls`.

use std::path::Path;

use etcd_client::{Certificate, TlsOptions};
use tokio::io::AsyncReadExt as _;

use super::error::StoreError;
use super::options::TlsFiles;

/// The maximum size of a certificate file.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Reads the files and returns the TLS options.
pub(super) async fn read(files: &TlsFiles) -> Result<TlsOptions, StoreError> {
    let mut tls = TlsOptions::new();
    tls = match &files.ca {
        Some(path) => tls.ca_certificate(Certificate::from_pem(pem("ca", path).await?)),
        None => tls.with_native_roots(),
    };
    if let Some(identity) = &files.identity {
        let certificate = pem("cert", &identity.certificate).await?;
        let key = pem("key", &identity.key).await?;
        tls = tls.identity(etcd_client::Identity::from_pem(certificate, key));
    }
    Ok(tls)
}

async fn pem(option: &str, path: &Path) -> Result<Vec<u8>, StoreError> {
    let failed = |error: std::io::Error| StoreError::Tls {
        reason: format!("`{option}`, {}: {error}", path.display()),
    };
    let other = || failed(std::io::Error::other("not a file in PEM form"));
    let found = tokio::fs::metadata(path).await.map_err(failed)?;
    if !found.is_file() {
        return Err(other());
    }
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_FILE + 1).read_to_end(&mut bytes).await;
    read.map_err(failed)?;
    // The client accepts a file without certificates as an empty trust store, and fails much later.
    if bytes.len() as u64 > MAX_FILE || !String::from_utf8_lossy(&bytes).contains("-----BEGIN ") {
        return Err(other());
    }
    Ok(bytes)
}
