//! The agent of a third party.

use nephoscope_file as _;
use outside as _;

fn main() -> std::process::ExitCode {
    nephoscope_agent::main()
}
