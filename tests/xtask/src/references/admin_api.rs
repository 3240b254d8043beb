//! The page on the admin API: its routes, and the reasons of `/readyz`.

use nephoscope_admin::{ROUTES, Reach, ReasonCode};

use crate::references::markdown::{Page, code};

const ABOUT: &str = "\
What a running agent answers over HTTP, at the unix socket `admin.sock` in `agent.state_dir` or where `agent.admin` says. \
Requests have no body. GET changes nothing; the routes for POST act on spools and are there on the unix socket alone, which \
the agent's user and its group may use. On TCP, a request must come under `localhost`, a loopback address, the address connected to, or the \
name of the host. A connection serves one request. Answers are JSON but for `/metrics`; times are UTC, durations are \
seconds, and the user information of every URL shows as `***`.

    curl --unix-socket /var/lib/nephoscope/admin.sock http://localhost/readyz

With `agent.metrics: HOST:PORT` the routes marked so are served there too, over TCP and under any host name.";

const READINESS: &str = "\
`/readyz` answers `{\"ready\": ..., \"reasons\": [{\"code\": ..., \"weight\": ..., \"text\": ...}]}`. The status is 503 \
when one of the reasons has the weight `not_ready`, otherwise 200.";

/// The page.
pub(crate) fn page() -> String {
    let mut page = Page::new("Admin API", ABOUT);
    page.section("Routes");
    page.table(
        ["Method", "Path", "At `agent.metrics`", "Answer"],
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
        ["Code", "Weight", "Meaning"],
        ReasonCode::ALL.iter().map(|reason| {
            [
                code(reason.as_str()),
                code(reason.weight().as_str()),
                reason.meaning().to_owned(),
            ]
        }),
    );
    page.finish()
}
