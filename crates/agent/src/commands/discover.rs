//! `nephoscope discover URL`: runs one discovery and prints its resources.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_config::nearest;
use nephoscope_model::{CycleId, Resource, ScheduleId, Value};
use nephoscope_plugin::{Catalog, CycleCache, DiscoveryRun, DiscoveryRunParts, Failure};
use nephoscope_polling::clock::{Clock, SystemClock};
use nephoscope_polling::plugins::LoadedDiscovery;
use nephoscope_sources::DiscoveryUrl;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::cli::{DiscoverArgs, Format};
use crate::error::{Exit, ProgramError};
use crate::output::{json_lines, note, print};
use crate::runtimes::Runtimes;
use crate::settings::{Origin, plugins, quiet_log};
use crate::table::Sheet;
use crate::{logs, option_errors};

/// The buffer of pages between the discovery and the output.
const PAGES: usize = 2;

/// A resource as JSON.
#[derive(Serialize)]
struct Shown<'a> {
    key: &'a str,
    resource: Value,
}

/// Runs the discovery and prints its resources. Plugins use the options of the configuration, if there is one.
pub(crate) fn discover(origin: &Origin, args: &DiscoverArgs) -> Result<Exit, ProgramError> {
    let (level, form) = quiet_log(&origin.options);
    logs::start(level, form);
    let origin = origin.clone().or_built_in(true);
    let settings = origin.load()?;
    let (loaded, catalog) = (&settings.loaded, &settings.catalog);
    let url = DiscoveryUrl::parse(&args.url);
    let configured = &loaded.config.agent.namespaces;
    let namespaces = if origin.options.namespaces.is_empty() {
        namespaces(catalog, configured, url.name())
    } else {
        configured.clone()
    };
    let runtimes = Runtimes::start().map_err(ProgramError::Runtime)?;
    let plugins = {
        let _within = runtimes.plugins.enter();
        let plugins = plugins(catalog, &loaded.config, &namespaces, None);
        option_errors::combine(loaded, plugins, Ok(()))?.0
    };
    let discovery = match plugins.discoveries.get(url.name()) {
        Some(discovery) => discovery.clone(),
        None => return Err(missing(catalog, url.name(), &plugins.unavailable)),
    };
    let handle = runtimes.plugins.handle().clone();
    let exit = runtimes.core.block_on(run(discovery, &url, args, handle));
    runtimes.end();
    exit
}

/// Returns the configured namespaces. If none of them has the discovery, adds the namespaces that do.
fn namespaces(catalog: &Catalog, configured: &[String], name: &str) -> Vec<String> {
    let mut namespaces = configured.to_vec();
    let found: Vec<_> = catalog
        .discoveries()
        .iter()
        .filter(|discovery| *discovery.name == *name)
        .collect();
    let loaded = found.iter().any(|discovery| {
        discovery
            .namespaces
            .iter()
            .any(|one| namespaces.iter().any(|own| own == one))
    });
    if !loaded {
        for discovery in found {
            namespaces.extend(discovery.namespaces.iter().map(ToString::to_string));
            namespaces.push(discovery.family().to_owned());
        }
    }
    namespaces
}

fn missing(catalog: &Catalog, name: &str, unavailable: &[(Arc<str>, String)]) -> ProgramError {
    if let Some((_, reason)) = unavailable.iter().find(|(plugin, _)| **plugin == *name) {
        return ProgramError::UnavailableDiscovery {
            name: name.to_owned(),
            reason: reason.clone(),
        };
    }
    let names = catalog.discoveries().iter().map(|discovery| &*discovery.name);
    ProgramError::UnknownDiscovery {
        name: name.to_owned(),
        near: nearest(name, names).map(str::to_owned),
    }
}

async fn run(
    discovery: Arc<LoadedDiscovery>,
    url: &DiscoveryUrl,
    args: &DiscoverArgs,
    runtime: Handle,
) -> Result<Exit, ProgramError> {
    let deadline = Instant::now() + Duration::from(args.timeout);
    let cancellation = CancellationToken::new();
    let (sender, mut pages) = mpsc::channel(PAGES);
    let cycle = CycleId::new(ScheduleId::new("discover"), SystemClock.wall(), 0);
    // Nothing is polled, so that no meter is selected.
    let parts = DiscoveryRunParts::new(
        cycle,
        deadline,
        cancellation.clone(),
        CycleCache::default(),
        sender,
    );
    let mut run = DiscoveryRun::new(parts.parameter(url.parameter().map(str::to_owned)));
    let task = runtime.spawn(async move {
        let outcome = discovery.plugin.discover(&mut run).await;
        // Resources found before a failure count.
        let _ = run.flush().await;
        outcome
    });
    let mut rows = Vec::new();
    let format = args.printing.format();
    let listed = timeout_at(deadline, async {
        while let Some(page) = pages.recv().await {
            match format {
                Format::Json => print(&json_lines(page.iter().map(shown))?)?,
                Format::Table => rows.extend(page.iter().map(row)),
            }
        }
        Ok::<_, ProgramError>(task.await)
    })
    .await;
    cancellation.cancel();
    if format == Format::Table {
        print(Sheet::stdout().table(&["key", "resource"], rows).as_bytes())?;
    }
    let failure = match listed {
        Ok(Err(error)) => return Err(error),
        Ok(Ok(Ok(Ok(())))) => return Ok(Exit::Done),
        Ok(Ok(Ok(Err(failure)))) => failure,
        Ok(Ok(Err(_))) => Failure::new(nephoscope_plugin::FailureKind::Defect, "the discovery panicked"),
        Err(_) => Failure::transient(format!("no result within {}", args.timeout)),
    };
    note(&format!(
        "failed: discovery {}: {}: {}",
        url.name(),
        failure.kind(),
        failure.chain()
    ));
    Ok(Exit::Failed)
}

fn shown(resource: &Resource) -> Shown<'_> {
    Shown {
        key: resource.key(),
        resource: resource.describe(),
    }
}

fn row(resource: &Resource) -> Vec<String> {
    let described = match resource.describe() {
        Value::Null => String::new(),
        described => serde_json::to_string(&described).unwrap_or_default(),
    };
    vec![resource.key().to_string(), described]
}
