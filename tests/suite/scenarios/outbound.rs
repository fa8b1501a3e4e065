//! A step that tells somebody by HTTP: from definition and policy to the wire, and from the wire to history.

use serde_json::json;
use stepcell::WorkflowStatus;
use stepcell::model::policy::Policy;
use stepcell::model::trace::TraceContext;
use stepcell_tests::built::component;
use stepcell_tests::scenario::Scenario;
use tokio::io::AsyncWriteExt as _;

use crate::server::{OK, Server};

/// A workflow that tells the server, and tries twice.
async fn told(server: &Server) -> Scenario {
    told_by(Scenario::new().await, server).await
}

async fn told_by(scenario: Scenario, server: &Server) -> Scenario {
    scenario.push("notify", component("notify")).await.expect("the step fits the contract");
    let place = format!("http://{}", server.address);
    let body = format!(
        "
initial_step: tell
steps:
  tell:
    type: machine
    component: notify@1
    config: {{ url: '{place}/orders' }}
    grants: {{ http: ['POST {place}'] }}
    retry: {{ max_attempts: 2, initial_delay: 1ms }}
"
    );
    scenario.register("telling", &body).await;
    scenario
}

async fn allow(scenario: &Scenario, grants: &str) {
    let text = format!("schema: stepcell-policy/v1\ndefault:\n  grants: {grants}\n");
    let policy = Policy::from_text(&text).unwrap_or_else(|problems| panic!("{problems}"));
    scenario.host.engine().apply_policy(&policy).await.expect("the policy is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_server_is_told_again_under_the_same_key() {
    let server = Server::doing(|mut stream, before| async move {
        let answer = if before == 0 { "HTTP/1.1 503 Later\r\ncontent-length: 0\r\n\r\n" } else { OK };
        stream.write_all(answer.as_bytes()).await.expect("somebody listens");
    })
    .await;
    let scenario = told(&server).await;
    let place = format!("http://{}", server.address);
    allow(&scenario, &format!("{{ http: ['{place}'], private_networks: ['127.0.0.0/8'] }}")).await;

    let instance = scenario.run("telling", json!({"order": 7})).await;

    assert_eq!(instance.status, WorkflowStatus::Completed);
    assert_eq!(instance.result, Some(json!({"status": 200, "location": null}).into()));
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests.iter().all(|request| request.ends_with("\r\n\r\n{\"order\":7}")), "{requests:?}");
    let key = |request: &str| request.lines().find(|line| line.starts_with("idempotency-key: ")).map(str::to_owned);
    assert!(key(&requests[0]).is_some());
    assert_eq!(key(&requests[0]), key(&requests[1]));
    assert_eq!(scenario.executions(instance.identity.id).await[0].attempts, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_says_which_execution_it_is_of_where_traces_are_told_and_nothing_elsewhere() {
    let server = Server::answering(OK).await;
    let place = format!("http://{}", server.address);
    for (scenario, is_told) in [(Scenario::traced().await, true), (Scenario::new().await, false)] {
        let scenario = told_by(scenario, &server).await;
        allow(&scenario, &format!("{{ http: ['{place}'], private_networks: ['127.0.0.0/8'] }}")).await;

        let instance = scenario.run("telling", json!({})).await.identity.id;

        let sent = server.requests().pop().expect("somebody was told");
        let tell = scenario.executions(instance).await[0].number.id(instance);
        let trace = TraceContext::of_execution(instance, tell, None);
        let said = sent.lines().find_map(|line| line.strip_prefix("traceparent: "));
        assert_eq!(said, is_told.then(|| trace.to_string()).as_deref(), "{sent}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_policy_does_not_allow_never_leaves() {
    let server = Server::answering(OK).await;
    let place = format!("http://{}", server.address);
    // Nothing; the place without the network that it lies in; the network without the place.
    for grants in
        ["{}".to_owned(), format!("{{ http: ['{place}'] }}"), "{ private_networks: ['127.0.0.0/8'] }".to_owned()]
    {
        let scenario = told(&server).await;
        allow(&scenario, &grants).await;

        let instance = scenario.run("telling", json!({})).await;

        assert_eq!(instance.status, WorkflowStatus::Failed, "{grants}");
        let tell = &scenario.executions(instance.identity.id).await[0];
        let failure = tell.failure.as_ref().expect("it failed");
        assert_eq!((failure.code.as_str(), tell.attempts), ("http-denied", 1), "{grants}");
        assert_eq!(server.connections(), 0, "{grants}");
    }
}
