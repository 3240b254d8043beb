//! Keys and values as they stand in etcd. What is read is untrusted: it is bounded, checked, and refused with key and reason.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use nephoscope_model::{ScheduleId, Timestamp};
use serde::{Deserialize, Serialize};

use super::ids::{AgentId, Incarnation, Revision, UnitHash};
use super::mark::{GiveUps, Marks, Step};
use super::member::{Member, UnitSet, Versions};
use super::plan::{Plan, PlanMember};
use super::record::{Content, Entry, Key, Value};

/// The largest value that is read or written, in bytes. etcd itself refuses requests above 1.5 MiB. A plan of 10,000
/// members takes about 1 MB.
pub const MAX_VALUE: usize = 1_400_000;
/// The longest canonical text of a schedule, in bytes.
pub const MAX_SCHEDULE: usize = 1_024;
/// The longest name of a host, in bytes.
pub const MAX_HOST: usize = 1_024;
/// The most members of a plan.
pub const MAX_MEMBERS: usize = 10_000;
/// The most units that a member carries of a schedule, or that a plan lists in all of its sets.
pub const MAX_UNITS: usize = 100_000;
/// The most schedules of a member.
pub const MAX_SCHEDULES: usize = 10_000;
/// The most cycles in one value of marks or give-ups.
pub const MAX_CYCLES: usize = 1_000;
/// The most steps of a unit in marks.
pub const MAX_STEPS: usize = 1_000;

/// A key or value that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct BadValue {
    /// The key as it stands in etcd; bytes that are no text are escaped.
    pub key: String,
    /// What is wrong.
    pub reason: BadReason,
}

/// What is wrong with a key or value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum BadReason {
    /// The key is none of the protocol's.
    #[error("not a key of the protocol")]
    Key,
    /// There is too much of something.
    #[error("more than {1} {0}")]
    TooMuch(&'static str, usize),
    /// It is no JSON, or not of the form of its kind.
    #[error("{0}")]
    Form(String),
    /// A field has a value that cannot be.
    #[error("`{0}` has a value that cannot be")]
    Field(&'static str),
    /// It was written in versions that this program does not know.
    #[error("written in protocol {} with hash {}", .0.protocol, .0.hash)]
    Versions(Versions),
}

/// The prefix under which all keys of a pool stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// Keys stand right behind `prefix`, which gets a `/` at its end unless it is empty or has one.
    pub fn new(prefix: &str) -> Self {
        if prefix.is_empty() || prefix.ends_with('/') {
            Self(prefix.into())
        } else {
            Self(format!("{prefix}/").into())
        }
    }

    /// The key in etcd.
    pub fn key(&self, key: &Key) -> String {
        match key {
            Key::Member(id) => format!("{}{MEMBERS}{id}", self.0),
            Key::Plan(schedule) => format!("{}{PLANS}{}", self.0, encoded(schedule)),
            Key::Marks(schedule, of) => format!("{}{of}", self.marks_of(schedule)),
            Key::GiveUps(schedule, of) => format!("{}{GIVE_UPS}{}/{of}", self.0, encoded(schedule)),
        }
    }

    /// What all keys of members begin with.
    pub fn members(&self) -> String {
        format!("{}{MEMBERS}", self.0)
    }

    /// What all keys of plans begin with.
    pub fn plans(&self) -> String {
        format!("{}{PLANS}", self.0)
    }

    /// What all keys of give-ups begin with.
    pub fn give_ups(&self) -> String {
        format!("{}{GIVE_UPS}", self.0)
    }

    /// What all keys of marks begin with.
    pub fn marks(&self) -> String {
        format!("{}{MARKS}", self.0)
    }

    /// What all keys of marks of one schedule begin with.
    pub fn marks_of(&self, schedule: &ScheduleId) -> String {
        format!("{}{MARKS}{}/", self.0, encoded(schedule))
    }

    /// What a key in etcd stands for.
    ///
    /// # Errors
    ///
    /// [`BadReason::Key`], for a key of which the protocol would not be the writer.
    pub fn parse(&self, key: &[u8]) -> Result<Key, BadValue> {
        let parsed = std::str::from_utf8(key)
            .ok()
            .and_then(|text| text.strip_prefix(&*self.0))
            .and_then(parse_key);
        parsed.ok_or_else(|| BadValue {
            key: key.escape_ascii().to_string(),
            reason: BadReason::Key,
        })
    }

    /// A key with its value as a range or a watch gives them; `None` as the value is a deletion.
    ///
    /// # Errors
    ///
    /// If the key is none of the protocol's. A bad value is no error here: it is in the entry.
    pub fn entry(
        &self,
        key: &[u8],
        value: Option<&[u8]>,
        created: Revision,
        revision: Revision,
    ) -> Result<Entry, BadValue> {
        let key = self.parse(key)?;
        let content = match value {
            None => Content::Deleted,
            Some(bytes) => match decode(&key, bytes) {
                Ok(value) => Content::Value(value),
                Err(reason) => Content::Bad(BadValue {
                    key: self.key(&key),
                    reason,
                }),
            },
        };
        Ok(Entry {
            key,
            revision,
            created,
            content,
        })
    }
}

