//! What is refused before anything looks at the path: methods, bodies, and on TCP foreign host names.
//!
//! On TCP and at `agent.metrics` only GET is let in. On the unix socket POST is too: whoever may write to it is the agent's user or
//! of its group, and no page of the web can.
//!
//! A page of the web may make a browser on the operator's machine ask this server, under a name that the page's
//! owner lets point here (DNS rebinding). Such a request carries that name in `Host`, and is refused.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::HOST;
use axum::http::{Method, Request, Response, StatusCode};
use hyper::body::Body as HttpBody;

use crate::answer;
use crate::routes::changes;

/// Lets requests in.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    hosts: Hosts,
    /// Whether requests may come that change something.
    posts: bool,
}

/// Under which names the server answers.
#[derive(Debug, Clone)]
enum Hosts {
    /// Under any.
    Any,
    /// Under `localhost`, these names, loopback addresses, and the address that the client connected to.
    These {
        names: Arc<[String]>,
        local: Option<IpAddr>,
    },
}

impl Gate {
    /// For requests on a unix socket.
    pub(crate) fn local() -> Self {
        Self {
            hosts: Hosts::Any,
            posts: true,
        }
    }

    /// For requests under any host name: the metrics alone.
    pub(crate) fn open() -> Self {
        Self {
            hosts: Hosts::Any,
            posts: false,
        }
    }

    /// For requests that came to this address of ours, under a name of ours.
    pub(crate) fn guarded(names: Arc<[String]>, local: Option<SocketAddr>) -> Self {
        let local = local.map(|address| address.ip().to_canonical());
        Self {
            hosts: Hosts::These { names, local },
            posts: false,
        }
    }

    /// The answer to a request that is not let in.
    pub(crate) fn refuse<B: HttpBody>(&self, request: &Request<B>) -> Option<Response<Body>> {
        if !self.knows_host(request) {
            let text = "this agent does not answer under this host name; ask by an address, by `localhost`, or by the name of the host";
            return Some(answer::error(StatusCode::MISDIRECTED_REQUEST, text));
        }
        let posts = self.posts && request.method() == Method::POST && changes(request.uri().path());
        if request.method() != Method::GET && !posts {
            return Some(answer::method_not_allowed());
        }
        if !request.body().is_end_stream() {
            return Some(answer::error(
                StatusCode::PAYLOAD_TOO_LARGE,
                "a request may have no body",
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
        // In the absolute form the target names the host, too.
        let target = request
            .uri()
            .authority()
            .is_none_or(|authority| knows(authority.as_str()));
        target && header.to_str().is_ok_and(knows)
    }
}

/// `host`, `host:port`, `[address]`, `[address]:port`.
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
        gate.refuse(&request)
            .map_or(200, |response| response.status().as_u16())
    }

    fn guarded() -> Gate {
        Gate::guarded(
            ["node-1.example".to_owned()].into(),
            Some("192.0.2.7:9000".parse().unwrap()),
        )
    }

    #[test]
    fn on_tcp_the_host_must_be_ours() {
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
        assert_eq!(status(&gate, "GET", "/metrics", &[], ""), 421, "no host at all");
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
    fn only_get_without_a_body_is_let_in() {
        let gate = Gate::open();
        for method in ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE"] {
            assert_eq!(status(&gate, method, "/healthz", &[], ""), 405, "{method}");
        }
        assert_eq!(status(&gate, "GET", "/healthz", &[], "x"), 413);
    }

    #[test]
    fn post_is_let_in_on_the_unix_socket_alone() {
        let post = |gate: &Gate, body| status(gate, "POST", DRAIN_PATH, &["localhost"], body);
        assert_eq!(post(&Gate::local(), ""), 200);
        assert_eq!(post(&Gate::local(), "x"), 413);
        assert_eq!(post(&guarded(), ""), 405);
        assert_eq!(status(&Gate::local(), "POST", "/healthz", &[], ""), 405);
        assert_eq!(status(&Gate::local(), "DELETE", DRAIN_PATH, &[], ""), 405);
    }
}
