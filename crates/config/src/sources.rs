//! The `sources` of polling.yaml: ceilometer's rules to the letter, and our own keys beside them.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::PartitionMode;
use nephoscope_sources::{
    DiscoveryUrl, MeterFilter, MeterFilterError, Position, Schedule, ScheduleError, Source, StaticResource,
};
use serde_json::{Map, Value};

use crate::duration::HumanDuration;
use crate::finding::{Document, Finding, Findings, Part, Place};
use crate::near::nearest;
use crate::path::ValuePath;
use crate::problem::Problem;
use crate::schema::kind;

/// The keys of a source. The first six are ceilometer's.
pub(crate) const KEYS: [&str; 11] = [
    "name",
    "interval",
    "meters",
    "resources",
    "discovery",
    "group_id_coordination_expression",
    "cron",
    "time_zone",
    "offset",
    "partition",
    "timeout",
];

const INTERVAL_FORM: &str = "a number of seconds or a duration such as `5m`";

/// Reads all sources of a document; what is wrong becomes findings. Only without errors are all sources in the result.
pub(crate) fn read(
    documents: &[Document],
    document: usize,
    value: &Value,
    strict: bool,
    findings: &mut Findings,
) -> Vec<Source> {
    let path = ValuePath::top().at("sources");
    let Value::Array(items) = value else {
        let place = Place::of(
            documents,
            document,
            &path,
            if value.is_null() { Part::Key } else { Part::Value },
        );
        let finding = Finding::error(Problem::SourcesNotList, "`sources` is not a list")
            .at(place, format!("expected a list, found {}", kind(value)))
            .help(value.is_null().then_some("write `sources: []` to poll nothing"));
        findings.add(finding);
        return Vec::new();
    };
    let file = Arc::new(
        documents
            .get(document)
            .map(|document| document.path.clone())
            .unwrap_or_default(),
    );
    let mut lines = Lines::new(documents.get(document));
    let mut sources = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let path = path.at(index);
        let mut reader = Reader {
            documents,
            document,
            path: path.clone(),
            findings,
            name: None,
        };
        let Value::Object(fields) = item else {
            let label = format!(
                "expected a mapping with `name`, `interval` and `meters`, found {}",
                kind(item)
            );
            reader.error(
                Problem::SourceNotMapping,
                "a source is not a mapping",
                &path,
                Part::Value,
                label,
            );
            continue;
        };
        let line = lines.of(&path);
        let position = Position {
            file: Arc::clone(&file),
            line,
        };
        sources.extend(reader.source(fields, strict, position));
    }
    sources
}

/// Tells the lines of values that are asked for in the order of the file, going through it once.
struct Lines<'a> {
    document: Option<&'a Document>,
    offset: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    fn new(document: Option<&'a Document>) -> Self {
        Self {
            document,
            offset: 0,
            line: 1,
        }
    }

    /// The line of the value, counted from 1.
    fn of(&mut self, path: &ValuePath) -> usize {
        let Some(document) = self.document else { return 1 };
        let offset = document.find(path).map_or(0, |found| found.value.start);
        if offset < self.offset {
            // An alias points back.
            (self.offset, self.line) = (0, 1);
        }
        let passed = document
            .text
            .as_bytes()
            .get(self.offset..offset)
            .unwrap_or_default();
        self.line += passed.iter().filter(|byte| **byte == b'\n').count();
        self.offset = offset;
        self.line
    }
}

struct Reader<'a> {
    documents: &'a [Document],
    document: usize,
    path: ValuePath,
    findings: &'a mut Findings,
    /// For titles.
    name: Option<String>,
}

