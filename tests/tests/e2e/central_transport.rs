//! The transport to OpenStack's services: TLS, client certificates, proxies.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use nephoscope_tests::{Certificates, Finished, Lab};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use serde_json::{Value, json};

use crate::central::TestCloud;

/// The maximum length of a request head.
const LONGEST_HEAD: usize = 64 * 1024;

/// A server in front of the cloud that forwards each request to it.
struct Front {
    port: u16,
    /// The number of forwarded requests.
    passed: Arc<AtomicUsize>,
}

impl Front {
    /// Starts it with TLS if there is a configuration for it, else as an HTTP proxy, which receives whole URLs.
    fn start(cloud: &str, tls: Option<Arc<ServerConfig>>) -> Self {
        let cloud: SocketAddr = cloud.trim_start_matches("http://").parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let passed = Arc::new(AtomicUsize::new(0));
        let counter = passed.clone();
        // The thread ends with the test process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, counter) = (tls.clone(), counter.clone());
                thread::spawn(move || {
                    // A client that does not trust this end closes the connection, which ends the thread.
                    let _ = match tls {
                        Some(tls) => pass_on_with_tls(stream, tls, cloud, &counter),
                        None => pass_on(stream, cloud, &counter).map(drop),
                    };
                });
            }
        });
        Self { port, passed }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    fn passed(&self) -> usize {
        self.passed.load(Ordering::SeqCst)
    }
}

fn pass_on_with_tls(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    cloud: SocketAddr,
    counter: &AtomicUsize,
) -> std::io::Result<()> {
    let connection = ServerConnection::new(tls).map_err(std::io::Error::other)?;
    let mut stream = pass_on(StreamOwned::new(connection, stream), cloud, counter)?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// Forwards one request and its response.
fn pass_on<S: Read + Write>(mut stream: S, cloud: SocketAddr, counter: &AtomicUsize) -> std::io::Result<S> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < LONGEST_HEAD {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    let mut lines = head.trim_end().lines();
    // A request to a proxy contains the whole URL, a request to a service its path.
    let first = lines.next().unwrap_or_default();
    let mut request = match first.split_once("http://") {
        Some((method, rest)) => format!("{method}{}\r\n", &rest[rest.find('/').unwrap_or(0)..]),
        None => format!("{first}\r\n"),
    };
    for line in lines.filter(|line| !line.to_ascii_lowercase().contains("connection:")) {
        request.push_str(&format!("{line}\r\n"));
    }
    request.push_str("connection: close\r\n\r\n");
    let mut service = TcpStream::connect(cloud)?;
    service.write_all(request.as_bytes())?;
    service.write_all(&body)?;
    counter.fetch_add(1, Ordering::SeqCst);
    std::io::copy(&mut service, &mut stream)?;
    stream.flush()?;
    Ok(stream)
}

/// The TLS configuration of a server that requires client certificates or not.
fn tls(certificates: &Certificates, of_clients: bool) -> Arc<ServerConfig> {
    tls_of(certificates, of_clients, rustls::DEFAULT_VERSIONS)
}

/// The same, for a server with these TLS versions.
fn tls_of(
    certificates: &Certificates,
    of_clients: bool,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = CertificateDer::pem_file_iter(&certificates.server).unwrap();
    let chain: Vec<_> = chain.map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&certificates.server_key).unwrap();
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .unwrap();
    let builder = if of_clients {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(&certificates.ca).unwrap())
            .unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    Arc::new(builder.with_single_cert(chain, key).unwrap())
}

/// Returns an agent that polls images, from a cloud whose services are at `base`.
fn lab(cloud: &TestCloud, base: &str, more: Value) -> Lab {
    cloud.api.links_to(base);
    let mut openstack = cloud.api.options();
    openstack["auth_url"] = json!(format!("{base}/identity/v3"));
    openstack["retries"] = json!(0);
    for (name, value) in more.as_object().unwrap() {
        openstack[name] = value.clone();
    }
    let config = json!({
        "agent": { "host": "node1", "state_dir": "$LAB/state", "namespaces": ["central"] },
        "plugins": { "openstack": openstack },
        "sources": [{ "name": "images", "interval": 300, "meters": ["image.size"] }],
    });
    Lab::with(&config.to_string())
}

fn once(lab: &Lab, code: i32) -> Finished {
    lab.nephoscope(&["once", "--format", "json"])
        .finish()
        .expect(code)
}

