//! What may run, and what it may reach: policy, secrets, signatures, revoking, quarantine, purity.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use stepcell_engine::{Acceptance, EngineError, NewComponent, StartRequest};
use stepcell_model::attempt::StepCall;
use stepcell_model::component::Capability;
use stepcell_model::guard::BlockKind;
use stepcell_model::id::{ComponentDigest, InstanceId};
use stepcell_model::name::{ComponentName, SecretName, TenantId, UserId, WorkflowName};
use stepcell_model::policy::Policy;
use stepcell_model::secret::SecretText;
use stepcell_model::signature::PrivateKey;
use stepcell_model::status::WorkflowStatus;
use stepcell_store::{Inserted, SecretFilter};

use crate::kit::{Answer, TestHost, done, returns};

fn digest(name: &str) -> ComponentDigest {
    ComponentDigest::of(name.as_bytes())
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn policy(body: &str) -> Policy {
    Policy::from_text(&format!("schema: stepcell-policy/v1\n{body}")).unwrap_or_else(|problems| panic!("{problems}"))
}

async fn start_for(host: &TestHost, of: &str) -> InstanceId {
    let request = StartRequest { tenant: Some(tenant(of)), ..StartRequest::new(WorkflowName::new("w").unwrap()) };
    host.engine.start_workflow(request).await.unwrap().identity.id
}

const ONE_STEP: &str = "initial_step: a\nsteps:\n  a: { type: machine, component: a@1 }\n";

fn new_component(version: &str, bytes: &str) -> NewComponent {
    NewComponent {
        name: ComponentName::new("acme/pay").unwrap(),
        version: version.parse().unwrap(),
        bytes: bytes.as_bytes().into(),
        tenant: None,
        signature: None,
        acceptance: Acceptance::AsBefore,
    }
}

/// What a call was granted, for a test to look at.
fn first(host: &TestHost, step: &str) -> StepCall {
    host.calls(step).remove(0)
}

on_every_store! {
    async fn a_step_has_what_its_definition_asks_for_and_the_policy_allows_its_tenant(host: TestHost) {
        host.named(&["a"]).await;
        host.register_yaml("w", "
initial_step: a
steps:
  a:
    type: machine
    component: a@1
    limits: { memory: 128MiB, cpu: 2s }
    grants: { http: ['https://api.example'], secrets: [TOKEN, OTHER], clock: real, randomness: real }
").await;
        for (of, name, value) in [(None, "TOKEN", "nobody's own"), (Some("acme"), "TOKEN", "acme's own"), (Some("acme"), "OTHER", "more of it")] {
            let (of, value) = (of.map(tenant), SecretText::new(value.to_owned()));
            host.engine.set_secret(of, SecretName::new(name).unwrap(), value).await.unwrap();
        }
        host.engine.apply_policy(&policy("
default: { limits: { cpu: 500ms } }
tenants:
  acme: { grants: { secrets: [TOKEN], clock: real }, limits: { memory: 32MiB } }
")).await.unwrap();

        let of_acme = start_for(&host, "acme").await;
        host.settled(of_acme).await;
        host.run("w", json!({})).await;

        let [acme, nobody] = <[_; 2]>::try_from(host.calls("a")).unwrap();
        let secrets: Vec<_> = acme.secrets.iter().map(|(name, value)| (name.as_str(), value.as_ref().unwrap().expose())).collect();
        assert_eq!(secrets, [("TOKEN", "acme's own")]);
        assert!(!acme.grants.clock().is_default() && acme.grants.randomness().is_default());
        assert_eq!((acme.limits.memory_bytes_max, acme.limits.cpu_max.as_millis()), (32 << 20, 2_000));
        assert!(nobody.secrets.is_empty() && nobody.grants.clock().is_default());
        assert_eq!((nobody.limits.memory_bytes_max, nobody.limits.cpu_max.as_millis()), (128 << 20, 500));
    }

    async fn a_secret_that_has_no_value_is_granted_without_one(host: TestHost) {
        host.named(&["a"]).await;
        host.register_yaml("w", "initial_step: a\nsteps:\n  a: { type: machine, component: a@1, grants: { secrets: [TOKEN] } }\n").await;
        host.engine.apply_policy(&policy("default: { grants: { secrets: ['*'] } }")).await.unwrap();
        let name = SecretName::new("TOKEN").unwrap();

        host.run("w", json!({})).await;
        host.engine.set_secret(None, name.clone(), SecretText::new("one secret".to_owned())).await.unwrap();
        host.run("w", json!({})).await;
        assert!(host.engine.delete_secret(None, &name).await.unwrap());
        host.run("w", json!({})).await;

        let seen: Vec<_> = host.calls("a").iter().map(|call| call.secrets[&name].as_ref().map(|value| value.expose().to_owned())).collect();
        assert_eq!(seen, [None, Some("one secret".to_owned()), None]);
    }

    async fn revoking_stops_what_runs_and_holds_back_what_is_queued(host: TestHost) {
        host.step("a", |_| Answer::Never).await;
        host.register_yaml("w", ONE_STEP).await;
        let running = host.start("w", json!({})).await;
        host.called("a", 1).await;

        let by = Some(UserId::new("ada").unwrap());
        let revoked = host.engine.revoke_component(digest("a"), "it mines coins", by).await.unwrap();
        let stopped = host.settled(running).await;
        let queued = host.run("w", json!({})).await;

        assert_eq!(revoked, Inserted::New);
        assert_eq!((stopped.status, queued.status), (WorkflowStatus::Running, WorkflowStatus::Running));
        assert_eq!(
            host.events(running).await[2..],
            ["step_started", "step_retry_scheduled", "workflow_waiting", "step_parked", "workflow_resumed"],
        );
        assert_eq!(host.events(queued.identity.id).await.last().unwrap(), "step_parked");
        assert_eq!(host.calls("a").len(), 1, "nothing of it ran since");
        let why = host.engine.explain(queued.identity.id).await.unwrap();
        let text = &why.now[0].text;
        assert!(text.contains("is held back: The component sha256:") && text.contains("is revoked: it mines coins."), "{text}");
        assert_eq!(host.engine.list_blocks().await.unwrap()[0].kind, BlockKind::Revoked);
    }

    async fn a_component_that_may_run_again_goes_on_where_it_was_held_back(host: TestHost) {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        host.step("a", move |_| if counted.fetch_add(1, Ordering::SeqCst) == 0 { Answer::Never } else { done() }).await;
        host.register_yaml("w", ONE_STEP).await;
        let running = host.start("w", json!({})).await;
        host.called("a", 1).await;
        host.engine.revoke_component(digest("a"), "a mistake", None).await.unwrap();
        host.settled(running).await;

        assert!(host.engine.restore_component(&digest("a")).await.unwrap());
        host.called("a", 2).await;

        assert_eq!(host.settled(running).await.status, WorkflowStatus::Completed);
        assert!(!host.engine.restore_component(&digest("a")).await.unwrap());
    }

    async fn what_is_held_back_stays_so_over_a_restart_and_can_be_canceled(host: TestHost) {
        host.named(&["a"]).await;
        host.register_yaml("w", ONE_STEP).await;
        host.engine.revoke_component(digest("a"), "bad", None).await.unwrap();
        let id = host.run("w", json!({})).await.identity.id;

        let host = host.crash_and_restart().await;
        host.cools().await;
        assert_eq!(host.events(id).await.iter().filter(|event| *event == "step_parked").count(), 1, "it is told once");
        host.engine.cancel_workflow(id, "never mind").await.unwrap();

        assert_eq!(host.settled(id).await.status, WorkflowStatus::Canceled);
        assert!(host.calls("a").is_empty());
    }

    async fn a_component_that_breaks_the_hosts_side_twice_is_put_in_quarantine(host: TestHost) {
        host.step("a", |_| Answer::BreaksHost).await;
        host.register_yaml("w", "
initial_step: a
steps:
  a: { type: machine, component: a@1, retry: { max_attempts: 9, initial_delay: 0s, jitter: none } }
").await;

        let ended = host.run("w", json!({})).await;

        assert_eq!(ended.status, WorkflowStatus::Running);
        assert_eq!(host.calls("a").len(), 2);
        let block = host.engine.list_blocks().await.unwrap().remove(0);
        assert_eq!((block.kind, block.digest), (BlockKind::Quarantined, digest("a")));
        assert_eq!(block.reason, "it broke the host's side 2 times");
    }

    async fn a_blocked_component_is_neither_registered_nor_named(host: TestHost) {
        host.named(&["a"]).await;
        host.engine.revoke_component(digest("a"), "bad", None).await.unwrap();

        let pushed = host.engine.registry().register(new_component("1.0.0", "a")).await.unwrap_err();
        let text = format!("schema: stepcell/v1\nname: w\nversion: 1.0.0\n{ONE_STEP}");
        let definition = stepcell_model::definition::WorkflowDefinition::from_text(&text).unwrap();
        let named = host.engine.registry().register_definition(definition).await.unwrap_err();

        assert!(pushed.to_string().contains("is revoked: bad"), "{pushed}");
        assert!(named.to_string().contains("is revoked: bad. Name another component"), "{named}");
    }

    async fn a_version_that_wants_more_than_the_last_must_be_accepted(host: TestHost) {
        let registry = host.engine.registry();
        let wants = |bytes: &str, capabilities: &[Capability]| {
            host.runner.capabilities.lock().unwrap().insert(digest(bytes), capabilities.to_vec());
        };
        wants("one", &[Capability::Clock]);
        wants("two", &[Capability::Clock, Capability::Http, Capability::Secrets]);
        wants("three", &[Capability::Http]);
        registry.register(new_component("1.0.0", "one")).await.unwrap();

        let refused = registry.register(new_component("1.1.0", "two")).await.unwrap_err();
        assert!(refused.to_string().contains("`acme/pay` 1.1.0 wants more than 1.0.0: http, secrets;"), "{refused}");
        assert!(matches!(refused, EngineError::WantsMore { .. }));
        assert_eq!(registry.list_components(None).await.unwrap().len(), 1, "nothing of it was stored");
        let accepted = NewComponent { acceptance: Acceptance::Anything, ..new_component("1.1.0", "two") };
        registry.register(accepted).await.unwrap();
        registry.register(new_component("1.2.0", "three")).await.unwrap();
        registry.register(new_component("1.1.0", "two")).await.unwrap_err();
    }

    async fn where_the_policy_wants_signatures_nothing_else_is_let_in_or_run(host: TestHost) {
        let (key, stranger) = (PrivateKey::from_bytes(&[1; 32]), PrivateKey::from_bytes(&[2; 32]));
        let signed_by = |key: &PrivateKey, bytes: &str| NewComponent {
            signature: Some(key.sign(digest(bytes))),
            ..new_component("2.0.0", bytes)
        };
        host.step("a", |_| returns("ran")).await;
        host.register_yaml("w", ONE_STEP).await;
        let strict = format!("default: {{ signatures: required, trusted_keys: ['{}'] }}", key.public());
        host.engine.apply_policy(&policy(&strict)).await.unwrap();
        let registry = host.engine.registry();

        let unsigned = registry.register(new_component("2.0.0", "b")).await.unwrap_err();
        let untrusted = registry.register(signed_by(&stranger, "b")).await.unwrap_err();
        let another = NewComponent { signature: Some(key.sign(digest("c"))), ..new_component("2.0.0", "b") };
        let for_another = registry.register(another).await.unwrap_err();
        registry.register(signed_by(&key, "b")).await.unwrap();
        for (error, told) in [(unsigned, "is not signed"), (untrusted, "is none that is trusted"), (for_another, "is for the component")] {
            assert!(error.to_string().contains(told), "{error}");
        }

        let refused = host.run("w", json!({})).await;
        assert_eq!(refused.error.unwrap().code.as_str(), "engine.denied");
        host.engine.add_signature(key.sign(digest("a"))).await.unwrap();
        let ran = host.run("w", json!({})).await;
        assert_eq!(ran.status, WorkflowStatus::Completed);
        let history = host.store().list_history(ran.identity.id, 0, 100).await.unwrap();
        let trace = history.iter().flat_map(|entry| &entry.events).find_map(|event| event.trace()).unwrap();
        assert_eq!(trace.signed_by, Some(key.public()));
    }

    async fn signatures_of_a_component_that_nobody_trusts_are_bounded_and_trusted_ones_are_not(host: TestHost) {
        let key = |seed: u8| PrivateKey::from_bytes(&[seed; 32]);
        let signed_by = |seed: u8| NewComponent { signature: Some(key(seed).sign(digest("b"))), ..new_component("2.0.0", "b") };
        let registry = host.engine.registry();
        for seed in 1..=8 {
            registry.register(signed_by(seed)).await.unwrap();
        }
        let revision = host.store().guard_revision().await.unwrap();

        let ninth = registry.register(signed_by(9)).await.unwrap_err();
        registry.register(signed_by(1)).await.unwrap();

        assert!(ninth.to_string().contains("8 keys have signed it") && ninth.to_string().contains("`trusted_keys`"), "{ninth}");
        assert_eq!(host.store().guard_revision().await.unwrap(), revision, "what is there already changes nothing");
        host.engine.apply_policy(&policy(&format!("default: {{ trusted_keys: ['{}'] }}", key(9).public()))).await.unwrap();
        registry.register(signed_by(9)).await.unwrap();
        assert_eq!(host.engine.list_signatures(&digest("b")).await.unwrap().len(), 9);
    }

    async fn purity_follows_from_imports_and_grants_and_is_kept_with_the_definition(host: TestHost) {
        host.named(&["quiet", "loud"]).await;
        for name in ["quiet", "loud"] {
            host.runner.capabilities.lock().unwrap().insert(digest(name), vec![Capability::Http]);
        }
        let registry = host.engine.registry();
        registry.register(NewComponent { name: ComponentName::new("net").unwrap(), ..new_component("1.0.0", "loud") }).await.unwrap();
        host.register_yaml("w", "
initial_step: q
steps:
  q: { type: machine, component: quiet@1, grants: { http: ['https://api.example'] } }
  n: { type: machine, component: net@1, grants: { http: ['https://api.example'] }, compensate: net@1 }
  s: { type: machine, component: net@1 }
edges: [{ source: q, target: n }, { source: n, target: s }]
").await;

        let record = registry.get_definition(&WorkflowName::new("w").unwrap(), None).await.unwrap();

        let pure: Vec<_> = record.pure_steps.iter().map(stepcell_model::name::StepName::as_str).collect();
        assert_eq!(pure, ["q", "s"]);
    }

    async fn a_crash_costs_a_pure_step_no_attempt_and_an_effectful_one_its_attempt(host: TestHost) {
        host.stores_each_step().await;
        for name in ["pure", "loud"] {
            host.runner.capabilities.lock().unwrap().insert(digest(name), vec![Capability::Http]);
            host.step(name, |call| if call.info.attempt == 1 { Answer::Never } else { done() }).await;
        }
        for (workflow, step, grants) in [("p", "pure", ""), ("l", "loud", ", grants: { http: ['https://api.example'] }")] {
            host.register_yaml(workflow, &format!(
                "initial_step: {step}\nsteps:\n  {step}: {{ type: machine, component: {step}@1, retry: {{ max_attempts: 1 }}{grants} }}\n"
            )).await;
        }
        let (pure, loud) = (host.start("p", json!({})).await, host.start("l", json!({})).await);
        host.called("pure", 1).await;
        host.called("loud", 1).await;

        let host = host.crash_and_restart().await;

        assert_eq!(host.settled(pure).await.status, WorkflowStatus::Completed);
        let loud = host.settled(loud).await;
        assert_eq!(loud.error.unwrap().code.as_str(), "engine.crashed");
        assert_eq!(first(&host, "pure").info.attempt, 1);
    }

    async fn without_a_host_key_there_are_no_secrets(host: TestHost) {
        let name = SecretName::new("TOKEN").unwrap();

        let empty = host.engine.set_secret(None, name.clone(), SecretText::new(String::new())).await.unwrap_err();

        assert!(empty.to_string().contains("may have 8 to 65536"), "{empty}");
        host.engine.set_secret(None, name.clone(), SecretText::new("hunter2hunter2".to_owned())).await.unwrap();
        let listed = host.engine.list_secrets(&SecretFilter::default()).await.unwrap().items;
        assert_eq!((listed.len(), &listed[0].name), (1, &name));
        let sealed = host.store().find_secret(None, &name).await.unwrap().unwrap().sealed;
        assert!(!sealed.windows(7).any(|bytes| bytes == b"hunter2"), "it is never kept in the clear");
    }
}
