//! Discoveries and pollsters declared as a table: a list whose entries contain the values.

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

/// The longest key of a resource; an entry with a longer one is skipped.
const MAX_KEY: usize = 1024;

/// The declaration of a list of a service, and of the meters of its entries.
///
/// One table creates a discovery, whose resources are [`Record`]s, and the pollster that measures them; register them
/// with `|context| TABLE.discovery(context)` and `|context| TABLE.pollster(context)`. The registration's meters are
/// [`Table::meter_defs`], so that each meter is declared once.
pub struct Table {
    /// The service.
    pub service: &'static ServiceDef,
    /// The request.
    pub call: CallDef,
    /// Where in the answer the list is.
    pub list: List,
    /// Adds query parameters and headers to the request so that the list is complete, for example [`Request::paged`].
    pub request: fn(Request) -> Request,
    /// Returns the key of an entry, which is the resource id of its samples and never changes. `None`: the entry is not a
    /// resource.
    pub key: fn(&Record) -> Option<String>,
    /// The members that may contain the project's id; the first string is used.
    pub project: &'static [&'static str],
    /// The members that may contain the user's id; the first string is used.
    pub user: &'static [&'static str],
    /// The metadata of samples, in order.
    pub metadata: &'static [Metadata],
    /// Further members to store, for keys, meters and computed metadata.
    pub members: &'static [&'static str],
    /// The meters, each with its measure function.
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
    Computed(fn(&Record) -> Value),
}

impl Metadata {
    /// A member under its own name; null if the service did not send it.
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

    /// A value computed from the record.
    pub const fn computed(key: &'static str, make: fn(&Record) -> Value) -> Self {
        Self {
            key,
            from: Origin::Computed(make),
        }
    }

    fn read(&self, record: &Record) -> Value {
        match self.from {
            Origin::Member(member) => record.get(member).clone(),
            Origin::Computed(make) => make(record),
        }
    }
}

/// The value of a meter of a record. `None`: no sample. An error: why the value is missing.
pub type Measured = Result<Option<Volume>, String>;

/// Measures a meter.
pub type Measure = fn(&Record) -> Measured;

/// Returns the member `id` as the key of an entry.
pub fn id(record: &Record) -> Option<String> {
    record.text("id").map(str::to_owned)
}

/// Returns the number in a member; no sample if it is null.
///
/// # Errors
///
/// The member is something else, for example Cinder's `unknown` and `infinite`.
pub fn number(value: &Value) -> Measured {
    match value {
        Value::Null => Ok(None),
        Value::Int(number) => Ok(Some((*number).into())),
        Value::Uint(number) => Ok(Some((*number).into())),
        Value::Float(number) => Ok(Some((*number).into())),
        Value::Text(text) => Err(format!("the service sent `{text}`; expected a number")),
        _ => Err("the service sent another type; expected a number".to_owned()),
    }
}

/// Returns the number of a status, ignoring case; -1 for one that is not in the table, and for none.
pub fn status(word: Option<&str>, table: &[(&str, i64)]) -> Volume {
    let known = word.and_then(|word| table.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)));
    known.map_or(-1, |(_, number)| *number).into()
}

impl Table {
    /// Creates the discovery.
    ///
    /// # Errors
    ///
    /// The options of the session are invalid.
    pub fn discovery(&'static self, context: &BuildContext) -> Result<Arc<dyn Discovery>, BuildError> {
        Ok(Arc::new(TableDiscovery {
            table: self,
            service: Session::of(context)?.service(self.service),
        }))
    }

    /// Lists the entries of the table.
    pub fn entries(&'static self, service: &Service) -> Entries {
        self.entries_of((self.request)(service.request(&self.call)))
    }

    /// Lists the entries of another request.
    pub fn entries_of(&'static self, request: Request) -> Entries {
        Entries {
            table: self,
            members: self.all_members(),
            listing: request.list(self.list),
        }
    }

    /// Creates the pollster.
    ///
    /// # Errors
    ///
    /// The options of the session are invalid.
    pub fn pollster(&'static self, context: &BuildContext) -> Result<Arc<dyn Pollster>, BuildError> {
        // Reports invalid options; the pollster itself sends no requests.
        Session::of(context)?;
        Ok(Arc::new(TablePollster(self)))
    }

    /// Returns the definitions of the meters, for the registration of the pollster:
    /// `.meters(&const { TABLE.meter_defs::<2>() })` for a table of two.
    ///
    /// # Panics
    ///
    /// `N` is not the table's number of meters. In a constant this is a compiler error.
    pub const fn meter_defs<const N: usize>(&self) -> [MeterDef; N] {
        assert!(N == self.meters.len(), "`N` must be the table's number of meters");
        let mut defs = [self.meters[0].0; N];
        let mut index = 0;
        while index < N {
            defs[index] = self.meters[index].0;
            index += 1;
        }
        defs
    }

    fn all_members(&self) -> Members {
        let of_metadata = self.metadata.iter().filter_map(|entry| match entry.from {
            Origin::Member(member) => Some(member),
            Origin::Computed(_) => None,
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

    /// Returns the attributes that the samples of a resource share.
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
    /// Returns the next entry and its key; `None` at the end. Skips entries without a key and entries that are not objects.
    ///
    /// # Errors
    ///
    /// The error that ended the list early.
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

/// Rejects a discovery URL with a parameter, for discoveries without parameters.
///
/// # Errors
///
/// There is a parameter.
pub fn no_parameter(run: &DiscoveryRun) -> Result<(), Failure> {
    match run.parameter() {
        None | Some("") => Ok(()),
        Some(_) => Err(Failure::permanent("this discovery accepts no parameter")),
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
                    None => run.fail(resource, unknown_resource()),
                }
            }
        }
        Ok(())
    }
}

impl TablePollster {
    /// Measures all meters of a resource. A meter that cannot be measured does not affect the others.
    async fn measure(&self, run: &mut PollRun, resource: &Resource, record: &Record) -> Result<(), Failure> {
        let mut values = Vec::with_capacity(self.0.meters.len());
        let mut failures = Vec::new();
        for (meter, measure) in self.0.meters {
            let name = meter.name;
            if !run.wants(name) {
                continue;
            }
            match measure(record) {
                Ok(None) => {}
                Ok(Some(volume)) => values.push((name, volume)),
                Err(reason) => failures.push(format!("{name}: {reason}")),
            }
        }
        if failures.is_empty() || !values.is_empty() {
            let subject = self.0.subject(resource, record).shared();
            let mut report = run.report(resource);
            for (name, volume) in values {
                report.add(name, &subject, volume);
            }
            report.send().await?;
        }
        if !failures.is_empty() {
            run.fail(resource, Failure::transient(failures.join("; ")));
        }
        Ok(())
    }
}

/// The failure of a resource that is not from the pollster's discovery.
pub fn unknown_resource() -> Failure {
    Failure::not_supported("this pollster measures only the resources of its own discovery")
}
