//! The program with failpoints, at which tests kill it (`nephoscope_notifier::failpoint`), and with rules of coordination
//! that tests can disable (`nephoscope_pool::protocol::Rules`).

use std::process::ExitCode;

use nephoscope_amqp as _;
use nephoscope_file as _;
use nephoscope_notifier as _;
use nephoscope_pool as _;
use nephoscope_synthetic as _;

fn main() -> ExitCode {
    nephoscope_agent::main()
}
