//! Test certificates: an authority, a server, a client, and an authority that signed neither.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// Files in PEM format.
#[derive(Debug)]
pub struct Certificates {
    /// The authority.
    pub ca: PathBuf,
    /// An authority that signed none of the certificates.
    pub other_ca: PathBuf,
    /// The server's, for `localhost`.
    pub server: PathBuf,
    /// Its key.
    pub server_key: PathBuf,
    /// A client's, for the user `agent`.
    pub client: PathBuf,
    /// Its key.
    pub client_key: PathBuf,
}

impl Certificates {
    /// Creates all files in a folder.
    ///
    /// # Panics
    ///
    /// Panics if a file cannot be written.
    #[must_use]
    pub fn write_to(folder: &Path) -> Self {
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let ca = authority("the authority");
        let other = authority("another authority");
        let (server, server_key) = signed(&ca, "localhost");
        let (client, client_key) = signed(&ca, "agent");
        Self {
            ca: write("ca.pem", ca.pem()),
            other_ca: write("other_ca.pem", other.pem()),
            server: write("server.pem", server),
            server_key: write("server.key", server_key),
            client: write("client.pem", client),
            client_key: write("client.key", client_key),
        }
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Returns a certificate and its key.
fn signed(authority: &CertifiedIssuer<'static, KeyPair>, name: &str) -> (String, String) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    (certificate.pem(), key.serialize_pem())
}
