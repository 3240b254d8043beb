//! `nephoscope partition`: how a pool divides its work, as anybody can see or compute it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use nephoscope_config::{Backend, hide_userinfo};
use nephoscope_coordination::etcd::{Store, StoreError};
use nephoscope_coordination::pool::{PoolView, SeenMember};
use nephoscope_coordination::protocol::division::Carriers;
use nephoscope_coordination::protocol::ranking::{MemberHash, first};
use nephoscope_coordination::protocol::{AgentId, KeyHash, Plan, PlanMember, Prefix, UnitHash};
use nephoscope_model::ScheduleId;
use nephoscope_polling::task::TaskDef;
use serde::Serialize;

use crate::cli::{Format, PartitionArgs};
use crate::coordination::store_options;
use crate::error::{Exit, ProgramError};
use crate::logs;
use crate::output::{json_lines, note, print};
use crate::runtimes::Runtimes;
use crate::settings::{Origin, Settings, quiet_log};
use crate::table::Sheet;

/// How many keys are drawn where none are named: shares of as many differ by a percent or so from those of others.
const DRAWN: usize = 10_000;

/// How many members of a ranking are shown to people.
const SHOWN: usize = 5;

/// Why it cannot be told how work is divided.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PartitionError {
    /// Work is not shared.
    #[error(
        "show the pool: work is not shared without `coordination.endpoints`, or with `backend: local`; `--config` names the configuration of an agent that shares work"
    )]
    Local,
    /// Something that is no id.
    #[error("use `{0}` as the id of a member: expected at most 128 letters, digits, `.`, `_` and `-`")]
    Id(String),
    /// A member that is not there.
    #[error("find the member `{0}` in any plan")]
    Unknown(String),
    /// The file of keys.
    #[error("read the keys in `{}`", path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// etcd.
    #[error("read the pool: {0}")]
    Store(#[from] StoreError),
}

impl PartitionError {
    /// Whether other arguments or another configuration would help.
    pub(crate) fn is_usage(&self) -> bool {
        !matches!(self, Self::Store(_))
    }
}

/// Shows or computes.
pub(crate) fn partition(origin: &Origin, args: &PartitionArgs) -> Result<Exit, ProgramError> {
    let (level, form) = quiet_log(&origin.options);
    logs::start(level, form);
    if !args.members.is_empty() {
        offline(args)?;
        return Ok(Exit::Done);
    }
    let origin = origin.clone().or_built_in(true);
    let settings = origin.load()?;
    let config = &settings.loaded.config;
    if config.coordination.backend() == Backend::Local {
        return Err(PartitionError::Local.into());
    }
    let runtimes = Runtimes::start().map_err(ProgramError::Runtime)?;
    let units = {
        let _within = runtimes.plugins.enter();
        units(&settings)
    };
    let prefix = Prefix::new(&config.coordination.prefix);
    let view = runtimes.core.block_on(async {
        let store = Store::new(store_options(&config.coordination));
        PoolView::read(&store, &prefix).await
    });
    runtimes.end();
    let view = view.map_err(PartitionError::from)?;
    view.bad
        .iter()
        .for_each(|bad| note(&format!("cannot be read: {bad}")));
    show(&Pool { view, units }, args)
}

fn show(pool: &Pool, args: &PartitionArgs) -> Result<Exit, ProgramError> {
    let format = args.printing.format();
    if let Some(key) = &args.key {
        let owners: Vec<_> = pool.owners(key, args.without.as_deref()).collect();
        match format {
            Format::Json => print(&json_lines(&owners)?)?,
            Format::Table => print(owners_table(Sheet::stdout(), &owners).as_bytes())?,
        }
        return Ok(Exit::Done);
    }
    let keys = keys(args.keys_file.as_deref())?;
    if let Some(member) = &args.without {
        let moved = pool.moved(member, &keys)?;
        match format {
            Format::Json => print(&json_lines(&moved)?)?,
            Format::Table => print(moved_table(Sheet::stdout(), &moved).as_bytes())?,
        }
        return Ok(Exit::Done);
    }
    let (members, plans) = (pool.members(), pool.plans(&keys));
    match format {
        Format::Json => {
            print(&json_lines(&members)?)?;
            print(&json_lines(&plans)?)?;
        }
        Format::Table => {
            print(members_table(Sheet::stdout(), &members).as_bytes())?;
            print(b"\n")?;
            print(plans_table(Sheet::stdout(), &plans).as_bytes())?;
        }
    }
    Ok(Exit::Done)
}

