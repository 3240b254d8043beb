//! The model: the unchanged machine of each agent, with models of etcd, the engine and all faults, which is searched for
//! violations of the guarantees in `docs/coordination.md`.

mod etcd;
mod fixtures;
mod guarantees;
mod moves;
mod search;
mod setup;
mod world;
