//! The page on the admin API: its routes, and the reasons of `/readyz`.

use nephoscope_admin::{ROUTES, Reach, ReasonCode};

use crate::references::markdown::{Page, code};

const ABOUT: &str = "\
The HTTP API of a running agent. It listens at the unix socket `admin.sock` in `agent.state_dir`, or at `agent.admin`. \
Requests have no body. GET changes nothing. The POST routes change spools; only the unix socket has them, and only \
the agent's user and group may use it. On TCP, the host name of a request must be `localhost`, a loopback address, the address \
connected to, or the name of the host. A connection serves one request. Responses are JSON except for `/metrics`. Times are \
UTC, durations are in seconds, and the user information of URLs is shown as `***`.

    curl --unix-socket /var/lib/nephoscope/admin.sock http://localhost/readyz

With `agent.metrics: HOST:PORT` the agent also serves the marked routes there, over TCP and under any host name.";

const READINESS: &str = "\
`/readyz` returns `{\"ready\": ..., \"reasons\": [{\"code\": ..., \"severity\": ..., \"text\": ...}]}`. The status is 503 \
if a reason has the severity `not_ready`, otherwise 200.";

/// Returns the page.
pub(crate) fn page() -> String {
    let mut page = Page::new("Admin API", ABOUT);
    page.section("Routes");
    page.table(
        ["Method", "Path", "At `agent.metrics`", "Response"],
        ROUTES.iter().map(|route| {
            let (method, with_metrics) = match route.reach {
                Reach::Metrics => ("GET", "yes"),
                Reach::Admin => ("GET", ""),
                Reach::Change => ("POST", ""),
            };
            [
                method.to_owned(),
                code(route.path),
                with_metrics.to_owned(),
                route.description.to_owned(),
            ]
        }),
    );
    page.section("Readiness");
    page.text(READINESS);
    page.table(
        ["Code", "Severity", "Meaning"],
        ReasonCode::ALL.iter().map(|reason| {
            [
                code(reason.as_str()),
                code(reason.severity().as_str()),
                reason.meaning().to_owned(),
            ]
        }),
    );
    page.finish()
}
