//! The program `nephoscope`: command line, configuration, wiring, admin API.
//!
//! A program consists of plugin crates and a call of [`main`]; the stock program is `crates/nephoscope`. This crate only connects
//! other crates: `nephoscope-polling` polls, `nephoscope-config` reads files, and `nephoscope-notifier` delivers samples.

#[cfg(panic = "abort")]
compile_error!("panics of plugins are caught by unwinding: build without `panic = \"abort\"`");

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
mod option_errors;
mod output;
mod program;
mod publishers;
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
