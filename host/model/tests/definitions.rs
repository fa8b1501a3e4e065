//! The cases of definitions and their validation: what is wrong is said at once, with its place.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use serde_json::json;
use stepcell_model::definition::{
    DESCRIPTION_LEN_BYTES_MAX, GatewayMode, Outcome, VERSION_LEN_BYTES_MAX, WorkflowDefinition,
};
use stepcell_model::id::DefinitionId;
use stepcell_model::plan::Plan;
use stepcell_model::problem::Problems;
use uuid::Uuid;

fn read(body: &str) -> Result<WorkflowDefinition, Problems> {
    WorkflowDefinition::from_text(&format!("schema: stepcell/v1\nname: test\nversion: 1.0.0\n{body}"))
}

/// The problems of a definition, one a line, with their places.
fn problems_of(body: &str) -> Vec<String> {
    let problems = read(body).expect_err("something is wrong with it");
    problems.as_slice().iter().map(ToString::to_string).collect()
}

const A_B_C: &str = "
steps:
  a: { type: machine, component: a@1 }
  b: { type: machine, component: b@1 }
  c: { type: machine, component: c@1 }
";

/// Case 1.
#[test]
fn a_linear_definition_has_no_problems() {
    let body = format!(
        "initial_step: a\nterminal_steps: [c]\n{A_B_C}edges:\n  - {{ source: a, target: b }}\n  - {{ source: b, target: c }}\n"
    );

    let definition = read(&body).unwrap();

    assert!(definition.validate().is_empty());
}

/// Case 2.
#[test]
fn an_initial_step_that_is_no_step_is_named_with_its_place() {
    let body =
        format!("initial_step: first\n{A_B_C}edges:\n  - {{ source: a, target: b }}\n  - {{ source: b, target: c }}\n");

    let problems = problems_of(&body);

    assert_eq!(problems, ["line 4, column 15: initial_step: `first` is not a step; the steps are a, b, c"]);
}

/// Case 3.
#[test]
fn a_terminal_step_that_is_no_step_is_named_with_its_place() {
    let body = format!(
        "initial_step: a\nterminal_steps: [c, last]\n{A_B_C}edges:\n  - {{ source: a, target: b }}\n  - {{ source: b, target: c }}\n"
    );

    let problems = problems_of(&body);

    assert_eq!(problems, ["line 5, column 21: terminal_steps[1]: `last` is not a step; the steps are a, b, c"]);
}

/// Case 4.
#[test]
fn an_edge_to_a_step_that_is_missing_is_told_by_its_index_and_the_name() {
    let body =
        format!("initial_step: a\n{A_B_C}edges:\n  - {{ source: a, target: b }}\n  - {{ source: b, target: d }}\n");

    let problems = problems_of(&body);

    assert_eq!(
        problems,
        [
            "line 9, column 6: steps.c: `c` is unreachable: no way leads to it from `a`",
            "line 12, column 26: edges[1].target: edge 1: `d` is not a step; the steps are a, b, c",
        ]
    );
}

#[test]
fn an_edge_from_a_step_that_is_missing_is_told_by_its_index_and_the_name() {
    let body = format!(
        "initial_step: a\n{A_B_C}edges:\n  - {{ source: z, target: b }}\n  - {{ source: a, target: b }}\n  - {{ source: b, target: c }}\n"
    );

    let problems = problems_of(&body);

    assert!(problems[0].contains("edges[0].source: edge 0: `z` is not a step"), "{problems:?}");
}

/// Case 6.
#[test]
fn a_step_that_no_edge_reaches_is_called_unreachable() {
    let body = format!("initial_step: a\n{A_B_C}edges:\n  - {{ source: a, target: b }}\n");

    let problems = problems_of(&body);

    assert_eq!(problems, ["line 9, column 6: steps.c: `c` is unreachable: no way leads to it from `a`"]);
}

