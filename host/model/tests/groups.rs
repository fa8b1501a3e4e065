//! Groups and steps for each item: how their parts run, and what becomes of the whole.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use serde_json::{Value, json};
use stepcell_model::definition::{WorkflowDefinition, WorkflowLimits};
use stepcell_model::status::WorkflowStatus;

use crate::kit::Run;

/// A definition written in YAML, without its first lines.
fn yaml(body: &str) -> WorkflowDefinition {
    let text = format!("schema: stepcell/v1\nname: test\nversion: 1.0.0\n{body}");
    WorkflowDefinition::from_text(&text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A group `g` and a step `after` that is given its result.
fn with_group(group: &str) -> WorkflowDefinition {
    yaml(&format!(
        "initial_step: g\nsteps:\n  g: {group}\n  after: {{ type: machine, component: a@1 }}\nedges:\n  - {{ source: g, \
         target: after }}\n"
    ))
}

const A: &str = "a: { type: machine, component: a@1, retry: { max_attempts: 1 } }";
const B: &str = "b: { type: machine, component: a@1, retry: { max_attempts: 1 } }";
const C: &str = "c: { type: machine, component: a@1, retry: { max_attempts: 1 } }";

fn came_to_after(run: &Run) -> Value {
    run.previous("after").unwrap_or(Value::Null)
}

#[test]
fn a_sequential_group_passes_each_result_to_the_next_and_returns_the_last() {
    let mut run = Run::with(with_group(&format!("{{ type: sequential, steps: {{ {A}, {B} }} }}")), json!({"n": 1}));

    assert_eq!(run.shown(), ["g running", "g/a scheduled"]);
    assert_eq!(run.previous("g/a"), Some(json!({"n": 1})));
    run.returns("g/a", json!("from a"));
    assert_eq!(run.previous("g/b"), Some(json!("from a")));
    run.returns("g/b", json!("from b"));

    assert_eq!(came_to_after(&run), json!("from b"));
    run.run(&["after"]);
    assert_eq!(run.path(), ["g/a succeeded", "g/b succeeded", "g succeeded", "after succeeded"]);
    assert_eq!(run.status(), WorkflowStatus::Completed);
}

#[test]
fn a_parallel_group_returns_results_in_declared_order() {
    let mut run = Run::of(with_group(&format!("{{ type: parallel, steps: {{ {A}, {B}, {C} }} }}")));

    run.run(&["g/c", "g/a", "g/b"]);

    assert_eq!(came_to_after(&run), json!(["g/a", "g/b", "g/c"]));
}

#[test]
fn a_callback_is_given_all_results_and_its_result_is_the_groups() {
    let callback = "{ type: machine, component: a@1 }";
    let mut run = Run::of(with_group(&format!("{{ type: parallel, steps: {{ {A}, {B} }}, callback: {callback} }}")));

    run.run(&["g/b", "g/a"]);
    assert_eq!(run.previous("g/callback"), Some(json!(["g/a", "g/b"])));
    run.returns("g/callback", json!("both"));

    assert_eq!(came_to_after(&run), json!("both"));
}

#[test]
fn in_a_race_the_first_result_wins_and_the_rest_are_canceled() {
    let mut run = Run::of(with_group(&format!("{{ type: parallel, complete_when: any, steps: {{ {A}, {B}, {C} }} }}")));

    run.run(&["g/b"]);

    assert_eq!(came_to_after(&run), json!("g/b"));
    assert_eq!(run.path(), ["g/b succeeded", "g/a canceled", "g/c canceled", "g succeeded"]);
}

#[test]
fn a_quorum_is_met_whoever_of_the_members_succeeds() {
    let mut run = Run::of(with_group(&format!("{{ type: parallel, complete_when: 2, steps: {{ {A}, {B}, {C} }} }}")));

    run.fails("g/a");
    run.run(&["g/c"]);
    assert_eq!(run.shown(), ["g running", "g/b scheduled"]);
    run.run(&["g/b"]);

    assert_eq!(came_to_after(&run), json!([null, "g/b", "g/c"]));
}

#[test]
fn a_group_fails_once_too_few_members_can_still_succeed_and_names_the_one() {
    let mut run = Run::of(with_group(&format!("{{ type: parallel, steps: {{ {A}, {B} }} }}")));

    run.fails("g/b");

    assert_eq!(run.status(), WorkflowStatus::Failed);
    assert_eq!(run.path(), ["g/b failed", "g/a canceled", "g failed"]);
    let error = run.instance.state.error.clone().unwrap();
    assert_eq!((error.message.as_str(), error.code.as_str()), ("its part `g/b` failed: it broke", "broken"));
    assert_eq!(run.instance.state.current_step.as_ref().unwrap().as_str(), "g");
}

#[test]
fn members_that_are_waited_for_end_before_their_group_fails() {
    let mut run = Run::of(with_group(&format!("{{ type: parallel, on_member_failure: wait, steps: {{ {A}, {B} }} }}")));

    run.fails("g/b");
    assert_eq!(run.shown(), ["g running", "g/a scheduled"]);
    run.run(&["g/a"]);

    assert_eq!(run.path(), ["g/b failed", "g/a succeeded", "g failed"]);
    assert_eq!(run.status(), WorkflowStatus::Failed);
}

#[test]
fn never_more_members_run_at_once_than_the_group_allows() {
    let mut run = Run::of(with_group(&format!("{{ type: parallel, max_concurrency: 2, steps: {{ {A}, {B}, {C} }} }}")));

    assert_eq!(run.shown(), ["g running", "g/a scheduled", "g/b scheduled"]);
    run.run(&["g/b"]);
    assert_eq!(run.shown(), ["g running", "g/a scheduled", "g/c scheduled"]);
}

#[test]
fn groups_nest_and_what_came_flows_into_the_inner_ones() {
    let inner = format!("inner: {{ type: sequential, steps: {{ {A}, {B} }} }}");
    let mut run = Run::with(with_group(&format!("{{ type: parallel, steps: {{ {inner}, {C} }} }}")), json!({"n": 1}));

    assert_eq!(run.previous("g/inner/a"), Some(json!({"n": 1})));
    run.run(&["g/c", "g/inner/a", "g/inner/b"]);

    assert_eq!(came_to_after(&run), json!(["g/inner/b", "g/c"]));
}

#[test]
fn canceling_a_group_cancels_the_groups_in_it() {
    let inner = format!("inner: {{ type: sequential, steps: {{ {A}, {B} }} }}");
    let mut run = Run::of(with_group(&format!("{{ type: parallel, steps: {{ {inner}, {C} }} }}")));

    run.fails("g/c");

    assert_eq!(run.path(), ["g/c failed", "g/inner/a canceled", "g/inner canceled", "g failed"]);
}

#[test]
fn an_empty_group_is_a_no_op() {
    let run = Run::with(with_group("{ type: sequential, steps: {} }"), json!({"n": 1}));
    assert_eq!(came_to_after(&run), json!({"n": 1}));

    let run = Run::of(with_group("{ type: parallel, steps: {} }"));
    assert_eq!(came_to_after(&run), json!([]));
}

#[test]
fn the_callback_of_an_empty_group_is_given_no_results_and_not_the_initial_data() {
    let group = "{ type: parallel, steps: {}, callback: { type: sequential, steps: {} } }";
    let run = Run::with(with_group(group), json!({"n": 1}));

    assert_eq!(came_to_after(&run), json!([]));
}

#[test]
fn a_conditional_group_picks_by_key_and_an_unknown_key_yields_nothing_or_the_default() {
    let group = format!("{{ type: conditional, key: kind, steps: {{ {A}, {B} }} }}");
    let mut run = Run::with(with_group(&group), json!({"kind": "b"}));
    run.run(&["g/b"]);
    assert_eq!(came_to_after(&run), json!("g/b"));

    let run = Run::with(with_group(&group), json!({"kind": "x"}));
    assert_eq!(came_to_after(&run), Value::Null);

    let group = format!("{{ type: conditional, key: kind, default: a, steps: {{ {A}, {B} }} }}");
    let run = Run::with(with_group(&group), json!({"kind": "x"}));
    assert_eq!(run.shown(), ["g running", "g/a scheduled"]);
}

#[test]
fn a_conditional_group_fails_with_the_member_that_it_picked() {
    let group = format!("{{ type: conditional, key: kind, steps: {{ {A}, {B} }} }}");
    for member in ["a", "b"] {
        let mut run = Run::with(with_group(&group), json!({"kind": member}));
        run.fails(&format!("g/{member}"));
        assert_eq!(run.path(), [format!("g/{member} failed"), "g failed".to_owned()]);
    }
}

#[test]
fn an_item_that_is_canceled_with_its_instance_is_recorded_before_the_whole() {
    let each = "{ type: human, for_each: items, title: 'Ask {item.name}', assignee_key: item.name }";
    let mut run = Run::with(with_group(each), json!({"items": [{"name": "ada"}, {"name": "bob"}]}));
    let titles: Vec<_> = run.instance.tasks.values().map(|task| task.title.clone()).collect();
    assert_eq!(titles, ["Ask ada", "Ask bob"]);
    assert_eq!(run.instance.tasks.values().next().unwrap().assignee.as_ref().unwrap().as_str(), "ada");

    run.cancel("enough");

    assert_eq!(run.path(), ["g/item canceled", "g/item canceled", "g canceled"]);
    assert_eq!(run.records.values().filter_map(|record| record.item).collect::<Vec<_>>(), [0, 1]);
    assert!(run.records.values().next().unwrap().input.is_some(), "what the whole was given stays");
}

#[test]
fn a_step_runs_once_for_each_item_with_results_in_order() {
    let each = "{ type: machine, component: a@1, for_each: items, max_concurrency: 2 }";
    let mut run = Run::with(with_group(each), json!({"items": ["x", {"y": 1}, 3]}));

    assert_eq!(run.shown(), ["g running", "g/item scheduled", "g/item scheduled"]);
    assert_eq!(run.previous("g/item"), Some(json!("x")));
    run.returns("g/item", json!("first"));
    assert_eq!(run.previous("g/item"), Some(json!({"y": 1})));
    run.returns("g/item", json!("second"));
    run.returns("g/item", json!("third"));

    assert_eq!(came_to_after(&run), json!(["first", "second", "third"]));
    assert_eq!(run.records.values().filter_map(|record| record.item).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn a_group_runs_for_each_item_too() {
    let each = format!("{{ type: sequential, for_each: items, steps: {{ {A}, {B} }} }}");
    let mut run = Run::with(with_group(&each), json!({"items": [1, 2]}));

    run.run(&["g/item/a", "g/item/b", "g/item/a", "g/item/b"]);

    assert_eq!(came_to_after(&run), json!(["g/item/b", "g/item/b"]));
}

#[test]
fn more_executions_at_once_than_an_instance_may_have_fail_it_and_say_what_to_do() {
    let inner = "x: { type: machine, component: a@1, for_each: items }";
    let each = format!("{{ type: sequential, for_each: items, steps: {{ {inner} }} }}");
    let definition = WorkflowDefinition { limits: WorkflowLimits { iterations: 100_000 }, ..with_group(&each) };

    let run = Run::with(definition, json!({"items": vec![0; 60]}));

    assert_eq!(run.status(), WorkflowStatus::Failed);
    let error = run.instance.state.error.clone().unwrap();
    assert!(error.message.starts_with("2000 step executions are active at once"), "{}", error.message);
}

#[test]
fn no_items_are_no_results() {
    let run = Run::with(with_group("{ type: machine, component: a@1, for_each: items }"), json!({"items": []}));

    assert_eq!(came_to_after(&run), json!([]));
}

#[test]
fn what_is_no_list_of_items_fails_the_step_and_says_so() {
    for (data, told) in [
        (json!({}), "`g` runs for each item of a list, and the context key `items` has no value"),
        (json!({"items": 5}), "`g` runs for each item of a list, and the context key `items` holds no list"),
        (
            json!({"items": vec![0; 1_001]}),
            "`g` runs for each item of a list, and the context key `items` holds 1001 items; at most 1000",
        ),
    ] {
        let run = Run::with(with_group("{ type: machine, component: a@1, for_each: items }"), data);

        assert_eq!(run.status(), WorkflowStatus::Failed);
        let error = run.instance.state.error.clone().unwrap();
        assert_eq!((error.message.as_str(), error.code.as_str()), (told, "engine.input"));
    }
}

#[test]
fn parallel_human_members_have_one_task_each_and_a_quorum_ends_the_group() {
    let group =
        "{ type: parallel, complete_when: 2, steps: { x: { type: human }, y: { type: human }, z: { type: human } } }";
    let mut run = Run::of(with_group(group));
    assert_eq!(run.status(), WorkflowStatus::Waiting);
    assert_eq!(run.instance.tasks.len(), 3);

    run.completes("g/z", json!({"z": 1})).unwrap();
    run.completes("g/x", json!({"x": 1})).unwrap();

    assert_eq!(came_to_after(&run), json!([{"x": 1}, null, {"z": 1}]));
    assert!(run.instance.tasks.is_empty());
}
