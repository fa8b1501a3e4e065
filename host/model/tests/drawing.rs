//! The cases of the graph: Mermaid, JSON, paths.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::json;
use stepcell_model::definition::{Edge, GatewayMode, Outcome, WorkflowDefinition};
use stepcell_model::mermaid::GraphState;
use stepcell_model::name::StepName;

fn name(text: &str) -> StepName {
    StepName::new(text).unwrap()
}

fn scoring() -> WorkflowDefinition {
    WorkflowDefinition::builder("scoring", "1.0.0")
        .machine("read_score", "a@1")
        .gateway("way", GatewayMode::Exclusive)
        .human("look_at_it", |_| {})
        .machine("approve", "b@1")
        .edge("read_score", "way")
        .edge_when("way", "approve", "context.get('score') >= 80")
        .edge_with("way", "look_at_it", Edge::by_default)
        .edge("look_at_it", "approve")
        .edge_with("read_score", "look_at_it", |edge| edge.on(Outcome::Failure))
        .build()
        .unwrap()
}

/// The ways from `a` to `to`, each as one word.
fn ways(definition: &WorkflowDefinition, to: &str, paths_max: usize) -> Vec<String> {
    let paths = definition.graph().simple_paths(&name("a"), &name(to), paths_max);
    paths.iter().map(|path| path.iter().map(StepName::as_str).collect()).collect()
}

fn of_edges(steps: &str, edges: &[(&str, &str)]) -> WorkflowDefinition {
    let builder = WorkflowDefinition::builder("test", "1.0.0");
    let builder = steps.chars().fold(builder, |builder, step| builder.machine(&step.to_string(), "a@1"));
    edges.iter().fold(builder, |builder, (source, target)| builder.edge(source, target)).build().unwrap()
}

/// Cases 17 and 18.
#[test]
fn a_diagram_has_one_line_a_step_and_one_an_edge_with_a_shape_for_each_kind() {
    let text = scoring().to_mermaid();

    assert_eq!(
        text,
        "graph TD
    read_score[START: Read Score]
    way{Way}
    look_at_it{{Look At It}}
    approve[END: Approve]
    read_score --> way
    way -->|context.get('score') >= 80| approve
    way -->|default| look_at_it
    look_at_it --> approve
    read_score -->|failure| look_at_it
"
    );
}

/// Case 18.
#[test]
fn each_kind_of_step_has_a_shape_of_its_own() {
    let shape_of = |step: &str| {
        let text = format!(
            "schema: stepcell/v1\nname: w\nversion: 1.0.0\ninitial_step: s\nsteps: {{ s: {step}, e: {{ type: human }} }}\nedges: [{{ source: s, target: e }}]\n"
        );
        WorkflowDefinition::from_text(&text).unwrap().to_mermaid().lines().nth(1).unwrap().trim().to_owned()
    };

    for (step, shape) in [
        ("{ type: machine, component: a@1 }", "s[START: S]"),
        ("{ type: human }", "s{{START: S}}"),
        ("{ type: gateway, mode: exclusive }", "s{START: S}"),
        ("{ type: gateway, component: a@1 }", "s{START: S}"),
        ("{ type: timer, duration: 5s }", "s([START: S])"),
        ("{ type: webhook }", "s[/START: S/]"),
        ("{ type: signal }", "s>START: S]"),
        ("{ type: workflow, workflow: v }", "s[(START: S)]"),
        ("{ type: sequential, steps: {} }", "s[[START: S]]"),
    ] {
        assert_eq!(shape_of(step), shape, "{step}");
    }
}

/// Case 19.
#[test]
fn a_diagram_with_state_styles_each_step_that_an_instance_came_to() {
    let state = GraphState {
        completed: vec![name("read_score"), name("way")],
        failed: vec![name("approve")],
        current: vec![name("look_at_it")],
        canceled: Vec::new(),
    };

    let text = scoring().to_mermaid_with(&state);

    let plain = scoring().to_mermaid();
    let styles = text.strip_prefix(&plain).expect("the styles come after the plain graph");
    assert_eq!(
        styles,
        "    style read_score fill:#90EE90
    style way fill:#90EE90
    style approve fill:#FFB6C1
    style look_at_it fill:#FFD700
"
    );
    assert_eq!(scoring().to_mermaid_with(&GraphState::default()), plain);
}

#[test]
fn a_step_whose_name_mermaid_takes_for_its_own_is_drawn_under_another() {
    let definition = WorkflowDefinition::builder("test", "1.0.0")
        .machine("end", "a@1")
        .machine("end_", "a@1")
        .edge("end", "end_")
        .build()
        .unwrap();

    let text = definition.to_mermaid();

    assert_eq!(text, "graph TD\n    end__[START: End]\n    end_[END: End]\n    end__ --> end_\n");
}

