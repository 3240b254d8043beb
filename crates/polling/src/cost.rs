//! Estimates how many calls per hour sources make to each service.
//!
//! The estimate uses the calls that plugins declare ([`Call`]) and the plan of work; no service is called. With the partition
//! mode `listing` one agent runs a discovery; with the mode `resource` every agent of the pool runs it, and each resource
//! is polled by one agent. Every agent runs the discoveries of a host's own resources. The estimate assumes no failures: it
//! has no retries and no default discoveries that replace a source's empty ones. For names of projects and users, which agents
//! cache, it counts the maximum.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use nephoscope_model::{Scope, Timestamp};
use nephoscope_plugin::{Call, CallRate, IdentityKind, PartitionMode};
use nephoscope_sources::{DiscoveryUrl, Source};
use serde::Serialize;

use crate::classes::SourceClasses;
use crate::listing::{ListingDef, Origin};
use crate::plugins::Plugins;
use crate::task::{RunDef, TaskDef};

/// Edges of cron expressions are counted from this Monday, so that the same file always has the same cost.
const MONDAY: i64 = 1_767_571_200_000;

/// An expected number of resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resources {
    /// The name or URL of the discovery that lists them; `None`: every discovery that is not named.
    pub discovery: Option<String>,
    /// The number of resources.
    pub count: u64,
}

impl Resources {
    /// The number that is assumed for a discovery without a configured number.
    pub const ASSUMED: u64 = 1000;
}

/// The cost of one declared call.
#[derive(Debug, PartialEq, Serialize)]
pub struct Row {
    /// The service that is called.
    pub service: Cow<'static, str>,
    /// The method.
    pub method: Cow<'static, str>,
    /// The path, as a template.
    pub path: Cow<'static, str>,
    /// The task of the call; `None` for calls that do not depend on a task.
    pub task: Option<String>,
    /// The discovery or pollster that makes it.
    pub by: Option<String>,
    /// Calls per cycle of all agents of the pool together.
    pub per_cycle: Option<u64>,
    /// Calls per hour of all agents of the pool together.
    pub per_hour: f64,
}

/// The cost of a configuration.
#[derive(Debug)]
pub struct Cost {
    /// Sorted by service.
    pub rows: Vec<Row>,
    /// The discoveries whose number of resources was assumed, with that number.
    pub assumed: BTreeMap<String, u64>,
}

/// The pool for which the cost is computed, and the rows so far.
struct Pool<'a> {
    members: u64,
    resources: &'a [Resources],
    assumed: BTreeMap<String, u64>,
    /// Calls that each agent makes about once an hour.
    hourly: BTreeSet<(Cow<'static, str>, Cow<'static, str>, Cow<'static, str>)>,
    names: Vec<Names>,
    rows: Vec<Row>,
}

/// The cost of resolving the names of projects or of users.
struct Names {
    call: Call,
    /// The number of projects or users.
    count: u64,
    /// How long an answer is cached.
    seconds: u32,
    per_hour: f64,
}

impl Names {
    /// The maximum number of calls per hour, if every agent has samples of all.
    fn max_per_hour(&self, members: u64) -> f64 {
        (members * self.count) as f64 * self.expirations_per_hour()
    }

    /// How often per hour a cached answer expires.
    fn expirations_per_hour(&self) -> f64 {
        3600.0 / f64::from(self.seconds.max(1))
    }
}

impl Cost {
    /// Computes the cost of these sources for a pool of `members` agents with these resources and source classes.
    pub fn of(
        sources: &[Source],
        plugins: &Plugins,
        classes: &SourceClasses,
        members: u32,
        resources: &[Resources],
    ) -> Self {
        let mut pool = Pool {
            members: members.into(),
            resources,
            assumed: BTreeMap::new(),
            hourly: BTreeSet::new(),
            names: Vec::new(),
            rows: Vec::new(),
        };
        pool.expect_names(&plugins.names_calls);
        for task in TaskDef::plan(sources, plugins, classes) {
            pool.add(&task);
        }
        let hourly = std::mem::take(&mut pool.hourly);
        pool.rows
            .extend(hourly.into_iter().map(|(service, method, path)| Row {
                service,
                method,
                path,
                task: None,
                by: None,
                per_cycle: None,
                per_hour: pool.members as f64,
            }));
        let names = std::mem::take(&mut pool.names);
        pool.rows.extend(names.into_iter().map(|names| Row {
            per_hour: names.per_hour.min(names.max_per_hour(pool.members)),
            service: names.call.service,
            method: names.call.method,
            path: names.call.path,
            task: None,
            by: Some("names of samples".to_owned()),
            per_cycle: None,
        }));
        pool.rows.sort_by(|one, other| {
            let key = |row: &Row| {
                (
                    row.service.clone(),
                    row.path.clone(),
                    row.method.clone(),
                    row.task.clone(),
                    row.by.clone(),
                )
            };
            key(one).cmp(&key(other))
        });
        Self {
            rows: pool.rows,
            assumed: pool.assumed,
        }
    }
}

