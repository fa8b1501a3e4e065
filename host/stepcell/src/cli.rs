//! The verbs of the command line: what each takes, and which file does it.
//!
//! JSON on stdout is a contract, and so are the exit codes, which stand in [`exit`] alone. What is said to people
//! beside the result (progress, notes, hints, logs) goes to stderr. Nothing here decides what a workflow means.

mod advance;
mod attempts;
mod audit;
mod backup;
mod check;
mod component;
mod config;
mod definition;
mod demo;
mod doctor;
mod event;
mod events;
mod exit;
mod input;
mod instance;
mod key;
mod next;
mod open;
mod policy;
mod print;
mod progress;
mod prune;
mod register;
mod remote;
mod run;
mod secret;
mod serve;
mod settle;
mod shown;
mod start;
mod stats;
mod stops;
mod summary;
mod task;
mod tenant;
mod verify;
mod webhook;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::config::ConfigFile;
use self::exit::Exit;
use self::open::Settings;

/// Durable workflows whose every step runs in a cell of its own.
#[derive(Debug, Parser)]
#[command(name = "stepcell", version, max_term_width = 110, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    verb: Verb,
}

const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  usage or bad input
  2  the workflow or a step failed
  3  not found, or in the wrong state
  4  the database or the server can not be used";

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Run),
    Start(start::Start),
    Serve(serve::Serve),
    #[command(subcommand)]
    Instance(instance::Instance),
    #[command(subcommand)]
    Task(task::Task),
    #[command(subcommand)]
    Webhook(webhook::Webhook),
    #[command(subcommand)]
    Definition(definition::Definition),
    #[command(subcommand)]
    Component(component::Component),
    #[command(subcommand)]
    Policy(policy::Policy),
    #[command(subcommand)]
    Secret(secret::Secret),
    #[command(subcommand)]
    Tenant(tenant::Tenant),
    #[command(subcommand)]
    Key(key::Key),
    #[command(subcommand)]
    Audit(audit::Audit),
    Stats(stats::Stats),
    #[command(subcommand)]
    Config(config::Config),
    Events(events::Events),
    Check(check::Check),
    Verify(verify::Verify),
    Prune(prune::Prune),
    Backup(backup::Backup),
    Demo(demo::Demo),
    Doctor(doctor::Doctor),
    Completions(Completions),
}

/// Print the completions for a shell.
#[derive(Debug, clap::Args)]
struct Completions {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Reads the command line, does what it says, and says how that went.
pub(crate) fn main() -> ExitCode {
    let cli = match read_command_line() {
        Ok(cli) => cli,
        Err(Unread::Usage(refusal)) => return exit::of_usage(&refusal),
        Err(Unread::File(error)) => return exit::report(&error).into(),
    };
    let outcome = cli.settings.start_log().and_then(|()| on_runtime(cli));
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => exit::report(&error).into(),
    }
}

/// Why it is not known what to do.
enum Unread {
    Usage(clap::Error),
    File(anyhow::Error),
}

/// Reads the command line, with what the file with settings says where it and the environment say nothing.
fn read_command_line() -> Result<Cli, Unread> {
    let words: Vec<_> = std::env::args_os().collect();
    let mut command = Cli::command();
    let mut matches = command.try_get_matches_from_mut(&words).map_err(Unread::Usage)?;
    let file = ConfigFile::find(matches.get_one::<PathBuf>("config").map(PathBuf::as_path)).map_err(Unread::File)?;
    if let Some(file) = &file {
        command = file.apply(Cli::command()).map_err(Unread::File)?;
        matches = command.try_get_matches_from_mut(&words).map_err(Unread::Usage)?;
    }
    let mut cli = Cli::from_arg_matches(&matches).map_err(Unread::Usage)?;
    if let Verb::Config(verb) = &mut cli.verb {
        verb.look(&matches, &command, file.as_ref());
    }
    cli.settings.take_place(file.as_ref());
    Ok(cli)
}