#[test]
fn a_condition_can_not_break_out_of_its_label() {
    let definition = WorkflowDefinition::builder("test", "1.0.0")
        .machine("a", "a@1")
        .machine("b", "a@1")
        .edge_when("a", "b", "context.get(\"x\") == \"]|;\" || context['y'] == 1")
        .build()
        .unwrap();

    let text = definition.to_mermaid();

    assert!(
        text.ends_with(
            "    a -->|context.get(#quot;x#quot;) == #quot;#93;#124;#59;#quot; #124;#124; context#91;'y'#93; == 1| b\n"
        ),
        "{text}"
    );
}

/// Case 21.
#[test]
fn the_graph_as_json_has_what_a_program_needs_to_draw() {
    let graph = serde_json::to_value(scoring().graph()).unwrap();

    assert_eq!(
        graph["nodes"][0],
        json!({"id": "read_score", "label": "Read Score", "type": "machine", "is_initial": true, "is_terminal": false})
    );
    assert_eq!(
        graph["nodes"][3],
        json!({"id": "approve", "label": "Approve", "type": "machine", "is_initial": false, "is_terminal": true})
    );
    assert_eq!(graph["nodes"].as_array().unwrap().len(), 4);
    assert_eq!(graph["edges"][0]["condition"], json!(null));
    assert_eq!(
        graph["edges"][1],
        json!({
            "source": "way", "target": "approve", "condition": "context.get('score') >= 80", "default": false,
            "outcome": "success"
        })
    );
}

/// Case 57.
#[test]
fn a_group_is_one_node_with_its_members_inside() {
    let definition = WorkflowDefinition::from_text(
        "schema: stepcell/v1\nname: w\nversion: 1.0.0\ninitial_step: checks\nsteps:\n  checks:\n    type: parallel\n    \
         steps:\n      fraud: { type: machine, component: a@1 }\n      both: { type: sequential, steps: { ask: { type: human } } }\n    \
         callback: { type: machine, component: a@1 }\n",
    )
    .unwrap();

    let graph = serde_json::to_value(definition.graph()).unwrap();

    let inside = |id: &str, label: &str, kind: &str| json!({"id": id, "label": label, "type": kind, "is_initial": false, "is_terminal": false});
    let mut both = inside("checks/both", "Both", "sequential");
    both["members"] = json!([inside("checks/both/ask", "Ask", "human")]);
    assert_eq!(graph["nodes"].as_array().unwrap().len(), 1);
    assert_eq!(
        graph["nodes"][0]["members"],
        json!([inside("checks/fraud", "Fraud", "machine"), both, inside("checks/callback", "Callback", "machine")])
    );
}

/// Case 41.
#[test]
fn an_edge_with_a_predicate_is_labeled_with_its_name() {
    let definition = WorkflowDefinition::from_text(
        "schema: stepcell/v1\nname: w\nversion: 1.0.0\ninitial_step: a\nsteps: { a: { type: human }, b: { type: human } }\n\
         edges: [{ source: a, target: b, predicate: is-open }]\n",
    )
    .unwrap();

    assert_eq!(serde_json::to_value(definition.graph()).unwrap()["edges"][0]["predicate"], "is-open");
    assert!(definition.to_mermaid().contains("a -->|is-open| b"), "{}", definition.to_mermaid());
}

/// Case 22.
#[test]
fn a_diamond_has_two_ways_through() {
    let diamond = of_edges("abcd", &[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]);

    assert_eq!(ways(&diamond, "d", 10), ["abd", "acd"]);
    assert_eq!(ways(&diamond, "d", 1), ["abd"]);
    assert_eq!(ways(&diamond, "d", 0), Vec::<String>::new());
}

/// Case 22.
#[test]
fn a_cycle_has_finitely_many_ways_through() {
    let cycle = of_edges("abcd", &[("a", "b"), ("b", "c"), ("c", "b"), ("c", "a"), ("c", "d")]);

    assert_eq!(ways(&cycle, "d", 100), ["abcd"]);
}

/// Case 22.
#[test]
fn two_edges_between_the_same_steps_are_one_way() {
    let definition = WorkflowDefinition::builder("test", "1.0.0")
        .machine("a", "a@1")
        .machine("b", "a@1")
        .edge("a", "b")
        .edge_with("a", "b", |edge| edge.on(Outcome::Failure))
        .build()
        .unwrap();

    assert_eq!(ways(&definition, "b", 100), ["ab"]);
}

/// Case 22.
#[test]
fn the_depth_of_a_step_is_its_fewest_edges_and_minus_one_where_no_way_leads() {
    let graph = of_edges("abcd", &[("a", "b"), ("b", "c"), ("a", "c"), ("c", "d")]).graph();

    for (from, to, depth) in [("a", "a", 0), ("a", "c", 1), ("a", "d", 2), ("d", "a", -1)] {
        assert_eq!(graph.depth(&name(from), &name(to)), depth, "{from} to {to}");
    }
}

