//! The chaos harness: injects faults into real agents on a real etcd; the oracle judges the result.
//!
//! A [`Scene`] has some agents, each with its own `file://` publisher and its own proxy to each node of etcd. Faults
//! ([`Kind`]), drawn from a seed, are injected into it. It ends with a [`Report`]: the verdict of the oracle on all samples,
//! the times until all agents were back, and whether they reported their errors.

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
pub use setting::{Role, Setting};
