//! Compiling in child processes: what comes out, what holds a child, and what is left of it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::json;
use stepcell_model::id::ComponentDigest;
use stepcell_model::name::TenantId;
use stepcell_sandbox::{
    ChildCommand, CompileLimits, Compiler, Refusal, Sandbox, SandboxConfig, SandboxError, be_child,
};

use crate::assembly::step_in_text;
use crate::calls::{call, output};
use crate::guests;

/// Set in the environment of this test program where it is started as a child.
const IS_CHILD: &str = "STEPCELL_TEST_CHILD";

/// Where the test program becomes a child.
#[test]
fn is_a_child_if_it_was_started_as_one() {
    if std::env::var_os(IS_CHILD).is_some() {
        be_child();
    }
}

/// What starts this test program as a child.
pub(crate) fn child() -> ChildCommand {
    let mut command = ChildCommand::new(std::env::current_exe().unwrap()).env(IS_CHILD, "1");
    for arg in ["--exact", "children::is_a_child_if_it_was_started_as_one", "--nocapture", "--test-threads=1"] {
        command = command.arg(arg);
    }
    command
}

/// A child that does what a shell says.
pub(crate) fn shell(script: &str) -> ChildCommand {
    ChildCommand::new("/bin/sh").arg("-c").arg(script)
}

/// A child that notes in a file that it was started, and then is one.
fn noted_child(notes: &Path) -> ChildCommand {
    let test = std::env::current_exe().unwrap();
    let script = format!(
        "echo started >> '{}'; exec '{}' --exact children::is_a_child_if_it_was_started_as_one --nocapture --test-threads=1",
        notes.display(),
        test.display()
    );
    shell(&script).env(IS_CHILD, "1")
}

fn compiled_by(command: ChildCommand) -> SandboxConfig {
    SandboxConfig { cells: 2, compiler: Compiler::Child(command), ..SandboxConfig::default() }
}

async fn refusal_of(config: &SandboxConfig, bytes: Vec<u8>) -> Refusal {
    let sandbox = Sandbox::new(config).unwrap();
    sandbox.prepare(None, ComponentDigest::of(&bytes), bytes).await.unwrap_err()
}

/// A step with functions of many blocks, which is small for what compiling it costs.
fn costly(functions: usize, blocks: usize) -> Vec<u8> {
    let block = "(if (i32.eqz (local.get 0)) (then (local.set 0 (i32.add (local.get 0) (local.get 1)))))";
    let function = format!("(func (param i32 i32) {})", block.repeat(blocks));
    step_in_text(&function.repeat(functions), "(global.get $ok)", "1")
}

#[tokio::test]
async fn what_a_child_compiles_runs_in_the_host() {
    let sandbox = Sandbox::new(&compiled_by(child())).unwrap();
    let bytes = guests::component("greet");
    let digest = ComponentDigest::of(&bytes);

    sandbox.prepare(None, digest, bytes).await.unwrap();

    let report = sandbox.run(call(digest, json!({ "name": "Ada" }))).await;
    assert_eq!(output(&report)["greeting"], "Hello, Ada!");
}

#[tokio::test]
async fn a_component_that_takes_too_long_to_compile_is_refused_and_the_next_one_compiles() {
    let limits = CompileLimits { cpu_s_max: 1, ..CompileLimits::default() };
    let sandbox = Sandbox::new(&SandboxConfig { compile_limits: limits, ..compiled_by(child()) }).unwrap();
    let bytes = costly(40, 9_000);

    let refusal = sandbox.prepare(None, ComponentDigest::of(&bytes), bytes).await.unwrap_err();

    assert_eq!(
        refusal.to_string(),
        "the component can not be compiled with 1 s of time on a processor; \
         split the step, or leave out what it does not need"
    );
    let small = step_in_text("", "(global.get $ok)", "1");
    sandbox.prepare(None, ComponentDigest::of(&small), small).await.unwrap();
}

