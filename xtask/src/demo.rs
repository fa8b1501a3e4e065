//! The demo: real input through real components, in one command.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::stage::Stage;
use crate::workspace::Workspace;
use crate::{guests, host};

/// The input, from the top of the workspace.
const DATA: &str = "example-steps/webhook-triage/github-webhooks.ndjson";

/// What SQLite and the engine's lock put beside a database, by what follows its name.
const DATABASE_SUFFIXES: [&str; 4] = ["", "-wal", "-shm", ".lock"];

/// Builds guests and host, and runs `stepcell demo` on a new database; `args` follow what is said here, and win.
///
/// # Errors
/// If a stage fails; it is named. If the database of the last run can not be removed.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> anyhow::Result<()> {
    guests::build(workspace)?;
    host::build_optimised(workspace)?;

    let database = new_database(&workspace.target_dir().join("demo"))?;
    let settings = [("--steps", workspace.guests_dir()), ("--data", workspace.root().join(DATA)), ("--db", database)];
    Stage::new("demo", "starting the built host", workspace.stepcell_bin("release"), workspace.root())
        .args(["demo"])
        .args(unless_given(&settings, args))
        .args(args)
        .run()
}

/// The path of a database in `folder` that does not exist yet: what the last run left there is removed.
///
/// A demo shows a beginning, and the last run may have been of a build with another schema.
fn new_database(folder: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("{} can not be made; is the disk full?", folder.display()))?;
    for suffix in DATABASE_SUFFIXES {
        remove(&folder.join(format!("stepcell.db{suffix}")))?;
    }
    Ok(folder.join("stepcell.db"))
}

fn remove(file: &Path) -> anyhow::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error)
            .with_context(|| format!("{} of the last demo can not be removed; delete it by hand", file.display())),
        _ => Ok(()),
    }
}

/// The settings whose flag is not among `args`, as arguments.
fn unless_given(settings: &[(&str, PathBuf)], args: &[String]) -> Vec<String> {
    let is_given = |flag: &str| args.iter().any(|arg| arg.split('=').next() == Some(flag));
    let wanted = settings.iter().filter(|(flag, _)| !is_given(flag));
    wanted.flat_map(|(flag, path)| [(*flag).to_owned(), path.display().to_string()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_of_the_caller_takes_the_place_of_ours() {
        let settings = [("--steps", PathBuf::from("s")), ("--db", PathBuf::from("d"))];
        assert_eq!(unless_given(&settings, &[]), ["--steps", "s", "--db", "d"]);
        assert_eq!(unless_given(&settings, &["--db=mine".to_owned()]), ["--steps", "s"]);
        assert_eq!(unless_given(&settings, &["--db".to_owned(), "mine".to_owned()]), ["--steps", "s"]);
    }
}
