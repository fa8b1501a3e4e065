//! The cases of joins: what waits for what, and that nothing waits for ever.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use serde_json::json;
use stepcell_model::attempt::AttemptOutcome;
use stepcell_model::definition::builder::DefinitionBuilder;
use stepcell_model::definition::{Edge, GatewayMode, Outcome, WorkflowDefinition};
use stepcell_model::json::{JSON_DEPTH_MAX, Json};
use stepcell_model::status::WorkflowStatus;
use stepcell_model::transition::Cause;

use crate::kit::{Run, report};

/// Machine steps with one letter each, and edges such as `ab`.
fn steps(names: &str, edges: &[&str]) -> DefinitionBuilder {
    let builder = WorkflowDefinition::builder("test", "1.0.0");
    let builder = names.chars().fold(builder, |builder, name| builder.machine(&name.to_string(), "a@1"));
    edges.iter().fold(builder, |builder, edge| builder.edge(&edge[..1], &edge[1..]))
}

/// Case 47.
#[test]
fn a_join_runs_once_after_every_branch_of_its_fork() {
    let mut run = Run::of(steps("sabjk", &["sa", "sb", "aj", "bj", "jk"]).build().unwrap());

    run.run(&["s", "b"]);
    let between = run.shown();
    run.run(&["a", "j", "k"]);

    assert_eq!(between, ["a scheduled", "j pending"]);
    assert_eq!(run.path(), ["s succeeded", "b succeeded", "a succeeded", "j succeeded", "k succeeded"]);
    assert_eq!(run.status(), WorkflowStatus::Completed);
}

#[test]
fn a_join_waits_for_the_longer_branch_of_a_fork_of_unequal_length() {
    let mut run = Run::of(steps("sabcj", &["sa", "sj", "ab", "bc", "cj"]).build().unwrap());

    run.run(&["s", "a", "b"]);
    let between = run.shown();
    run.run(&["c"]);

    assert_eq!(between, ["j pending", "c scheduled"]);
    assert_eq!(run.shown(), ["j scheduled"]);
}

#[test]
fn nested_forks_join_from_the_inside_out() {
    let edges = ["sa", "sb", "ac", "ad", "ci", "di", "ij", "bj"];
    let mut run = Run::of(steps("sabcdij", &edges).build().unwrap());

    run.run(&["s", "a", "b", "c"]);
    let between = run.shown();
    run.run(&["d", "i", "j"]);

    assert_eq!(between, ["d scheduled", "j pending", "i pending"]);
    assert_eq!(run.path().iter().filter(|end| end.starts_with('j')).count(), 1);
    assert_eq!(run.status(), WorkflowStatus::Completed);
}

#[test]
fn an_exclusive_diamond_joins_without_waiting_for_the_way_not_taken() {
    let definition = steps("sabj", &[])
        .gateway("way", GatewayMode::Exclusive)
        .edge("s", "way")
        .edge_when("way", "a", "context.get('x') == 1")
        .edge_with("way", "b", Edge::by_default)
        .edge("a", "j")
        .edge("b", "j")
        .build()
        .unwrap();
    let mut run = Run::of(definition);

    run.run(&["s", "b"]);

    assert_eq!(run.shown(), ["j scheduled"]);
    assert_eq!(run.previous("j"), Some(json!("b")), "one branch came: its result as it is");
}

#[test]
fn a_join_of_several_branches_is_given_their_results_by_step() {
    let mut run = Run::of(steps("sabcj", &["sa", "sb", "sc", "aj", "bj", "cj"]).build().unwrap());
    run.run(&["s", "c", "a"]);

    run.begin("b");
    run.end("b", report(AttemptOutcome::Skipped));

    assert_eq!(run.previous("j"), Some(json!({"c": "c", "a": "a", "b": null})));
}

#[test]
fn two_edges_between_the_same_steps_that_are_both_taken_count_as_one_arrival() {
    let definition = steps("ab", &[]).edge_when("a", "b", "true").edge_when("a", "b", "1 == 1").build().unwrap();
    let mut run = Run::of(definition);

    run.run(&["a"]);

    assert_eq!(run.previous("b"), Some(json!("a")));
    run.run(&["b"]);
    assert_eq!(run.path(), ["a succeeded", "b succeeded"]);
}

