//! What the attacked process tells the one that watches it, a line each, and what is printed of all of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stepcell::hostile::{AttackReport, ProcessUsage};

use crate::cli::print::{self, counted, plain};
use crate::cli::summary::took_ms;

/// How much more memory the process may have after all attacks than before, in hundredths.
const MEMORY_MORE_MAX_PERCENT: u64 = 10;

/// A line that the attacked process tells.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Told {
    /// It will be attacked with this now.
    Attacking(String),
    /// This came of it.
    Attacked(Attack),
    /// All attacks are over.
    Ended(Afterwards),
}

/// What came of one attack.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Attack {
    name: String,
    group: String,
    tries: String,
    expected: String,
    ended: String,
    stopped_by: Option<String>,
    contained: bool,
    problems: Vec<String>,
    check_ms: u64,
    run_ms: u64,
    cell_bytes_peak: u64,
    process_bytes_peak: Option<u64>,
}

/// What the process has before and after all attacks.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Afterwards {
    before: Usage,
    after: Usage,
    given_back_ms: u64,
    good_step_works: bool,
}

/// What a process has of its machine.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Usage {
    resident_bytes: Option<u64>,
    descriptors: Option<usize>,
    threads: Option<usize>,
}

/// Everything that was told.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) attacks: Vec<Attack>,
    pub(super) afterwards: Option<Afterwards>,
    /// How the process died, if it did.
    pub(super) died: Option<String>,
}

impl From<&AttackReport> for Attack {
    fn from(report: &AttackReport) -> Self {
        let case = report.case;
        Self {
            name: case.name.to_owned(),
            group: case.group.to_string(),
            tries: case.tries.to_owned(),
            expected: case.expects.to_string(),
            ended: report.ended.to_string(),
            stopped_by: report.ended.stopped_by().map(str::to_owned),
            contained: report.is_contained(),
            problems: report.problems.clone(),
            check_ms: ms(report.prepare),
            run_ms: ms(report.run),
            cell_bytes_peak: report.cell_bytes_peak,
            process_bytes_peak: report.process_bytes_peak,
        }
    }
}

impl From<ProcessUsage> for Usage {
    fn from(usage: ProcessUsage) -> Self {
        let ProcessUsage { resident_bytes, descriptors, threads, .. } = usage;
        Self { resident_bytes, descriptors, threads }
    }
}

impl Usage {
    /// What there is more of than before.
    pub(super) fn leftovers(self, before: Self) -> Vec<String> {
        let mut found = Vec::new();
        if let (Some(before), Some(after)) = (before.resident_bytes, self.resident_bytes)
            && after > before + before * MEMORY_MORE_MAX_PERCENT / 100
        {
            found.push(format!("memory is not given back: {} before, {} after", mib(before), mib(after)));
        }
        let counts = [("descriptors", before.descriptors, self.descriptors), ("threads", before.threads, self.threads)];
        for (what, before, after) in counts {
            if let (Some(before), Some(after)) = (before, after)
                && after > before
            {
                found.push(format!("{what} are left: {before} before, {after} after"));
            }
        }
        found
    }
}

impl Afterwards {
    pub(super) fn new(before: Usage, after: Usage, given_back: Duration, good_step_works: bool) -> Self {
        Self { before, after, given_back_ms: ms(given_back), good_step_works }
    }
}

impl Findings {
    /// Everything that is not as it should be.
    pub(super) fn problems(&self) -> Vec<String> {
        let of_attack = |attack: &Attack| {
            let told = attack.problems.iter().map(|problem| format!("{}: {problem}", attack.name));
            told.collect::<Vec<_>>()
        };
        let mut problems: Vec<_> = self.attacks.iter().flat_map(of_attack).collect();
        problems.extend(self.died.clone());
        if let Some(afterwards) = &self.afterwards {
            if !afterwards.good_step_works {
                problems.push("a step that harms nobody does not work afterwards".to_owned());
            }
            problems.extend(afterwards.after.leftovers(afterwards.before));
        }
        problems
    }

