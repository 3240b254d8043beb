//! Reads, checks and explains `polling.yaml`.
//!
//! [`load()`] returns a [`Config`] or all errors. [`lint()`] compares a configuration with the available plugins. [`locate()`] locates
//! options that a plugin rejects, and [`definitions()`] converts problems of definition files. [`schema()`] returns the JSON schema.
//! Files are untrusted: the crate bounds what it reads, and does not block on pipes or devices.

mod coordination;
mod decode;
mod definitions;
mod diagnostic;
mod duration;
mod editor;
mod expand;
mod finding;
mod format;
mod lint;
mod load;
mod near;
mod options;
mod path;
mod position;
mod problem;
mod redact;
pub mod schema;
mod sections;
mod size;
mod sources;
mod spool;
mod spool_settings;
mod yaml;

pub use coordination::{Backend, Coordination, CoordinationTls, Endpoint, OnLoss};
pub use definitions::definitions;
pub use diagnostic::{ConfigErrors, Diagnostic, MAX_SHOWN, Severity};
pub use duration::{DurationError, HumanDuration, MAX_DURATION};
pub use editor::schema;
pub use expand::{MAX_SECRET_FILE, Variables};
pub use lint::{Known, lint};
pub use load::{LoadRequest, Loaded, MAX_FILE, MAX_FOLDER, Schemas, SearchPlaces, load};
pub use near::nearest;
pub use options::{OptionError, OptionsOf, locate};
pub use path::{Segment, ValuePath};
pub use position::{MAX_DEPTH, MAX_VALUES};
pub use problem::Problem;
pub use redact::{MASK, hide_userinfo};
pub use sections::{
    Admin, Agent, Config, Limits, Log, LogFormat, LogLevel, Notifier, Options, Publisher, PublisherUrl,
};
pub use size::{ByteSize, SizeError};
pub use spool::{Fsync, Spool, SpoolMode, SpoolOrder};
pub use spool_settings::SpoolSettings;