#[test]
fn service_certificates_are_checked_as_configured() {
    let files = Lab::new();
    let certificates = Certificates::write_to(files.folder());
    let cloud = TestCloud::of(3);
    let front = Front::start(&cloud.api.url(), Some(tls(&certificates, false)));
    let url = front.url();
    for trusted in [
        json!({ "cafile": certificates.ca }),
        json!({ "insecure": true }),
        json!({ "cafile": certificates.other_ca, "services": {
            "keystone": { "cafile": certificates.ca }, "glance": { "insecure": true } } }),
    ] {
        assert_eq!(once(&lab(&cloud, &url, trusted), 0).samples().len(), 3);
    }
    let passed = front.passed();
    for distrusted in [json!({}), json!({ "cafile": certificates.other_ca })] {
        let finished = once(&lab(&cloud, &url, distrusted), 1);
        assert!(finished.stderr.contains("unreachable"), "{finished}");
        assert!(finished.stderr.contains("certificate"), "{finished}");
    }
    assert_eq!(
        front.passed(),
        passed,
        "the password is sent only to trusted servers"
    );
}

#[test]
fn tls_versions_are_those_configured() {
    let files = Lab::new();
    let certificates = Certificates::write_to(files.folder());
    let cloud = TestCloud::of(3);
    let old = tls_of(&certificates, false, &[&rustls::version::TLS12]);
    let front = Front::start(&cloud.api.url(), Some(old));
    let polled = |more: Value, code| {
        let mut options = json!({ "cafile": certificates.ca });
        for (name, value) in more.as_object().unwrap() {
            options[name] = value.clone();
        }
        once(&lab(&cloud, &front.url(), options), code)
    };
    for spoken in [
        json!({}),
        json!({ "tls_min_version": 1.2, "tls_max_version": 1.2 }),
    ] {
        assert_eq!(polled(spoken, 0).samples().len(), 3);
    }
    let passed = front.passed();
    let finished = polled(json!({ "tls_min_version": 1.3 }), 1);
    assert!(finished.stderr.contains("unreachable"), "{finished}");
    assert_eq!(front.passed(), passed);
    // Only images are rejected: an option of a service applies to it alone.
    let finished = polled(json!({ "services": { "glance": { "tls_min_version": 1.3 } } }), 1);
    assert!(finished.stderr.contains("glance"), "{finished}");
    assert_eq!(front.passed(), passed + 1, "the token");
    let finished = polled(json!({ "tls_min_version": 1.3, "tls_max_version": 1.2 }), 2);
    assert!(finished.stderr.contains("no version is allowed"), "{finished}");
}

#[test]
fn a_client_certificate_is_presented_to_services_that_require_one() {
    let files = Lab::new();
    let certificates = Certificates::write_to(files.folder());
    let cloud = TestCloud::of(3);
    let front = Front::start(&cloud.api.url(), Some(tls(&certificates, true)));
    let mut options = json!({ "cafile": certificates.ca });
    let finished = once(&lab(&cloud, &front.url(), options.clone()), 1);
    assert!(finished.stderr.contains("unreachable"), "{finished}");
    assert_eq!(front.passed(), 0);
    options["certfile"] = json!(certificates.client);
    options["keyfile"] = json!(certificates.client_key);
    assert_eq!(once(&lab(&cloud, &front.url(), options), 0).samples().len(), 3);
}

#[test]
fn a_proxy_of_the_environment_is_used_except_for_excluded_names() {
    let cloud = TestCloud::of(3);
    let front = Front::start(&cloud.api.url(), None);
    let proxy = format!("http://127.0.0.1:{}", front.port);
    // A name that only the proxy can reach.
    let lab = lab(&cloud, "http://cloud.invalid", json!({}));
    let launch = || {
        let launch = lab.nephoscope(&["once", "--format", "json"]);
        launch.env("HTTP_PROXY", &proxy).env("http_proxy", &proxy)
    };
    assert_eq!(launch().finish().expect(0).samples().len(), 3);
    assert_eq!(front.passed(), 2, "the token and the images");
    let left_out = launch()
        .env("NO_PROXY", "cloud.invalid")
        .env("no_proxy", "cloud.invalid");
    let finished = left_out.finish().expect(1);
    assert!(finished.stderr.contains("unreachable"), "{finished}");
    assert_eq!(front.passed(), 2);
}
