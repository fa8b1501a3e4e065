//! One command of a task: announced, run, and named if it fails.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// A command with a name and the reason it runs.
pub(crate) struct Stage {
    name: &'static str,
    why: &'static str,
    command: Command,
}

impl Stage {
    /// Runs `program` in `folder` under that name.
    pub(crate) fn new(name: &'static str, why: &'static str, program: impl AsRef<OsStr>, folder: &Path) -> Self {
        let mut command = Command::new(program);
        command.current_dir(folder);
        Self { name, why, command }
    }

    /// Adds arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Says on stderr what is done and why, and does it.
    ///
    /// # Errors
    /// If the program can not be started, or ends with another status than success. Both name the stage.
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        eprintln!("xtask: {}: {}", self.name, self.why);
        let program = self.command.get_program().to_string_lossy().into_owned();
        let status = self.command.status().with_context(|| {
            format!("stage `{}`: `{program}` did not start; is it installed and on PATH?", self.name)
        })?;
        if !status.success() {
            bail!("stage `{}` failed ({status}): mend what it says above, then run the task again", self.name);
        }
        Ok(())
    }
}

/// Whether `program` with these arguments runs and ends well; what it prints is dropped.
pub(crate) fn answers(program: impl AsRef<OsStr>, args: &[&str]) -> bool {
    let quiet =
        Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// What a program prints on stdout.
///
/// # Errors
/// If it can not be started or ends with another status than success.
pub(crate) fn output_of(program: impl AsRef<OsStr>, args: &[&str]) -> anyhow::Result<String> {
    let program = program.as_ref();
    let shown = format!("`{} {}`", program.to_string_lossy(), args.join(" "));
    let output = Command::new(program)
        .args(args)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{shown} did not start; is it installed and on PATH?"))?;
    if !output.status.success() {
        bail!("{shown} failed ({}): mend what it says above, then run the task again", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("{shown} printed no UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_stage_is_named() {
        let stage = Stage::new("doomed", "to see it fail", "false", Path::new("."));
        let error = stage.run().unwrap_err().to_string();
        assert!(error.starts_with("stage `doomed` failed"), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named_with_its_stage() {
        let stage = Stage::new("doomed", "to see it fail", "no-such-program-here", Path::new("."));
        let error = stage.run().unwrap_err().to_string();
        assert!(error.contains("stage `doomed`: `no-such-program-here` did not start"), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_does_not_answer() {
        assert!(!answers("no-such-program-here", &["--version"]));
        assert!(answers("true", &[]));
    }
}
