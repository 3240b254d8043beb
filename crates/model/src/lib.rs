//! What is measured: resources, meters, samples, batches and the message form; no I/O.
//!
//! The words are those of `ARCHITECTURE.md`. A [`Resource`] is a thing that can be measured, a
//! [`Meter`] a named quantity, a [`Sample`] one value of one meter at one time. A [`Subject`] is what
//! samples of one resource share, and a [`Batch`] what travels to publishers, in an [`Encoding`] of theirs.

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
mod signature;
mod subject;
mod timestamp;
mod value;
mod volume;

pub use batch::Batch;
pub use cycle::{CycleId, ScheduleId};
pub use encoding::{DecodeError, Encoding, EncodingId, WrongEncoding};
pub use event::{Event, Trait, TraitValue};
pub use histogram::Histogram;
pub use identity::{MessageId, ResourceIds, RunIds};
pub use json_lines::JsonLines;
pub use message::write_json_line;
pub use meter::{Meter, MeterDef, MeterKind};
pub use notification::OsloNotification;
pub use partition::PartitionMode;
pub use payload::{Payload, PayloadKind};
pub use resource::{Resource, ResourceBody};
pub use run::{ReportedResource, Run};
pub use sample::Sample;
pub use signature::Signer;
pub use subject::Subject;
pub use timestamp::Timestamp;
pub use value::{Map, Value};
pub use volume::Volume;