#[test]
fn joins_that_wait_for_each_other_let_the_oldest_go() {
    let definition = steps("sabxye", &["sa", "sb", "ax", "by"])
        .edge_when("x", "y", "context.get('again') == true")
        .edge_when("y", "x", "context.get('again') == true")
        .edge_with("x", "e", Edge::by_default)
        .edge_with("y", "e", Edge::by_default)
        .build()
        .unwrap();
    let mut run = Run::of(definition);

    run.run(&["s", "a", "b"]);
    let between = run.shown();
    run.run(&["x", "y", "e"]);

    assert_eq!(between, ["x scheduled", "y pending"]);
    assert_eq!(run.status(), WorkflowStatus::Completed);
}

#[test]
fn joins_that_wait_for_each_other_do_not_wait_for_a_branch_that_can_not_come() {
    let definition = steps("sabxye", &["sa", "sb", "ax", "by"])
        .human("h", |_| {})
        .edge("s", "h")
        .edge_when("x", "y", "context.get('again') == true")
        .edge_when("y", "x", "context.get('again') == true")
        .edge_with("x", "e", Edge::by_default)
        .edge_with("y", "e", Edge::by_default)
        .build()
        .unwrap();
    let mut run = Run::of(definition);

    run.run(&["s", "a", "b"]);

    assert_eq!(run.shown(), ["h waiting", "x scheduled", "y pending"]);
}

/// Case 52.
#[test]
fn a_step_that_leads_back_to_itself_runs_again_until_its_condition_fails() {
    let definition =
        steps("ae", &[]).edge_when("a", "a", "result < 3").edge_with("a", "e", Edge::by_default).build().unwrap();
    let mut run = Run::of(definition);

    for round in 1..=3 {
        run.returns("a", json!(round));
    }
    run.run(&["e"]);

    assert_eq!(run.path(), ["a succeeded", "a succeeded", "a succeeded", "e succeeded"]);
}

#[test]
fn a_fork_and_join_inside_a_loop_joins_anew_each_round() {
    let definition = steps("sabje", &["sa", "sb", "aj", "bj"])
        .edge_when("j", "s", "result == 'again'")
        .edge_with("j", "e", Edge::by_default)
        .build()
        .unwrap();
    let mut run = Run::of(definition);

    run.run(&["s", "a", "b"]);
    run.returns("j", json!("again"));
    run.run(&["s", "b"]);
    let between = run.shown();
    run.run(&["a", "j", "e"]);

    assert_eq!(between, ["a scheduled", "j pending"]);
    assert_eq!(run.path().iter().filter(|end| *end == "j succeeded").count(), 2);
}

#[test]
fn a_branch_that_failed_and_was_handled_still_comes_to_the_join() {
    let definition = steps("sabhj", &["sa", "sb", "aj", "bj", "hj"])
        .edge_with("a", "h", |edge| edge.on(Outcome::Failure))
        .build()
        .unwrap();
    let mut run = Run::of(definition);

    run.run(&["s", "b"]);
    run.fails("a");
    let between = run.shown();
    run.run(&["h", "j"]);

    assert_eq!(between, ["j pending", "h scheduled"]);
    assert_eq!(run.status(), WorkflowStatus::Completed);
}

#[test]
fn a_gateway_hands_on_what_came_to_it() {
    let definition =
        steps("ab", &[]).gateway("way", GatewayMode::Parallel).edge("a", "way").edge("way", "b").build().unwrap();
    let mut run = Run::of(definition);

    run.returns("a", json!({"n": 1}));

    assert_eq!(run.previous("b"), Some(json!({"n": 1})));
}

