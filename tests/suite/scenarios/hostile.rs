//! Every hostile component against a real host: what stopped it, what its tenant sees of the host, and that the next step
//! of the same tenant works; and then the whole set against the binary, whose memory, descriptors and threads are looked
//! at afterwards.

use std::process::Command;

use serde_json::Value;
use stepcell::hostile::{AttackGroup, Siege, hostile_cases};
use stepcell_tests::{Scenario, stepcell_bin};

/// Attacks one host with everything of a group.
async fn contains(group: AttackGroup) {
    let scenario = Scenario::new().await;
    let siege = Siege::begin(&scenario.host).await.expect("a host that is not attacked yet does its part");
    let mut attacked = 0;

    for case in hostile_cases().filter(|case| case.group == group) {
        let report = siege.attack(case).await.expect("the host does its part");

        assert_eq!(report.problems, [""; 0], "{}, which ended as `{}`", case.name, report.ended);
        attacked += 1;
    }

    assert!(attacked > 0, "there is an attack of that kind");
    scenario.host.close().await;
}

macro_rules! groups {
    ($($name:ident: $group:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                contains(AttackGroup::$group).await;
            }
        )+

        #[test]
        fn every_kind_of_attack_has_a_test() {
            let tested = [$(AttackGroup::$group),+];

            for case in hostile_cases() {
                assert!(tested.contains(&case.group), "{} is not tested", case.group);
            }
        }
    };
}

groups! {
    loops_in_every_function_end_at_the_cpu_limit: Loops,
    bombs_of_memory_tables_and_stack_end_at_their_limits: Memory,
    floods_of_host_calls_are_counted: Calls,
    floods_of_the_log_are_dropped_and_counted: Logs,
    handles_are_limited_and_checked: Handles,
    sleeping_and_polling_ends_at_the_wall_clock: Waits,
    traps_and_exits_are_failures_of_the_step: Traps,
    lies_about_memory_and_types_are_traps: Lies,
    outputs_that_are_no_json_or_too_much_are_refused: Output,
    the_context_takes_nothing_that_it_should_not_hold: Context,
    failures_can_not_claim_to_be_the_engines: Failures,
    nothing_of_the_host_is_found_by_looking_for_it: Probes,
    requests_to_where_no_step_may_reach_are_denied_and_recorded: Requests,
    what_costs_more_to_compile_than_to_run_is_refused: Compile,
    what_is_no_step_is_refused: Damaged,
}

#[test]
fn the_doctor_finds_that_the_host_holds_and_that_nothing_of_any_attack_is_left() {
    let doctor = Command::new(stepcell_bin()).args(["doctor", "--hostile", "--output", "json"]).output();
    let doctor = doctor.expect("the binary runs");

    let told: Value = serde_json::from_slice(&doctor.stdout).expect("it prints JSON");
    assert_eq!(told["problems"], serde_json::json!([]), "{}", String::from_utf8_lossy(&doctor.stderr));
    assert_eq!(told["contained"], true);
    assert_eq!(told["good_step_works"], true);
    assert_eq!(told["attacks"].as_array().map(Vec::len), Some(hostile_cases().count()));
    assert_eq!(doctor.status.code(), Some(0));
    for (what, most) in [("descriptors", 1.0), ("threads", 1.0), ("resident_bytes", 1.1)] {
        let (before, after) = (told["before"][what].as_f64(), told["after"][what].as_f64());
        let (before, after) = (before.expect("the system tells"), after.expect("the system tells"));
        assert!(after <= before * most, "{what}: {before} before, {after} after");
    }
}

#[test]
fn the_doctor_prints_what_stopped_each_attack_and_what_it_cost() {
    let doctor = Command::new(stepcell_bin()).args(["doctor", "--hostile", "--attack", "trap-in-e"]).output();
    let doctor = doctor.expect("the binary runs");

    let table = String::from_utf8(doctor.stdout).expect("it prints text");
    let lines: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["ATTACK", "STOPPED", "BY", "CHECK", "RUN", "CELL", "PROCESS", "VERDICT"]);
    assert_eq!((lines[1][0], lines[1][1], lines[1].last()), ("trap-in-execute", "engine.trap", Some(&"OK")));
    assert_eq!((lines[2][0], lines[2][1], lines[2].last()), ("trap-in-evaluate", "engine.trap", Some(&"OK")));
    assert!(table.contains("attacks      2 of 2 contained\n"), "{table}");
    assert!(table.ends_with("verdict      the host holds\n"), "{table}");
}

#[test]
fn an_attack_that_there_is_not_is_refused() {
    let doctor = Command::new(stepcell_bin()).args(["doctor", "--hostile", "--attack", "unheard-of"]).output();
    let doctor = doctor.expect("the binary runs");

    let told = String::from_utf8_lossy(&doctor.stderr);
    assert!(told.contains("no attack is called `unheard-of`"), "{told}");
    assert_eq!(doctor.status.code(), Some(1));
}