    pub(super) fn to_json(&self) -> Value {
        let problems = self.problems();
        let afterwards = self.afterwards.as_ref();
        json!({
            "attacks": self.attacks,
            "before": afterwards.map(|afterwards| afterwards.before),
            "after": afterwards.map(|afterwards| afterwards.after),
            "given_back_ms": afterwards.map(|afterwards| afterwards.given_back_ms),
            "good_step_works": afterwards.is_some_and(|afterwards| afterwards.good_step_works),
            "contained": problems.is_empty(),
            "problems": problems,
        })
    }

    pub(super) fn to_text(&self) -> String {
        let headings = ["ATTACK", "STOPPED BY", "CHECK", "RUN", "CELL", "PROCESS", "VERDICT"];
        let mut text = print::table(headings, self.attacks.iter().map(row));
        let contained = self.attacks.iter().filter(|attack| attack.contained).count();
        let mut lines = vec![("attacks", format!("{contained} of {} contained", self.attacks.len()))];
        if let Some(Afterwards { before, after, given_back_ms, good_step_works }) = &self.afterwards {
            let took = took_ms(u128::from(*given_back_ms));
            let memory = change(before.resident_bytes.map(mib), after.resident_bytes.map(mib));
            lines.extend([
                ("memory", format!("{memory}, seen {took} after the last attack")),
                ("descriptors", change(before.descriptors, after.descriptors)),
                ("threads", change(before.threads, after.threads)),
                ("good step", if *good_step_works { "works" } else { "does not work" }.to_owned()),
            ]);
        }
        lines.push(("verdict", self.verdict()));
        for (label, value) in lines {
            text.push_str(&format!("\n{label:<12} {value}"));
        }
        text + "\n"
    }

    fn verdict(&self) -> String {
        match self.problems().len() {
            0 => "the host holds".to_owned(),
            found => counted(found, "problem"),
        }
    }
}

fn row(attack: &Attack) -> [String; 7] {
    [
        attack.name.clone(),
        plain(attack.stopped_by.as_ref().unwrap_or(&attack.ended)),
        took_ms(u128::from(attack.check_ms)),
        if attack.stopped_by.is_some() && attack.run_ms == 0 {
            "-".to_owned()
        } else {
            took_ms(u128::from(attack.run_ms))
        },
        mib(attack.cell_bytes_peak),
        attack.process_bytes_peak.map_or_else(|| "-".to_owned(), mib),
        if attack.contained { "OK" } else { "UNEXPECTED" }.to_owned(),
    ]
}

fn change<T: ToString>(before: Option<T>, after: Option<T>) -> String {
    match (before, after) {
        (Some(before), Some(after)) => format!("{} before, {} after", before.to_string(), after.to_string()),
        _ => "not known on this system".to_owned(),
    }
}

fn ms(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

fn mib(bytes: u64) -> String {
    format!("{}.{} MiB", bytes >> 20, ((bytes & ((1 << 20) - 1)) * 10) >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(resident_bytes: u64, descriptors: usize) -> Usage {
        Usage { resident_bytes: Some(resident_bytes), descriptors: Some(descriptors), threads: None }
    }

    #[test]
    fn a_tenth_more_memory_is_as_before_and_one_descriptor_more_is_not() {
        assert!(usage(110 << 20, 7).leftovers(usage(100 << 20, 7)).is_empty());
        assert_eq!(
            usage(111 << 20, 8).leftovers(usage(100 << 20, 7)),
            ["memory is not given back: 100.0 MiB before, 111.0 MiB after", "descriptors are left: 7 before, 8 after"]
        );
    }

    #[test]
    fn a_host_that_died_does_not_hold() {
        let findings = Findings { died: Some("the host died".to_owned()), ..Findings::default() };

        assert_eq!(findings.to_json()["contained"], false);
        assert_eq!(findings.problems(), ["the host died"]);
    }
}