impl Reader<'_> {
    fn source(mut self, fields: &Map<String, Value>, strict: bool, position: Position) -> Option<Source> {
        self.name = fields.get("name").and_then(text_of);
        for key in fields.keys().filter(|key| !KEYS.contains(&key.as_str())) {
            self.unknown(key, strict);
        }
        if fields.contains_key("group_id_coordination_expression") {
            self.group_expression();
        }
        // Everything is read, whatever fails before, so that all errors show at once.
        let name = self.name(fields);
        let meters = self.meters(fields);
        let schedule = self.schedule(fields);
        let resources = self.list(fields, "resources", Problem::ResourcesNotList);
        let discovery = self.discovery(fields);
        let partition = self.partition(fields);
        let timeout = self.timeout(fields);
        Some(Source {
            name: name?,
            schedule: schedule?,
            meters: meters?,
            resources: resources?.iter().cloned().map(StaticResource::new).collect(),
            discovery: discovery?,
            partition: partition?,
            timeout: timeout?,
            position,
        })
    }

    /// The source's name for titles, as ``of source `cpu` ``.
    fn of_source(&self) -> String {
        match &self.name {
            Some(name) if name.chars().count() <= 60 => format!(" of source `{name}`"),
            _ => String::new(),
        }
    }

    fn place(&self, path: &ValuePath, part: Part) -> Place {
        Place::of(self.documents, self.document, path, part)
    }

    fn finding(
        &self,
        problem: Problem,
        title: impl Into<String>,
        path: &ValuePath,
        part: Part,
        label: impl Into<String>,
    ) -> Finding {
        Finding::error(problem, title).at(self.place(path, part), label)
    }

    fn error(
        &mut self,
        problem: Problem,
        title: impl Into<String>,
        path: &ValuePath,
        part: Part,
        label: impl Into<String>,
    ) {
        let finding = self.finding(problem, title, path, part, label);
        self.findings.add(finding);
    }

    /// The part to underline for a value that is not as it should be: a key without a value shows by its key.
    fn part(value: &Value) -> Part {
        if value.is_null() || value.is_array() || value.is_object() {
            Part::Key
        } else {
            Part::Value
        }
    }

    fn unknown(&mut self, key: &str, strict: bool) {
        let title = format!("unknown key `{}`{}", short(key), self.of_source());
        let finding = if strict {
            Finding::error(Problem::UnknownSourceKey, title)
        } else {
            Finding::warning(Problem::UnknownSourceKey, title)
        };
        let place = self.place(&self.path.at(key), Part::Key);
        let near = nearest(key, KEYS).map(|near| format!("did you mean `{near}`?"));
        self.findings
            .add(finding.at(place, "nothing reads this").help(near));
    }

    fn group_expression(&mut self) {
        let place = self.place(&self.path.at("group_id_coordination_expression"), Part::Key);
        let title = format!(
            "`group_id_coordination_expression`{} has no effect",
            self.of_source()
        );
        let finding = Finding::warning(Problem::GroupExpression, title)
            .at(place, "accepted, but not evaluated")
            .help(Some("resources are divided by their own keys; `partition: listing` keeps a whole listing at one agent"));
        self.findings.add(finding);
    }

    fn missing(&mut self, problem: Problem, key: &str, help: &str) {
        let path = self.path.clone();
        let title = format!("`{key}` is missing{}", in_source(&self.of_source()));
        let finding = self.finding(
            problem,
            title,
            &path,
            Part::Value,
            format!("this source has no `{key}`"),
        );
        self.findings.add(finding.help(Some(help)));
    }

    fn name(&mut self, fields: &Map<String, Value>) -> Option<String> {
        match fields.get("name") {
            None => self.missing(
                Problem::NameMissing,
                "name",
                "add `name:` with a label for people",
            ),
            Some(value) => {
                if let Some(name) = text_of(value) {
                    return Some(name);
                }
                let label = format!("expected text, found {}", kind(value));
                let path = self.path.at("name");
                self.error(
                    Problem::NameNotText,
                    "the name of a source is not text",
                    &path,
                    Self::part(value),
                    label,
                );
            }
        }
        None
    }

    fn meters(&mut self, fields: &Map<String, Value>) -> Option<MeterFilter> {
        let path = self.path.at("meters");
        let of_source = self.of_source();
        let patterns: Vec<&str> = match fields.get("meters") {
            None => {
                self.missing(
                    Problem::MetersMissing,
                    "meters",
                    "add `meters:` with a list of names, or `meters: [\"*\"]` for all",
                );
                return None;
            }
            Some(value) if is_nothing(value) => {
                let title = format!("`meters`{of_source} names no meters");
                let finding = self.finding(
                    Problem::MetersEmpty,
                    title,
                    &path,
                    Part::Key,
                    "expected a list of names or patterns",
                );
                self.findings
                    .add(finding.help(Some("write `meters: [\"*\"]` for all meters")));
                return None;
            }
            Some(Value::Array(items)) => {
                let mut patterns = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    match item {
                        Value::String(pattern) => patterns.push(pattern.as_str()),
                        other => {
                            let label = format!("expected text, found {}", kind(other));
                            let title = format!("an item of `meters`{of_source} is not text");
                            let finding = self.finding(
                                Problem::MeterNotText,
                                title,
                                &path.at(index),
                                Part::Value,
                                label,
                            );
                            let quote = matches!(other, Value::Number(_) | Value::Bool(_))
                                .then(|| format!("write `\"{other}\"`"));
                            self.findings.add(finding.help(quote));
                        }
                    }
                }
                if patterns.len() < items.len() {
                    return None;
                }
                patterns
            }
            Some(Value::Object(entries)) => {
                let title = format!("`meters`{of_source} is a mapping");
                let finding = Finding::warning(Problem::MetersMapping, title).at(
                    self.place(&path, Part::Key),
                    "the keys are taken as patterns, the values are ignored",
                );
                self.findings
                    .add(finding.help(Some("write a list, as in `meters: [cpu]`")));
                entries.keys().map(String::as_str).collect()
            }
            Some(value) => {
                let label = format!("expected a list, found {}", kind(value));
                let hint = value
                    .as_str()
                    .filter(|text| text.len() <= 60 && !text.contains('\n'))
                    .map(|text| {
                        let quoted = if text
                            .chars()
                            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
                        {
                            text.to_owned()
                        } else {
                            format!("{text:?}")
                        };
                        format!("write `meters: [{quoted}]`")
                    });
                let finding = self.finding(
                    Problem::MetersNotList,
                    format!("`meters`{of_source} is not a list"),
                    &path,
                    Part::Value,
                    label,
                );
                self.findings.add(finding.help(hint));
                return None;
            }
        };
        match MeterFilter::new(patterns.iter().copied()) {
            Ok(filter) => Some(filter),
            Err(error) => {
                self.bad_filter(error, &path, &of_source);
                None
            }
        }
    }

    fn bad_filter(&mut self, error: MeterFilterError, path: &ValuePath, of_source: &str) {
        let finding = match error {
            MeterFilterError::Empty => {
                let title = format!("`meters`{of_source} names no meters");
                self.finding(
                    Problem::MetersEmpty,
                    title,
                    path,
                    Part::Key,
                    "expected a list of names or patterns",
                )
            }
            MeterFilterError::EmptyPattern { index } => {
                let title = format!("an item of `meters`{of_source} is empty");
                let label = "expected a name or a pattern";
                self.finding(Problem::MeterEmpty, title, &path.at(index), Part::Value, label)
            }
            MeterFilterError::Mixed { included, excluded } => self
                .finding(
                    Problem::MetersMixed,
                    format!("`meters`{of_source} both includes and excludes meters"),
                    &path.at(excluded),
                    Part::Value,
                    "this excludes meters",
                )
                .also(
                    self.place(&path.at(included), Part::Value),
                    "and this includes some",
                )
                .help(Some(
                    "keep the names alone, or exclude from everything, as in `meters: [\"*\", \"!disk.*\"]`",
                )),
            MeterFilterError::MixedWithWildcard { included, wildcard } => self
                .finding(
                    Problem::MetersBesideWildcard,
                    format!("`meters`{of_source} names meters beside `*`"),
                    &path.at(included),
                    Part::Value,
                    "this names meters",
                )
                .also(
                    self.place(&path.at(wildcard), Part::Value),
                    "and this already wants every meter",
                )
                .help(Some("leave out the one or the other")),
        };
        self.findings.add(finding);
    }

    fn schedule(&mut self, fields: &Map<String, Value>) -> Option<Schedule> {
        match (fields.get("interval"), fields.get("cron")) {
            (None, None) => {
                let help = "add `interval:` with a number of seconds, or `cron:` with an expression";
                self.missing(Problem::IntervalMissing, "interval", help);
                // The keys beside it show their errors as well.
                self.offset(fields);
                None
            }
            (Some(interval), None) => {
                if fields.get("time_zone").is_some_and(|zone| !zone.is_null()) {
                    self.misplaced("time_zone", "cron");
                }
                let written = self.interval(interval);
                let offset = self.offset(fields);
                let (interval, offset) = (written?, offset?);
                match Schedule::every(interval, offset) {
                    Ok(schedule) => Some(schedule),
                    Err(error) => {
                        self.bad_interval(&error);
                        None
                    }
                }
            }
            (None, Some(cron)) => {
                if fields.get("offset").is_some_and(|offset| !offset.is_null()) {
                    self.misplaced("offset", "interval");
                }
                self.cron(cron, fields.get("time_zone"))
            }
            (Some(_), Some(_)) => {
                let title = format!("both `interval` and `cron`{}", self.of_source());
                let finding = self
                    .finding(
                        Problem::ScheduleTwice,
                        title,
                        &self.path.at("cron"),
                        Part::Key,
                        "this is a schedule",
                    )
                    .also(self.place(&self.path.at("interval"), Part::Key), "and so is this")
                    .help(Some("keep the one or the other"));
                self.findings.add(finding);
                None
            }
        }
    }

    fn misplaced(&mut self, key: &str, other: &str) {
        let title = format!("`{key}`{} without `{other}`", self.of_source());
        let path = self.path.at(key);
        self.error(
            Problem::ScheduleKey,
            title,
            &path,
            Part::Key,
            format!("this belongs to `{other}`"),
        );
    }

    fn interval(&mut self, value: &Value) -> Option<Duration> {
        let path = self.path.at("interval");
        let of_source = self.of_source();
        let invalid = |reader: &mut Self, label: Cow<'static, str>, help: Option<String>| {
            let title = format!("`interval`{of_source} is not an interval");
            let finding = reader.finding(Problem::IntervalInvalid, title, &path, Self::part(value), label);
            reader.findings.add(finding.help(help));
            None
        };
        let seconds = match value {
            Value::Bool(flag) => {
                let finding = Finding::warning(
                    Problem::IntervalConverted,
                    format!("`interval`{of_source} is a truth value"),
                )
                .at(
                    self.place(&path, Part::Value),
                    format!("taken as {} as ceilometer does", i64::from(*flag)),
                );
                if *flag {
                    self.findings.add(finding);
                }
                Some(i128::from(*flag))
            }
            Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(whole), _, _) => Some(i128::from(whole)),
                (_, Some(whole), _) => Some(i128::from(whole)),
                (_, _, Some(fraction)) => {
                    // Saturates, and the range is checked below.
                    let whole = fraction.trunc() as i128;
                    if fraction.fract() != 0.0 && whole > 0 {
                        let title = format!("`interval`{of_source} has a fraction of a second");
                        let finding = Finding::warning(Problem::IntervalConverted, title).at(
                            self.place(&path, Part::Value),
                            format!("taken as {whole} as ceilometer does"),
                        );
                        self.findings.add(finding);
                    }
                    Some(whole)
                }
                _ => None,
            },
            Value::String(text) => {
                let plain = self
                    .documents
                    .get(self.document)
                    .and_then(|d| d.find(&path))
                    .is_some_and(|found| found.plain);
                match python_int(text) {
                    Some(_) if plain && octal(text) => {
                        let help = Some(
                            "ceilometer reads a number that begins with 0 as octal; leave out the 0"
                                .to_owned(),
                        );
                        return invalid(self, format!("expected {INTERVAL_FORM}").into(), help);
                    }
                    Some(whole) => Some(whole),
                    None => match text.parse::<HumanDuration>() {
                        Ok(duration) if duration.0.is_zero() => Some(0),
                        Ok(duration) => return Some(duration.0),
                        Err(_) => {
                            let help = sexagesimal(text)
                                .map(|seconds| format!("for {seconds} seconds write `{seconds}`"));
                            return invalid(self, format!("expected {INTERVAL_FORM}").into(), help);
                        }
                    },
                }
            }
            _ => None,
        };
        let Some(seconds) = seconds else {
            return invalid(
                self,
                format!("expected {INTERVAL_FORM}, found {}", kind(value)).into(),
                None,
            );
        };
        if seconds <= 0 {
            let title = format!("`interval`{of_source} is not positive");
            self.error(
                Problem::IntervalNotPositive,
                title,
                &path,
                Part::Value,
                "expected at least 1 second",
            );
            return None;
        }
        // What does not fit is too long, and is told as that.
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX)))
    }

    fn bad_interval(&mut self, error: &ScheduleError) {
        let of_source = self.of_source();
        let finding = match error {
            ScheduleError::OffsetTooLong => self.finding(
                Problem::OffsetInvalid,
                format!("`offset`{of_source} is not shorter than its interval"),
                &self.path.at("offset"),
                Part::Value,
                "expected less than `interval`",
            ),
            other => self.finding(
                Problem::IntervalRange,
                format!("`interval`{of_source} is not possible"),
                &self.path.at("interval"),
                Part::Value,
                other.to_string(),
            ),
        };
        self.findings.add(finding);
    }

    fn offset(&mut self, fields: &Map<String, Value>) -> Option<Duration> {
        let value = match fields.get("offset") {
            None | Some(Value::Null) => return Some(Duration::ZERO),
            Some(value) => value,
        };
        let offset = duration(value).filter(|offset| offset.subsec_nanos() == 0);
        if offset.is_none() {
            let title = format!("`offset`{} is not a whole number of seconds", self.of_source());
            let path = self.path.at("offset");
            self.error(
                Problem::OffsetInvalid,
                title,
                &path,
                Self::part(value),
                format!("expected {INTERVAL_FORM}"),
            );
        }
        offset
    }

    fn cron(&mut self, value: &Value, zone: Option<&Value>) -> Option<Schedule> {
        let path = self.path.at("cron");
        let of_source = self.of_source();
        let zone_path = self.path.at("time_zone");
        let zone_title = format!("`time_zone`{of_source} is not a time zone");
        let zone = match zone {
            None | Some(Value::Null) => "UTC",
            Some(Value::String(zone)) => zone,
            Some(other) => {
                let label = format!("expected a name such as `Europe/Prague`, found {}", kind(other));
                self.error(
                    Problem::TimeZoneInvalid,
                    zone_title,
                    &zone_path,
                    Self::part(other),
                    label,
                );
                return None;
            }
        };
        let title = format!("`cron`{of_source} is not a cron expression");
        let Value::String(expression) = value else {
            let label = format!("expected text such as `\"0 */5 * * * *\"`, found {}", kind(value));
            self.error(Problem::CronInvalid, title, &path, Self::part(value), label);
            return None;
        };
        match Schedule::cron(expression, zone) {
            Ok(schedule) => Some(schedule),
            Err(ScheduleError::TimeZone(_)) => {
                let label = "expected a name that this machine knows, such as `UTC` or `Europe/Prague`";
                self.error(
                    Problem::TimeZoneInvalid,
                    zone_title,
                    &zone_path,
                    Part::Value,
                    label,
                );
                None
            }
            Err(error) => {
                let fields = expression.split_whitespace().count();
                let help = match (&error, fields) {
                    (ScheduleError::Cron(_), 5) => {
                        Some(format!("with seconds in front: `\"0 {}\"`", expression.trim()))
                    }
                    _ => None,
                };
                let label = match error {
                    ScheduleError::Never => "this never comes true".to_owned(),
                    _ => "expected 6 fields: second minute hour day month weekday".to_owned(),
                };
                let finding = self
                    .finding(Problem::CronInvalid, title, &path, Part::Value, label)
                    .help(help);
                self.findings.add(finding);
                None
            }
        }
    }

    fn list<'v>(
        &mut self,
        fields: &'v Map<String, Value>,
        key: &str,
        problem: Problem,
    ) -> Option<&'v [Value]> {
        match fields.get(key) {
            None => Some(&[]),
            Some(value) if is_nothing(value) => Some(&[]),
            Some(Value::Array(items)) => Some(items),
            Some(value) => {
                let title = format!("`{key}`{} is not a list", self.of_source());
                let label = format!("expected a list, found {}", kind(value));
                let path = self.path.at(key);
                self.error(
                    problem,
                    title,
                    &path,
                    if value.is_object() { Part::Key } else { Part::Value },
                    label,
                );
                None
            }
        }
    }

    fn discovery(&mut self, fields: &Map<String, Value>) -> Option<Vec<DiscoveryUrl>> {
        let items = self.list(fields, "discovery", Problem::DiscoveryNotList)?;
        let path = self.path.at("discovery");
        let mut urls = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item {
                Value::String(text) => urls.push(DiscoveryUrl::parse(text)),
                other => {
                    let title = format!("an item of `discovery`{} is not text", self.of_source());
                    let label = format!("expected `NAME` or `NAME://PARAMETER`, found {}", kind(other));
                    self.error(
                        Problem::DiscoveryNotText,
                        title,
                        &path.at(index),
                        Part::Value,
                        label,
                    );
                }
            }
        }
        (urls.len() == items.len()).then_some(urls)
    }

    fn partition(&mut self, fields: &Map<String, Value>) -> Option<Option<PartitionMode>> {
        const MODES: [PartitionMode; 2] = [PartitionMode::Resource, PartitionMode::Listing];
        let value = match fields.get("partition") {
            None | Some(Value::Null) => return Some(None),
            Some(value) => value,
        };
        let text = value.as_str().unwrap_or_default();
        if let Some(mode) = MODES.into_iter().find(|mode| mode.as_str() == text) {
            return Some(Some(mode));
        }
        let near =
            nearest(text, MODES.map(PartitionMode::as_str)).map(|near| format!("did you mean `{near}`?"));
        let title = format!("`partition`{} is not a partition mode", self.of_source());
        let label = "expected `resource` or `listing`";
        let finding = self.finding(
            Problem::PartitionInvalid,
            title,
            &self.path.at("partition"),
            Self::part(value),
            label,
        );
        self.findings.add(finding.help(near));
        None
    }

    fn timeout(&mut self, fields: &Map<String, Value>) -> Option<Option<Duration>> {
        let value = match fields.get("timeout") {
            None | Some(Value::Null) => return Some(None),
            Some(value) => value,
        };
        let timeout = duration(value).filter(|timeout| !timeout.is_zero());
        if timeout.is_none() {
            let title = format!("`timeout`{} is not a duration", self.of_source());
            let label = "expected a positive number of seconds or a duration such as `60s`";
            let path = self.path.at("timeout");
            self.error(Problem::TimeoutInvalid, title, &path, Self::part(value), label);
            return None;
        }
        Some(timeout)
    }
}

