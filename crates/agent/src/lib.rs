//! The program `nephoscope`: command line, configuration, wiring, admin API.
//!
//! A program is the plugin crates that it names and a call of [`main`]; the stock one is `main.rs` beside this
//! file. This crate only wires: what is polled and when is decided by `nephoscope-polling`, what a file means by
//! `nephoscope-config`, what becomes of samples by `nephoscope-notifier`.

#[cfg(panic = "abort")]
compile_error!("panics of plugins are contained by unwinding: build without `panic = \"abort\"`");

mod admin;
mod agent;
mod api;
mod check;
mod cli;
mod closed;
mod collector;
mod completions;
mod coordination;
mod cost;
mod discover;
mod display;
mod error;
mod events;
mod logs;
mod man;
mod metrics;
mod once;
mod output;
mod partition;
mod plugins;
mod program;
mod progress;
mod publishers;
mod reference;
mod refused;
mod reload;
mod resident;
mod routing;
mod run;
mod runtimes;
mod schema;
mod service;
mod settings;
mod signals;
mod spools;
mod state;
mod table;
mod watch;

pub use program::main;
