//! Tenants who take whatever they get.

use futures::future::join_all;
use serde_json::{Value, json};
use stepcell::WorkflowEngine;
use stepcell::engine::StartRequest;
use stepcell::model::name::TenantId;
use stepcell::store::{UsageFilter, WorkflowStore};
use tokio::task::JoinHandle;

use super::workflow;

/// How many tenants there are, each with an attack of its own.
pub(super) const HOSTILE_TENANTS: usize = 10;

/// How many instances each of them has under way all the time: more than there is room for.
const INSTANCES_EACH: usize = 64;

/// The tenants of the crowd are named so.
const NAME: &str = "hostile-";

/// Tenants who attack a host until they leave.
pub(super) struct Crowd(Vec<JoinHandle<()>>);

impl Crowd {
    /// Begins.
    pub(super) fn attack(engine: &WorkflowEngine) -> Self {
        let all = attacks().into_iter().enumerate().flat_map(|attack| std::iter::repeat_n(attack, INSTANCES_EACH));
        Self(all.map(|(number, order)| tokio::spawn(attack(engine.clone(), number, order))).collect())
    }

    /// Starts nothing more.
    pub(super) async fn leave(self) {
        for attack in &self.0 {
            attack.abort();
        }
        join_all(self.0).await;
    }

    /// What of the guests' time on a CPU the crowd had, of attempts that have ended.
    pub(super) async fn share_of_cpu(&self, store: &dyn WorkflowStore) -> anyhow::Result<f64> {
        let (mut hostile, mut all) = (0, 0);
        for of_day in store.list_usage(&UsageFilter::default()).await?.items {
            all += of_day.usage.cpu_us;
            if of_day.tenant.is_some_and(|tenant| tenant.as_str().starts_with(NAME)) {
                hostile += of_day.usage.cpu_us;
            }
        }
        Ok(hostile as f64 / all as f64)
    }
}

/// What each of them does.
fn attacks() -> [Value; HOSTILE_TENANTS] {
    [
        json!({ "do": "loop" }),
        json!({ "do": "loop" }),
        json!({ "do": "loop" }),
        json!({ "do": "alloc" }),
        json!({ "do": "host_calls", "times": 100_001 }),
        json!({ "do": "print", "text": "flood\n", "times": 50_000 }),
        json!({ "do": "write_many", "count": 1_000, "bytes": 4_000 }),
        json!({ "do": "trap" }),
        json!({ "do": "stack" }),
        json!({ "do": "sleep", "ms": 60_000 }),
    ]
}

/// One instance after the other; how they end is no matter.
async fn attack(engine: WorkflowEngine, number: usize, order: Value) {
    let tenant = TenantId::new(format!("{NAME}{number}")).expect("letters and digits are a name");
    loop {
        let request = StartRequest {
            tenant: Some(tenant.clone()),
            ..StartRequest::new(workflow("hostile")).with_data(order.clone())
        };
        let Ok(instance) = engine.start_workflow(request).await else { return };
        if engine.wait_until_settled(instance.identity.id).await.is_err() {
            return;
        }
    }
}
