//! Discoveries and pollsters that are a table: a listing whose entries carry the values.

use std::sync::Arc;

use nephoscope_plugin::model::{MeterDef, Resource, Subject, Value, Volume};
use nephoscope_plugin::{
    BuildContext, BuildError, Call, CallDef, CallRate, Discovery, DiscoveryRun, Failure, PollRun, Pollster,
    async_trait,
};

use crate::definition::ServiceDef;
use crate::error::ApiError;
use crate::items::List;
use crate::listing::Listing;
use crate::record::{Members, Record};
use crate::request::Request;
use crate::service::Service;
use crate::session::Session;

/// No key of a resource is longer: an entry with a longer one is no resource.
const MAX_KEY: usize = 1024;

/// What a path of a service lists, and what its entries are measured by.
///
/// One table makes a discovery, whose resources are [`Record`]s, and the pollster that measures them; they are
/// registered with `|context| TABLE.discovery(context)` and `|context| TABLE.pollster(context)`. The meters of
/// the registration are [`Table::meter_defs`], so that each meter is named once.
pub struct Table {
    /// The service.
    pub service: &'static ServiceDef,
    /// What is asked.
    pub call: CallDef,
    /// Where in the answer the list stands.
    pub list: List,
    /// Adds to the request what makes the list whole: parameters, headers, [`Request::paged`].
    pub request: fn(Request) -> Request,
    /// The key of an entry, which is the resource id of its samples: what never changes about it. `None`: it
    /// is no resource.
    pub key: fn(&Record) -> Option<String>,
    /// The members whose text may be the project's id; the first that has one says it.
    pub project: &'static [&'static str],
    /// The members whose text may be the user's id; the first that has one says it.
    pub user: &'static [&'static str],
    /// What is published as metadata, in order.
    pub metadata: &'static [Metadata],
    /// Further members that are kept, for keys, meters and metadata that is made.
    pub members: &'static [&'static str],
    /// The meters, and how each is measured.
    pub meters: &'static [(MeterDef, Measure)],
}

/// An entry of the metadata of samples.
#[derive(Debug, Clone, Copy)]
pub struct Metadata {
    key: &'static str,
    from: Origin,
}

#[derive(Debug, Clone, Copy)]
enum Origin {
    Member(&'static str),
    Made(fn(&Record) -> Value),
}

impl Metadata {
    /// A member under its own name; null when the service did not send it.
    pub const fn of(member: &'static str) -> Self {
        Self::named(member, member)
    }

    /// A member under another name.
    pub const fn named(key: &'static str, member: &'static str) -> Self {
        Self {
            key,
            from: Origin::Member(member),
        }
    }

    /// What is made of a record.
    pub const fn made(key: &'static str, make: fn(&Record) -> Value) -> Self {
        Self {
            key,
            from: Origin::Made(make),
        }
    }

    fn read(&self, record: &Record) -> Value {
        match self.from {
            Origin::Member(member) => record.get(member).clone(),
            Origin::Made(make) => make(record),
        }
    }
}

/// The value of a meter of a record: `None` is no sample; an error says why there should be one and is not.
pub type Measured = Result<Option<Volume>, String>;

/// How a meter is measured.
pub type Measure = fn(&Record) -> Measured;

/// The key of entries that have an `id`.
pub fn id(record: &Record) -> Option<String> {
    record.text("id").map(str::to_owned)
}

/// The number that a member holds; no sample where it is null.
///
/// # Errors
///
/// When it is something else, as Cinder's `unknown` and `infinite`.
pub fn number(value: &Value) -> Measured {
    match value {
        Value::Null => Ok(None),
        Value::Int(number) => Ok(Some((*number).into())),
        Value::Uint(number) => Ok(Some((*number).into())),
        Value::Float(number) => Ok(Some((*number).into())),
        Value::Text(text) => Err(format!("the service gives `{text}`, which is no number")),
        _ => Err("the service gives what is no number".to_owned()),
    }
}

/// The number for a word, whatever its case; -1 for one that is not in the table, and for none.
pub fn status(word: Option<&str>, table: &[(&str, i64)]) -> Volume {
    let known = word.and_then(|word| table.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)));
    known.map_or(-1, |(_, number)| *number).into()
}

impl Table {
    /// Makes the discovery.
    ///
    /// # Errors
    ///
    /// When the options of the session are wrong.
    pub fn discovery(&'static self, context: &BuildContext) -> Result<Arc<dyn Discovery>, BuildError> {
        Ok(Arc::new(TableDiscovery {
            table: self,
            service: Session::of(context)?.service(self.service),
        }))
    }

    /// The entries, as this service lists them.
    pub fn entries(&'static self, service: &Service) -> Entries {
        self.entries_of((self.request)(service.request(&self.call)))
    }

    /// The entries that a request lists.
    pub fn entries_of(&'static self, request: Request) -> Entries {
        Entries {
            table: self,
            members: self.all_members(),
            listing: request.list(self.list),
        }
    }

    /// Makes the pollster.
    ///
    /// # Errors
    ///
    /// When the options of the session are wrong.
    pub fn pollster(&'static self, context: &BuildContext) -> Result<Arc<dyn Pollster>, BuildError> {
        // Said once, with the options of the discovery: a pollster by itself asks nothing.
        Session::of(context)?;
        Ok(Arc::new(TablePollster(self)))
    }