fn on_runtime(cli: Cli) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let _kept = refuse_to_die_of_a_full_quota();
        cli.verb.perform(&cli.settings).await
    });
    // Whoever reads stdin may never come back; the process does not wait for that.
    runtime.shutdown_background();
    outcome
}

/// A file that may not grow any more is an error of that write, told and cleaned up after, and no end of the process.
///
/// Without somebody who listens, the signal for it kills. As long as the answer is kept, somebody does.
fn refuse_to_die_of_a_full_quota() -> Option<Signal> {
    let number = rustix::process::Signal::XFSZ.as_raw();
    signal(SignalKind::from_raw(number)).ok()
}

impl Verb {
    /// The verb, if only a database can do it.
    const fn of_database(&self) -> Option<&'static str> {
        Some(match self {
            Self::Run(_) => "run",
            Self::Serve(_) => "serve",
            Self::Policy(_) => "policy",
            Self::Check(_) => "check",
            Self::Verify(_) => "verify",
            Self::Prune(_) => "prune",
            Self::Backup(_) => "backup",
            Self::Config(_) => "config",
            Self::Demo(_) => "demo",
            Self::Doctor(_) => "doctor",
            Self::Completions(_) => "completions",
            Self::Start(_)
            | Self::Instance(_)
            | Self::Task(_)
            | Self::Webhook(_)
            | Self::Definition(_)
            | Self::Component(_)
            | Self::Secret(_)
            | Self::Tenant(_)
            | Self::Key(_)
            | Self::Audit(_)
            | Self::Stats(_)
            | Self::Events(_) => return None,
        })
    }

    async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        if let Some(verb) = self.of_database() {
            settings.refuse_server(verb)?;
        }
        match self {
            Self::Run(verb) => verb.perform(settings).await,
            Self::Start(verb) => verb.perform(settings).await,
            Self::Serve(verb) => verb.perform(settings).await,
            Self::Instance(verb) => verb.perform(settings).await,
            Self::Task(verb) => verb.perform(settings).await,
            Self::Webhook(verb) => verb.perform(settings).await,
            Self::Definition(verb) => verb.perform(settings).await,
            Self::Component(verb) => verb.perform(settings).await,
            Self::Policy(verb) => verb.perform(settings).await,
            Self::Secret(verb) => verb.perform(settings).await,
            Self::Tenant(verb) => verb.perform(settings).await,
            Self::Key(verb) => verb.perform(settings).await,
            Self::Audit(verb) => verb.perform(settings).await,
            Self::Stats(verb) => verb.perform(settings).await,
            Self::Config(verb) => verb.perform(settings),
            Self::Events(verb) => verb.perform(settings).await,
            Self::Check(verb) => verb.perform(settings).await,
            Self::Verify(verb) => verb.perform(settings).await,
            Self::Prune(verb) => verb.perform(settings).await,
            Self::Backup(verb) => verb.perform(settings).await,
            Self::Demo(verb) => verb.perform(settings).await,
            Self::Doctor(verb) => verb.perform(settings).await,
            Self::Completions(verb) => verb.perform(),
        }
    }
}

impl Completions {
    fn perform(self) -> anyhow::Result<Exit> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "stepcell", &mut text);
        print::text(&String::from_utf8_lossy(&text))?;
        Ok(Exit::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verbs_and_their_flags_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_has_an_environment_variable() {
        fn look(command: &clap::Command, at: &str) {
            for flag in command.get_arguments().filter(|flag| flag.get_long().is_some()) {
                let name = flag.get_id().as_str();
                let documented = flag.get_env().is_some() || ["db", "server", "key"].contains(&name);
                assert!(documented || ["help", "version"].contains(&name), "{at}: --{name}");
                let prefixed = flag.get_env().is_none_or(|env| env.to_string_lossy().starts_with("STEPCELL_"));
                assert!(prefixed, "{at}: --{name}");
            }
            for verb in command.get_subcommands() {
                look(verb, &format!("{at} {}", verb.get_name()));
            }
        }
        look(&Cli::command(), "stepcell");
    }
}
