//! Attempts in worker processes: all that holds of a cell holds there, and whatever becomes of a worker is one attempt's
//! trouble.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use futures::FutureExt as _;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, getpgid, getpgrp, kill_process, pidfd_open};
use serde_json::json;
use stepcell_model::attempt::{AttemptOutcome, AttemptReport, HostFault, StepCall};
use stepcell_model::failure::{EngineCode, Failure};
use stepcell_model::id::ComponentDigest;
use stepcell_model::json::Json;
use stepcell_model::name::TenantId;
use stepcell_sandbox::{Compiler, Isolation, Sandbox, SandboxConfig};

use crate::assembly::step_in_text;
use crate::calls::{Bench, IN_WORKERS, call, failure, output, written};
use crate::children::{alone, child, children, descriptors, shell};
use crate::guests;

/// Cells in workers; components are compiled here, so that every child is a worker.
fn in_workers() -> SandboxConfig {
    SandboxConfig {
        cells: 4,
        compiler: Compiler::InProcess,
        isolation: Isolation::Process(child()),
        ..SandboxConfig::default()
    }
}

async fn probe() -> Bench {
    Bench::with_config(&in_workers(), guests::component("probe")).await
}

/// The ids of this process's children.
fn child_ids() -> Vec<Pid> {
    children().split_whitespace().map(|id| Pid::from_raw(id.parse().unwrap()).unwrap()).collect()
}

#[test]
fn all_that_holds_of_a_cell_holds_in_a_worker() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let ended = command.args(["attempts::", "gateways::", "limits::", "http::"]).env(IN_WORKERS, "1").output().unwrap();

    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}");
    assert!(!said.contains(" 0 passed"), "{said}");
}

#[tokio::test]
async fn a_hook_a_gateway_and_a_skipped_step_come_back_as_what_they_are() {
    let probe = probe().await;
    let cause = Failure::new("card-declined", "no money");

    let hook = probe.sandbox.run_failure_hook(call(probe.component, json!({})), &cause).await;
    let skipped = probe.run(json!({ "do": "skip" })).await;
    let asked = probe.ask_with(json!({ "do": "choose", "names": ["b"] }), &["a", "b"], |_| {}).await;

    assert_eq!(hook.failure, None);
    assert_eq!(skipped.outcome, AttemptOutcome::Skipped);
    assert_eq!(output(&asked), &json!(["b"]));
}

#[tokio::test]
async fn documents_come_through_a_worker_to_the_letter() {
    let probe = probe().await;
    let text = r#"{"b": 1.50, "a": [ ], "c": "ä\"\n", "d": 12345678901234567890123}"#;

    let report = probe
        .sandbox
        .run(StepCall { input: Json::parse(text.to_owned()).unwrap(), ..call(probe.component, json!(null)) });

    match report.await.outcome {
        AttemptOutcome::Succeeded(output) => assert_eq!(output.tree(), Json::parse(text.to_owned()).unwrap().tree()),
        other => panic!("{other:?}"),
    }
}

/// Ends every worker that way while an attempt runs, and returns what became of the attempt.
async fn killed_with(probe: &Bench, signal: Signal) -> AttemptReport {
    let mut running = Box::pin(probe.run(json!({ "do": "sleep", "ms": 20_000 })));
    assert!(running.as_mut().now_or_never().is_none());
    for worker in child_ids() {
        let end = pidfd_open(worker, PidfdFlags::empty()).unwrap();
        kill_process(worker, signal).unwrap();
        poll(&mut [PollFd::new(&end, PollFlags::IN)], None).unwrap();
    }
    running.await
}

#[test]
fn a_worker_that_is_killed_costs_its_attempt_and_no_other() {
    if !alone("workers::a_worker_that_is_killed_costs_its_attempt_and_no_other") {
        return;
    }
    on_runtime(async {
        let probe = probe().await;
        // Somebody else's signal says nothing against the component; one by which a program breaks does.
        for (signal, fault) in [(Signal::KILL, None), (Signal::ABORT, Some(HostFault::WorkerDied))] {
            let report = killed_with(&probe, signal).await;

            assert_eq!(failure(&report).code, EngineCode::Host);
            assert!(failure(&report).retryable);
            assert_eq!(report.trace.host_fault, fault, "{signal:?}");
            assert_eq!(output(&probe.run(json!("next")).await), "next");
        }
    });
}

