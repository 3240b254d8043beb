//! Checks before routing: the method, the body, and on TCP the host name.
//!
//! TCP listeners accept GET only. The unix socket also accepts POST: only the agent's user and group can write to it, and
//! web pages cannot.
//!
//! A web page can make a browser on the operator's machine send requests to this server, under a name that resolves to this host
//! (DNS rebinding). Such a request has that name in `Host`, and the gate rejects it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::HOST;
use axum::http::{Method, Request, Response, StatusCode};
use hyper::body::Body as HttpBody;

use crate::response;
use crate::routes::changes;

/// The checks of a listener.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    hosts: Hosts,
    /// Whether POST is allowed.
    posts: bool,
}

/// The host names under which the server responds.
#[derive(Debug, Clone)]
enum Hosts {
    /// All names.
    Any,
    /// `localhost`, these names, loopback addresses, and the address that the client connected to.
    These {
        names: Arc<[String]>,
        local: Option<IpAddr>,
    },
}

impl Gate {
    /// Creates a gate for a unix socket.
    pub(crate) fn local() -> Self {
        Self {
            hosts: Hosts::Any,
            posts: true,
        }
    }

    /// Creates a gate for the metrics listener, which accepts all host names.
    pub(crate) fn open() -> Self {
        Self {
            hosts: Hosts::Any,
            posts: false,
        }
    }

    /// Creates a gate for a TCP connection to this local address.
    pub(crate) fn guarded(names: Arc<[String]>, local: Option<SocketAddr>) -> Self {
        let local = local.map(|address| address.ip().to_canonical());
        Self {
            hosts: Hosts::These { names, local },
            posts: false,
        }
    }

    /// Returns the error response if the request is not allowed.
    pub(crate) fn reject<B: HttpBody>(&self, request: &Request<B>) -> Option<Response<Body>> {
        if !self.knows_host(request) {
            let text = "unknown host name; use an address, `localhost`, or the name of this host";
            return Some(response::error(StatusCode::MISDIRECTED_REQUEST, text));
        }
        let posts = self.posts && request.method() == Method::POST && changes(request.uri().path());
        if request.method() != Method::GET && !posts {
            return Some(response::get_required());
        }
        if !request.body().is_end_stream() {
            return Some(response::error(
                StatusCode::PAYLOAD_TOO_LARGE,
                "a request must have no body",
            ));
        }
        None
    }

    fn knows_host<B>(&self, request: &Request<B>) -> bool {
        let Hosts::These { names, local } = &self.hosts else {
            return true;
        };
        let mut headers = request.headers().get_all(HOST).iter();
        let (Some(header), None) = (headers.next(), headers.next()) else {
            return false;
        };
        let knows = |authority: &str| {
            let name = without_port(authority);
            match name
                .trim_start_matches('[')
                .trim_end_matches(']')
                .parse::<IpAddr>()
            {
                Ok(address) => {
                    let address = address.to_canonical();
                    address.is_loopback() || Some(address) == *local
                }
                Err(_) => {
                    let name = name.strip_suffix('.').unwrap_or(name);
                    name.eq_ignore_ascii_case("localhost")
                        || names.iter().any(|known| known.eq_ignore_ascii_case(name))
                }
            }
        };
        // A request target in absolute form also contains the host.
        let target = request
            .uri()
            .authority()
            .is_none_or(|authority| knows(authority.as_str()));
        target && header.to_str().is_ok_and(knows)
    }
}

/// Removes the port from `host`, `host:port`, `[address]` or `[address]:port`.
fn without_port(authority: &str) -> &str {
    match authority.rfind(':') {
        Some(colon) if !authority.ends_with(']') => authority.get(..colon).unwrap_or(authority),
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::DRAIN_PATH;

    fn status(gate: &Gate, method: &str, target: &str, hosts: &[&str], body: &'static str) -> u16 {
        let mut request = Request::builder().method(method).uri(target);
        for host in hosts {
            request = request.header("host", *host);
        }
        let request = request.body(Body::from(body)).unwrap();
        gate.reject(&request)
            .map_or(200, |response| response.status().as_u16())
    }

    fn guarded() -> Gate {
        Gate::guarded(
            ["node-1.example".to_owned()].into(),
            Some("192.0.2.7:9000".parse().unwrap()),
        )
    }

    #[test]
    fn tcp_requests_need_a_known_host() {
        let gate = guarded();
        for host in [
            "localhost",
            "LOCALHOST:9000",
            "localhost.",
            "127.0.0.1:9000",
            "127.1.2.3",
            "[::1]:9000",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "192.0.2.7",
            "192.0.2.7:1",
            "node-1.example:9000",
            "Node-1.Example.",
        ] {
            assert_eq!(status(&gate, "GET", "/metrics", &[host], ""), 200, "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "192.0.2.8",
            "node-1.example.evil",
            "127.0.0.1.evil.example",
            "[::2]",
            "evil.example:9000",
            "evil@localhost",
        ] {
            assert_eq!(status(&gate, "GET", "/metrics", &[host], ""), 421, "{host}");
        }
        assert_eq!(status(&gate, "GET", "/metrics", &[], ""), 421, "no host");
        assert_eq!(
            status(&gate, "GET", "/metrics", &["localhost", "localhost"], ""),
            421,
            "two hosts"
        );
        assert_eq!(
            status(&gate, "GET", "http://evil.example/metrics", &["localhost"], ""),
            421
        );
        assert_eq!(
            status(&gate, "GET", "http://localhost/metrics", &["localhost"], ""),
            200
        );
        assert_eq!(
            status(&Gate::open(), "GET", "/metrics", &["evil.example"], ""),
            200
        );
    }

    #[test]
    fn only_get_without_a_body_is_allowed() {
        let gate = Gate::open();
        for method in ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE"] {
            assert_eq!(status(&gate, method, "/healthz", &[], ""), 405, "{method}");
        }
        assert_eq!(status(&gate, "GET", "/healthz", &[], "x"), 413);
    }

    #[test]
    fn post_is_allowed_only_on_the_unix_socket() {
        let post = |gate: &Gate, body| status(gate, "POST", DRAIN_PATH, &["localhost"], body);
        assert_eq!(post(&Gate::local(), ""), 200);
        assert_eq!(post(&Gate::local(), "x"), 413);
        assert_eq!(post(&guarded(), ""), 405);
        assert_eq!(status(&Gate::local(), "POST", "/healthz", &[], ""), 405);
        assert_eq!(status(&Gate::local(), "DELETE", DRAIN_PATH, &[], ""), 405);
    }
}