#[test]
fn a_gateway_at_the_start_hands_on_the_initial_data() {
    let definition = WorkflowDefinition::builder("test", "1.0.0")
        .gateway("way", GatewayMode::Exclusive)
        .machine("a", "a@1")
        .machine("b", "a@1")
        .edge_when("way", "a", "result.n == 1")
        .edge_with("way", "b", Edge::by_default)
        .build()
        .unwrap();

    let run = Run::with(definition, json!({"n": 1}));

    assert_eq!(run.previous("a"), Some(json!({"n": 1})));
}

#[test]
fn a_task_that_waited_in_a_join_began_when_it_was_reached_while_it_waits_and_once_it_is_done() {
    let definition = steps("sab", &["sa", "sb"]).human("h", |_| {}).edge("a", "h").edge("b", "h").build().unwrap();
    let mut run = Run::of(definition);
    run.run(&["s", "a", "b"]);
    let number = run.active("h").number;
    let reached = run.active("h").activated_at;

    let waiting = run.records[&number].clone();
    run.completes("h", json!({})).unwrap();

    assert_eq!(waiting.started_at, reached);
    assert_eq!(run.records[&number].started_at, reached);
}

/// Forks into two gateways that join in a third one, again and again.
fn doubling_chain(times: usize) -> DefinitionBuilder {
    let builder = WorkflowDefinition::builder("test", "1.0.0").gateway("j0", GatewayMode::Parallel);
    (1..=times).fold(builder, |builder, turn| {
        let (before, a, b, join) =
            (format!("j{}", turn - 1), format!("a{turn}"), format!("b{turn}"), format!("j{turn}"));
        let gateways = [(&a, GatewayMode::Exclusive), (&b, GatewayMode::Exclusive), (&join, GatewayMode::Parallel)];
        let builder = gateways.iter().fold(builder, |builder, (name, mode)| builder.gateway(name, *mode));
        builder.edge(&before, &a).edge(&before, &b).edge(&a, &join).edge(&b, &join)
    })
}

#[test]
fn joins_that_double_what_comes_to_them_fail_their_instance_at_the_limit() {
    let run = Run::with(doubling_chain(20).build().unwrap(), json!({"x": "ab".repeat(100)}));

    let error = run.instance.state.error.as_ref().unwrap();
    assert_eq!((run.status(), error.code.to_string().as_str()), (WorkflowStatus::Failed, "engine.output"));
    assert!(error.message.contains("the results that join at `j"), "{}", error.message);
}

#[test]
fn what_joins_never_nests_deeper_than_any_document_may() {
    let deep = |depth: usize| Json::parse(format!("{}{}", "[".repeat(depth), "]".repeat(depth))).unwrap();
    let joined = |depth: usize| {
        let mut run = Run::of(steps("sabj", &["sa", "sb", "aj", "bj"]).build().unwrap());
        run.run(&["s", "a"]);
        run.returns("b", deep(depth));
        (run.status(), run.instance.state.error.map(|error| error.code.to_string()))
    };

    assert_eq!(joined(JSON_DEPTH_MAX - 1), (WorkflowStatus::Running, None));
    assert_eq!(joined(JSON_DEPTH_MAX), (WorkflowStatus::Failed, Some("engine.invalid-output".to_owned())));
}

#[test]
fn a_step_with_one_way_to_it_runs_for_each_branch_that_comes_while_an_instance_is_paused() {
    let definition = steps("sae", &["sa", "ae"]).edge_when("s", "s", "result == 'again'").build().unwrap();
    let mut run = Run::of(definition);
    run.returns("s", json!("again"));
    run.run(&["s"]);
    for _ in 0..2 {
        let waiting = run.shown().iter().position(|shown| shown == "a scheduled").unwrap();
        let execution = run.instance.state.control.active[waiting].number;
        run.tell(Cause::AttemptStarted { execution }).unwrap();
    }
    run.tell(Cause::Paused { by: None }).unwrap();
    for result in ["first", "second"] {
        run.end("a", report(AttemptOutcome::Succeeded(json!(result).into())));
    }
    run.tell(Cause::Resumed { by: None }).unwrap();

    assert_eq!(run.shown(), ["e scheduled", "e scheduled"]);
    run.returns("e", json!("one"));
    assert_eq!(run.previous("e"), Some(json!("second")));
}
