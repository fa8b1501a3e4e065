//! Lets hostile components loose in a process of their own, and watches it.
//!
//! A process apart, so that one which dies of an attack is told as what it is, and so that what it has left at the end is
//! its own. Its allocator is asked to give back what is free at once: what is left is then what is held.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use stepcell::hostile::{HostileCase, hostile_cases};

use super::report::{Findings, Told};
use crate::cli::exit::{Exit, Refused};
use crate::cli::open::{Output, Settings};
use crate::cli::print::{self, note, plain};
use crate::cli::progress::Waiting;

/// The flag of the process that is attacked.
pub(super) const HERE: &str = "--attacked-here";

/// What has glibc give free memory back at once.
const ALLOCATOR: [(&str, &str); 3] =
    [("MALLOC_ARENA_MAX", "1"), ("MALLOC_TRIM_THRESHOLD_", "131072"), ("MALLOC_MMAP_THRESHOLD_", "131072")];

/// The attacks whose names begin with one of `names`, or all of them.
///
/// # Errors
/// If there is none.
pub(super) fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static HostileCase>> {
    let is_chosen = |case: &&HostileCase| names.is_empty() || names.iter().any(|name| case.name.starts_with(name));
    let cases: Vec<_> = hostile_cases().filter(is_chosen).collect();
    if cases.is_empty() {
        let hint = "`stepcell doctor --hostile` alone runs all of them and prints their names";
        return Err(Refused::input(format!("no attack is called `{}`", names.join("` or `"))).hint(hint).into());
    }
    Ok(cases)
}

/// Has a process of its own attacked, and prints what came of it.
pub(super) fn watch(settings: &Settings) -> anyhow::Result<Exit> {
    let program = std::env::current_exe().context("can not find this program to run it once more")?;
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1)).arg(HERE).envs(ALLOCATOR).stdout(Stdio::piped());
    let attacked = command.spawn().context("can not start the process that is attacked")?;
    let findings = listen(attacked)?;
    match settings.output {
        Output::Json => print::json(&findings.to_json())?,
        Output::Table => {
            print::text(&findings.to_text())?;
            findings.problems().iter().for_each(|problem| note(plain(problem)));
        }
    }
    Ok(if findings.problems().is_empty() { Exit::Done } else { Exit::Failed })
}

fn listen(mut attacked: Child) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let mut under = None;
    let mut waiting = Waiting::on("getting ready");
    let stdout = attacked.stdout.take().context("the process that is attacked tells nothing")?;
    for line in BufReader::new(stdout).lines() {
        let line = line.context("can not read what the attacked process tells")?;
        match serde_json::from_str(&line).context("the attacked process tells what is none of its lines")? {
            Told::Attacking(name) => {
                waiting = Waiting::on(format!("attacking with {name}"));
                under = Some(name);
            }
            Told::Attacked(attack) => findings.attacks.push(attack),
            Told::Ended(afterwards) => findings.afterwards = Some(afterwards),
        }
    }
    let status = attacked.wait().context("can not wait for the attacked process")?;
    drop(waiting);
    if findings.afterwards.is_none() {
        let how = under.map_or_else(|| "before it was attacked".to_owned(), |name| format!("under `{name}`"));
        findings.died = Some(format!("the process ended {how}: {status}"));
    }
    Ok(findings)
}
