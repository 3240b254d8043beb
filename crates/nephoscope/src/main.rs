//! The stock program: the agent with the plugins of this repository.

use std::process::ExitCode;

// A crate that is not referenced is not linked.
use nephoscope_stock as _;

fn main() -> ExitCode {
    nephoscope_agent::main()
}
