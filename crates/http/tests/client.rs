//! The client with a real server, with and without TLS.

#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use nephoscope_http::{HttpClient, HttpError, HttpOptions, MAX_RESPONSE_BYTES, Request, StatusClass};
use nephoscope_plugin::PublishError;
use parking_lot::Mutex;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

/// A request that the server received.
#[derive(Debug, Clone)]
struct Received {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Received {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

type Log = Arc<Mutex<Vec<Received>>>;

/// Responds according to the path: `/STATUS`, `/long`, `/never`, `/later`.
async fn response(
    request: hyper::Request<Incoming>,
    log: Log,
) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    let headers = head.headers.iter();
    log.lock().push(Received {
        line: format!("{} {}", head.method, head.uri),
        headers: headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        body,
    });
    let response = hyper::Response::builder();
    let response = match head.uri.path() {
        "/long" => response.body(vec![b'x'; MAX_RESPONSE_BYTES + 1].into()),
        "/never" => std::future::pending().await,
        "/later" => response
            .status(503)
            .header("retry-after", "7")
            .body("busy".into()),
        "/moved" => response
            .status(307)
            .header("location", "/200")
            .body(Full::default()),
        path => response
            .status(path.trim_start_matches('/').parse::<u16>().unwrap())
            .body("first\nmore".into()),
    };
    Ok(response.unwrap())
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, log: Log) {
    let service = service_fn(move |request| response(request, log.clone()));
    _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// A server without TLS.
async fn server() -> (SocketAddr, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let log = Log::default();
    let server_log = log.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, server_log.clone()));
        }
    });
    (address, log)
}

fn client(options: serde_json::Value) -> HttpClient {
    let options: HttpOptions = serde_json::from_value(options).unwrap();
    HttpClient::new(options).unwrap()
}

fn post(url: String) -> Request<'static> {
    Request::post(url, "application/json", b"[]".to_vec())
}

#[tokio::test]
async fn a_request_contains_its_body_its_headers_and_the_credentials() {
    let (address, log) = server().await;
    let basic = json!({"basic": {"user": "u", "password": "p"}, "headers": {"X-Scope-OrgID": "t1"}});
    let request = post(format!("http://{address}/200"))
        .content_encoding("gzip")
        .headers(&[("x-version", "0.1.0")]);
    let response = client(basic).send(request).await.unwrap();
    assert_eq!((response.status, response.class()), (200, StatusClass::Accepted));
    assert_eq!(
        (response.body.as_slice(), response.truncated),
        (&b"first\nmore"[..], false)
    );
    client(json!({"bearer": "token"}))
        .send(post(format!("http://{address}/204")))
        .await
        .unwrap();
    let log = log.lock();
    let (first, second) = (&log[0], &log[1]);
    assert_eq!(
        (first.line.as_str(), first.body.as_slice()),
        ("POST /200", &b"[]"[..])
    );
    assert_eq!(first.header("authorization"), Some("Basic dTpw"));
    assert_eq!(first.header("content-type"), Some("application/json"));
    assert_eq!(first.header("content-encoding"), Some("gzip"));
    assert_eq!(first.header("x-scope-orgid"), Some("t1"));
    assert_eq!(first.header("x-version"), Some("0.1.0"));
    let agent = format!("nephoscope/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(first.header("user-agent"), Some(agent.as_str()));
    assert_eq!(second.header("authorization"), Some("Bearer token"));
}

#[tokio::test]
async fn responses_are_limited_and_redirects_not_followed() {
    let (address, log) = server().await;
    let client = client(json!({}));
    let long = client.send(post(format!("http://{address}/long"))).await.unwrap();
    assert_eq!((long.body.len(), long.truncated), (MAX_RESPONSE_BYTES, true));
    let moved = client
        .send(post(format!("http://{address}/moved")))
        .await
        .unwrap();
    assert_eq!((moved.status, moved.class()), (307, StatusClass::Redirect));
    assert_eq!(log.lock().len(), 2, "the redirect is not followed");
    let later = client
        .send(post(format!("http://{address}/later")))
        .await
        .unwrap();
    assert_eq!(later.class(), StatusClass::Busy);
    assert_eq!(later.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(later.summary(), "HTTP status 503: busy");
}

#[tokio::test]
async fn an_unreachable_or_hanging_server_allows_a_retry_and_errors_do_not_contain_the_url() {
    let (address, _) = server().await;
    let hanging = client(json!({"timeout": "50ms"}));
    let error = hanging
        .send(post(format!("http://u:canary@{address}/never?key=canary")))
        .await
        .unwrap_err();
    assert!(matches!(error, HttpError::Timeout(_)), "{error:?}");
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let unreachable = client(json!({}))
        .send(post(format!("http://u:canary@{free}/200?key=canary")))
        .await
        .unwrap_err();
    assert!(matches!(unreachable, HttpError::Connect(_)), "{unreachable:?}");
    let no_url = client(json!({}))
        .send(post("canary".to_owned()))
        .await
        .unwrap_err();
    assert!(matches!(no_url, HttpError::Request(_)), "{no_url:?}");
    for error in [error, unreachable, no_url] {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("canary"), "{shown}");
        let is_request = matches!(error, HttpError::Request(_));
        let error = PublishError::from(error);
        assert_eq!(
            matches!(error, PublishError::Rejected { .. }),
            is_request,
            "{error:?}"
        );
    }
}

/// A server that requires a client certificate of the authority, and the files of a client.
struct Tls {
    folder: tempfile::TempDir,
    address: SocketAddr,
}

impl Tls {
    async fn start() -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, authority_key).unwrap();
        let issue = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            (params.signed_by(&key, &authority).unwrap(), key)
        };
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        let (certificate, key) = issue("client");
        write("ca.pem", authority.pem());
        write("certificate.pem", certificate.pem());
        write("key.pem", key.serialize_pem());
        let (certificate, key) = issue("localhost");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
                .build()
                .unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![CertificateDer::from(certificate)],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, Log::default()).await;
                    }
                });
            }
        });
        Self { folder, address }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/200", self.address.port())
    }
}

