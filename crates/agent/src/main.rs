//! The stock program: the agent with the plugins of this repository.

use std::process::ExitCode;

fn main() -> ExitCode {
    nephoscope_agent::main()
}