    /// The definitions of the meters, for the registration of the pollster:
    /// `.meters(&const { TABLE.meter_defs::<2>() })` for a table of two.
    ///
    /// # Panics
    ///
    /// When the table has another number of meters. In a constant that is an error of the compiler.
    pub const fn meter_defs<const N: usize>(&self) -> [MeterDef; N] {
        assert!(N == self.meters.len(), "the table has another number of meters");
        let mut defs = [self.meters[0].0; N];
        let mut place = 0;
        while place < N {
            defs[place] = self.meters[place].0;
            place += 1;
        }
        defs
    }

    fn all_members(&self) -> Members {
        let of_metadata = self.metadata.iter().filter_map(|entry| match entry.from {
            Origin::Member(member) => Some(member),
            Origin::Made(_) => None,
        });
        let all = self
            .members
            .iter()
            .chain(self.project)
            .chain(self.user)
            .copied()
            .chain(of_metadata);
        let mut members: Vec<&'static str> = Vec::new();
        for member in all {
            if !members.contains(&member) {
                members.push(member);
            }
        }
        members.into()
    }

    /// What the samples of a resource of this table share.
    pub fn subject(&self, resource: &Resource, record: &Record) -> Subject {
        let text = |members: &[&str]| {
            members
                .iter()
                .find_map(|member| record.text(member))
                .map(Arc::from)
        };
        let mut subject = Subject::new(resource.key().clone());
        subject.project_id = text(self.project);
        subject.user_id = text(self.user);
        let metadata = self.metadata.iter();
        subject.metadata = metadata
            .map(|entry| (entry.key.into(), entry.read(record)))
            .collect();
        subject
    }
}

/// The entries of a table, one by one, as they arrive.
#[derive(Debug)]
pub struct Entries {
    table: &'static Table,
    members: Members,
    listing: Listing,
}

impl Entries {
    /// The next entry and its key; `None` at the end. An entry that has no key or is no object is passed over.
    ///
    /// # Errors
    ///
    /// What ended the listing early.
    pub async fn next(&mut self) -> Result<Option<(String, Record)>, ApiError> {
        let (table, members) = (self.table, &self.members);
        let read = |entry: &[u8]| {
            let record = Record::read(entry, members)?;
            let key = (table.key)(&record).filter(|key| !key.is_empty() && key.len() <= MAX_KEY);
            let key = key.ok_or_else(|| serde::de::Error::custom("it has no id"))?;
            Ok((key, record))
        };
        self.listing.next_by(read).await
    }
}

struct TableDiscovery {
    table: &'static Table,
    service: Service,
}

#[async_trait]
impl Discovery for TableDiscovery {
    async fn discover(&self, run: &mut DiscoveryRun) -> Result<(), Failure> {
        no_parameter(run)?;
        let mut entries = self.table.entries(&self.service.shared_by(run.members()));
        while let Some((key, record)) = entries.next().await? {
            run.push(Resource::with_body(key, record)).await?;
        }
        Ok(())
    }

    fn rate(&self, call: &Call) -> Option<CallRate> {
        Some(match call.rate {
            CallRate::PerPage(_) => CallRate::PerPage(self.service.page_size()),
            rate => rate,
        })
    }
}

/// Refuses a discovery URL with a parameter, for discoveries that have none.
///
/// # Errors
///
/// When there is one.
pub fn no_parameter(run: &DiscoveryRun) -> Result<(), Failure> {
    match run.parameter() {
        None | Some("") => Ok(()),
        Some(_) => Err(Failure::permanent("this discovery takes no parameter")),
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("Table").field(&self.call.path).finish()
    }
}

struct TablePollster(&'static Table);

#[async_trait]
impl Pollster for TablePollster {
    async fn poll(&self, run: &mut PollRun) -> Result<(), Failure> {
        while let Some(page) = run.next_page().await {
            for resource in page.iter() {
                match resource.body::<Record>() {
                    Some(record) => self.measure(run, resource, record).await?,
                    None => run.fail(resource, unknown()),
                }
            }
        }
        Ok(())
    }
}

impl TablePollster {
    /// A meter that cannot be measured costs none of the others its sample.
    async fn measure(&self, run: &mut PollRun, resource: &Resource, record: &Record) -> Result<(), Failure> {
        let mut values = Vec::with_capacity(self.0.meters.len());
        let mut troubles = Vec::new();
        for (meter, measure) in self.0.meters {
            let name = meter.name;
            if !run.wants(name) {
                continue;
            }
            match measure(record) {
                Ok(None) => {}
                Ok(Some(volume)) => values.push((name, volume)),
                Err(reason) => troubles.push(format!("{name}: {reason}")),
            }
        }
        if troubles.is_empty() || !values.is_empty() {
            let subject = self.0.subject(resource, record).shared();
            let mut report = run.report(resource);
            for (name, volume) in values {
                report.add(name, &subject, volume);
            }
            report.send().await?;
        }
        if !troubles.is_empty() {
            run.fail(resource, Failure::transient(troubles.join("; ")));
        }
        Ok(())
    }
}

/// The failure of a resource that the pollster's discovery did not list.
pub fn unknown() -> Failure {
    Failure::not_supported("only what the discovery of this pollster lists can be measured")
}
