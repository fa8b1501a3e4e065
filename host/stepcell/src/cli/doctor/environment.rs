//! What this machine and these settings have that keeps steps in their cells.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use stepcell::Host;
use stepcell::engine::EngineOptions;

use crate::cli::exit::Exit;
use crate::cli::open::{Output, Settings};
use crate::cli::print::{self, note};

/// What a cell reserves of the address space, in GiB.
const CELL_GIB: u64 = 32;

/// The least number of open files that lets a host keep many components at hand, each of which keeps one open.
const DESCRIPTORS_LEAST: u64 = 4_096;

/// The first kernel that tells which pages of a cell were written to, by version and patch level.
const PAGEMAP_SCAN_SINCE: (u32, u32) = (6, 7);

/// One look at something.
struct Look {
    what: &'static str,
    found: String,
    verdict: Verdict,
}

/// What a look comes to.
enum Verdict {
    /// It is as it should be.
    Holds,
    /// It works, and less well than it could; says what to do.
    Weaker(String),
    /// No step can run; says why.
    Broken(String),
}

/// Looks, and prints what is there.
pub(super) async fn look(settings: &Settings) -> anyhow::Result<Exit> {
    let mut looks = vec![system(), processors(), address_space(), descriptors(), seccomp(), landlock(), pagemap_scan()];
    looks.push(cache(settings));
    looks.push(sandbox().await);
    match settings.output {
        Output::Json => {
            let items: Vec<_> = looks.iter().map(Look::to_json).collect();
            print::json_list(&items, items.len() as u64)?;
        }
        Output::Table => {
            print::text(&print::table(["WHAT", "FOUND", "VERDICT"], looks.iter().map(Look::row)))?;
            looks.iter().filter_map(Look::advice).for_each(|advice| note(print::plain(advice)));
        }
    }
    let is_broken = looks.iter().any(|look| matches!(look.verdict, Verdict::Broken(_)));
    Ok(if is_broken { Exit::Failed } else { Exit::Done })
}

impl Look {
    fn new(what: &'static str, found: impl Into<String>, verdict: Verdict) -> Self {
        Self { what, found: found.into(), verdict }
    }

    /// Something that is there, or had better be.
    fn wished(what: &'static str, is_there: Option<bool>, advice: &str) -> Self {
        match is_there {
            Some(true) => Self::new(what, "there", Verdict::Holds),
            Some(false) => Self::new(what, "not there", Verdict::Weaker(format!("{what}: {advice}"))),
            None => Self::new(what, "not told by the system", Verdict::Holds),
        }
    }

    const fn word(&self) -> &'static str {
        match self.verdict {
            Verdict::Holds => "OK",
            Verdict::Weaker(_) => "WEAKER",
            Verdict::Broken(_) => "BROKEN",
        }
    }

    fn advice(&self) -> Option<&str> {
        match &self.verdict {
            Verdict::Holds => None,
            Verdict::Weaker(advice) | Verdict::Broken(advice) => Some(advice),
        }
    }

    fn row(&self) -> [String; 3] {
        [self.what.to_owned(), self.found.clone(), self.word().to_owned()]
    }

    fn to_json(&self) -> Value {
        json!({
            "what": self.what,
            "found": self.found,
            "verdict": self.word().to_lowercase(),
            "advice": self.advice(),
        })
    }
}

fn system() -> Look {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let found = format!("{os} {} on {arch}", kernel());
    let is_supported = (os, arch) == ("linux", "x86_64");
    let advice = "system: only Linux on x86-64 is supported; elsewhere walls may be missing".to_owned();
    Look::new("system", found, if is_supported { Verdict::Holds } else { Verdict::Weaker(advice) })
}

fn processors() -> Look {
    let cells = EngineOptions::default().concurrency;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Look::new("processors", format!("{cores}, for {cells} cells"), Verdict::Holds)
}

fn address_space() -> Look {
    let needed = EngineOptions::default().concurrency as u64 * CELL_GIB;
    let found = limit("Max address space");
    let verdict = match found {
        Some(bytes) if bytes >> 30 < needed => Verdict::Weaker(format!(
            "address space: the cells reserve {needed} GiB; raise the limit (`ulimit -v unlimited`), or lower `--concurrency`"
        )),
        Some(_) | None => Verdict::Holds,
    };
    Look::new(
        "address space",
        found.map_or_else(|| "unlimited".to_owned(), |bytes| format!("{} GiB", bytes >> 30)),
        verdict,
    )
}

fn descriptors() -> Look {
    let found = limit("Max open files");
    let verdict = match found {
        Some(files) if files < DESCRIPTORS_LEAST => Verdict::Weaker(format!(
            "open files: each component at hand keeps one open; allow at least {DESCRIPTORS_LEAST} (`ulimit -n`)"
        )),
        Some(_) | None => Verdict::Holds,
    };
    Look::new("open files", found.map_or_else(|| "unlimited".to_owned(), |files| files.to_string()), verdict)
}

fn seccomp() -> Look {
    let actions = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").ok();
    let is_there = actions.is_some_and(|actions| actions.split_whitespace().any(|action| action == "errno"));
    Look::wished("seccomp", Some(is_there), "child processes may call all of the kernel; use one that is built with it")
}

fn landlock() -> Look {
    let modules = fs::read_to_string("/sys/kernel/security/lsm").ok();
    let is_there = modules.map(|modules| modules.trim().split(',').any(|module| module == "landlock"));
    Look::wished("landlock", is_there, "child processes see the host's files; add it to the kernel's `lsm=`")
}

fn pagemap_scan() -> Look {
    let is_there = version_of(&kernel()).map(|version| version >= PAGEMAP_SCAN_SINCE);
    Look::wished("page scans", is_there, "cells are cleared in whole; Linux 6.7 and later tell what was written to")
}

fn cache(settings: &Settings) -> Look {
    let Some(folder) = settings.cache_dir() else {
        let advice = "cache: there is none, so each start compiles every component anew; name one with `--cache DIR`";
        return Look::new("cache", "none", Verdict::Weaker(advice.to_owned()));
    };
    let found = folder.display().to_string();
    let mode = fs::metadata(&folder).map(|metadata| metadata.permissions().mode()).unwrap_or(0);
    if mode & 0o022 == 0 {
        return Look::new("cache", found, Verdict::Holds);
    }
    let advice = format!("cache: others may write to `{found}`, and what lies there is run; `chmod 700` it");
    Look::new("cache", found, Verdict::Broken(advice))
}

/// Whether a cell can be made at all.
async fn sandbox() -> Look {
    match Host::in_memory().open().await {
        Ok(host) => {
            host.close().await;
            Look::new("sandbox", "can be set up", Verdict::Holds)
        }
        Err(error) => Look::new("sandbox", "can not be set up", Verdict::Broken(format!("sandbox: {error}"))),
    }
}

fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

/// The first two numbers of a kernel's release.
fn version_of(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// A limit of this process; none where it is unlimited or not told.
fn limit(name: &str) -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernels_release_is_read_up_to_its_second_number() {
        assert_eq!(version_of("6.18.44-generic"), Some((6, 18)));
        assert_eq!(version_of("5.4"), Some((5, 4)));
        assert_eq!(version_of("unknown"), None);
    }

    #[test]
    fn what_is_not_there_comes_with_what_to_do() {
        let look = Look::wished("seccomp", Some(false), "use another kernel");

        assert_eq!((look.word(), look.advice()), ("WEAKER", Some("seccomp: use another kernel")));
        assert_eq!(Look::wished("seccomp", None, "x").advice(), None);
    }
}
