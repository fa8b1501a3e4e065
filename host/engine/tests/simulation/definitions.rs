//! Random definitions of the whole language, by seed: those of the model's own tests, with effects among their steps.

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use stepcell_model::definition::WorkflowDefinition;

use crate::shapes::{Edges, Extent, definition};
use crate::world::Dice;

/// How many executions one instance may have here. Bounds how long a simulation takes.
const EXECUTIONS_MAX: u32 = 20;

/// The definitions of a simulation: `other`, which steps start, and one or two that instances are started on.
pub fn definitions(seed: u64) -> Vec<WorkflowDefinition> {
    let mut dice = Dice::of(seed, "definitions");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&dice.bits().to_be_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config { failure_persistence: None, ..Config::default() }, rng);
    let count = 1 + dice.roll(2);
    let mut all = vec![other(&mut dice)];
    all.extend((0..count).map(|number| {
        let drawn = definition(Extent::Whole, Edges::Any).new_tree(&mut runner).unwrap().current().0;
        let mut document = drawn.to_json().tree().clone();
        document["name"] = json!(format!("w{number}"));
        document["limits"] = json!({"iterations": EXECUTIONS_MAX});
        if dice.happens(250) {
            document["durability"] = json!("each_step");
        }
        give_effects(&mut document, &mut dice);
        WorkflowDefinition::from_text(&document.to_string()).unwrap()
    }));
    all
}

/// What steps of type workflow start.
fn other(dice: &mut Dice) -> WorkflowDefinition {
    let wait = match dice.roll(3) {
        0 => json!({"type": "human"}),
        1 => json!({"type": "timer", "duration": "2s"}),
        _ => json!({"type": "machine", "component": "a@1"}),
    };
    let mut document = json!({"schema": "stepcell/v1", "name": "other", "version": "1.0.0", "initial_step": "first",
        "steps": {"first": {"type": "machine", "component": "a@1"}, "then": wait},
        "edges": [{"source": "first", "target": "then"}]});
    give_effects(&mut document, dice);
    WorkflowDefinition::from_text(&document.to_string()).unwrap()
}

/// Lets some of the steps that run a component reach the outside.
fn give_effects(value: &mut Value, dice: &mut Dice) {
    match value {
        Value::Object(fields) => {
            if fields.get("component") == Some(&json!("a@1")) && dice.happens(400) {
                fields.insert("component".to_owned(), json!("fx@1"));
                fields.insert("grants".to_owned(), json!({"http": ["https://outside.example"]}));
            }
            fields.values_mut().for_each(|field| give_effects(field, dice));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| give_effects(item, dice)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