/// Case 8.
#[test]
fn a_step_without_a_way_out_that_is_not_terminal_is_reported() {
    let body = format!(
        "initial_step: a\nterminal_steps: [c]\n{A_B_C}edges:\n  - {{ source: a, target: b }}\n  - {{ source: a, target: c }}\n"
    );

    let problems = problems_of(&body);

    assert_eq!(problems.len(), 1);
    assert!(problems[0].ends_with("steps.b: `b` has no way out; add an edge from it, or name it in terminal_steps"));
}

#[test]
fn a_step_whose_only_edge_is_for_failures_needs_to_be_terminal() {
    let build = |terminal: &[&str]| {
        let builder = WorkflowDefinition::builder("test", "1.0.0").machine("a", "a@1").machine("b", "b@1").edge_with(
            "a",
            "b",
            |edge| edge.on(Outcome::Failure),
        );
        terminal.iter().fold(builder, |builder, step| builder.terminal(step)).build()
    };

    let without = build(&["b"]);

    assert!(without.unwrap_err().to_string().contains("`a` has no way out"));
    assert!(build(&["a", "b"]).is_ok());
    assert!(build(&[]).is_ok(), "without names, every step without a way onward is terminal");
}

/// Case 10.
#[test]
fn a_condition_that_does_not_compile_is_refused_naming_its_edge() {
    let body = format!(
        "initial_step: a\n{A_B_C}edges:\n  - {{ source: a, target: b }}\n  - {{ source: b, target: c, condition: \"context.get('x') >=\" }}\n"
    );

    let problems = problems_of(&body);

    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("edges[1].condition: edge 1 from `b` to `c`:"), "{problems:?}");
}

#[test]
fn what_lists_show_of_a_definition_is_bounded() {
    let of = |version: String, description: String| {
        let definition = WorkflowDefinition::builder("w", &version).human("h", |_| {}).build().unwrap();
        WorkflowDefinition { description: Some(description), ..definition }.validate()
    };
    let with_len = |len: usize| format!("1.0.0-{}", "x".repeat(len - 6));

    assert!(of(with_len(VERSION_LEN_BYTES_MAX), "x".repeat(DESCRIPTION_LEN_BYTES_MAX)).is_empty());
    let refused = of("1.0.0".to_owned(), "x".repeat(DESCRIPTION_LEN_BYTES_MAX + 1)).to_string();
    assert_eq!(refused, "description: has 16385 bytes; at most 16384");
    let long = WorkflowDefinition::builder("w", &with_len(VERSION_LEN_BYTES_MAX + 1)).human("h", |_| {}).build();
    assert_eq!(long.unwrap_err().to_string(), "version: has 129 bytes; at most 128");
}

#[test]
fn what_was_registered_before_its_description_was_bounded_runs_on() {
    let definition = WorkflowDefinition::builder("w", "1.0.0").human("h", |_| {}).build().unwrap();
    let stored = WorkflowDefinition { description: Some("x".repeat(DESCRIPTION_LEN_BYTES_MAX + 1)), ..definition };
    assert!(!stored.validate().is_empty(), "it can not be registered any more");

    let plan = Plan::new(DefinitionId::from_uuid(Uuid::from_u128(1)), stored, &BTreeMap::new());

    assert!(plan.is_ok(), "{plan:?}");
}

