//! Resources, meters, samples, batches and the message form. Performs no I/O.
//!
//! `ARCHITECTURE.md` defines the terms. A [`Resource`] can be measured, a [`Meter`] is a named quantity, a [`Sample`] one value
//! of one meter at one time. A [`Subject`] holds the properties that samples of one resource share. A [`Batch`] is sent to
//! publishers in their [`Encoding`].

mod batch;
mod cycle;
mod encoded;
mod encoding;
mod event;
mod histogram;
mod identity;
mod json;
mod json_lines;
mod message;
mod meter;
mod notification;
mod partition;
mod payload;
mod python;
mod resource;
mod run;
mod sample;
mod scope;
mod signature;
mod subject;
mod timestamp;
mod value;
mod volume;

pub use batch::{Batch, Encoding};
pub use cycle::{CycleId, ScheduleId};
pub use encoding::{DecodeError, EncodingId, WrongEncoding};
pub use event::{Event, Trait, TraitValue};
pub use histogram::Histogram;
pub use identity::{MessageId, ResourceIds, RunIds};
pub use json_lines::JsonLines;
pub use meter::{Meter, MeterDef, MeterKind};
pub use notification::OsloNotification;
pub use partition::PartitionMode;
pub use payload::{Payload, PayloadKind};
pub use resource::{Resource, ResourceBody};
pub use run::{ReportedResource, Run};
pub use sample::Sample;
pub use scope::Scope;
pub use signature::Signer;
pub use subject::Subject;
pub use timestamp::Timestamp;
pub use value::{Map, Value};
pub use volume::Volume;
