//! The spools of publishers: opening them, and the command `nephoscope spool`.

mod client;
mod command;
mod offline;
mod open;
mod report;

pub(crate) use client::ClientError;
pub(crate) use command::spool;
pub(crate) use open::{Opened, left_behind, open};
