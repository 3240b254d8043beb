//! Resources that cost a request each: asked concurrently, reported as the answers come.

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use nephoscope_plugin::model::Resource;
use nephoscope_plugin::{Failure, PollRun, Report};

use crate::error::ApiError;
use crate::service::Service;

/// Asks a service for each resource of a run, as many at once as its options allow, and reports what came. A resource
/// whose request fails costs none of the others; a service that cannot be asked at all ends the run.
///
/// `ask` is given the service with this agent's part of its rate, and gives `None` for a resource that the pollster does not know: one that its discovery did not list.
///
/// # Errors
///
/// What ended the run early.
pub async fn each<T, F: Future<Output = Result<T, ApiError>>>(
    run: &mut PollRun,
    service: &Service,
    ask: impl Fn(Service, &Resource) -> Option<F>,
    report: impl Fn(&Resource, T, &mut Report<'_>),
) -> Result<(), Failure> {
    let service = service.shared_by(run.context().members);
    let at_once = service.concurrency();
    let mut under_way = FuturesUnordered::new();
    let mut waiting: std::vec::IntoIter<Resource> = Vec::new().into_iter();
    let mut more = true;
    loop {
        while under_way.len() < at_once
            && let Some(resource) = waiting.next()
        {
            match ask(service.clone(), &resource) {
                None => run.fail(&resource, crate::table::unknown()),
                Some(request) => under_way.push(async move { (request.await, resource) }),
            }
        }
        // The next page is taken when the one before is under way: no more than a page waits here.
        let wants_page = more && waiting.as_slice().is_empty() && under_way.len() < at_once;
        let (answer, resource) = tokio::select! {
            page = run.next_page(), if wants_page => {
                match page {
                    Some(page) => waiting = page.iter().cloned().collect::<Vec<_>>().into_iter(),
                    None => more = false,
                }
                continue;
            }
            Some(answer) = under_way.next() => answer,
            else => return Ok(()),
        };
        match answer {
            Ok(value) => {
                let mut open = run.report(&resource);
                report(&resource, value, &mut open);
                open.send().await?;
            }
            Err(error) if error.is_of_the_service() => return Err(error.into()),
            Err(error) => run.fail(&resource, error.into()),
        }
    }
}
