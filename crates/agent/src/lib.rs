//! The program `nephoscope`: command line, configuration, wiring, admin API.
//!
//! A program is the plugin crates that it names and a call of [`main`]; the stock program is `crates/nephoscope`. This
//! crate only wires: what is polled and when is decided by `nephoscope-polling`, what a file means by
//! `nephoscope-config`, what becomes of samples by `nephoscope-notifier`.

#[cfg(panic = "abort")]
compile_error!("panics of plugins are contained by unwinding: build without `panic = \"abort\"`");

mod agent;
mod api;
mod cli;
mod closed;
mod commands;
mod coordination;
pub mod declared;
mod display;
mod error;
mod events;
mod logs;
mod output;
mod program;
mod publishers;
mod refused;
mod reload;
mod routing;
mod run;
mod runtimes;
mod service;
mod settings;
mod signals;
mod spools;
mod state;
mod table;
mod watch;

pub use program::main;