// === without etcd ===

#[derive(Serialize)]
struct Owned<'a> {
    key: &'a str,
    owner: &'a str,
}

fn offline(args: &PartitionArgs) -> Result<(), ProgramError> {
    let mut ids = Vec::new();
    for text in args
        .members
        .iter()
        .filter(|text| Some(*text) != args.without.as_ref())
    {
        ids.push(AgentId::new(text).ok_or_else(|| PartitionError::Id(text.clone()))?);
    }
    ids.sort();
    ids.dedup();
    let hashes: Vec<_> = ids.iter().map(MemberHash::of).collect();
    let keys = keys(args.keys_file.as_deref())?;
    let owned = keys.iter().filter_map(|key| {
        let owner = ids.get(first(&hashes, KeyHash::of(key))?)?;
        Some(Owned {
            key,
            owner: owner.as_str(),
        })
    });
    match args.printing.format() {
        Format::Json => print(&json_lines(owned)?)?,
        Format::Table => {
            let rows = owned.map(|owned| vec![owned.key.to_owned(), owned.owner.to_owned()]);
            print(Sheet::stdout().table(&["key", "owner"], rows).as_bytes())?;
        }
    }
    Ok(())
}

/// The keys in a file, one a line; without a file, drawn ones.
fn keys(file: Option<&Path>) -> Result<Vec<String>, PartitionError> {
    let Some(path) = file else {
        return Ok((0..DRAWN).map(|number| format!("drawn-{number}")).collect());
    };
    let failed = |source| PartitionError::Keys {
        path: path.to_owned(),
        source,
    };
    let lines = BufReader::new(File::open(path).map_err(failed)?).lines();
    let lines = lines.filter(|line| line.as_ref().map_or(true, |line| !line.is_empty()));
    lines.collect::<Result<_, _>>().map_err(failed)
}

// === with etcd ===

/// A pool, and what its units are called.
struct Pool {
    view: PoolView,
    units: BTreeMap<UnitHash, String>,
}

#[derive(Debug, Serialize)]
struct MemberRow {
    kind: &'static str,
    id: String,
    host: String,
    incarnation: String,
    leaving: bool,
    /// Seconds since the lease was renewed.
    lease_age: Option<u64>,
    /// By schedule.
    units: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Serialize)]
struct PlanRow {
    kind: &'static str,
    schedule: String,
    /// The start of the cycle that it divides.
    start: String,
    writer: String,
    unit: String,
    member: String,
    incarnation: String,
    /// Of the keys of the unit, between 0 and 1.
    share: f64,
    /// Whether the member's key stands, with this incarnation.
    present: bool,
}

#[derive(Debug, Serialize)]
struct OwnerRow {
    kind: &'static str,
    schedule: String,
    unit: String,
    key: String,
    owner: Option<String>,
    /// Why this one.
    why: String,
    /// Who comes in which order.
    ranking: Vec<String>,
}

#[derive(Debug, Serialize)]
struct MovedRow {
    kind: &'static str,
    schedule: String,
    unit: String,
    key: String,
    from: String,
    to: Option<String>,
}

impl Pool {
    fn name(&self, unit: UnitHash) -> String {
        self.units.get(&unit).cloned().unwrap_or_else(|| unit.to_string())
    }

    fn members(&self) -> Vec<MemberRow> {
        let row = |seen: &SeenMember| MemberRow {
            kind: "member",
            id: seen.id.to_string(),
            host: seen.member.host.to_string(),
            incarnation: seen.member.incarnation.to_string(),
            leaving: seen.member.leaving,
            lease_age: seen.lease_age.map(|age| age.as_secs()),
            units: seen
                .member
                .schedules
                .iter()
                .map(|(schedule, units)| {
                    let units = units.iter().map(|unit| self.name(*unit));
                    (schedule.to_string(), units.collect())
                })
                .collect(),
        };
        self.view.members.iter().map(row).collect()
    }

