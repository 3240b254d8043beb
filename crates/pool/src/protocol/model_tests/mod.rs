//! The model: the very machine that agents run, with a model of etcd, of the engine and of all faults, searched for a way to
//! break what `docs/coordination.md` promises.

mod etcd;
mod moves;
mod promises;
mod scenery;
mod search;
mod setup;
mod world;
