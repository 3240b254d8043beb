//! The client against a real server, with and without TLS.

#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use nephoscope_http::{HttpClient, HttpError, HttpOptions, MAX_ANSWER, Request, Verdict};
use nephoscope_plugin::PublishError;
use parking_lot::Mutex;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

/// A request as the server got it.
#[derive(Debug, Clone)]
struct Got {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

type Seen = Arc<Mutex<Vec<Got>>>;

/// What the path of a request asks for: `/STATUS`, `/long`, `/never`, `/later`.
async fn answer(
    request: hyper::Request<Incoming>,
    seen: Seen,
) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    let headers = head.headers.iter();
    seen.lock().push(Got {
        line: format!("{} {}", head.method, head.uri),
        headers: headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        body,
    });
    let response = hyper::Response::builder();
    let response = match head.uri.path() {
        "/long" => response.body(vec![b'x'; MAX_ANSWER + 1].into()),
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
            .body("said\nmore".into()),
    };
    Ok(response.unwrap())
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, seen: Seen) {
    let service = service_fn(move |request| answer(request, seen.clone()));
    _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// A server without TLS.
async fn server() -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Seen::default();
    let theirs = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, theirs.clone()));
        }
    });
    (address, seen)
}

fn client(options: serde_json::Value) -> HttpClient {
    let options: HttpOptions = serde_json::from_value(options).unwrap();
    HttpClient::new(options).unwrap()
}

fn post(url: String) -> Request<'static> {
    Request::post(url, "application/json", b"[]".to_vec())
}

#[tokio::test]
async fn a_request_has_its_body_its_headers_and_the_credentials() {
    let (address, seen) = server().await;
    let basic = json!({"basic": {"user": "u", "password": "p"}, "headers": {"X-Scope-OrgID": "t1"}});
    let request = post(format!("http://{address}/200"))
        .content_encoding("gzip")
        .headers(&[("x-version", "0.1.0")]);
    let answer = client(basic).send(request).await.unwrap();
    assert_eq!((answer.status, answer.verdict()), (200, Verdict::Accepted));
    assert_eq!(
        (answer.body.as_slice(), answer.truncated),
        (&b"said\nmore"[..], false)
    );
    client(json!({"bearer": "token"}))
        .send(post(format!("http://{address}/204")))
        .await
        .unwrap();
    let seen = seen.lock();
    let (first, second) = (&seen[0], &seen[1]);
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
async fn an_answer_is_bounded_and_leads_nowhere_else() {
    let (address, seen) = server().await;
    let client = client(json!({}));
    let long = client.send(post(format!("http://{address}/long"))).await.unwrap();
    assert_eq!((long.body.len(), long.truncated), (MAX_ANSWER, true));
    let moved = client
        .send(post(format!("http://{address}/moved")))
        .await
        .unwrap();
    assert_eq!((moved.status, moved.verdict()), (307, Verdict::Redirect));
    assert_eq!(seen.lock().len(), 2, "the redirect is not followed");
    let later = client
        .send(post(format!("http://{address}/later")))
        .await
        .unwrap();
    assert_eq!(later.verdict(), Verdict::Busy);
    assert_eq!(later.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(later.summary(), "HTTP status 503: busy");
}

#[tokio::test]
async fn a_side_that_is_away_or_hangs_is_tried_again_and_no_text_shows_the_url() {
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
    let away = client(json!({}))
        .send(post(format!("http://u:canary@{free}/200?key=canary")))
        .await
        .unwrap_err();
    assert!(matches!(away, HttpError::Connect(_)), "{away:?}");
    let no_url = client(json!({}))
        .send(post("canary".to_owned()))
        .await
        .unwrap_err();
    assert!(matches!(no_url, HttpError::Request(_)), "{no_url:?}");
    for error in [error, away, no_url] {
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

/// A server that only takes clients with a certificate of the authority, and the files of a client.
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
                        serve(stream, Seen::default()).await;
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
async fn tls_checks_the_other_side_and_shows_the_certificate() {
    let tls = Tls::start().await;
    let own = json!({"ca": tls.file("ca.pem"), "certificate": tls.file("certificate.pem"), "key": tls.file("key.pem")});
    let answer = client(json!({"tls": own})).send(post(tls.url())).await.unwrap();
    assert_eq!(answer.status, 200);
    let stranger = client(json!({"tls": {"ca": tls.file("ca.pem")}}));
    assert!(
        stranger.send(post(tls.url())).await.is_err(),
        "the server wants a certificate"
    );
    let own = json!({"certificate": tls.file("certificate.pem"), "key": tls.file("key.pem")});
    let untrusting = client(json!({"tls": own}));
    let error = untrusting.send(post(tls.url())).await.unwrap_err();
    assert!(matches!(error, HttpError::Connect(_)), "{error:?}");
}

#[test]
fn files_that_cannot_be_used_are_found_before_the_first_request() {
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
        "option `tls.ca`: DIR/empty.pem: it has no certificate in PEM form"
    );
    assert_eq!(
        error(json!({"ca": folder.path()})),
        "option `tls.ca`: DIR: it is not a file of certificates"
    );
    assert_eq!(
        error(json!({"certificate": empty})),
        "option `tls.certificate`: `tls.key` is missing"
    );
    assert_eq!(
        error(json!({"certificate": empty, "key": empty})),
        "option `tls.certificate`: DIR/empty.pem: this file and that of `tls.key` have no certificate with its key in PEM form"
    );
    assert!(error(json!({"ca": folder.path().join("none")})).contains("No such file"));
}