impl Pool<'_> {
    fn add(&mut self, task: &TaskDef) {
        let mut read = BTreeSet::new();
        let mut measured = Vec::new();
        for run in &task.runs {
            let listings: BTreeSet<usize> = run
                .inputs
                .iter()
                .flat_map(|input| &input.listings)
                .copied()
                .collect();
            measured.push(self.add_run(task, run, &listings));
            read.extend(listings);
        }
        self.add_names(task, &measured);
        for listing in read.into_iter().filter_map(|index| task.listings.get(index)) {
            self.add_listing(task, listing);
        }
    }

    fn add_listing(&mut self, task: &TaskDef, listing: &ListingDef) {
        let Origin::Discovery { discovery, .. } = &listing.origin else {
            return;
        };
        let resources = self.count(listing);
        let by = format!("discovery {}", discovery.name);
        for call in discovery.calls.iter() {
            if let Some(rate) = discovery.plugin.rate(call) {
                let made = Made {
                    agents: self.agents(listing),
                    resources,
                    // Each agent that runs the discovery lists all resources.
                    times: self.agents(listing),
                };
                self.add_call(task, &by, call, rate, &made);
            }
        }
    }

    fn add_run(&mut self, task: &TaskDef, run: &RunDef, listings: &BTreeSet<usize>) -> Made {
        let listings: Vec<_> = listings
            .iter()
            .filter_map(|index| task.listings.get(*index))
            .collect();
        let agents = listings
            .iter()
            .map(|listing| self.agents(listing))
            .max()
            .unwrap_or_default();
        let host = listings.iter().all(|listing| listing.unit.scope == Scope::Host);
        let resources = listings.iter().map(|listing| self.count(listing)).sum();
        let made = Made {
            agents,
            resources,
            // A shared resource is polled once, by one of the agents.
            times: if host { agents } else { 1 },
        };
        let by = format!("pollster {}", run.pollster.name);
        for call in run.pollster.calls.iter() {
            if let Some(rate) = run.pollster.plugin.rate(call, &run.meters) {
                self.add_call(task, &by, call, rate, &made);
            }
        }
        made
    }

    /// Adds the calls for names to the estimate.
    fn expect_names(&mut self, calls: &[Call]) {
        for call in calls {
            match call.rate {
                CallRate::PerIdentity(kind, seconds) => {
                    let count = self.configured_count(match kind {
                        IdentityKind::Project => &["tenant"],
                        IdentityKind::User => &["users"],
                        _ => &["identities"],
                    });
                    self.names.push(Names {
                        call: call.clone(),
                        count,
                        seconds,
                        per_hour: 0.0,
                    });
                }
                _ => {
                    self.make_hourly(call);
                }
            }
        }
    }

    /// Adds the names that a task's samples need. Each sample has a project and a user, and an agent caches a resolved name
    /// for its other samples.
    fn add_names(&mut self, task: &TaskDef, runs: &[Made]) {
        let cycles = task.schedule.per_hour(Timestamp::from_millis(MONDAY));
        let members = self.members;
        for names in &mut self.names {
            let of_run = |made: &Made| (made.times * made.resources).min(made.agents * names.count);
            let of_cycle = runs.iter().map(of_run).sum::<u64>().min(members * names.count);
            names.per_hour += of_cycle as f64 * cycles.min(names.expirations_per_hour());
        }
    }

    fn add_call(&mut self, task: &TaskDef, by: &str, call: &Call, rate: CallRate, made: &Made) {
        let per_cycle = match rate {
            CallRate::Hourly => {
                self.make_hourly(call);
                return;
            }
            CallRate::PerCycle => made.agents,
            // An empty result is a page too.
            CallRate::PerPage(size) => made.times * made.resources.div_ceil(size.max(1).into()).max(1),
            CallRate::PerResource => made.times * made.resources,
            // Included in the names of all tasks.
            CallRate::PerIdentity(..) => return,
            // A rate of a later version of the plugin API.
            _ => return,
        };
        self.rows.push(Row {
            service: call.service.clone(),
            method: call.method.clone(),
            path: call.path.clone(),
            task: Some(task.schedule.to_string()),
            by: Some(by.to_owned()),
            per_cycle: Some(per_cycle),
            per_hour: per_cycle as f64 * task.schedule.per_hour(Timestamp::from_millis(MONDAY)),
        });
    }

    fn make_hourly(&mut self, call: &Call) {
        let call = (call.service.clone(), call.method.clone(), call.path.clone());
        self.hourly.insert(call);
    }

    /// The number of agents that run a discovery.
    fn agents(&self, listing: &ListingDef) -> u64 {
        match (listing.unit.scope, listing.unit.mode) {
            (Scope::Shared, PartitionMode::Listing) => 1,
            _ => self.members,
        }
    }

    /// The number of resources of a discovery.
    fn count(&mut self, listing: &ListingDef) -> u64 {
        if let Origin::Static(resources) = &listing.origin {
            return resources.len() as u64;
        }
        let text = &*listing.unit.discovery;
        self.configured_count(&[text, DiscoveryUrl::parse(text).name()])
    }

    /// The configured number for the first of these names that has one; else the configured default; else the assumed number.
    fn configured_count(&mut self, names: &[&str]) -> u64 {
        let of = |name: Option<&str>| {
            self.resources
                .iter()
                .find(|known| known.discovery.as_deref() == name)
        };
        let named = names.iter().find_map(|name| of(Some(name)));
        if let Some(known) = named.or_else(|| of(None)) {
            return known.count;
        }
        if let Some(name) = names.first() {
            self.assumed.insert((*name).to_owned(), Resources::ASSUMED);
        }
        Resources::ASSUMED
    }
}

/// The factors of a call: the agents that make it, the resources, and how many agents process each resource.
struct Made {
    agents: u64,
    resources: u64,
    times: u64,
}
