//! The program, with places at which tests have it killed (`nephoscope_notifier::failpoint`), and with rules of coordination that
//! tests can take out (`nephoscope_pool::protocol::Rules`).

use std::process::ExitCode;

use nephoscope_amqp as _;
use nephoscope_file as _;
use nephoscope_notifier as _;
use nephoscope_pool as _;
use nephoscope_synthetic as _;

fn main() -> ExitCode {
    nephoscope_agent::main()
}