#[test]
fn whoever_asks_a_host_to_end_does_not_end_the_attempts_of_its_workers() {
    if !alone("workers::whoever_asks_a_host_to_end_does_not_end_the_attempts_of_its_workers") {
        return;
    }
    on_runtime(async {
        let probe = probe().await;
        assert_eq!(output(&probe.run(json!(1)).await), &json!(1));
        let mut running = Box::pin(probe.run(json!({ "do": "sleep", "ms": 300 })));
        assert!(running.as_mut().now_or_never().is_none());

        let used = child_ids()[0];
        for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
            kill_process(used, signal).unwrap();
        }

        assert!(matches!(running.await.outcome, AttemptOutcome::Succeeded(_)));
        assert!(child_ids().contains(&used));
        assert_ne!(getpgid(Some(used)).unwrap(), getpgrp());
    });
}

#[test]
fn an_attempt_that_nobody_waits_for_any_more_dies_with_its_worker() {
    if !alone("workers::an_attempt_that_nobody_waits_for_any_more_dies_with_its_worker") {
        return;
    }
    on_runtime(async {
        let probe = probe().await;
        // The next one is started ahead, so that only the one that runs it is new to this list.
        assert_eq!(output(&probe.run(json!(1)).await), &json!(1));
        let mut running = Box::pin(probe.run_with(json!({ "do": "loop" }), |call| {
            call.limits.cpu_max = std::time::Duration::from_secs(60);
        }));
        assert!(running.as_mut().now_or_never().is_none());
        let ends: Vec<_> = child_ids().into_iter().map(|id| pidfd_open(id, PidfdFlags::empty()).unwrap()).collect();

        drop(running);

        // One of the workers ends; it would compute for a minute.
        let mut ends: Vec<_> = ends.iter().map(|end| PollFd::new(end, PollFlags::IN)).collect();
        assert_eq!(poll(&mut ends, None).unwrap(), 1);
        assert_eq!(output(&probe.run(json!("next")).await), "next");
    });
}

#[test]
fn a_worker_works_for_one_tenant_and_is_used_again_by_it() {
    if !alone("workers::a_worker_works_for_one_tenant_and_is_used_again_by_it") {
        return;
    }
    on_runtime(async {
        let probe = probe().await;
        let run = async |tenant: &str| {
            let tenant = TenantId::new(tenant).unwrap();
            let report = probe.run_with(json!(1), |call| call.info.tenant = Some(tenant)).await;
            assert_eq!(output(&report), &json!(1));
        };

        run("a").await;
        let of_a = child_ids();
        run("a").await;
        assert!(of_a.iter().all(|worker| child_ids().contains(worker)));
        let before = child_ids().len();
        run("b").await;
        run("c").await;

        // Each had one of its own, and none was taken from another.
        assert!(of_a.iter().all(|worker| child_ids().contains(worker)));
        assert!(child_ids().len() > before, "{before} {:?}", child_ids());
    });
}

#[test]
fn nothing_is_left_of_workers_when_their_sandbox_is_gone() {
    if !alone("workers::nothing_is_left_of_workers_when_their_sandbox_is_gone") {
        return;
    }
    let attempts = || {
        on_runtime(async {
            let probe = probe().await;
            assert_eq!(output(&probe.run(json!(1)).await), &json!(1));
            assert!(probe.run(json!({ "do": "sleep", "ms": 20_000 })).now_or_never().is_none());
        });
    };
    // What is opened once for the whole process is opened now.
    attempts();
    let before = descriptors();

    attempts();

    assert_eq!(children(), "");
    assert_eq!(descriptors(), before);
}

/// Where a host says in a line which workers it has, and is then killed.
const SAYS_WORKERS: &str = "workers:";

#[test]
fn a_host_with_workers_waits_to_be_killed_if_it_was_started_for_that() {
    if std::env::var_os("STEPCELL_TEST_HOST").is_none() {
        return;
    }
    on_runtime(async {
        let probe = probe().await;
        let running =
            probe.run_with(json!({ "do": "loop" }), |call| call.limits.cpu_max = std::time::Duration::from_secs(60));
        tokio::pin!(running);
        assert!(running.as_mut().now_or_never().is_none());
        println!("{SAYS_WORKERS}{}", children());
        running.await;
    });
}