const MEMBERS: &str = "members/";
const PLANS: &str = "plans/";
const MARKS: &str = "marks/";
const GIVE_UPS: &str = "gaveup/";

fn parse_key(text: &str) -> Option<Key> {
    if let Some(id) = text.strip_prefix(MEMBERS) {
        return AgentId::new(id).map(Key::Member);
    }
    if let Some(schedule) = text.strip_prefix(PLANS) {
        return decoded(schedule).map(Key::Plan);
    }
    let of = |rest: &str| {
        let (schedule, incarnation) = rest.split_once('/')?;
        Some((decoded(schedule)?, Incarnation::parse(incarnation)?))
    };
    if let Some(rest) = text.strip_prefix(MARKS) {
        return of(rest).map(|(schedule, incarnation)| Key::Marks(schedule, incarnation));
    }
    let rest = text.strip_prefix(GIVE_UPS)?;
    of(rest).map(|(schedule, incarnation)| Key::GiveUps(schedule, incarnation))
}

/// Bytes that stand for themselves in a part of a key; all others are written as `%` and two uppercase digits.
fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'~' | b':')
}

fn encoded(schedule: &ScheduleId) -> impl fmt::Display {
    struct Encoded(ScheduleId);
    impl fmt::Display for Encoded {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            for byte in self.0.as_str().bytes() {
                if plain(byte) {
                    write!(out, "{}", char::from(byte))?;
                } else {
                    write!(out, "%{byte:02X}")?;
                }
            }
            Ok(())
        }
    }
    Encoded(schedule.clone())
}

/// Only what [`encoded`] writes is read, so that a schedule has one key.
fn decoded(text: &str) -> Option<ScheduleId> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if plain(byte) {
            bytes.push(byte);
            continue;
        }
        let mut digit = || match rest.next()? {
            digit @ b'0'..=b'9' => Some(digit - b'0'),
            digit @ b'A'..=b'F' => Some(digit - b'A' + 10),
            _ => None,
        };
        if byte != b'%' {
            return None;
        }
        let value = digit()? << 4 | digit()?;
        if plain(value) {
            return None;
        }
        bytes.push(value);
    }
    let schedule = String::from_utf8(bytes).ok()?;
    (1..=MAX_SCHEDULE)
        .contains(&schedule.len())
        .then(|| ScheduleId::new(schedule))
}

/// The bytes of a value.
///
/// # Errors
///
/// If it is larger than [`MAX_VALUE`].
pub fn encode(value: &Value) -> Result<Vec<u8>, BadReason> {
    let written = match value {
        Value::Member(member) => serde_json::to_vec(&MemberForm::from(member)),
        Value::Plan(plan) => serde_json::to_vec(&PlanForm::from(plan)),
        Value::Marks(marks) => serde_json::to_vec(&MarksForm::from(marks)),
        Value::GiveUps(give_ups) => serde_json::to_vec(&GiveUpsForm::from(give_ups)),
    };
    let bytes = written.map_err(|error| BadReason::Form(error.to_string()))?;
    if bytes.len() > MAX_VALUE {
        return Err(BadReason::TooMuch("bytes", MAX_VALUE));
    }
    Ok(bytes)
}

/// The value that `bytes` are, of the kind that goes with `key`.
///
/// # Errors
///
/// Whatever is wrong with them; nobody is trusted to have written them.
pub fn decode(key: &Key, bytes: &[u8]) -> Result<Value, BadReason> {
    if bytes.len() > MAX_VALUE {
        return Err(BadReason::TooMuch("bytes", MAX_VALUE));
    }
    // Of a version that is not known, no more is read than that.
    let versions: VersionsForm = form(bytes)?;
    let versions = Versions::from(versions);
    if let Key::Member(_) = key {
        return form::<MemberForm>(bytes)?.check(versions).map(Value::Member);
    }
    if !versions.known() {
        return Err(BadReason::Versions(versions));
    }
    match key {
        Key::Member(_) | Key::Plan(_) => form::<PlanForm>(bytes)?.check(versions).map(Value::Plan),
        Key::Marks(..) => form::<MarksForm>(bytes)?.check().map(Value::Marks),
        Key::GiveUps(..) => form::<GiveUpsForm>(bytes)?.check().map(Value::GiveUps),
    }
}

