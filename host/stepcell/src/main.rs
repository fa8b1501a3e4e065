//! The command line.

mod cli;

use std::process::ExitCode;

/// The engine makes many small things on one thread and drops them on another; so do tokio's tasks.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    stepcell::child_main();
    cli::main()
}