    /// Each unit of each plan, with those that carry it.
    fn divided(&self) -> impl Iterator<Item = (&ScheduleId, &Plan, UnitHash, Carriers)> {
        self.view.plans.iter().flat_map(|(schedule, plan)| {
            let units: std::collections::BTreeSet<UnitHash> = plan
                .members
                .iter()
                .flat_map(|member| member.units.iter().copied())
                .collect();
            units
                .into_iter()
                .map(move |unit| (schedule, plan, unit, Carriers::of(plan, unit)))
        })
    }

    fn stands(&self, planned: &PlanMember) -> bool {
        let mut members = self.view.members.iter();
        members.any(|seen| seen.id == planned.id && seen.member.incarnation == planned.incarnation)
    }

    fn plans(&self, keys: &[String]) -> Vec<PlanRow> {
        let mut rows = Vec::new();
        for (schedule, plan, unit, carriers) in self.divided() {
            let mut owned: BTreeMap<usize, u64> = BTreeMap::new();
            for owner in keys.iter().filter_map(|key| carriers.owner(KeyHash::of(key))) {
                *owned.entry(owner).or_default() += 1;
            }
            for number in carriers.numbers() {
                let Some(member) = plan.members.get(*number) else {
                    continue;
                };
                let count = owned.get(number).copied().unwrap_or(0);
                rows.push(PlanRow {
                    kind: "plan",
                    schedule: schedule.to_string(),
                    start: plan.start.to_string(),
                    writer: plan.writer.to_string(),
                    unit: self.name(unit),
                    member: member.id.to_string(),
                    incarnation: member.incarnation.to_string(),
                    share: count as f64 / keys.len().max(1) as f64,
                    present: self.stands(member),
                });
            }
        }
        rows
    }

    fn owners(&self, key: &str, without: Option<&str>) -> impl Iterator<Item = OwnerRow> {
        self.divided().map(move |(schedule, plan, unit, carriers)| {
            let ranking: Vec<&PlanMember> = carriers
                .ranking(KeyHash::of(key))
                .into_iter()
                .filter_map(|number| plan.members.get(number))
                .filter(|member| Some(member.id.as_str()) != without)
                .collect();
            let owner = ranking.first();
            let here = ranking.iter().position(|member| self.stands(member));
            let why = match (owner, here) {
                (None, _) => "nobody carries the unit".to_owned(),
                (Some(_), Some(0)) => "first of its ranking in the plan".to_owned(),
                (Some(_), Some(place)) => {
                    let next = ranking.get(place).map(|member| member.id.as_str()).unwrap_or_default();
                    format!("first of its ranking in the plan, but gone since: `{next}` takes over what is left undone")
                }
                (Some(_), None) => "first of its ranking in the plan, but all that carry the unit are gone".to_owned(),
            };
            OwnerRow {
                kind: "owner",
                schedule: schedule.to_string(),
                unit: self.name(unit),
                key: key.to_owned(),
                owner: owner.map(|owner| owner.id.to_string()),
                why,
                ranking: ranking.iter().map(|member| member.id.to_string()).collect(),
            }
        })
    }

    fn moved(&self, member: &str, keys: &[String]) -> Result<Vec<MovedRow>, PartitionError> {
        let id = AgentId::new(member).ok_or_else(|| PartitionError::Id(member.to_owned()))?;
        let mut found = false;
        let mut rows = Vec::new();
        for (schedule, plan, unit, carriers) in self.divided() {
            found |= plan.members.iter().any(|member| member.id == id);
            for key in keys {
                let ranking = carriers.ranking(KeyHash::of(key));
                let mut ranking = ranking.into_iter().filter_map(|number| plan.members.get(number));
                if ranking.next().is_some_and(|owner| owner.id == id) {
                    rows.push(MovedRow {
                        kind: "moved",
                        schedule: schedule.to_string(),
                        unit: self.name(unit),
                        key: key.clone(),
                        from: member.to_owned(),
                        to: ranking.next().map(|next| next.id.to_string()),
                    });
                }
            }
        }
        if found {
            Ok(rows)
        } else {
            Err(PartitionError::Unknown(member.to_owned()))
        }
    }
}

