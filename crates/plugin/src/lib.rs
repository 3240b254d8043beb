//! The plugin SDK: traits, registration and a testing kit.
//!
//! A plugin crate contains one *family*: discoveries that list resources, pollsters that measure them, publishers that
//! deliver samples. Each registers itself with [`register!`]. A program that links the crate (`use my_plugin as _;`) loads
//! it. `docs/plugin-guide.md` leads from an empty folder to a plugin with tests.
//!
//! | component | implement | register |
//! | --- | --- | --- |
//! | a discovery | [`Discovery`] | [`DiscoveryPlugin`] |
//! | a pollster | [`Pollster`] | [`PollsterPlugin`] |
//! | a publisher | [`Publisher`] | [`PublisherPlugin`] |
//! | names of projects and users | [`IdentityNames`] | [`NamesPlugin`] |
//! | options of the family | `serde::Deserialize` and `schemars::JsonSchema` | [`Family`] |

mod admission;
mod backoff;
mod blocking;
mod build;
mod cache;
mod call;
mod calls;
mod catalog;
mod discovery;
mod duration;
mod expansion;
mod failure;
mod files;
mod names;
mod options;
mod pollster;
mod publisher;
mod registration;
mod report;
mod runs;
mod secret;
pub mod testing;

pub use async_trait::async_trait;
pub use inventory;
pub use nephoscope_model as model;
pub use nephoscope_model::{PartitionMode, Scope};
pub use schemars;

pub use admission::{Admission, Permit};
pub use backoff::Backoff;
pub use blocking::{BlockingError, BlockingPool};
pub use build::{BuildContext, BuildError, Families};
pub use cache::CycleCache;
pub use call::{Call, CallDef, CallRate};
pub use calls::{CallCounts, CallOutcome, CallTotals, Circuit};
pub use catalog::{Catalog, CatalogError, DiscoveryDefinition, ExpandRequest, Expanded, PollsterDefinition};
pub use discovery::{Discovery, DiscoveryRun, DiscoveryRunParts, Page, WantedMeters};
pub use duration::{DurationError, HumanDuration, MAX_DURATION};
pub use expansion::{
    DefinitionFiles, DefinitionProblem, ExpandContext, Expansion, Location, MAX_DEFINITION_FILE,
    MAX_DEFINITION_FILES, MAX_DEFINITIONS, ProblemPlace, ProblemSeverity,
};
pub use failure::{Failure, FailureKind};
pub use files::{FileError, read_file};
pub use names::{Identity, IdentityKind, IdentityNames, Names};
pub use options::{OptionsError, OptionsSpec};
pub use pollster::{PollContext, PollRun, Pollster};
pub use publisher::{Accepted, PublishError, Publisher, PublisherContext};
pub use registration::{
    DiscoveryPlugin, Expand, Family, NamesPlugin, PollsterPlugin, PublisherPlugin, Registration,
};
pub use report::{
    MAX_REPORT, MeterTable, Report, ReportedBatch, RunObserver, RunOutput, SampleSink, Stopped,
};
pub use runs::{FailedResource, RunEnd, RunOutcome};
pub use secret::Secret;

/// Registers a family, discovery, pollster or publisher with every program that links the crate.
///
/// ```
/// use nephoscope_plugin::{Family, Registration, register};
///
/// register!(Registration::Family(Family::new("weather", "The weather outside")));
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! register {
    ($registration:expr) => {
        $crate::inventory::submit! { $registration }
    };
}
