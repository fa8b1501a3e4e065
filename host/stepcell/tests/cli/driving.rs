//! One process drives, others look on, visit, or are refused.

use rustix::process::Signal;

use crate::tool::Desk;

#[test]
fn a_second_driver_is_refused_and_told_who_drives() {
    let desk = Desk::with_waiting_instance();
    let serving = desk.serve();

    let said = desk.run(&["run", "approval.yaml", "--db", "stepcell.db", "--data", r#"{"amount": 1}"#]);

    said.exits(4).tells(&format!("process {}, `stepcell serve`", serving.pid()));
    desk.run(&["serve"]).exits(4).tells("is driven by another process");
}

#[test]
fn beside_a_driver_tasks_are_completed_and_it_goes_on_with_the_instance() {
    let desk = Desk::with_waiting_instance();
    let serving = desk.serve();
    let task = desk.task();

    let answer = ["task", "complete", &task, "--user", "dana", "--data", r#"{"approved": true}"#];
    desk.run(&answer).exits(0).tells("another process goes on with the instance");
    let started = desk.run(&["start", "approval", "--data", r#"{"amount": 1}"#, "--wait"]).exits(0);

    assert!(started.stdout.contains("waiting at step `review`"), "{}", started.stdout);
    assert!(!started.stderr.contains("stepcell serve"), "{}", started.stderr);
    desk.run(&["check"]).exits(0);
    assert_eq!(serving.stop_by(Signal::TERM).0, Some(0));
}

#[test]
fn sigterm_and_ctrl_c_drain_and_end_with_0() {
    let desk = Desk::with_waiting_instance();
    for signal in [Signal::TERM, Signal::INT] {
        let (exit, said) = desk.serve().stop_by(signal);

        assert_eq!(exit, Some(0), "{said}");
        assert!(said.contains("the attempts under way end first"), "{said}");
    }
    desk.run(&["check"]).exits(0);
}

#[test]
fn a_driver_that_was_killed_leaves_no_lock_behind() {
    let desk = Desk::with_waiting_instance();

    assert_eq!(desk.serve().stop_by(Signal::KILL).0, None);

    assert_eq!(desk.serve().stop_by(Signal::TERM).0, Some(0));
}