#[tokio::test]
async fn tls_verifies_the_server_and_sends_the_client_certificate() {
    let tls = Tls::start().await;
    let own = json!({"ca": tls.file("ca.pem"), "certificate": tls.file("certificate.pem"), "key": tls.file("key.pem")});
    let response = client(json!({"tls": own})).send(post(tls.url())).await.unwrap();
    assert_eq!(response.status, 200);
    let anonymous = client(json!({"tls": {"ca": tls.file("ca.pem")}}));
    assert!(
        anonymous.send(post(tls.url())).await.is_err(),
        "the server requires a certificate"
    );
    let own = json!({"certificate": tls.file("certificate.pem"), "key": tls.file("key.pem")});
    let untrusting = client(json!({"tls": own}));
    let error = untrusting.send(post(tls.url())).await.unwrap_err();
    assert!(matches!(error, HttpError::Connect(_)), "{error:?}");
}

#[test]
fn invalid_files_are_found_before_the_first_request() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let error = |tls: serde_json::Value| {
        let options: HttpOptions = serde_json::from_value(json!({"tls": tls})).unwrap();
        let error = HttpClient::new(options).unwrap_err().to_string();
        error.replace(&folder.path().display().to_string(), "DIR")
    };
    assert_eq!(
        error(json!({"ca": empty})),
        "option `tls.ca`: DIR/empty.pem: no certificate in PEM form"
    );
    assert_eq!(
        error(json!({"ca": folder.path()})),
        "option `tls.ca`: DIR: not a certificate file"
    );
    assert_eq!(
        error(json!({"certificate": empty})),
        "option `tls.certificate`: `tls.key` is missing"
    );
    assert_eq!(
        error(json!({"certificate": empty, "key": empty})),
        "option `tls.certificate`: DIR/empty.pem: this file and that of `tls.key` contain no certificate with its key in PEM form"
    );
    assert!(error(json!({"ca": folder.path().join("none")})).contains("No such file"));
}
