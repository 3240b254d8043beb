//! The chaos harness: real agents on a real etcd, to which things are done, judged by the oracle.
//!
//! A [`Scene`] has some agents, each with a `file://` publisher of its own and a network of its own to each node of etcd. It
//! suffers faults ([`Kind`]), drawn from a seed, and comes to an end, with a [`Report`]: what the oracle says of all samples that
//! were written, how long it took until all agents were back, and whether they said what was wrong with them.

mod agent;
mod clock;
mod draw;
mod fault;
mod report;
mod scene;
mod setting;
mod watcher;

pub use draw::Draw;
pub use fault::Kind;
pub use report::{Incident, Report};
pub use scene::Scene;
pub use setting::{Duty, Setting};
