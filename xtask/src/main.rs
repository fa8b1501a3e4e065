//! Every task with logic: `cargo xtask demo | test | bench | fuzz | schemathesis | guests | check`.
//!
//! A task is a list of stages. Each stage is one command, announced on stderr before it runs; the first that fails ends
//! the task and is named. The tasks know cargo and the folders of the workspace, and nothing of what the crates do.

mod bench;
mod check;
mod demo;
mod fuzz;
mod guests;
mod host;
mod schemathesis;
mod stage;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Builds, tests and shows Stepcell.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Builds the example steps and the host, and runs the demo with them.
    Demo {
        /// Goes to `stepcell demo`, after what the task itself says.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Formatting, clippy, and every test of the workspace.
    Test {
        /// Goes to the test runner, such as the name of one test.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Measures the numbers that the README quotes.
    Bench {
        /// Goes to the benchmarks.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Looks for texts that break a promise of the parsers.
    Fuzz {
        /// One target; without it, each of them.
        target: Option<String>,
        /// How long each runs.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Asks a server for everything in its OpenAPI document, with the tool of that name from PyPI.
    Schemathesis {
        /// Goes to the tool, after what the task itself says.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Builds the example steps for WebAssembly and says where they are.
    Guests,
    /// Formatting and clippy only.
    Check,
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The reason alone, also where RUST_BACKTRACE is set: what failed has said the rest.
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    let workspace = Workspace::load()?;
    match task {
        Task::Demo { args } => demo::run(&workspace, &args),
        Task::Test { args } => test::run(&workspace, &args),
        Task::Bench { args } => bench::run(&workspace, &args),
        Task::Fuzz { target, seconds } => fuzz::run(&workspace, target.as_deref(), seconds),
        Task::Schemathesis { args } => schemathesis::run(&workspace, &args),
        Task::Guests => guests::run(&workspace),
        Task::Check => check::run(&workspace),
    }
}
