//! The command line.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    stepcell::child_main();
    cli::main()
}
