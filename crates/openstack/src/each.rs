//! One request per resource, sent concurrently; answers are reported as they arrive.

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use nephoscope_plugin::model::Resource;
use nephoscope_plugin::{Failure, PollRun, Report};

use crate::error::ApiError;
use crate::service::Service;

/// Sends a request for each resource of a run, as many at once as the service's options allow, and reports the answers.
/// A failed request affects its resource only; an error that affects the whole service ends the run.
///
/// `ask` receives the service with this agent's share of the rate. It returns `None` for a resource that is not from
/// the pollster's discovery.
///
/// # Errors
///
/// The error that ended the run early.
pub async fn each<T, F: Future<Output = Result<T, ApiError>>>(
    run: &mut PollRun,
    service: &Service,
    ask: impl Fn(Service, &Resource) -> Option<F>,
    report: impl Fn(&Resource, T, &mut Report<'_>),
) -> Result<(), Failure> {
    let service = service.shared_by(run.context().members);
    let at_once = service.concurrency();
    let mut in_flight = FuturesUnordered::new();
    let mut waiting: std::vec::IntoIter<Resource> = Vec::new().into_iter();
    let mut more = true;
    loop {
        while in_flight.len() < at_once
            && let Some(resource) = waiting.next()
        {
            match ask(service.clone(), &resource) {
                None => run.fail(&resource, crate::table::unknown_resource()),
                Some(request) => in_flight.push(async move { (request.await, resource) }),
            }
        }
        // The next page is read when all requests of the previous one are in flight: at most one page waits here.
        let wants_page = more && waiting.as_slice().is_empty() && in_flight.len() < at_once;
        let (answer, resource) = tokio::select! {
            page = run.next_page(), if wants_page => {
                match page {
                    Some(page) => waiting = page.iter().cloned().collect::<Vec<_>>().into_iter(),
                    None => more = false,
                }
                continue;
            }
            Some(answer) = in_flight.next() => answer,
            else => return Ok(()),
        };
        match answer {
            Ok(value) => {
                let mut open = run.report(&resource);
                report(&resource, value, &mut open);
                open.send().await?;
            }
            Err(error) if error.affects_service() => return Err(error.into()),
            Err(error) => run.fail(&resource, error.into()),
        }
    }
}
