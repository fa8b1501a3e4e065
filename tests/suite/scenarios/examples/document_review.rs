//! Document review: a loop with a person in it, and its bound.

use serde_json::json;
use stepcell::WorkflowStatus;
use stepcell_tests::Example;

const NAME: &str = "document-review";

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_revised_until_its_reviewer_approves_of_it() {
    let example = Example::open(NAME).await;
    let id = example.run(NAME, example.data(NAME)).await.identity.id;

    let wordless = example.scenario.complete(id, "review", "grace", json!({"approved": false})).await;
    assert!(wordless.unwrap_err().to_string().contains("comments"), "whoever does not approve says why");
    let other = example.scenario.complete(id, "review", "ada", json!({"approved": true})).await;
    assert!(other.is_err(), "the task is the reviewer's");
    for comments in ["shorter", "kinder"] {
        example.complete(id, "review", "grace", json!({"approved": false, "comments": comments})).await;
    }
    let instance = example.complete(id, "review", "grace", json!({"approved": true})).await;

    assert_eq!(instance.status, WorkflowStatus::Completed, "{:?}", instance.error);
    let round = ["draft succeeded", "review succeeded"];
    assert_eq!(example.scenario.path(id).await, [&round[..], &round, &round, &["publish succeeded"]].concat());
    let executions = example.scenario.executions(id).await;
    let last_draft = executions.iter().rfind(|record| record.step.as_str() == "draft").unwrap();
    assert_eq!(last_draft.output.as_ref().unwrap().tree(), &json!({"revision": 3, "changes": "kinder"}));
    assert_eq!(instance.result.unwrap().tree()["subject"], json!("Your document is out."));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reviewer_who_never_approves_comes_to_the_end_of_the_rounds() {
    let example = Example::open(NAME).await;
    let mut instance = example.run(NAME, example.data(NAME)).await;
    let id = instance.identity.id;

    let mut rounds = 0;
    while instance.status == WorkflowStatus::Waiting {
        instance = example.complete(id, "review", "grace", json!({"approved": false, "comments": "no"})).await;
        rounds += 1;
    }

    assert_eq!((rounds, instance.status), (4, WorkflowStatus::Failed));
    assert_eq!(instance.error.unwrap().code.as_str(), "engine.iterations");
    assert_eq!(example.scenario.context(id).await["revision"], json!(5));
}
