//! TLS to the broker: whom we trust, and what we show.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::options::TlsOptions;
use crate::trouble::Trouble;

/// A certificate file is no larger; more is some other file.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// The client side of TLS as `options` ask. Reads their files: call it where blocking is fine.
pub(crate) fn config(options: &TlsOptions) -> Result<Arc<ClientConfig>, Trouble> {
    // By name: another crate of the program may have installed another provider, or none.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = Arc::new(roots(options.ca.as_deref())?);
    let ca = |error: &dyn std::error::Error| trouble("ca", error);
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
            let key =
                PrivateKeyDer::from_pem_slice(&read("key", key)?).map_err(|error| trouble("key", &error))?;
            config
                .with_client_auth_cert(chain, key)
                .map_err(|error| trouble("certificate", &error))?
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

fn roots(ca: Option<&Path>) -> Result<RootCertStore, Trouble> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            for certificate in certificates("ca", path)? {
                roots.add(certificate).map_err(|error| trouble("ca", &error))?;
            }
        }
        None => {
            // Some of the system's certificates may be odd; those that are not will do.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(Trouble::TlsFile {
            option: "ca",
            reason: "no authority is named, and this system has none (ca-certificates)".to_owned(),
        });
    }
    Ok(roots)
}

fn certificates(option: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Trouble> {
    let pem = read(option, path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| trouble(option, &error))?;
    if chain.is_empty() {
        return Err(Trouble::TlsFile {
            option,
            reason: format!("{} has no certificate in PEM form", path.display()),
        });
    }
    Ok(chain)
}

fn read(option: &'static str, path: &Path) -> Result<Vec<u8>, Trouble> {
    let failed = |error: std::io::Error| Trouble::TlsFile {
        option,
        reason: format!("{}: {error}", path.display()),
    };
    let found = std::fs::metadata(path).map_err(failed)?;
    if !found.is_file() || found.len() > MAX_FILE {
        return Err(failed(std::io::Error::other("not a file of certificates")));
    }
    std::fs::read(path).map_err(failed)
}

fn trouble(option: &'static str, error: &dyn std::error::Error) -> Trouble {
    Trouble::TlsFile {
        option,
        reason: error.to_string(),
    }
}

/// Asks of a certificate all but that it names the host.
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
            // The name is looked at last, after the chain of signatures.
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
