//! What a plugin author uses: traits, registry and testing kit.
//!
//! A plugin crate holds one *family*: discoveries that list resources, pollsters that measure them,
//! publishers that deliver samples. Each registers itself with [`register!`]; a program that names the
//! crate (`use my_plugin as _;`) has it. `docs/plugin-guide.md` leads from an empty folder to a plugin with
//! tests.
//!
//! | to write | implement | register |
//! | --- | --- | --- |
//! | a discovery | [`Discovery`] | [`DiscoveryPlugin`] |
//! | a pollster | [`Pollster`] | [`PollsterPlugin`] |
//! | a publisher | [`Publisher`] | [`PublisherPlugin`] |
//! | names of projects and users | [`IdentityNames`] | [`NamesPlugin`] |
//! | options of the family | `serde::Deserialize` and `schemars::JsonSchema` | [`Family`] |

mod backoff;
mod blocking;
mod build;
mod cache;
mod calls;
mod discovery;
mod duration;
mod failure;
mod names;
mod options;
mod pollster;
mod publisher;
mod registry;
mod report;
mod runs;
mod secret;
pub mod testing;

pub use async_trait::async_trait;
pub use inventory;
pub use nephoscope_model as model;
pub use nephoscope_model::PartitionMode;
pub use schemars;

pub use backoff::Backoff;
pub use blocking::{BlockingError, BlockingPool};
pub use build::{BuildContext, BuildError, Families};
pub use cache::CycleCache;
pub use calls::{CallCounts, CallOutcome, CallTotals, Circuit};
pub use discovery::{Discovery, DiscoveryRun, DiscoveryRunParts, Page, WantedMeters};
pub use duration::{DurationError, HumanDuration, MAX_DURATION};
pub use failure::{Failure, FailureKind};
pub use names::{Identity, IdentityKind, IdentityNames, Names};
pub use options::{OptionsError, OptionsSpec};
pub use pollster::{PollContext, PollRun, Pollster};
pub use publisher::{Accepted, PublishError, Publisher, PublisherContext};
pub use registry::{
    Call, CallRate, DiscoveryPlugin, Family, NamesPlugin, PollsterPlugin, PublisherPlugin, Registration,
    Registry, RegistryError, Scope,
};
pub use report::{MAX_REPORT, MeterTable, Report, Reported, RunObserver, RunOutput, SampleSink, Stopped};
pub use runs::{FailedResource, RunEnd, RunOutcome};
pub use secret::Secret;

/// Registers a family, discovery, pollster or publisher with the program that the crate is linked into.
///
/// ```
/// use nephoscope_plugin::{Family, Registration, register};
///
/// register!(Registration::Family(Family {
///     name: "weather",
///     description: "The weather outside",
///     opt_in: false,
///     options: None,
/// }));
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! register {
    ($registration:expr) => {
        $crate::inventory::submit! { $registration }
    };
}