fn form<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, BadReason> {
    serde_json::from_slice(bytes).map_err(|error| BadReason::Form(error.to_string()))
}

fn bounded(count: usize, what: &'static str, bound: usize) -> Result<(), BadReason> {
    if count > bound {
        return Err(BadReason::TooMuch(what, bound));
    }
    Ok(())
}

#[derive(Serialize, Deserialize)]
struct VersionsForm {
    protocol: u32,
    hash: u32,
}

impl From<VersionsForm> for Versions {
    fn from(VersionsForm { protocol, hash }: VersionsForm) -> Self {
        Self { protocol, hash }
    }
}

#[derive(Serialize, Deserialize)]
struct MemberForm {
    protocol: u32,
    hash: u32,
    incarnation: String,
    host: Arc<str>,
    leaving: bool,
    schedules: BTreeMap<Arc<str>, Vec<String>>,
    meters: String,
}

impl From<&Member> for MemberForm {
    fn from(member: &Member) -> Self {
        Self {
            protocol: member.versions.protocol,
            hash: member.versions.hash,
            incarnation: member.incarnation.to_string(),
            host: member.host.clone(),
            leaving: member.leaving,
            schedules: member
                .schedules
                .iter()
                .map(|(schedule, units)| (schedule.as_str().into(), units_form(units)))
                .collect(),
            meters: UnitHash(member.meters).to_string(),
        }
    }
}

impl MemberForm {
    fn check(self, versions: Versions) -> Result<Member, BadReason> {
        bounded(self.host.len(), "bytes in the name of a host", MAX_HOST)?;
        bounded(self.schedules.len(), "schedules", MAX_SCHEDULES)?;
        let mut schedules = BTreeMap::new();
        for (schedule, units) in self.schedules {
            bounded(schedule.len(), "bytes in a schedule", MAX_SCHEDULE)?;
            schedules.insert(ScheduleId::new(schedule), units_of(&units)?);
        }
        Ok(Member {
            incarnation: Incarnation::parse(&self.incarnation).ok_or(BadReason::Field("incarnation"))?,
            versions,
            host: self.host,
            leaving: self.leaving,
            schedules,
            meters: UnitHash::parse(&self.meters).ok_or(BadReason::Field("meters"))?.0,
        })
    }
}

fn units_form(units: &UnitSet) -> Vec<String> {
    units.iter().map(UnitHash::to_string).collect()
}

fn units_of(units: &[String]) -> Result<UnitSet, BadReason> {
    bounded(units.len(), "units", MAX_UNITS)?;
    units
        .iter()
        .map(|unit| UnitHash::parse(unit).ok_or(BadReason::Field("units")))
        .collect()
}

#[derive(Serialize, Deserialize)]
struct PlanForm {
    protocol: u32,
    hash: u32,
    start: i64,
    written: i64,
    writer: String,
    sets: Vec<Vec<String>>,
    members: Vec<PlanMemberForm>,
}

#[derive(Serialize, Deserialize)]
struct PlanMemberForm {
    id: String,
    incarnation: String,
    /// Which of the sets.
    units: usize,
}

impl From<&Plan> for PlanForm {
    fn from(plan: &Plan) -> Self {
        let mut sets: Vec<Vec<String>> = Vec::new();
        let mut numbers: BTreeMap<&UnitSet, usize> = BTreeMap::new();
        let members = plan.members.iter().map(|member| PlanMemberForm {
            id: member.id.to_string(),
            incarnation: member.incarnation.to_string(),
            units: *numbers.entry(&member.units).or_insert_with(|| {
                sets.push(units_form(&member.units));
                sets.len() - 1
            }),
        });
        let members = members.collect();
        Self {
            protocol: plan.versions.protocol,
            hash: plan.versions.hash,
            start: plan.start.as_millis(),
            written: plan.written.as_millis(),
            writer: plan.writer.to_string(),
            sets,
            members,
        }
    }
}

