//! Steps that compute for ever beside steps that do not, on one thread.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use stepcell_model::attempt::StepCall;
use stepcell_model::id::ComponentDigest;
use stepcell_model::name::TenantId;

use crate::calls::{Bench, call, failure, output};
use crate::guests;

/// A sandbox with a step that may compute for ever, and one that is over at once; the latter's digest.
async fn runaway_and_noop() -> (Arc<Bench>, ComponentDigest) {
    let bench = Bench::with("runaway").await;
    let bytes = guests::component("noop");
    let noop = ComponentDigest::of(&bytes);
    bench.sandbox.prepare(None, noop, bytes).await.unwrap();
    (Arc::new(bench), noop)
}

fn tenant(name: &str) -> Option<TenantId> {
    Some(TenantId::new(name).unwrap())
}

#[tokio::test]
async fn a_short_step_of_another_tenant_ends_while_every_other_cell_computes_for_ever() {
    let (bench, noop) = runaway_and_noop().await;
    // All cells but one.
    let endless: Vec<_> = (0..3)
        .map(|_| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move {
                let change = |call: &mut StepCall| {
                    call.info.tenant = tenant("greedy");
                    call.limits.cpu_max = Duration::from_secs(60);
                };
                bench.run_with(json!(null), change).await
            })
        })
        .collect();

    for _ in 0..50 {
        let mut short = call(noop, json!(1));
        short.info.tenant = tenant("modest");
        let report = bench.sandbox.run(short).await;
        assert_eq!(output(&report), &json!(1));
    }

    assert!(endless.iter().all(|attempt| !attempt.is_finished()));
    for attempt in endless {
        attempt.abort();
        assert!(attempt.await.unwrap_err().is_cancelled());
    }
}

#[tokio::test]
async fn cpu_time_is_measured_and_bounded_across_both_lanes() {
    let (bench, _) = runaway_and_noop().await;
    let limit = Duration::from_millis(40);

    // The first begins where it was called, the second in the heavy lane.
    for _ in 0..2 {
        let report = bench.run_with(json!(null), |call| call.limits.cpu_max = limit).await;

        assert_eq!(failure(&report).code.as_str(), "engine.cpu");
        let cpu = Duration::from_micros(report.trace.receipt.cpu_us);
        assert!(cpu >= limit, "{cpu:?}");
    }
}

#[tokio::test]
async fn dropped_attempts_that_compute_give_all_of_their_cells_back() {
    let (bench, noop) = runaway_and_noop().await;

    for _ in 0..3 {
        let endless = (0..4).map(|_| bench.run_with(json!(null), |call| call.limits.cpu_max = Duration::from_secs(60)));
        let all = futures::future::join_all(endless);
        assert!(tokio::time::timeout(Duration::from_millis(20), all).await.is_err());
    }

    let four = (0..4).map(|number| bench.sandbox.run(call(noop, json!(number))));
    for (number, report) in futures::future::join_all(four).await.iter().enumerate() {
        assert_eq!(output(report), &json!(number));
    }
}
