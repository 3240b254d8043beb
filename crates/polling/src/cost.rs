//! How many calls an hour sources make to each service.
//!
//! Computed from what plugins declare ([`Call`]) and the plan of work: nothing is asked. A listing of the mode `listing` is one
//! agent's; one of the mode `resource` every agent of the pool lists, and each resource is one agent's. Discoveries of a host's own
//! resources are made by every agent. Calls are counted as made when all goes well: without retries,
//! and without the default discoveries that are asked where a source's own list nothing. Of the names of projects and users,
//! which agents remember, the calls are the most that they make.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use nephoscope_coordination::Group;
use nephoscope_model::Timestamp;
use nephoscope_plugin::{Call, CallRate, IdentityKind, PartitionMode};
use nephoscope_sources::{DiscoveryUrl, Source};
use serde::Serialize;

use crate::classes::SourceClasses;
use crate::listing::{ListingDef, Origin};
use crate::plugins::Plugins;
use crate::task::{RunDef, TaskDef};

/// Edges of cron expressions are counted from this Monday on, so that the same file always costs the same.
const MONDAY: i64 = 1_767_571_200_000;

/// How many resources there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resources {
    /// The discovery that lists them, by its name or URL; none: any that is not named.
    pub listing: Option<String>,
    /// How many.
    pub count: u64,
}

impl Resources {
    /// Where nothing says how many there are.
    pub const ASSUMED: u64 = 1000;
}

/// What one plugin's call costs.
#[derive(Debug, PartialEq, Serialize)]
pub struct Row {
    /// The service that is called.
    pub service: Cow<'static, str>,
    /// The method.
    pub method: Cow<'static, str>,
    /// The path, as a template.
    pub path: Cow<'static, str>,
    /// The task that makes it; none for calls of the agent, whatever its tasks.
    pub task: Option<String>,
    /// The discovery or pollster that makes it.
    pub by: Option<String>,
    /// By all agents of the pool together.
    pub per_cycle: Option<u64>,
    /// By all agents of the pool together, in an hour.
    pub per_hour: f64,
}

/// The cost of a configuration.
#[derive(Debug)]
pub struct Cost {
    /// Sorted by service.
    pub rows: Vec<Row>,
    /// The listings whose resources were assumed, and how many.
    pub assumed: BTreeMap<String, u64>,
}

/// How many there are.
struct Pool<'a> {
    members: u64,
    resources: &'a [Resources],
    assumed: BTreeMap<String, u64>,
    /// Calls that each agent makes now and then.
    hourly: BTreeSet<(Cow<'static, str>, Cow<'static, str>, Cow<'static, str>)>,
    names: Vec<Names>,
    rows: Vec<Row>,
}

/// What the names of projects, or of users, cost.
struct Names {
    call: Call,
    /// How many there are.
    count: u64,
    /// An answer is good for so long.
    seconds: u32,
    per_hour: f64,
}

impl Names {
    /// The most that is asked in an hour, if every agent has samples of all.
    fn most(&self, members: u64) -> f64 {
        (members * self.count) as f64 * self.times()
    }

    /// How often an answer has become too old in an hour.
    fn times(&self) -> f64 {
        3600.0 / f64::from(self.seconds.max(1))
    }
}

impl Cost {
    /// What these sources cost a pool of so many members, that find these resources, and whose publishers tell the `classes` apart.
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
            per_hour: names.per_hour.min(names.most(pool.members)),
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
                    // Whoever lists asks for all.
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
        let host = listings.iter().all(|listing| listing.unit.group == Group::Host);
        let resources = listings.iter().map(|listing| self.count(listing)).sum();
        let made = Made {
            agents,
            resources,
            // What is shared is polled once, whoever does it.
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

    /// Which calls for names there are to be counted.
    fn expect_names(&mut self, calls: &[Call]) {
        for call in calls {
            match call.rate {
                CallRate::PerIdentity(kind, seconds) => {
                    let count = self.said(match kind {
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

    /// The names that a task's samples need: each sample is of a project and a user, and who has measured one has its
    /// name for the others.
    fn add_names(&mut self, task: &TaskDef, runs: &[Made]) {
        let cycles = task.schedule.per_hour(Timestamp::from_millis(MONDAY));
        let members = self.members;
        for names in &mut self.names {
            let of_run = |made: &Made| (made.times * made.resources).min(made.agents * names.count);
            let of_cycle = runs.iter().map(of_run).sum::<u64>().min(members * names.count);
            names.per_hour += of_cycle as f64 * cycles.min(names.times());
        }
    }

    fn add_call(&mut self, task: &TaskDef, by: &str, call: &Call, rate: CallRate, made: &Made) {
        let per_cycle = match rate {
            CallRate::Hourly => {
                self.make_hourly(call);
                return;
            }
            CallRate::PerCycle => made.agents,
            // An empty listing is a page too.
            CallRate::PerPage(size) => made.times * made.resources.div_ceil(size.max(1).into()).max(1),
            CallRate::PerResource => made.times * made.resources,
            // Counted with the names of all tasks.
            CallRate::PerIdentity(..) => return,
            // A rate that later versions of the interface know.
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

    /// How many agents ask for a listing.
    fn agents(&self, listing: &ListingDef) -> u64 {
        match (&listing.unit.group, listing.unit.mode) {
            (Group::Shared, PartitionMode::Listing) => 1,
            _ => self.members,
        }
    }

    /// How many resources a listing has.
    fn count(&mut self, listing: &ListingDef) -> u64 {
        if let Origin::Static(resources) = &listing.origin {
            return resources.len() as u64;
        }
        let text = &*listing.unit.discovery;
        self.said(&[text, DiscoveryUrl::parse(text).name()])
    }

    /// How many there are of what has the first of these names that was said; else what was said of all; else what is assumed.
    fn said(&mut self, names: &[&str]) -> u64 {
        let of = |name: Option<&str>| self.resources.iter().find(|said| said.listing.as_deref() == name);
        let named = names.iter().find_map(|name| of(Some(name)));
        if let Some(said) = named.or_else(|| of(None)) {
            return said.count;
        }
        if let Some(name) = names.first() {
            self.assumed.insert((*name).to_owned(), Resources::ASSUMED);
        }
        Resources::ASSUMED
    }
}

/// By how many, for how many, and how often.
struct Made {
    agents: u64,
    resources: u64,
    times: u64,
}
