//! TLS to the broker: trusted authorities, and the client certificate.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::error::BrokerError;
use crate::options::TlsOptions;

/// The size limit of a certificate file. A larger file is something else.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Returns the TLS configuration for `options`. Reads their files, so that it may block.
pub(crate) fn config(options: &TlsOptions) -> Result<Arc<ClientConfig>, BrokerError> {
    // Named explicitly: another crate may have installed another provider, or none.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = Arc::new(roots(options.ca.as_deref())?);
    let ca = |error: &dyn std::error::Error| file_error("ca", error);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map_err(|error| ca(&error))?;
    let verifier: Arc<dyn ServerCertVerifier> = if options.verify_hostname {
        verifier
    } else {
        Arc::new(AnyName(verifier))
    };
    let config = builder(provider)
        .map_err(|error| ca(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match (&options.certificate, &options.key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates("certificate", certificate)?;
            let key = PrivateKeyDer::from_pem_slice(&read("key", key)?)
                .map_err(|error| file_error("key", &error))?;
            config
                .with_client_auth_cert(chain, key)
                .map_err(|error| file_error("certificate", &error))?
        }
        _ => config.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn builder(
    provider: Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, Error> {
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, BrokerError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            for certificate in certificates("ca", path)? {
                roots.add(certificate).map_err(|error| file_error("ca", &error))?;
            }
        }
        None => {
            // Skips invalid certificates of the system.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(BrokerError::TlsFile {
            option: "ca",
            reason: "not set, and this system has no authorities (ca-certificates)".to_owned(),
        });
    }
    Ok(roots)
}

fn certificates(option: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, BrokerError> {
    let pem = read(option, path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| file_error(option, &error))?;
    if chain.is_empty() {
        return Err(BrokerError::TlsFile {
            option,
            reason: format!("{} contains no certificate in PEM form", path.display()),
        });
    }
    Ok(chain)
}

fn read(option: &'static str, path: &Path) -> Result<Vec<u8>, BrokerError> {
    let failed = |error: std::io::Error| BrokerError::TlsFile {
        option,
        reason: format!("{}: {error}", path.display()),
    };
    let found = std::fs::metadata(path).map_err(failed)?;
    if !found.is_file() || found.len() > MAX_FILE {
        return Err(failed(std::io::Error::other("not a certificate file")));
    }
    std::fs::read(path).map_err(failed)
}

fn file_error(option: &'static str, error: &dyn std::error::Error) -> BrokerError {
    BrokerError::TlsFile {
        option,
        reason: error.to_string(),
    }
}

/// Verifies a certificate without its host name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self
            .0
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // The name is checked last, after the chain of signatures.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
