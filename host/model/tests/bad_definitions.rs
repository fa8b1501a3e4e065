//! What is wrong with each construct of a definition, told with its place.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use stepcell_model::definition::WorkflowDefinition;

/// The problems of a definition, one a line. Its own text begins at line 4.
fn problems_of(body: &str) -> String {
    let text = format!("schema: stepcell/v1\nname: test\nversion: 1.0.0\n{body}");
    match WorkflowDefinition::from_text(&text) {
        Ok(_) => "nothing".to_owned(),
        Err(problems) => problems.as_slice().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

/// The problems of a workflow of one step `s`, which is written on line 6 from column 6 on.
fn problems_of_step(step: &str) -> String {
    problems_of(&format!("initial_step: s\nsteps:\n  s: {step}\n"))
}

/// Holds what is told of steps `s` against what is expected, all of which stands on line 6.
#[track_caller]
fn hold(expected: &[(&str, &[&str])]) {
    for (step, problems) in expected {
        let problems: Vec<_> = problems.iter().map(|problem| format!("line 6, column {problem}")).collect();
        assert_eq!(problems_of_step(step), problems.join("\n"), "{step}");
    }
}

#[test]
fn a_gateway_has_either_a_mode_or_a_component() {
    hold(&[
        (
            "{ type: gateway }",
            &["6: steps.s: a gateway has a `mode` (exclusive, inclusive, parallel) or a `component` that decides"],
        ),
        (
            "{ type: gateway, mode: exclusive, component: a@1 }",
            &["29: steps.s.mode: give either a mode or a component that decides, not both"],
        ),
        (
            "{ type: gateway, mode: exclusive, config: { x: 1 } }",
            &[
                "6: steps.s: config, input, retry, timeout, limits and grants are for a component, and this gateway has a mode",
            ],
        ),
        (
            "{ type: gateway, mode: sometimes }",
            &["29: steps.s.mode: `sometimes` is not known here; this takes exclusive, inclusive, parallel"],
        ),
        (
            "{ type: gateway, component: a }",
            &[
                "34: steps.s.component: `a` names no component: it has no version; write `name@1.0.3`, `name@1`, `sha256:<hex>`, `./file.wasm` or `host:name`",
            ],
        ),
    ]);
}

#[test]
fn a_quorum_is_a_number_of_members_that_there_are() {
    hold(&[
        (
            "{ type: parallel, complete_when: -1, steps: { a: { type: human } } }",
            &["39: steps.s.complete_when: -1 members can not succeed; it is `all`, `any`, or a number from 1"],
        ),
        (
            "{ type: parallel, complete_when: 0, steps: { a: { type: human } } }",
            &["39: steps.s.complete_when: 0 members can not succeed; it is `all`, `any`, or a number from 1"],
        ),
        (
            "{ type: parallel, complete_when: 3, steps: { a: { type: human }, b: { type: human } } }",
            &["39: steps.s.complete_when: 3 members can not succeed: the group has 2"],
        ),
        (
            "{ type: parallel, complete_when: most, steps: { a: { type: human } } }",
            &["39: steps.s.complete_when: `most` is none of `all`, `any`, or a number of members from 1"],
        ),
        (
            "{ type: parallel, complete_when: 1.5, steps: { a: { type: human } } }",
            &["39: steps.s.complete_when: expected `all`, `any`, or a number of members from 1, found the number 1.5"],
        ),
        (
            "{ type: parallel, complete_when: [1], steps: { a: { type: human } } }",
            &["39: steps.s.complete_when: expected `all`, `any`, or a number of members from 1, found a list"],
        ),
        (
            "{ type: parallel, complete_when: 5000000000, steps: { a: { type: human } } }",
            &["39: steps.s.complete_when: 5000000000 members can not succeed; it is `all`, `any`, or a number from 1"],
        ),
    ]);
}

#[test]
fn a_race_needs_somebody_to_run() {
    hold(&[(
        "{ type: parallel, complete_when: any, steps: {} }",
        &["39: steps.s.complete_when: none can come first in a group without members"],
    )]);
}

#[test]
fn a_parallel_group_says_what_it_takes() {
    hold(&[
        (
            "{ type: parallel, max_concurrency: 0, steps: { a: { type: human } } }",
            &["41: steps.s.max_concurrency: must be at least 1"],
        ),
        (
            "{ type: parallel, on_member_failure: ignore, steps: { a: { type: human } } }",
            &["43: steps.s.on_member_failure: `ignore` is not known here; this takes cancel, wait"],
        ),
        (
            "{ type: parallel, for_each: items, steps: { a: { type: human } } }",
            &[
                "34: steps.s.for_each: unknown field `for_each`; this takes steps, callback, on_member_failure, complete_when, max_concurrency, description, compensate, join, terminate",
            ],
        ),
        (
            "{ type: parallel, callback: { type: gateway, mode: exclusive }, steps: { a: { type: human } } }",
            &[
                "34: steps.s.callback: a gateway chooses between edges, and a group has none inside; use a conditional group",
            ],
        ),
        (
            "{ type: parallel, callback: { type: machine }, steps: { a: { type: human } } }",
            &["34: steps.s.callback.component: this is required and is missing"],
        ),
        (
            "{ type: parallel, callback: 5, steps: { a: { type: human } } }",
            &[
                "34: steps.s.callback: a step is a mapping with a `type`: machine, human, gateway, timer, webhook, signal, sequential, parallel, conditional, workflow",
            ],
        ),
    ]);
}

#[test]
fn a_conditional_group_has_a_key_and_its_default_is_a_member() {
    hold(&[
        (
            "{ type: conditional, key: k, default: c, steps: { a: { type: human }, cc: { type: human } } }",
            &["44: steps.s.default: `c` is no member of the group; did you mean `cc`?"],
        ),
        ("{ type: conditional, steps: { a: { type: human } } }", &["6: steps.s.key: this is required and is missing"]),
    ]);
}

#[test]
fn a_member_has_a_name_that_the_engine_does_not_use_itself() {
    hold(&[
        (
            "{ type: sequential, steps: { item: { type: human } } }",
            &["41: steps.s.steps.item: `item` can not name a member: the engine shows its own parts so"],
        ),
        (
            "{ type: sequential, steps: { callback: { type: human } } }",
            &["45: steps.s.steps.callback: `callback` can not name a member: the engine shows its own parts so"],
        ),
        (
            "{ type: sequential, steps: { compensate: { type: human } } }",
            &["47: steps.s.steps.compensate: `compensate` can not name a member: the engine shows its own parts so"],
        ),
        (
            "{ type: sequential, steps: { a/b: { type: human } } }",
            &["40: steps.s.steps.a/b: `a/b` can not name a member: the engine shows its own parts so"],
        ),
        (
            "{ type: sequential, steps: { 'a b': { type: human } } }",
            &[
                "42: steps.s.steps.a b: `a b` can not be a step's name: it begins with a letter or `_`, goes on with letters, digits, `_` or `-`, and has at most 64 characters",
            ],
        ),
    ]);
}

#[test]
fn a_member_is_no_gateway_and_neither_joins_nor_terminates() {
    hold(&[
        (
            "{ type: sequential, steps: { way: { type: gateway, mode: exclusive } } }",
            &[
                "40: steps.s.steps.way: a gateway chooses between edges, and a group has none inside; use a conditional group",
            ],
        ),
        (
            "{ type: sequential, steps: { a: { type: human, join: any } } }",
            &["59: steps.s.steps.a.join: no edges lead to a member of a group, so it joins nothing"],
        ),
        (
            "{ type: sequential, steps: { a: { type: human, terminate: true } } }",
            &["64: steps.s.steps.a.terminate: only a step of the graph can end all branches; set it on the group"],
        ),
    ]);
}

#[test]
fn a_group_names_its_members() {
    hold(&[
        (
            "{ type: parallel }",
            &["6: steps.s: `steps` is missing: the members of the group; `steps: {}` if it has none"],
        ),
        (
            "{ type: sequential }",
            &["6: steps.s: `steps` is missing: the members of the group; `steps: {}` if it has none"],
        ),
        (
            "{ type: conditional, key: k }",
            &["6: steps.s: `steps` is missing: the members of the group; `steps: {}` if it has none"],
        ),
        (
            "{ type: parallel, complete_when: any }",
            &["6: steps.s: `steps` is missing: the members of the group; `steps: {}` if it has none"],
        ),
        ("{ type: sequential, steps: [a, b] }", &["33: steps.s.steps: steps are a mapping from name to step"]),
        (
            "{ type: sequential, steps: { a: 5 } }",
            &[
                "38: steps.s.steps.a: a step is a mapping with a `type`: machine, human, gateway, timer, webhook, signal, sequential, parallel, conditional, workflow",
            ],
        ),
    ]);
}

#[test]
fn a_member_that_is_wrong_is_told_where_it_stands() {
    hold(&[
        (
            "{ type: sequential, steps: { a: { type: machine, component: a@1, timeout: 0s } } }",
            &["80: steps.s.steps.a.timeout: must be at least 1ms"],
        ),
        (
            "{ type: sequential, steps: { a: { type: machine, componnet: a@1 } } }",
            &[
                "38: steps.s.steps.a.component: this is required and is missing",
                "66: steps.s.steps.a.componnet: unknown field `componnet`; this takes component, description, config, input, retry, timeout, limits, grants, for_each, max_concurrency, compensate, join, terminate; did you mean `component`?",
            ],
        ),
        (
            "{ type: parallel, steps: { a: { type: parallel, steps: { b: { type: timer } } } } }",
            &["66: steps.s.steps.a.steps.b: a timer has exactly one of `duration`, `until` and `duration_key`"],
        ),
        (
            "{ type: parallel, complete_when: 2, steps: { a: { type: human }, 'a b': { type: human } } }",
            &[
                "78: steps.s.steps.a b: `a b` can not be a step's name: it begins with a letter or `_`, goes on with letters, digits, `_` or `-`, and has at most 64 characters",
            ],
        ),
    ]);
}

#[test]
fn how_many_run_at_once_belongs_to_a_list_and_is_at_least_one() {
    hold(&[
        (
            "{ type: machine, component: a@1, max_concurrency: 2 }",
            &[
                "56: steps.s.max_concurrency: says how many items of a `for_each` run at once; name the list with `for_each`, or leave it out",
            ],
        ),
        (
            "{ type: machine, component: a@1, for_each: items, max_concurrency: 0 }",
            &["73: steps.s.max_concurrency: must be at least 1"],
        ),
        (
            "{ type: human, max_concurrency: 0 }",
            &[
                "38: steps.s.max_concurrency: says how many items of a `for_each` run at once; name the list with `for_each`, or leave it out",
            ],
        ),
        (
            "{ type: workflow, workflow: w, for_each: '', max_concurrency: 1 }",
            &[
                "47: steps.s.for_each: `` can not be a context key: it has 1 to 256 bytes, no control characters, and does not begin with `engine.`",
            ],
        ),
        (
            "{ type: sequential, steps: {}, for_each: k, max_concurrency: -1 }",
            &["67: steps.s.max_concurrency: expected a whole number from 0, found the number -1"],
        ),
    ]);
}

#[test]
fn a_compensation_is_a_component() {
    hold(&[
        (
            "{ type: machine, component: a@1, compensate: undo }",
            &[
                "51: steps.s.compensate: `undo` names no component: it has no version; write `name@1.0.3`, `name@1`, `sha256:<hex>`, `./file.wasm` or `host:name`",
            ],
        ),
        (
            "{ type: timer, duration: 5s, compensate: undo@1 }",
            &[
                "47: steps.s.compensate: unknown field `compensate`; this takes duration, until, duration_key, description, join, terminate",
            ],
        ),
    ]);
}

#[test]
fn a_timer_has_exactly_one_time() {
    hold(&[
        ("{ type: timer }", &["6: steps.s: a timer has exactly one of `duration`, `until` and `duration_key`"]),
        (
            "{ type: timer, duration: 5s, until: '2027-01-01T00:00:00Z' }",
            &["6: steps.s: a timer has exactly one of `duration`, `until` and `duration_key`"],
        ),
        (
            "{ type: timer, duration: 5s, duration_key: k, until: '2027-01-01T00:00:00Z' }",
            &["6: steps.s: a timer has exactly one of `duration`, `until` and `duration_key`"],
        ),
        (
            "{ type: timer, until: tomorrow }",
            &[
                "28: steps.s.until: `tomorrow` is no RFC 3339 time such as `2026-12-24T18:00:00Z`: premature end of input",
            ],
        ),
        (
            "{ type: timer, until: '2027-13-01T00:00:00Z' }",
            &[
                "28: steps.s.until: `2027-13-01T00:00:00Z` is no RFC 3339 time such as `2026-12-24T18:00:00Z`: input is out of range",
            ],
        ),
        ("{ type: timer, until: 5 }", &["28: steps.s.until: expected a string, found the number 5"]),
        (
            "{ type: timer, duration: 5 parsecs }",
            &[
                "31: steps.s.duration: `5 parsecs` is no duration; write `500ms`, `5s`, `10m`, `2h`, `2d`, or ISO 8601 as in `PT1H30M`, up to 100 years",
            ],
        ),
        (
            "{ type: timer, duration: -5s }",
            &[
                "31: steps.s.duration: `-5s` is no duration; write `500ms`, `5s`, `10m`, `2h`, `2d`, or ISO 8601 as in `PT1H30M`, up to 100 years",
            ],
        ),
        ("{ type: timer, duration_key: 5 }", &["35: steps.s.duration_key: expected a string, found the number 5"]),
    ]);
}

#[test]
fn a_time_out_has_a_length() {
    hold(&[
        ("{ type: human, timeout: 0s }", &["30: steps.s.timeout: must be at least 1ms"]),
        ("{ type: webhook, timeout: 0s }", &["32: steps.s.timeout: must be at least 1ms"]),
        ("{ type: signal, timeout: 0ms }", &["31: steps.s.timeout: must be at least 1ms"]),
        (
            "{ type: signal, timeout: 100us }",
            &[
                "31: steps.s.timeout: `100us` is no duration; write `500ms`, `5s`, `10m`, `2h`, `2d`, or ISO 8601 as in `PT1H30M`, up to 100 years",
            ],
        ),
        ("{ type: workflow, workflow: child, timeout: 0s }", &["50: steps.s.timeout: must be at least 1ms"]),
    ]);
}

#[test]
fn what_waits_for_a_message_names_it_well() {
    hold(&[
        (
            "{ type: webhook, callback_key: '' }",
            &[
                "37: steps.s.callback_key: `` can not be a context key: it has 1 to 256 bytes, no control characters, and does not begin with `engine.`",
            ],
        ),
        ("{ type: webhook, signed: maybe }", &["31: steps.s.signed: expected true or false, found a string"]),
        (
            "{ type: signal, signal: 'a b' }",
            &[
                "30: steps.s.signal: `a b` can not be a signal's name: it begins with a letter or `_`, goes on with letters, digits, `_` or `-`, and has at most 64 characters",
            ],
        ),
        (
            "{ type: signal, payload_key: engine.x }",
            &[
                "35: steps.s.payload_key: `engine.x` can not be a context key: it has 1 to 256 bytes, no control characters, and does not begin with `engine.`",
            ],
        ),
    ]);
}

#[test]
fn a_workflow_as_a_step_names_one_and_a_version_of_it() {
    hold(&[
        ("{ type: workflow }", &["6: steps.s.workflow: this is required and is missing"]),
        (
            "{ type: workflow, workflow: 'a b' }",
            &[
                "34: steps.s.workflow: `a b` can not be a workflow's name: it is letters, digits, `_`, `-`, with `/` or `.` between parts, begins with a letter, and has at most 64 characters",
            ],
        ),
        (
            "{ type: workflow, workflow: child, version: latest }",
            &["50: steps.s.version: `latest` is no version; write `1.0.3`, or its beginning as in `1`"],
        ),
        (
            "{ type: workflow, workflow: child, version: '1.2.3.4' }",
            &["50: steps.s.version: `1.2.3.4` is no version; write `1.0.3`, or its beginning as in `1`"],
        ),
        ("{ type: workflow, workflow: child, input: '{' }", &["48: steps.s.input: the bracket `{` has no partner"]),
    ]);
}

#[test]
fn a_step_has_a_type_that_there_is() {
    hold(&[
        (
            "{ type: parallell, steps: {} }",
            &[
                "14: steps.s.type: `parallell` is no type of step; it is one of machine, human, gateway, timer, webhook, signal, sequential, parallel, conditional, workflow; did you mean `parallel`?",
            ],
        ),
        (
            "{ steps: {} }",
            &[
                "6: steps.s: `type` is missing; it is one of machine, human, gateway, timer, webhook, signal, sequential, parallel, conditional, workflow",
            ],
        ),
        (
            "{ type: 5 }",
            &[
                "14: steps.s.type: `` is no type of step; it is one of machine, human, gateway, timer, webhook, signal, sequential, parallel, conditional, workflow",
            ],
        ),
        (
            "5",
            &[
                "6: steps.s: a step is a mapping with a `type`: machine, human, gateway, timer, webhook, signal, sequential, parallel, conditional, workflow",
            ],
        ),
    ]);
}

#[test]
fn groups_nest_so_deep_and_no_deeper() {
    let nested = |depth: usize| {
        (0..depth)
            .fold("{ type: human }".to_owned(), |inner, _| format!("{{ type: sequential, steps: {{ m: {inner} }} }}"))
    };

    assert_eq!(problems_of_step(&nested(8)), "nothing");
    insta::assert_snapshot!(problems_of_step(&nested(9)), @"line 6, column 262: steps.s.steps.m.steps.m.steps.m.steps.m.steps.m.steps.m.steps.m.steps.m: groups nest deeper than 8; use a step of type workflow");
}

#[test]
fn edges_of_a_gateway_component_have_no_conditions() {
    let problems = problems_of(
        "\
initial_step: a
steps:
  a: { type: human }
  way: { type: gateway, component: w@1 }
  b: { type: human }
  c: { type: human }
edges:
  - { source: a, target: way }
  - { source: way, target: b, condition: 'true' }
  - { source: way, target: c, predicate: p }
",
    );

    insta::assert_snapshot!(problems, @r"
line 12, column 42: edges[1].condition: the component of `way` decides, so its edges have no conditions
line 13, column 42: edges[2].predicate: the component of `way` decides, so its edges have no conditions
");
}

#[test]
fn an_edge_of_a_gateway_component_leads_to_a_step() {
    let problems = problems_of(
        "\
initial_step: way
steps:
  way: { type: gateway, component: w@1 }
  b: { type: human }
edges:
  - { source: way, target: b }
  - { source: way, target: c }
",
    );

    insta::assert_snapshot!(problems, @r"
line 10, column 28: edges[1].target: edge 1: `c` is not a step; the steps are way, b
");
}

#[test]
fn an_edge_has_a_condition_or_a_predicate_or_is_the_default() {
    let problems = problems_of(
        "\
initial_step: a
steps:
  a: { type: human }
  b: { type: human }
  c: { type: human }
edges:
  - { source: a, target: b, condition: 'true', predicate: p }
  - { source: a, target: c, default: true, predicate: p }
  - { source: b, target: c, predicate: 'a b' }
",
    );

    insta::assert_snapshot!(problems, @r"
line 10, column 59: edges[0].predicate: give either a condition or a predicate, not both
line 11, column 38: edges[1].default: a default edge has no condition: it is taken when no other is
line 12, column 40: edges[2].predicate: `a b` can not be a predicate's name: it is letters, digits, `_`, `-`, with `/` or `.` between parts, begins with a letter, and has at most 64 characters
");
}

#[test]
fn no_edge_leads_into_or_out_of_a_group() {
    let problems = problems_of(
        "\
initial_step: g
terminal_steps: [m, g]
steps:
  g: { type: sequential, steps: { m: { type: human } } }
  b: { type: human }
edges:
  - { source: g/m, target: b }
  - { source: m, target: b }
  - { source: g, target: b }
  - { source: b, target: g/m }
  - { source: b, target: m }
  - { source: g/x, target: b }
",
    );

    insta::assert_snapshot!(problems, @r"
line 5, column 18: terminal_steps[0]: `m` is inside the group `g`; only `g` itself can stand here
line 10, column 15: edges[0].source: edge 0: `g/m` is inside the group `g`; only `g` itself can stand here
line 11, column 15: edges[1].source: edge 1: `m` is inside the group `g`; only `g` itself can stand here
line 13, column 26: edges[3].target: edge 3: `g/m` is inside the group `g`; only `g` itself can stand here
line 14, column 26: edges[4].target: edge 4: `m` is inside the group `g`; only `g` itself can stand here
line 15, column 15: edges[5].source: edge 5: `g/x` is not a step; the steps are g, b
");
}

#[test]
fn no_instance_begins_inside_a_group() {
    let problems = problems_of(
        "\
initial_step: g/m
steps:
  g: { type: sequential, steps: { m: { type: human } } }
",
    );

    insta::assert_snapshot!(problems, @r"
line 4, column 15: initial_step: `g/m` is inside the group `g`; only `g` itself can stand here
");
}

#[test]
fn a_step_of_the_graph_is_not_named_like_a_member() {
    let problems = problems_of(
        "\
initial_step: g
steps:
  g/m: { type: human }
  g: { type: human }
edges: [{ source: g, target: g/m }]
",
    );

    insta::assert_snapshot!(problems, @r"
line 6, column 8: steps.g/m: a name without `/`, please: `group/member` is how the members of a group are shown
");
}

#[test]
fn several_mistakes_in_a_group_are_told_each_at_its_own_place() {
    let problems = problems_of(
        "\
initial_step: s
steps:
  s:
    type: parallel
    complete_when: 9
    steps:
      a: { type: timer }
      item: { type: human }
      b: { type: human, join: any, terminate: true }
      c:
        type: sequential
        max_concurrency: 2
        steps:
          x: { type: machine, component: a@1, timeout: 0s }
          y: { type: gateway, mode: exclusive }
          z: { type: workflow, workflow: w, version: newest }
    callback: { type: machine }
",
    );

    insta::assert_snapshot!(problems, @r"
line 8, column 20: steps.s.complete_when: 9 members can not succeed: the group has 4
line 10, column 10: steps.s.steps.a: a timer has exactly one of `duration`, `until` and `duration_key`
line 11, column 13: steps.s.steps.item: `item` can not name a member: the engine shows its own parts so
line 12, column 31: steps.s.steps.b.join: no edges lead to a member of a group, so it joins nothing
line 12, column 47: steps.s.steps.b.terminate: only a step of the graph can end all branches; set it on the group
line 15, column 26: steps.s.steps.c.max_concurrency: says how many items of a `for_each` run at once; name the list with `for_each`, or leave it out
line 17, column 56: steps.s.steps.c.steps.x.timeout: must be at least 1ms
line 18, column 14: steps.s.steps.c.steps.y: a gateway chooses between edges, and a group has none inside; use a conditional group
line 19, column 54: steps.s.steps.c.steps.z.version: `newest` is no version; write `1.0.3`, or its beginning as in `1`
line 20, column 15: steps.s.callback.component: this is required and is missing
");
}
