//! The command line.

mod cli;

use std::process::ExitCode;

/// The engine makes many small things on one thread and drops them on another; so do tokio's tasks.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    stepcell::child_main();
    cli::main()
}
