//! The binary in a folder of its own, with nothing of the surroundings' settings.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// One person's review, and another one's word after it.
pub(crate) const APPROVAL: &str = "\
schema: stepcell/v1
name: approval
version: 1.0.0
description: A person looks at it.
input_schema: { type: object, required: [amount], properties: { amount: { type: number } } }
initial_step: review
steps:
  review:
    type: human
    title: 'Approve {context.amount} EUR'
    assignee: dana
    form_schema:
      type: object
      required: [approved]
      properties: { approved: { type: boolean }, level: { type: integer, maximum: 3 } }
  route: { type: gateway, mode: exclusive }
  confirm: { type: human, assignee_group: finance }
  refuse: { type: gateway, mode: exclusive }
edges:
  - { source: review, target: route }
  - { source: route, target: confirm, condition: \"context.get('approved') == true\" }
  - { source: route, target: refuse, default: true }
";

/// A folder with the binary in it, so to say.
pub(crate) struct Desk {
    folder: TempDir,
}

/// What came of one call.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) exit: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// What stands on stdout, as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The same, after a look at the exit code.
    #[track_caller]
    pub(crate) fn exits(self, exit: i32) -> Self {
        assert_eq!(self.exit, Some(exit), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The same, after a look for a text on stderr.
    #[track_caller]
    pub(crate) fn tells(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "`{text}` is not in:\n{}", self.stderr);
        self
    }
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A desk whose database has the approval workflow and one instance that waits for dana.
    pub(crate) fn with_waiting_instance() -> Self {
        let desk = Self::new();
        desk.write("approval.yaml", APPROVAL);
        desk.run(&["run", "approval.yaml", "--db", "stepcell.db", "--data", r#"{"amount": 12}"#]).exits(0);
        desk
    }

    /// A desk whose database has one instance of a workflow, driven until it settled. Returns its id, too.
    pub(crate) fn with_instance_of(definition: &str, data: &str) -> (Self, String) {
        let desk = Self::new();
        desk.write("workflow.yaml", definition);
        let run = ["run", "workflow.yaml", "--db", "stepcell.db", "--output", "json", "--data", data];
        let instance = desk.run(&run).json()["id"].as_str().unwrap().to_owned();
        (desk, instance)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// The names of the files there are.
    pub(crate) fn files(&self) -> Vec<String> {
        let names = self.folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stepcell"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("STEPCELL_")) {
            command.env_remove(name);
        }
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("XDG_CACHE_HOME", self.path("cache"));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        Self::said(&mut self.command(arguments))
    }

    pub(crate) fn said(command: &mut Command) -> Said {
        let output = command.output().unwrap();
        Said {
            exit: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--output", "json"]].concat()).exits(0).json()
    }

    /// The id of the only pending task.
    pub(crate) fn task(&self) -> String {
        let tasks = self.json(&["task", "list"]);
        assert_eq!(tasks["total"], 1, "{tasks}");
        tasks["items"][0]["id"].as_str().unwrap().to_owned()
    }

    /// The id of the only instance.
    pub(crate) fn instance(&self) -> String {
        let instances = self.json(&["instance", "list"]);
        assert_eq!(instances["total"], 1, "{instances}");
        instances["items"][0]["id"].as_str().unwrap().to_owned()
    }

    /// Starts `events --follow`, whose lines are read as they come.
    pub(crate) fn follow(&self, arguments: &[&str]) -> Following {
        let arguments = [&["events", "--follow"], arguments].concat();
        let mut child = self.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Following { child, stdout: Some(stdout) }
    }

    /// Starts `serve`, and comes back once it says that it drives.
    pub(crate) fn serve(&self) -> Serving {
        self.serve_with(&[])
    }

    /// As [`Self::serve`], with these flags.
    pub(crate) fn serve_with(&self, flags: &[&str]) -> Serving {
        let mut child = self.command(&[&["serve"], flags].concat()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut first = String::new();
        stderr.read_line(&mut first).unwrap();
        // What is told of a loss that is accepted stands before it.
        if first.contains("going on without what is lost") {
            first.clear();
            stderr.read_line(&mut first).unwrap();
        }
        assert_eq!(first, "driving stepcell.db; stop with Ctrl-C\n");
        Serving { child, stderr, metrics: None }
    }

    /// Starts `serve` with HTTP on loopback, and comes back once it drives, with the address.
    pub(crate) fn serve_http(&self, flags: &[&str]) -> (Serving, String) {
        self.serve_http_as(&[&["serve", "--listen", "127.0.0.1:0"], flags].concat())
    }

    /// As [`Self::serve_http`], within TLS, for which the flags have a certificate.
    pub(crate) fn serve_https(&self, flags: &[&str]) -> (Serving, String) {
        self.serve_at("https://", &[&["serve", "--listen", "127.0.0.1:0"], flags].concat())
    }

    /// As [`Self::serve_http`], with all arguments.
    pub(crate) fn serve_http_as(&self, arguments: &[&str]) -> (Serving, String) {
        self.serve_at("http://", arguments)
    }

    fn serve_at(&self, scheme: &str, arguments: &[&str]) -> (Serving, String) {
        let mut serving = self.spawn_serve(arguments);
        let first = message_of(serving.line());
        let address =
            first.strip_prefix(&format!("listening on {scheme}")).unwrap_or_else(|| panic!("{first}")).to_owned();
        loop {
            let line = message_of(serving.line());
            if let Some(address) = line.strip_prefix("metrics on http://") {
                serving.metrics = address.strip_suffix("/metrics").map(str::to_owned);
            }
            if line.starts_with("driving ") {
                return (serving, address);
            }
        }
    }

    /// Starts `serve` with these flags, and leaves all its lines to be read.
    pub(crate) fn serve_unread(&self, flags: &[&str]) -> Serving {
        self.spawn_serve(&[&["serve"], flags].concat())
    }

    /// Starts `serve` with these flags, and comes back once it has warned and drives.
    pub(crate) fn serve_loudly(&self, flags: &[&str]) -> Serving {
        let mut serving = self.spawn_serve(&[&["serve"], flags].concat());
        let first = serving.line();
        assert!(first.starts_with("warning: "), "{first}");
        while !serving.line().starts_with("driving ") {}
        serving
    }

    /// Starts `serve` with HTTP on loopback, and comes back with its lines up to the one that says that it drives.
    pub(crate) fn serve_from_the_first_line(&self) -> (Serving, Vec<String>) {
        let mut serving = self.spawn_serve(&["serve", "--listen", "127.0.0.1:0"]);
        let mut lines = Vec::new();
        while !lines.last().is_some_and(|line: &String| line.starts_with("driving ")) {
            lines.push(serving.line());
        }
        (serving, lines)
    }

    /// Starts `serve` with HTTP in a process that may have so many descriptors.
    pub(crate) fn serve_with_descriptors(&self, descriptors_max: u32) -> Serving {
        let serve = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {descriptors_max}; exec \"$@\""), "sh"]);
        shell.arg(serve.get_program()).args(serve.get_args()).current_dir(self.folder.path()).stdin(Stdio::null());
        for (name, value) in serve.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        Self::spawned(&mut shell)
    }

    fn spawn_serve(&self, arguments: &[&str]) -> Serving {
        Self::spawned(&mut self.command(arguments))
    }

    fn spawned(command: &mut Command) -> Serving {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Serving { child, stderr, metrics: None }
    }
}

/// What a line says, where it is an object of the log too.
fn message_of(line: String) -> String {
    let told = serde_json::from_str::<Value>(&line).ok();
    told.and_then(|told| Some(told["message"].as_str()?.to_owned())).unwrap_or(line)
}

/// An `events --follow` that runs; killed when dropped.
pub(crate) struct Following {
    child: Child,
    stdout: Option<BufReader<std::process::ChildStdout>>,
}

impl Following {
    /// Waits for its next line.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "it ended after `{line}`");
        line.trim_end().to_owned()
    }

    /// Waits for its next line, which is JSON.
    pub(crate) fn json(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// Sends it a signal and waits for its end. Returns its exit code.
    pub(crate) fn stop_by(self, signal: rustix::process::Signal) -> Option<i32> {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
        self.end()
    }

    /// Waits for its end without a word more. Returns its exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        let mut rest = String::new();
        self.stdout.as_mut().unwrap().read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
        self.child.wait().unwrap().code()
    }

    /// Goes away as its reader and waits for its end. Returns its exit code.
    pub(crate) fn lose_reader(mut self) -> Option<i32> {
        drop(self.stdout.take());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A `serve` that runs; killed when dropped.
pub(crate) struct Serving {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    /// Where it tells metrics, if it does.
    pub(crate) metrics: Option<String>,
}

impl Serving {
    /// Waits for the next line that it says.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "it ended after `{line}`");
        line.trim_end().to_owned()
    }

    /// Sends it a signal.
    pub(crate) fn tell(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end. Returns its exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Sends it a signal and waits for its end. Returns its exit code, and what it said meanwhile.
    pub(crate) fn stop_by(mut self, signal: rustix::process::Signal) -> (Option<i32>, String) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
        let exit = self.child.wait().unwrap().code();
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        (exit, said)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
