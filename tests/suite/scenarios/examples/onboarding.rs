//! Onboarding: a signed callback, departments beside each other, a timer, and a vote.

use serde_json::{Value, json};
use stepcell::engine::{Delivered, Delivery};
use stepcell::model::id::InstanceId;
use stepcell::model::json::Json;
use stepcell::model::name::StepName;
use stepcell::model::time::Timestamp;
use stepcell::{EngineError, WorkflowStatus};
use stepcell_tests::Example;

const NAME: &str = "onboarding";

async fn started() -> (Example, InstanceId) {
    let example = Example::open(NAME).await;
    let id = example.run(NAME, example.data(NAME)).await.identity.id;
    (example, id)
}

/// Calls back as whoever keeps the signatures does, with the address's own secret or another.
async fn call_back(
    example: &Example,
    id: InstanceId,
    payload: Value,
    forged: Option<&str>,
) -> Result<Delivered, EngineError> {
    let (engine, step) = (example.scenario.host.engine(), StepName::new("contract").unwrap());
    let address = engine.webhook_address(id, &step).await.unwrap();
    let secret = forged.or(address.signing_secret.as_deref()).unwrap();
    let now = Timestamp::from_unix_ms(
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis().try_into().unwrap(),
    );
    let delivery = Delivery::of(&Json::from(payload)).signed("evt-1", now, secret).unwrap();
    engine.deliver_webhook(id, &step, &address.token, delivery).await
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_three_departments_prepare_and_two_voices_are_enough() {
    let (example, id) = started().await;
    let signed = json!({"signed": true});
    assert_eq!(call_back(&example, id, signed.clone(), None).await.unwrap(), Delivered::Accepted);
    assert_eq!(call_back(&example, id, signed.clone(), None).await.unwrap(), Delivered::Repeated);

    assert_eq!(example.scenario.settled(id).await.status, WorkflowStatus::Waiting);
    let context = example.scenario.context(id).await;
    assert_eq!((&context["contract"], &context["mail/welcome"]["subject"]), (&signed, &json!("Welcome!")));
    let early = example.scenario.complete(id, "prepare/it/accounts", "it", json!({})).await;
    assert!(early.is_err(), "the accounts come after the laptop");
    for (step, who) in
        [("prepare/hr", "hr"), ("prepare/it/laptop", "it"), ("prepare/manager", "grace"), ("prepare/it/accounts", "it")]
    {
        example.complete(id, step, who, json!({})).await;
    }
    example.complete(id, "probation/manager", "grace", json!({"stay": true})).await;
    let instance = example.complete(id, "probation/buddy", "team", json!({"stay": true})).await;

    assert_eq!(instance.status, WorkflowStatus::Completed, "{:?}", instance.error);
    let path = example.scenario.path(id).await;
    let expected = [
        "offer succeeded",
        "contract succeeded",
        "first_day succeeded",
        "welcome succeeded",
        "prepare/hr succeeded",
        "prepare/it/laptop succeeded",
        "prepare/manager succeeded",
        "prepare/it/accounts succeeded",
        "prepare/it succeeded",
        "prepare succeeded",
        "probation/manager succeeded",
        "probation/buddy succeeded",
        "probation/hr canceled",
        "probation succeeded",
        "welcome_for_good succeeded",
    ];
    assert_eq!(path, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_callback_is_refused_and_changes_nothing() {
    let (example, id) = started().await;

    let forged = call_back(&example, id, json!({"signed": true}), Some("whsec_Zm9yZ2VkIGZvcmdlZCBmb3JnZWQ=")).await;

    assert!(matches!(forged, Err(EngineError::CallbackRefused { .. })), "{forged:?}");
    assert_eq!(example.scenario.settled(id).await.current_step.unwrap().as_str(), "contract");
    assert_eq!(example.scenario.path(id).await, ["offer succeeded", "contract waiting"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_sign_gets_a_mail_and_nobody_prepares() {
    let (example, id) = started().await;

    call_back(&example, id, json!({"signed": false}), None).await.unwrap();

    assert_eq!(example.scenario.settled(id).await.status, WorkflowStatus::Completed);
    assert_eq!(example.scenario.path(id).await, ["offer succeeded", "contract succeeded", "withdrawn succeeded"]);
}