/// A group of every kind, one in another, and a step for each item.
fn nested() -> WorkflowDefinition {
    WorkflowDefinition::from_text(
        "schema: stepcell/v1
name: nested
version: 1.0.0
initial_step: checks
steps:
  checks:
    type: parallel
    steps:
      fraud: { type: machine, component: a@1 }
      review:
        type: sequential
        steps: { look: { type: human }, say: { type: machine, component: a@1 } }
    callback: { type: machine, component: a@1 }
  rooms: { type: machine, component: a@1, for_each: rooms, compensate: a@1 }
  way: { type: conditional, key: way, steps: {} }
edges:
  - { source: checks, target: rooms }
  - { source: rooms, target: way, condition: context.ok }
",
    )
    .unwrap()
}

/// Case 57.
#[test]
fn a_group_is_drawn_as_one_node_with_its_members_inside() {
    insta::assert_snapshot!(nested().to_mermaid(), @"
    graph TD
        subgraph checks[START: Checks]
            checks_fraud[Fraud]
            subgraph checks_review[Review]
                checks_review_look{{Look}}
                checks_review_say[Say]
                checks_review_look --> checks_review_say
            end
            checks_callback[Callback]
            checks_fraud --> checks_callback
            checks_review --> checks_callback
        end
        subgraph rooms[Rooms]
            rooms_item[Item]
        end
        way[[END: Way]]
        checks --> rooms
        rooms -->|context.ok| way
    ");
    insta::assert_snapshot!(nested().to_dot_with(&GraphState::default()), @r#"
    digraph "nested" {
        compound=true;
        subgraph "cluster_checks" {
            label="START: Checks";
            "checks/fraud" [label="Fraud", shape=box];
            subgraph "cluster_checks/review" {
                label="Review";
                "checks/review/look" [label="Look", shape=hexagon];
                "checks/review/say" [label="Say", shape=box];
                "checks/review/look" -> "checks/review/say";
            }
            "checks/callback" [label="Callback", shape=box];
            "checks/fraud" -> "checks/callback";
            "checks/review/say" -> "checks/callback" [ltail="cluster_checks/review"];
        }
        subgraph "cluster_rooms" {
            label="Rooms";
            "rooms/item" [label="Item", shape=box];
        }
        "way" [label="END: Way", shape=box3d];
        "checks/callback" -> "rooms/item" [ltail="cluster_checks", lhead="cluster_rooms"];
        "rooms/item" -> "way" [label="context.ok", ltail="cluster_rooms"];
    }
    "#);
}

#[test]
fn the_graph_as_json_shows_what_a_step_is_made_of_and_nothing_where_it_is_made_of_nothing() {
    let graph = serde_json::to_value(nested().graph()).unwrap();

    let checks = &graph["nodes"][0];
    assert_eq!((&checks["type"], checks["members"].as_array().unwrap().len()), (&json!("parallel"), 3));
    assert_eq!(
        checks["members"][1]["members"][0],
        json!({
            "id": "checks/review/look", "label": "Look", "type": "human", "is_initial": false, "is_terminal": false
        })
    );
    assert_eq!(checks["members"][2]["id"], "checks/callback");
    assert_eq!(
        (&graph["nodes"][1]["type"], &graph["nodes"][1]["members"][0]["type"]),
        (&json!("for_each"), &json!("machine"))
    );
    assert_eq!(graph["nodes"][2].get("members"), None);
}

/// Case 106.
#[test]
fn members_are_coloured_like_any_step_and_what_is_not_drawn_is_not_styled() {
    let state = GraphState {
        completed: vec![name("checks/fraud"), name("rooms/item/compensate")],
        current: vec![name("checks"), name("checks/review/look")],
        canceled: vec![name("rooms")],
        ..GraphState::default()
    };

    let text = nested().to_mermaid_with(&state);

    assert_eq!(
        text.strip_prefix(&nested().to_mermaid()).unwrap(),
        "    style checks_fraud fill:#90EE90
    style checks fill:#FFD700
    style checks_review_look fill:#FFD700
    style rooms fill:#D3D3D3
"
    );
    let dot = nested().to_dot_with(&state);
    assert!(dot.contains("label=\"START: Checks\"; style=filled; fillcolor=\"#FFD700\";\n"), "{dot}");
    assert!(
        dot.contains("\"checks/fraud\" [label=\"Fraud\", shape=box, style=filled, fillcolor=\"#90EE90\"];"),
        "{dot}"
    );
}

#[test]
fn members_are_drawn_under_names_that_no_other_step_has() {
    let definition = WorkflowDefinition::from_text(
        "schema: stepcell/v1\nname: test\nversion: 1.0.0\ninitial_step: g_a\nsteps:\n  g_a: { type: gateway, mode: exclusive }\n  g: { type: \
         sequential, steps: { a: { type: human }, b-: { type: human } } }\nedges: [{ source: g_a, target: g }]\n",
    )
    .unwrap();

    let text = definition.to_mermaid();

    assert!(text.contains("    g_a{START: G A}\n"), "{text}");
    assert!(text.contains("        g_a_{{A}}\n        g_b_{{B}}\n        g_a_ --> g_b_\n"), "{text}");
}