impl PlanForm {
    fn check(self, versions: Versions) -> Result<Plan, BadReason> {
        bounded(self.members.len(), "members", MAX_MEMBERS)?;
        bounded(self.sets.iter().map(Vec::len).sum(), "units", MAX_UNITS)?;
        let sets = self
            .sets
            .iter()
            .map(|units| units_of(units).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        let members = self.members.into_iter().map(|member| {
            Ok(PlanMember {
                id: AgentId::new(&member.id).ok_or(BadReason::Field("id"))?,
                incarnation: Incarnation::parse(&member.incarnation)
                    .ok_or(BadReason::Field("incarnation"))?,
                units: sets
                    .get(member.units)
                    .ok_or(BadReason::Field("members.units"))?
                    .clone(),
            })
        });
        let members = members.collect::<Result<Arc<[_]>, BadReason>>()?;
        if !members.is_sorted_by(|one, next| one.id < next.id) {
            return Err(BadReason::Field("members"));
        }
        Ok(Plan {
            start: Timestamp::from_millis(self.start),
            written: Timestamp::from_millis(self.written),
            writer: AgentId::new(&self.writer).ok_or(BadReason::Field("writer"))?,
            versions,
            members,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct MarksForm {
    protocol: u32,
    hash: u32,
    cycles: Vec<MarkedForm>,
}

#[derive(Serialize, Deserialize)]
struct MarkedForm {
    start: i64,
    units: BTreeMap<String, Vec<StepForm>>,
}

#[derive(Serialize, Deserialize)]
struct StepForm {
    /// Those that the step before has not.
    out: Vec<u32>,
    finished: bool,
}

impl From<&Marks> for MarksForm {
    fn from(marks: &Marks) -> Self {
        let cycles = marks.cycles.iter().map(|(start, units)| MarkedForm {
            start: start.as_millis(),
            units: units
                .iter()
                .map(|(unit, steps)| (unit.to_string(), steps_form(steps)))
                .collect(),
        });
        Self {
            protocol: Versions::OURS.protocol,
            hash: Versions::OURS.hash,
            cycles: cycles.collect(),
        }
    }
}

impl MarksForm {
    fn check(self) -> Result<Marks, BadReason> {
        bounded(self.cycles.len(), "cycles", MAX_CYCLES)?;
        let mut marks = Marks::default();
        for cycle in self.cycles {
            bounded(cycle.units.len(), "units", MAX_UNITS)?;
            let mut units = BTreeMap::new();
            for (unit, steps) in cycle.units {
                let unit = UnitHash::parse(&unit).ok_or(BadReason::Field("units"))?;
                units.insert(unit, steps_of(steps)?);
            }
            marks.cycles.insert(Timestamp::from_millis(cycle.start), units);
        }
        Ok(marks)
    }
}

fn steps_form(steps: &[Step]) -> Vec<StepForm> {
    let mut before = None;
    let mut forms = Vec::with_capacity(steps.len());
    for step in steps {
        let known = |member: &&u32| before.is_some_and(|before: &Step| before.out.contains(member));
        forms.push(StepForm {
            out: step.out.iter().filter(|member| !known(member)).copied().collect(),
            finished: step.finished,
        });
        before = Some(step);
    }
    forms
}

fn steps_of(forms: Vec<StepForm>) -> Result<Vec<Step>, BadReason> {
    bounded(forms.len(), "steps", MAX_STEPS)?;
    let mut steps: Vec<Step> = Vec::with_capacity(forms.len());
    // What is listed once is held once a step: the product must stay small too.
    let mut held = 0;
    for form in forms {
        let mut out = steps.last().map(|step| step.out.clone()).unwrap_or_default();
        out.extend(form.out);
        held += out.len();
        bounded(held, "members in steps", MAX_UNITS)?;
        steps.push(Step {
            out,
            finished: form.finished,
        });
    }
    Ok(steps)
}

#[derive(Serialize, Deserialize)]
struct GiveUpsForm {
    protocol: u32,
    hash: u32,
    cycles: Vec<GivenUpForm>,
}

#[derive(Serialize, Deserialize)]
struct GivenUpForm {
    start: i64,
    units: Vec<String>,
}

impl From<&GiveUps> for GiveUpsForm {
    fn from(give_ups: &GiveUps) -> Self {
        let cycles = give_ups.cycles.iter().map(|(start, units)| GivenUpForm {
            start: start.as_millis(),
            units: units_form(units),
        });
        Self {
            protocol: Versions::OURS.protocol,
            hash: Versions::OURS.hash,
            cycles: cycles.collect(),
        }
    }
}

impl GiveUpsForm {
    fn check(self) -> Result<GiveUps, BadReason> {
        bounded(self.cycles.len(), "cycles", MAX_CYCLES)?;
        let cycles = self
            .cycles
            .into_iter()
            .map(|cycle| Ok((Timestamp::from_millis(cycle.start), units_of(&cycle.units)?)));
        Ok(GiveUps {
            cycles: cycles.collect::<Result<_, BadReason>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, btree_set, vec};
    use proptest::prelude::*;

    use super::*;

    fn prefix() -> Prefix {
        Prefix::new("/nephoscope")
    }

    fn schedule() -> ScheduleId {
        ScheduleId::new("cron:0 */5 * * * *:Europe/Prague")
    }

    #[test]
    fn keys_look_like_this() {
        let keys = [
            Key::Member(AgentId::new("node-1").unwrap()),
            Key::Plan(ScheduleId::new("every:300:0")),
            Key::Marks(schedule(), Incarnation(1)),
            Key::GiveUps(schedule(), Incarnation(u128::MAX)),
        ];
        let keys: Vec<_> = keys.iter().map(|key| prefix().key(key)).collect();
        insta::assert_snapshot!(keys.join("\n"), @r"
        /nephoscope/members/node-1
        /nephoscope/plans/every:300:0
        /nephoscope/marks/cron:0%20%2A%2F5%20%2A%20%2A%20%2A%20%2A:Europe%2FPrague/00000000000000000000000000000001
        /nephoscope/gaveup/cron:0%20%2A%2F5%20%2A%20%2A%20%2A%20%2A:Europe%2FPrague/ffffffffffffffffffffffffffffffff
        ");
    }

    #[test]
    fn a_plan_lists_each_set_of_units_once() {
        let units = Arc::new(UnitSet::from([UnitHash(1), UnitHash(2)]));
        let member = |id: &str, units: &Arc<UnitSet>| PlanMember {
            id: AgentId::new(id).unwrap(),
            incarnation: Incarnation(1),
            units: units.clone(),
        };
        let plan = Plan {
            start: Timestamp::from_millis(1_700_000_000_000),
            written: Timestamp::from_millis(1_699_999_999_200),
            writer: AgentId::new("a").unwrap(),
            versions: Versions::OURS,
            members: [member("a", &units), member("b", &units)].into(),
        };
        let bytes = encode(&Value::Plan(plan)).unwrap();
        insta::assert_snapshot!(String::from_utf8(bytes).unwrap(), @r#"{"protocol":1,"hash":1,"start":1700000000000,"written":1699999999200,"writer":"a","sets":[["0000000000000001","0000000000000002"]],"members":[{"id":"a","incarnation":"00000000000000000000000000000001","units":0},{"id":"b","incarnation":"00000000000000000000000000000001","units":0}]}"#);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_reason() {
        let reasons = [
            r#"{"protocol":2,"hash":1,"anything":[]}"#,
            r#"{"protocol":1,"hash":1,"start":0,"written":0,"writer":"a","sets":[],"members":[{"id":"a","incarnation":"x","units":0}]}"#,
            r#"{"protocol":1,"hash":1,"start":0,"written":0,"writer":"a/b","sets":[],"members":[]}"#,
            r#"{"protocol":1,"hash":1}"#,
            "[",
        ]
        .map(|value| decode(&Key::Plan(schedule()), value.as_bytes()).unwrap_err().to_string());
        insta::assert_snapshot!(reasons.join("\n"), @r"
        written in protocol 2 with hash 1
        `incarnation` has a value that cannot be
        `writer` has a value that cannot be
        missing field `start` at line 1 column 23
        EOF while parsing a list at line 1 column 1
        ");
    }

    fn any_key() -> impl Strategy<Value = Key> {
        let schedule = || "[ -~ä]{1,40}".prop_map(ScheduleId::new);
        let incarnation = || any::<u128>().prop_map(Incarnation);
        prop_oneof![
            "[A-Za-z0-9._-]{1,128}".prop_map(|id| Key::Member(AgentId::new(&id).unwrap())),
            schedule().prop_map(Key::Plan),
            (schedule(), incarnation()).prop_map(|(schedule, of)| Key::Marks(schedule, of)),
            (schedule(), incarnation()).prop_map(|(schedule, of)| Key::GiveUps(schedule, of)),
        ]
    }

    fn units() -> impl Strategy<Value = UnitSet> {
        btree_set(any::<u64>().prop_map(UnitHash), 0..5)
    }

    fn start() -> impl Strategy<Value = Timestamp> {
        (-1_000_000_000_000_i64..4_000_000_000_000).prop_map(Timestamp::from_millis)
    }

    prop_compose! {
        fn marks()(cycles in btree_map(start(), btree_map(any::<u64>().prop_map(UnitHash), vec((btree_set(0..50_u32, 0..4), any::<bool>()), 1..4), 0..4), 0..4)) -> Marks {
            let mut marks = Marks::default();
            for (start, units) in cycles {
                let steps = |parts: Vec<(std::collections::BTreeSet<u32>, bool)>| {
                    let mut out = std::collections::BTreeSet::new();
                    let step = |(more, finished)| {
                        out.extend::<std::collections::BTreeSet<u32>>(more);
                        Step { out: out.clone(), finished }
                    };
                    parts.into_iter().map(step).collect::<Vec<_>>()
                };
                marks.cycles.insert(start, units.into_iter().map(|(unit, parts)| (unit, steps(parts))).collect());
            }
            marks
        }
    }

    proptest! {
        #[test]
        fn a_key_reads_as_it_was_written(key in any_key()) {
            let written = prefix().key(&key);
            prop_assert_eq!(prefix().parse(written.as_bytes()), Ok(key));
        }

        #[test]
        fn a_key_has_one_spelling(text in "/nephoscope/(members|plans|marks|gaveup)/[ -~]{0,80}") {
            if let Ok(key) = prefix().parse(text.as_bytes()) {
                prop_assert_eq!(prefix().key(&key), text);
            }
        }

        #[test]
        fn any_bytes_are_a_value_or_an_error(key in any_key(), bytes in vec(any::<u8>(), 0..400)) {
            let _ = decode(&key, &bytes);
            let _ = prefix().entry(&bytes, Some(&bytes), Revision(1), Revision(1));
        }

        #[test]
        fn any_json_is_a_value_or_an_error(
            key in any_key(),
            fields in vec(("(protocol|hash|start|written|writer|sets|members|cycles|units|schedules|incarnation|host|leaving|meters)", "(1|-1|1e400|\"\"|\"a\"|\\[\\]|\\[\\[\\]\\]|\\{\\}|\\[\\{\"start\":1,\"units\":\\[\\]\\}\\]|null|true)"), 0..14),
        ) {
            let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            let _ = decode(&key, format!("{{{}}}", fields.join(",")).as_bytes());
        }

        #[test]
        fn a_member_reads_as_it_was_written(
            incarnation in any::<u128>(), host in "[ -~]{0,20}", leaving in any::<bool>(), meters in any::<u64>(),
            schedules in btree_map("[ -~]{1,20}".prop_map(ScheduleId::new), units(), 0..4),
        ) {
            let value = Value::Member(Member {
                incarnation: Incarnation(incarnation), versions: Versions::OURS, host: host.into(), leaving, schedules, meters,
            });
            let key = Key::Member(AgentId::new("a").unwrap());
            prop_assert_eq!(decode(&key, &encode(&value).unwrap()), Ok(value));
        }

        #[test]
        fn a_plan_reads_as_it_was_written(
            start in start(), written in start(),
            members in btree_map("[a-z]{1,8}", (any::<u128>(), units()), 0..6),
        ) {
            let members = members.into_iter().map(|(id, (incarnation, units))| PlanMember {
                id: AgentId::new(&id).unwrap(), incarnation: Incarnation(incarnation), units: Arc::new(units),
            });
            let value = Value::Plan(Plan {
                start, written, writer: AgentId::new("a").unwrap(), versions: Versions::OURS, members: members.collect(),
            });
            prop_assert_eq!(decode(&Key::Plan(schedule()), &encode(&value).unwrap()), Ok(value));
        }

        #[test]
        fn marks_and_give_ups_read_as_they_were_written(
            marks in marks(), cycles in btree_map(start(), units(), 0..4),
        ) {
            let marks = Value::Marks(marks);
            let key = Key::Marks(schedule(), Incarnation(1));
            prop_assert_eq!(decode(&key, &encode(&marks).unwrap()), Ok(marks));
            let give_ups = Value::GiveUps(GiveUps { cycles });
            let key = Key::GiveUps(schedule(), Incarnation(1));
            prop_assert_eq!(decode(&key, &encode(&give_ups).unwrap()), Ok(give_ups));
        }
    }
}