/// Ceilometer takes any value for a name; numbers and truth values are names by their text.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

fn in_source(of_source: &str) -> String {
    of_source.replacen(" of ", " in ", 1)
}

fn short(key: &str) -> String {
    if key.chars().count() <= 60 {
        key.to_owned()
    } else {
        key.chars().take(60).chain("...".chars()).collect()
    }
}

/// What Python counts as false, and ceilometer therefore as absent.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
    }
}

fn duration(value: &Value) -> Option<Duration> {
    match value {
        Value::Number(number) => HumanDuration::from_secs(number.as_u64()?)
            .to_string()
            .parse::<HumanDuration>()
            .ok(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
    .map(|human: HumanDuration| human.0)
}

/// Text as Python's `int` reads it: blanks around, a sign, single underscores between digits.
fn python_int(text: &str) -> Option<i128> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let well_formed = !digits.is_empty()
        && digits
            .split('_')
            .all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()));
    if !well_formed {
        return None;
    }
    let value: i128 = digits.replace('_', "").parse().unwrap_or(i128::MAX);
    Some(if text.starts_with('-') { -value } else { value })
}

/// Whether YAML 1.1, which ceilometer reads, takes the plain text as an octal number.
fn octal(text: &str) -> bool {
    let digits = text.trim().trim_start_matches(['+', '-']);
    digits.len() > 1
        && digits.starts_with('0')
        && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7' | b'_'))
}

/// `1:30` is a number to the base of 60 in YAML 1.1, which ceilometer reads.
fn sexagesimal(text: &str) -> Option<u64> {
    let parts: Vec<u64> = text
        .split(':')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    if parts.len() < 2 {
        return None;
    }
    parts
        .iter()
        .try_fold(0_u64, |total, part| total.checked_mul(60)?.checked_add(*part))
}