/// What the units of this configuration are called, as ceilometer calls groups, with the listing: others' show as their hash.
fn units(settings: &Settings) -> BTreeMap<UnitHash, String> {
    let Ok(plugins) = settings.plugins() else {
        return BTreeMap::new();
    };
    let config = &settings.loaded.config;
    let prefix = &config.coordination.group_prefix;
    let group = group_name(&config.agent.namespaces, prefix);
    let tasks = TaskDef::plan(&config.sources, &plugins);
    let units = tasks.iter().flat_map(|task| task.shared_units());
    units
        .map(|unit| {
            let name = match unit.listing.strip_prefix("static:") {
                Some(hash) => format!("{group}-{hash}"),
                None => format!("{group}-global {}", hide_userinfo(&unit.listing)),
            };
            (UnitHash::of(prefix, unit), name)
        })
        .collect()
}

/// The first part of a group's name: the namespaces, sorted, and the prefix.
fn group_name(namespaces: &[String], prefix: &str) -> String {
    let mut names: Vec<&str> = namespaces.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    if !prefix.is_empty() {
        names.push(prefix);
    }
    names.join("-")
}

fn members_table(sheet: Sheet, rows: &[MemberRow]) -> String {
    let cells = rows.iter().map(|row| {
        let units: usize = row.units.values().map(Vec::len).sum();
        vec![
            row.id.clone(),
            row.host.clone(),
            row.incarnation.chars().take(8).collect(),
            row.lease_age
                .map_or_else(|| "gone".to_owned(), |age| format!("{age} s")),
            units.to_string(),
            if row.leaving {
                "leaving".to_owned()
            } else {
                String::new()
            },
        ]
    });
    sheet.table(
        &["member", "host", "incarnation", ">lease age", ">units", "state"],
        cells,
    )
}

fn plans_table(sheet: Sheet, rows: &[PlanRow]) -> String {
    let cells = rows.iter().map(|row| {
        vec![
            row.schedule.clone(),
            row.start.clone(),
            row.unit.clone(),
            row.member.clone(),
            format!("{:.1} %", row.share * 100.0),
            if row.present {
                String::new()
            } else {
                "gone".to_owned()
            },
        ]
    });
    sheet.table(
        &["schedule", "plan of", "unit", "member", ">share", "state"],
        cells,
    )
}

fn owners_table(sheet: Sheet, rows: &[OwnerRow]) -> String {
    let cells = rows.iter().map(|row| {
        let shown: Vec<_> = row.ranking.iter().take(SHOWN).cloned().collect();
        vec![
            row.schedule.clone(),
            row.unit.clone(),
            row.owner.clone().unwrap_or_default(),
            row.why.clone(),
            shown.join(", "),
        ]
    });
    sheet.table(&["schedule", "unit", "owner", "why", "ranking"], cells)
}

