//! Definitions: what reads well makes a plan, can be drawn, started, and written and read again; all else is explained.

use std::collections::BTreeMap;
use std::sync::Arc;

use stepcell_model::attempt::ContextData;
use stepcell_model::definition::document::Document;
use stepcell_model::definition::{ComponentUse, WorkflowDefinition};
use stepcell_model::graph::GraphNode;
use stepcell_model::id::{ComponentDigest, DefinitionId, InstanceId};
use stepcell_model::instance::WorkflowInstance;
use stepcell_model::json::Json;
use stepcell_model::mermaid::GraphState;
use stepcell_model::plan::Plan;
use stepcell_model::predicate::Predicates;
use stepcell_model::problem::{PROBLEMS_MAX, Problems};
use stepcell_model::record::{CallbackSecret, InstanceIdentity};
use stepcell_model::time::Timestamp;
use stepcell_model::transition::start;
use uuid::Uuid;

use super::assert_shown;

/// A definition as people write it.
pub fn definition_yaml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match WorkflowDefinition::from_text(text) {
        Ok(definition) => valid(&definition),
        Err(problems) => explained(&problems),
    }
}

/// A definition as programs write it: JSON reads as itself.
pub fn definition_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(json) = Json::parse(text.to_owned()) else { return };
    match Document::parse(text) {
        Ok(document) => assert_eq!(document.value(), json.tree(), "JSON reads otherwise as YAML"),
        Err(problem) => assert_shown(&problem.to_string()),
    }
    definition_yaml(data);
    // What programs write has no layout, and is no other definition for it.
    let compact = json.tree().to_string();
    if let (Ok(one), Ok(other)) = (WorkflowDefinition::from_text(text), WorkflowDefinition::from_text(&compact)) {
        assert_eq!(one, other);
    }
}

fn explained(problems: &Problems) {
    let problems = problems.as_slice();
    assert!((1..=PROBLEMS_MAX).contains(&problems.len()), "{} problems", problems.len());
    for problem in problems {
        assert_shown(&problem.to_string());
    }
}

fn valid(definition: &WorkflowDefinition) {
    assert!(definition.validate().is_empty(), "what was read well has problems: {}", definition.validate());
    let written = definition.to_json();
    let read = WorkflowDefinition::from_text(written.text());
    assert_eq!(read.as_ref(), Ok(definition), "what was written reads otherwise: {written}");
    drawn(definition);
    planned(definition.clone());
}

fn drawn(definition: &WorkflowDefinition) {
    let graph = definition.graph();
    assert_eq!((graph.nodes.len(), graph.edges.len()), (definition.steps.len(), definition.edges.len()));
    let nodes: Vec<_> = graph.nodes.iter().flat_map(GraphNode::with_members).collect();
    let names = || nodes.iter().map(|node| node.id.clone()).collect();
    let state = GraphState { completed: names(), failed: names(), current: names(), canceled: names() };
    // A group takes a line more for its end, and one for each way inside.
    let lines = 1 + nodes.len() + graph.edges.len();
    let (plain, coloured) = (definition.to_mermaid(), definition.to_mermaid_with(&state));
    let has_groups = nodes.iter().any(|node| !node.members.is_empty());
    assert!(if has_groups { plain.lines().count() > lines } else { plain.lines().count() == lines }, "{plain}");
    assert_eq!(coloured.lines().count(), plain.lines().count() + 4 * nodes.len());
    let dot = definition.to_dot_with(&state);
    assert!(if has_groups { dot.lines().count() > lines } else { dot.lines().count() == 1 + lines }, "{dot}");
}

fn planned(definition: WorkflowDefinition) {
    let digest = |used: ComponentUse<'_>| (used.step, ComponentDigest::of(b"x"));
    let components: BTreeMap<_, _> = definition.components().into_iter().map(digest).collect();
    let asks_for_more = !components.is_empty() || !definition.unknown_predicates(&Predicates::default()).is_empty();
    if let Err(problems) = Plan::new(DefinitionId::from_uuid(Uuid::nil()), definition.clone(), &BTreeMap::new()) {
        assert!(asks_for_more, "nothing is to be resolved: {problems}");
        explained(&problems);
    }
    let asks_for_predicates = !definition.unknown_predicates(&Predicates::default()).is_empty();
    match Plan::new(DefinitionId::from_uuid(Uuid::nil()), definition, &components) {
        Ok(plan) => started(&plan),
        Err(problems) if asks_for_predicates => explained(&problems),
        Err(problems) => panic!("a valid definition makes no plan: {problems}"),
    }
}

fn started(plan: &Plan) {
    let identity = InstanceIdentity {
        id: InstanceId::from_uuid(Uuid::nil()),
        definition: plan.id,
        workflow_name: plan.definition.name.clone(),
        workflow_version: plan.definition.version.clone(),
        input: Json::null(),
        metadata: Arc::default(),
        tenant: None,
        created_by: None,
        correlation_id: None,
        idempotency_key: None,
        parent: None,
        callback_secret: CallbackSecret::from_bytes([7; 32]),
        started_at: Timestamp::from_unix_ms(0),
    };
    let transition = start(plan, Arc::new(identity), ContextData::new());
    let instance = WorkflowInstance::created_by(&transition);
    let is_under_way = !instance.state.control.active.is_empty();
    assert_ne!(instance.state.status.is_finished(), is_under_way);
    if let Some(error) = instance.state.error {
        assert_shown(&error.message);
    }
}
