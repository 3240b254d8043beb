//! The page on the admin API: its routes, and the reasons of `/readyz`.

use crate::admin::{ROUTES, ReasonCode, Weight};
use crate::reference::markdown::{Page, code};

const ABOUT: &str = "\
What a running agent answers over HTTP, at the unix socket `admin.sock` in `agent.state_dir` or where `agent.admin` says. \
Only GET without a body is allowed; on TCP, only under `localhost`, a loopback address, the address connected to, or the \
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
        ["Path", "At `agent.metrics`", "Answer"],
        ROUTES.iter().map(|route| {
            let with_metrics = if route.with_metrics { "yes" } else { "" };
            [
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
            let weight = match reason.weight() {
                Weight::NotReady => "not_ready",
                Weight::Degraded => "degraded",
            };
            [code(reason.as_str()), code(weight), reason.meaning().to_owned()]
        }),
    );
    page.finish()
}