/// To people only how many go to whom.
fn moved_table(sheet: Sheet, rows: &[MovedRow]) -> String {
    let mut counts: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    for row in rows {
        let to = row.to.as_deref().unwrap_or("nobody");
        *counts.entry((&row.schedule, &row.unit, to)).or_default() += 1;
    }
    let cells = counts.into_iter().map(|((schedule, unit, to), count)| {
        vec![
            schedule.to_owned(),
            unit.to_owned(),
            to.to_owned(),
            count.to_string(),
        ]
    });
    sheet.table(&["schedule", "unit", "moves to", ">keys"], cells)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nephoscope_coordination::protocol::{Incarnation, Member, Versions};
    use nephoscope_model::Timestamp;

    use super::*;

    const UNIT: UnitHash = UnitHash(7);

    fn pool() -> Pool {
        let schedule = ScheduleId::new("every:300:0");
        let units = Arc::new([UNIT].into());
        let id = |name: &str| AgentId::new(name).unwrap();
        let plan = Plan {
            start: Timestamp::from_millis(1_767_323_100_000),
            written: Timestamp::from_millis(1_767_323_099_000),
            writer: id("a"),
            versions: Versions::OURS,
            members: ["a", "b", "c"]
                .map(|name| PlanMember {
                    id: id(name),
                    incarnation: Incarnation(1),
                    units: Arc::clone(&units),
                })
                .into(),
        };
        // One of them has gone.
        let members = ["a", "c"].map(|name| SeenMember {
            id: id(name),
            member: Member {
                incarnation: Incarnation(1),
                versions: Versions::OURS,
                host: format!("host-{name}").into(),
                leaving: name == "c",
                schedules: [(schedule.clone(), [UNIT].into())].into(),
                meters: 0,
            },
            lease_age: Some(std::time::Duration::from_secs(1)),
        });
        Pool {
            view: PoolView {
                members: members.into(),
                plans: vec![(schedule, plan)],
                bad: Vec::new(),
            },
            units: [(UNIT, "central-global tenants".to_owned())].into(),
        }
    }

    #[test]
    fn members_and_shares_are_shown() {
        let (pool, keys) = (pool(), keys(None).unwrap());
        let text = members_table(Sheet::endless(), &pool.members())
            + &plans_table(Sheet::endless(), &pool.plans(&keys));
        insta::assert_snapshot!(text, @r"
        MEMBER  HOST    INCARNATION  LEASE AGE  UNITS  STATE
        a       host-a  00000000           1 s      1
        c       host-c  00000000           1 s      1  leaving
        SCHEDULE     PLAN OF              UNIT                    MEMBER   SHARE  STATE
        every:300:0  2026-01-02T03:05:00  central-global tenants  a       33.3 %
        every:300:0  2026-01-02T03:05:00  central-global tenants  b       33.3 %  gone
        every:300:0  2026-01-02T03:05:00  central-global tenants  c       33.4 %
        ");
        let whole: f64 = pool.plans(&keys).iter().map(|row| row.share).sum();
        assert!((whole - 1.0).abs() < 1e-9);
    }

    #[test]
    fn an_owner_that_has_gone_is_told_with_who_comes_next() {
        let pool = pool();
        let gone = (0..).map(|number| format!("k{number}")).find(|key| {
            let mut owners = pool.owners(key, None);
            owners.next().unwrap().owner.as_deref() == Some("b")
        });
        let rows: Vec<_> = pool.owners(&gone.unwrap(), None).collect();
        insta::assert_snapshot!(owners_table(Sheet::endless(), &rows), @r"
        SCHEDULE     UNIT                    OWNER  WHY                                                                                   RANKING
        every:300:0  central-global tenants  b      first of its ranking in the plan, but gone since: `a` takes over what is left undone  b, a, c
        ");
    }

    #[test]
    fn without_a_member_its_keys_move_and_no_others() {
        let (pool, keys) = (pool(), keys(None).unwrap());
        let moved = pool.moved("b", &keys).unwrap();
        for row in &moved {
            let owner = pool.owners(&row.key, None).next().unwrap().owner;
            assert_eq!(owner.as_deref(), Some("b"));
            assert_eq!(pool.owners(&row.key, Some("b")).next().unwrap().owner, row.to);
        }
        let share = pool
            .plans(&keys)
            .iter()
            .find(|row| row.member == "b")
            .unwrap()
            .share;
        assert_eq!(moved.len(), (share * keys.len() as f64).round() as usize);
        assert!(matches!(pool.moved("d", &keys), Err(PartitionError::Unknown(_))));
    }

    #[test]
    fn groups_are_called_as_ceilometer_calls_them() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(group_name(&names(&["central"]), ""), "central");
        assert_eq!(group_name(&names(&["compute", "central"]), ""), "central-compute");
        assert_eq!(group_name(&names(&["compute", "ipmi"]), "pp"), "compute-ipmi-pp");
    }
}