#[test]
fn no_worker_outlives_a_host_that_is_killed() {
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "workers::a_host_with_workers_waits_to_be_killed_if_it_was_started_for_that", "--nocapture"])
        .env("STEPCELL_TEST_HOST", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(host.stdout.take().unwrap()).lines().map(Result::unwrap);
    let said = lines.find_map(|line| line.split_once(SAYS_WORKERS).map(|(_, workers)| workers.to_owned())).unwrap();
    let workers = said.split_whitespace().map(|id| Pid::from_raw(id.parse().unwrap()).unwrap());
    let ends: Vec<_> = workers.map(|id| pidfd_open(id, PidfdFlags::empty()).unwrap()).collect();
    assert!(!ends.is_empty());

    host.kill().unwrap();
    host.wait().unwrap();

    for end in &ends {
        poll(&mut [PollFd::new(end, PollFlags::IN)], None).unwrap();
    }
}

/// The kind of the frame that says what came of an attempt.
const LEFT: u8 = 10;

/// The kind of the frame that asks for a request.
const HTTP_ASKED: u8 = 11;

/// A worker that says something without listening: that it is confined, that it has loaded the code, and what is given.
fn liar(more: &[(u8, &str)]) -> SandboxConfig {
    let frame = |kind: u8, content: &str| {
        let length: String = (content.len() as u32).to_le_bytes().iter().map(|byte| format!("\\{byte:03o}")).collect();
        format!("\\{kind:03o}{length}{}", content.replace('\\', "\\\\").replace('%', "%%"))
    };
    let more: String = more.iter().map(|(kind, content)| frame(*kind, content)).collect();
    let said = [frame(2, r#"{"lacking":[]}"#), frame(8, r#""Ready""#), more].concat();
    let script = format!("printf '{said}' >&0; exec sleep 1000");
    SandboxConfig { isolation: Isolation::Process(shell(&script)), ..in_workers() }
}

async fn report_of(lie: &str) -> AttemptReport {
    report_of_all(&[(LEFT, lie)]).await
}

async fn report_of_all(lies: &[(u8, &str)]) -> AttemptReport {
    let bytes = step_in_text("", "(global.get $ok)", "1");
    let digest = ComponentDigest::of(&bytes);
    let sandbox = Sandbox::new(&liar(lies)).unwrap();
    sandbox.prepare(None, digest, bytes).await.unwrap();
    sandbox.run(call(digest, json!(1))).await
}

fn answer(outcome: &str, writes: &str, trace: &str) -> String {
    let receipt =
        r#""receipt":{"cpu_us":0,"wall_us":0,"memory_bytes_peak":0,"host_calls":0,"bytes_in":0,"bytes_out":0}"#;
    format!(r#"{{"outcome":{outcome},"writes":{writes},"trace":{{{receipt}{trace}}}}}"#)
}

#[tokio::test]
async fn what_a_worker_says_is_believed_where_an_attempt_could_have_come_to_it() {
    let report = report_of(&answer(r#"{"Succeeded":["7",null]}"#, r#"[["k","8"]]"#, "")).await;

    assert_eq!(output(&report), &json!(7));
    assert_eq!(written(&report), ["k"]);
}

#[tokio::test]
async fn what_a_worker_says_that_its_attempt_cost_is_held_to_what_it_can_have_cost() {
    let fields =
        ["cpu_us", "wall_us", "guest_us", "memory_bytes_peak", "host_calls", "bytes_in", "bytes_out", "denials"];
    let receipt: String = fields.iter().map(|field| format!(r#""{field}":{},"#, u64::MAX)).collect();
    let receipt = format!(r#"{{{receipt}"http_requests":{}}}"#, u32::MAX);

    let lie = format!(r#"{{"outcome":{{"Succeeded":["7",null]}},"writes":[],"trace":{{"receipt":{receipt}}}}}"#);
    let report = report_of(&lie).await;

    assert_eq!(output(&report), &json!(7));
    let receipt = report.trace.receipt;
    let limits = stepcell_model::attempt::CellLimits::default();
    assert!(receipt.wall_us < 60_000_000 && receipt.cpu_us <= receipt.wall_us, "{receipt:?}");
    assert_eq!((receipt.memory_bytes_peak, receipt.http_requests), (limits.memory_bytes_max, 0));
    assert!(receipt.bytes_in < 1 << 40 && receipt.bytes_out < 1 << 40, "{receipt:?}");
}

#[tokio::test]
async fn what_no_attempt_can_come_to_is_a_worker_that_has_died() {
    let deep = "[".repeat(65) + &"]".repeat(65);
    let long_log = vec![r#"{"level":"info","message":"x"}"#; 1_001].join(",");
    for lie in [
        "no JSON at all".to_owned(),
        "[".repeat(100_000),
        answer(r#""Skipped""#, r#"[["k","8"]]"#, ""),
        answer(r#"{"Hook":null}"#, "[]", ""),
        answer(r#"{"Succeeded":["no JSON",null]}"#, "[]", ""),
        answer(&format!(r#"{{"Succeeded":["{deep}",null]}}"#), "[]", ""),
        answer(r#"{"Succeeded":["1",null]}"#, r#"[["engine.x","8"]]"#, ""),
        answer(r#"{"Succeeded":["1",null]}"#, r#"[["k","no JSON"]]"#, ""),
        answer(r#"{"Failed":{"code":"engine.forged","message":"","retryable":false}}"#, "[]", ""),
        answer(r#"{"Failed":{"code":"Not A Code","message":"","retryable":false}}"#, "[]", ""),
        answer(r#"{"Succeeded":["1",null]}"#, "[]", &format!(r#","log":[{long_log}]"#)),
        answer(r#"{"Succeeded":["1",null]}"#, "[]", r#","secrets_read":["NOT_GRANTED"]"#),
    ] {
        let report = report_of(&lie).await;

        let begins = &lie[..lie.len().min(100)];
        assert_eq!(failure(&report).code, EngineCode::Host, "{begins}");
        assert_eq!(report.trace.host_fault, Some(HostFault::WorkerDied), "{begins}");
        assert!(report.writes.is_empty(), "{begins}");
    }
}

#[tokio::test]
async fn a_worker_that_asks_for_more_requests_than_its_attempt_may_send_is_broken() {
    let asked = r#"{"number":1,"request":{"method":"GET","scheme":"http","authority":"a","path_with_query":"/","headers":[],"body":""}}"#;
    let left = answer(r#"{"Succeeded":["7",null]}"#, "[]", "");
    let asked_for = |times| [vec![(HTTP_ASKED, asked); times], vec![(LEFT, left.as_str())]].concat();

    let as_many_as_it_may = report_of_all(&asked_for(32)).await;
    let more = report_of_all(&asked_for(40)).await;

    assert_eq!(output(&as_many_as_it_may), &json!(7));
    assert_eq!(failure(&more).code, EngineCode::Host);
    assert_eq!(more.trace.host_fault, Some(HostFault::WorkerDied));
}

#[tokio::test]
async fn a_worker_that_does_not_answer_is_given_up_after_the_attempts_time() {
    let bytes = step_in_text("", "(global.get $ok)", "1");
    let digest = ComponentDigest::of(&bytes);
    let script =
        "printf '\\002\\016\\000\\000\\000{\"lacking\":[]}\\010\\007\\000\\000\\000\"Ready\"' >&0; exec sleep 1000";
    let config = SandboxConfig { isolation: Isolation::Process(shell(script)), ..in_workers() };
    let sandbox = Sandbox::new(&config).unwrap();
    sandbox.prepare(None, digest, bytes).await.unwrap();
    let mut silent = call(digest, json!(1));
    silent.limits.wall_max = std::time::Duration::from_millis(10);

    let report = sandbox.run(silent).await;

    assert_eq!(failure(&report).code, EngineCode::Wall);
    assert_eq!(report.trace.host_fault, Some(HostFault::WorkerDied));
}

#[tokio::test]
async fn without_workers_an_attempt_fails_as_the_hosts_fault_and_can_be_made_again() {
    let bytes = step_in_text("", "(global.get $ok)", "1");
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("worker");
    std::os::unix::fs::symlink("/bin/false", &program).unwrap();
    let config =
        SandboxConfig { isolation: Isolation::Process(stepcell_sandbox::ChildCommand::new(&program)), ..in_workers() };

    let refused = Sandbox::new(&config).unwrap().prepare(None, ComponentDigest::of(&bytes), bytes).await;

    assert!(matches!(refused, Err(stepcell_sandbox::Refusal::Host { .. })), "{refused:?}");
    fs::remove_file(program).unwrap();
}

fn on_runtime<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}