#[tokio::test]
async fn a_child_that_is_too_slow_is_killed() {
    let limits = CompileLimits { wall_max: Duration::from_millis(100), ..CompileLimits::default() };
    let config = SandboxConfig { compile_limits: limits, ..compiled_by(shell("exec sleep 1000")) };

    let refusal = refusal_of(&config, guests::component("greet")).await;

    assert!(matches!(refusal, Refusal::CompileLimit { what: "time", .. }), "{refusal}");
    assert!(refusal.to_string().contains("0.1 s"), "{refusal}");
}

#[tokio::test]
async fn a_child_that_crashes_or_talks_nonsense_is_a_refusal() {
    for (script, said) in [
        ("kill -9 $$", "signal: 9"),
        ("kill -SEGV $$", "signal: 11"),
        ("exit 3", "exit status: 3"),
        ("printf 'hello, this is no frame' >&0; exec sleep 1000", "a frame has"),
        ("printf '\\377\\001\\000\\000\\000' >&0; exec sleep 1000", "no frame of kind"),
        ("printf '\\004\\001\\000\\000\\000x' >&0; exec sleep 1000", "should be Confined"),
    ] {
        let refusal = refusal_of(&compiled_by(shell(script)), guests::component("greet")).await;

        let said_so = matches!(&refusal, Refusal::CompileCrash { how } if how.contains(said));
        assert!(said_so, "{script}: {refusal}");
    }
}

#[tokio::test]
async fn a_child_that_runs_out_of_memory_is_told_apart_from_one_that_crashes() {
    let dying = shell("echo 'memory allocation of 8192 bytes failed' >&2; kill -ABRT $$");

    let refusal = refusal_of(&compiled_by(dying), step_in_text("", "(global.get $ok)", "1")).await;

    assert!(matches!(refusal, Refusal::CompileLimit { what: "memory", .. }), "{refusal}");
    // A small component may have less than the limit of the largest.
    assert!(refusal.to_string().contains("with 512 MiB of memory"), "{refusal}");
}

#[tokio::test]
async fn a_child_that_can_not_be_started_is_the_hosts_fault() {
    let refusal = refusal_of(&compiled_by(ChildCommand::new("/nowhere/at/all")), guests::component("greet")).await;

    assert!(matches!(refusal, Refusal::Host { .. }), "{refusal}");
}

#[tokio::test]
async fn a_component_that_is_wanted_a_hundred_times_at_once_is_compiled_once() {
    let dir = tempfile::tempdir().unwrap();
    let notes = dir.path().join("notes");
    let sandbox = Sandbox::new(&compiled_by(noted_child(&notes))).unwrap();
    let bytes: Arc<[u8]> = step_in_text("", "(global.get $ok)", "1").into();
    let digest = ComponentDigest::of(&bytes);

    // Whoever asked first does not wait for the answer.
    assert!(sandbox.prepare(None, digest, Arc::clone(&bytes)).now_or_never().is_none());
    let prepared = futures::future::join_all((0..100).map(|_| sandbox.prepare(None, digest, Arc::clone(&bytes)))).await;

    assert!(prepared.iter().all(Result::is_ok));
    assert_eq!(fs::read_to_string(&notes).unwrap(), "started\n");
}

#[tokio::test]
async fn whoever_waits_for_a_component_that_is_refused_is_told_and_the_next_call_tries_again() {
    let dir = tempfile::tempdir().unwrap();
    let notes = dir.path().join("notes");
    let sandbox =
        Sandbox::new(&compiled_by(shell(&format!("echo started >> '{}'; kill -9 $$", notes.display())))).unwrap();
    let bytes: Arc<[u8]> = step_in_text("", "(global.get $ok)", "1").into();
    let digest = ComponentDigest::of(&bytes);

    let refused = futures::future::join_all((0..10).map(|_| sandbox.prepare(None, digest, Arc::clone(&bytes)))).await;

    assert!(refused.iter().all(|refused| matches!(refused, Err(Refusal::CompileCrash { .. }))), "{refused:?}");
    assert_eq!(fs::read_to_string(&notes).unwrap(), "started\n");
    assert!(sandbox.prepare(None, digest, bytes).await.is_err());
    assert_eq!(fs::read_to_string(&notes).unwrap(), "started\nstarted\n");
}