/// Case 9.
#[test]
fn every_problem_is_told_at_once_in_the_order_of_the_document() {
    let problems = problems_of(
        "initial_step: nowhere
terminal_steps: [c, gone]
limits: { iterations: 0 }
input_schema: { type: strange }
steps:
  a: { type: machine, component: a@1, input: 'context.get(', retry: { max_attempts: 0, backoff: 0.5 }, timeout: 0s }
  b: { type: human, form_schema: { type: 7 }, assignee: ada, assignee_key: manager, due_in: 1h, reminder_in: 2h }
  c: { type: machine, component: c@1, limits: { memory: 1GiB, cpu: 1h } }
edges:
  - { source: a, target: b, condition: '1 +', outcome: failure }
  - { source: a, target: c, default: true, condition: 'true' }
  - { source: a, target: b, default: true }
  - { source: b, target: d }
",
    );

    let expected = [
        "initial_step: `nowhere`",
        "terminal_steps[1]: `gone`",
        "limits.iterations: must be from 1 to 100000",
        "input_schema:",
        "steps.a.input:",
        "steps.a.retry.max_attempts: must be from 1 to 100",
        "steps.a.retry.backoff: must be a number from 1 to 1000",
        "steps.a.timeout: must be at least 1ms",
        "steps.b.form_schema:",
        "steps.b.assignee_key: give either",
        "steps.b.reminder_in: the reminder would come after",
        "steps.c.limits.memory: must be from 64KiB to 512MiB",
        "steps.c.limits.cpu: must be from 1ms to",
        "edges[0].condition: edge 0",
        "edges[1].default: a default edge has no condition",
        "edges[2].default: `a` has more than one default edge",
        "edges[3].target: edge 3: `d`",
    ];
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.contains(expected), "{problem} is not {expected}");
    }
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
}

/// Case 23.
#[test]
fn a_step_that_is_initial_and_terminal_without_edges_is_a_workflow() {
    let named = WorkflowDefinition::builder("test", "1.0.0").machine("only", "a@1").terminal("only").build().unwrap();
    let unnamed = WorkflowDefinition::builder("test", "1.0.0").machine("only", "a@1").build().unwrap();

    for definition in [named, unnamed] {
        assert!(definition.is_terminal(&definition.initial_step));
    }
}

#[test]
fn a_workflow_without_steps_is_none() {
    let problems = WorkflowDefinition::builder("test", "1.0.0").build().unwrap_err().to_string();

    assert!(problems.contains("steps: a workflow needs at least one step"), "{problems}");
}

#[test]
fn a_definition_that_is_written_as_json_is_read_as_it_was() {
    let definition = WorkflowDefinition::builder("test", "1.2.3-rc.1")
        .machine_with("a", "acme/a@1", |a| {
            a.input = Some("{'x': context.get('x')}".into());
            a.timeout = Some("5s".parse().unwrap());
        })
        .gateway("way", GatewayMode::Inclusive)
        .human("look", |task| task.form_schema = Some(json!({"type": "object"}).into()))
        .machine("end", "acme/b@1.0.3")
        .edge("a", "way")
        .edge_with("a", "end", |edge| edge.on(Outcome::Timeout))
        .edge_when("way", "look", "context.get('x') > 1")
        .edge_with("way", "end", stepcell_model::definition::Edge::by_default)
        .edge("look", "end")
        .iterations(7)
        .input_schema(json!({"type": "object"}))
        .build()
        .unwrap();

    let again = WorkflowDefinition::from_text(definition.to_json().text()).unwrap();

    assert_eq!(again, definition);
}

#[test]
fn a_field_that_is_unknown_is_refused_with_what_was_meant() {
    let problems = problems_of("initial_step: a\nsteps:\n  a: { type: machine, componnet: a@1 }\n");

    assert!(
        problems.iter().any(|problem| problem.contains("componnet") && problem.contains("component")),
        "{problems:?}"
    );
}

#[test]
fn a_loop_of_gateways_alone_is_refused_and_one_with_a_step_in_it_is_not() {
    let definition = |through: &str| {
        format!(
            "schema: stepcell/v1
name: loop
version: 1.0.0
initial_step: a
steps:
  a: {{ type: gateway, mode: exclusive }}
  b: {{ {through} }}
  end: {{ type: human }}
edges:
  - {{ source: a, target: b, condition: \"context.get('n') == 1\" }}
  - {{ source: a, target: end, default: true }}
  - {{ source: b, target: a }}
"
        )
    };

    let refused = WorkflowDefinition::from_text(&definition("type: gateway, mode: exclusive")).unwrap_err();

    insta::assert_snapshot!(refused, @"line 6, column 6: steps.a: `a` leads into a loop of gateways alone; put a step into the loop that does something");
    assert!(WorkflowDefinition::from_text(&definition("type: human")).is_ok());
}
