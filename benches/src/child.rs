//! Measuring in a process of its own: whose time on processors is that of what is measured and nothing else.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::Starts;
use crate::bare::Bare;
use crate::closed::Closed;
use crate::memory::UnderWay;
use crate::open::Open;
use crate::recovery::Recovery;
use crate::setup::Guests;

/// What tells this program to measure one thing; its name and what it is told follow.
const FLAG: &str = "--measure";

/// Something that a process of its own measures.
pub(crate) trait Job: Serialize + DeserializeOwned {
    /// Names it between the two processes.
    const NAME: &'static str;
    /// What it comes to.
    type Outcome: Serialize + DeserializeOwned;

    /// Measures; called in a process that does nothing else.
    fn measure(self, guests: &Guests) -> anyhow::Result<Self::Outcome>;
}

/// Measures a job in a new process, which tells in JSON what it came to.
pub(crate) fn run<J: Job>(job: &J) -> anyhow::Result<J::Outcome> {
    let output = Command::new(std::env::current_exe()?)
        .args([FLAG, J::NAME, &serde_json::to_string(job)?])
        .stderr(Stdio::inherit())
        .output()
        .context("this program can not be started again")?;
    ensure!(output.status.success(), "measuring `{}` ended with {}", J::NAME, output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("`{}` told something else than a figure", J::NAME))
}

/// Measures a job if this process was started for one.
pub(crate) fn measure_if_told(guests: &Guests) -> Option<anyhow::Result<()>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [flag, name, told] = args.as_slice() else { return None };
    (flag == FLAG).then(|| {
        let jobs =
            [job::<Closed>(), job::<Open>(), job::<Bare>(), job::<Recovery>(), job::<UnderWay>(), job::<Starts>()];
        let (_, measure) = jobs.iter().find(|(known, _)| known == name).context("there is no such job")?;
        println!("{}", measure(guests, told)?);
        Ok(())
    })
}

type Measure = fn(&Guests, &str) -> anyhow::Result<String>;

fn job<J: Job>() -> (&'static str, Measure) {
    (J::NAME, |guests, told| {
        let job: J = serde_json::from_str(told)?;
        Ok(serde_json::to_string(&job.measure(guests)?)?)
    })
}