#[tokio::test]
async fn a_tenant_whose_component_takes_for_ever_is_in_nobody_elses_way() {
    let dir = tempfile::tempdir().unwrap();
    let lock = dir.path().join("lock");
    // The first child hangs; those after it compile.
    let test = std::env::current_exe().unwrap();
    let script = format!(
        "mkdir '{}' && exec sleep 1000; exec '{}' --exact children::is_a_child_if_it_was_started_as_one --nocapture \
         --test-threads=1",
        lock.display(),
        test.display()
    );
    let sandbox = Sandbox::new(&compiled_by(shell(&script).env(IS_CHILD, "1").env("PATH", "/usr/bin:/bin"))).unwrap();
    let [slow, same, other] = ["1", "2", "3"].map(|output| step_in_text("", "(global.get $ok)", output));
    let [a, b] = ["a", "b"].map(|name| TenantId::new(name).unwrap());
    let mut hanging = Box::pin(sandbox.prepare(Some(&a), ComponentDigest::of(&slow), slow));
    while !lock.exists() {
        assert!(hanging.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }

    let mut second = Box::pin(sandbox.prepare(Some(&a), ComponentDigest::of(&same), same));
    assert!(second.as_mut().now_or_never().is_none());
    sandbox.prepare(Some(&b), ComponentDigest::of(&other), other).await.unwrap();

    assert!(second.as_mut().now_or_never().is_none());
    assert!(hanging.as_mut().now_or_never().is_none());
}

#[test]
fn limits_within_which_nothing_can_be_compiled_are_refused() {
    for limits in [
        CompileLimits { cpu_s_max: 0, ..CompileLimits::default() },
        CompileLimits { memory_bytes_max: 1 << 20, ..CompileLimits::default() },
        CompileLimits { wall_max: Duration::ZERO, ..CompileLimits::default() },
    ] {
        let config = SandboxConfig { compile_limits: limits, ..SandboxConfig::default() };

        assert!(matches!(Sandbox::new(&config), Err(SandboxError::CompileLimits { .. })), "{limits:?}");
    }
}

/// Runs one test of this program in a process of its own, where it can count what is its own.
pub(crate) fn alone(name: &str) -> bool {
    const IS_ALONE: &str = "STEPCELL_TEST_ALONE";
    if std::env::var_os(IS_ALONE).is_some() {
        return true;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let ended = command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(IS_ALONE, "1").status().unwrap();
    assert!(ended.success());
    false
}

pub(crate) fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

pub(crate) fn children() -> String {
    let threads = fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path().join("children"));
    threads.map(|path| fs::read_to_string(path).unwrap_or_default()).collect()
}

#[test]
fn nothing_is_left_of_children_whatever_became_of_them() {
    if !alone("children::nothing_is_left_of_children_whatever_became_of_them") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let small = step_in_text("", "(global.get $ok)", "1");
    let limits = CompileLimits { wall_max: Duration::from_millis(100), ..CompileLimits::default() };
    let attempts = |config: SandboxConfig| {
        let sandbox = Sandbox::new(&config).unwrap();
        let bytes = small.clone();
        drop(runtime.block_on(sandbox.prepare(None, ComponentDigest::of(&bytes), bytes)));
    };
    // What is opened once for the whole process is opened now.
    attempts(compiled_by(child()));
    let before = descriptors();

    attempts(compiled_by(child()));
    attempts(compiled_by(shell("kill -9 $$")));
    attempts(SandboxConfig { compile_limits: limits, ..compiled_by(shell("exec sleep 1000")) });

    assert_eq!(children(), "");
    assert_eq!(descriptors(), before);
}
