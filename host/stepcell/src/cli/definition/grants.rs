//! `definition grants`: what each step asks for, and what of that its tenant has.

use clap::Args;
use serde_json::{Value, json};
use stepcell::model::definition::ComponentUse;
use stepcell::model::grants::Grants as Asked;
use stepcell::model::name::{TenantId, WorkflowName};
use stepcell::model::policy::{EffectivePolicy, GrantPolicy};
use stepcell::model::record::DefinitionRecord;

use super::definition_of;
use crate::cli::input::version;
use crate::cli::open::{Output, Settings};
use crate::cli::print;

/// Show what the steps of a workflow may reach: what each asks for, and what of that the policy allows.
#[derive(Debug, Args)]
pub(crate) struct Grants {
    /// The workflow's name.
    name: WorkflowName,
    /// Which version [default: the latest active release].
    #[arg(long, env = "STEPCELL_WORKFLOW_VERSION", hide_env_values = true, value_parser = version)]
    version: Option<semver::Version>,
    /// For whose instances [default: those without a tenant].
    #[arg(long, env = "STEPCELL_TENANT", hide_env_values = true)]
    tenant: Option<TenantId>,
}

impl Grants {
    pub(super) async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let visit = settings.read()?;
        let record = visit
            .engine
            .registry()
            .view(self.tenant.as_ref())
            .get_definition(&self.name, self.version.as_ref())
            .await?;
        let policy = visit.engine.policy_of(self.tenant.as_ref()).await?;
        let definition = definition_of(&record)?;
        let steps: Vec<_> = definition.components().iter().map(|used| step(used, &record, &policy)).collect();
        if settings.output == Output::Json {
            return print::json_list(&steps, steps.len() as u64);
        }
        let mut rows = Vec::new();
        for step in &steps {
            let text = |field: &str| step[field].as_str().unwrap_or_default().to_owned();
            let grants = step["grants"].as_array().cloned().unwrap_or_default();
            let (step, purity) = (text("step"), text("purity"));
            if grants.is_empty() {
                rows.push([step, purity, "-".to_owned(), "-".to_owned()]);
                continue;
            }
            for grant in grants {
                let asked = format!(
                    "{} {}",
                    grant["kind"].as_str().unwrap_or_default(),
                    grant["asked"].as_str().unwrap_or_default()
                );
                let allowed = if grant["allowed"] == json!(true) { "yes" } else { "no" };
                rows.push([step.clone(), purity.clone(), asked, allowed.to_owned()]);
            }
        }
        print::text(&print::table(["STEP", "PURITY", "ASKS FOR", "ALLOWED"], rows))
    }
}

fn step(used: &ComponentUse<'_>, record: &DefinitionRecord, policy: &EffectivePolicy) -> Value {
    let purity = if record.pure_steps.contains(&used.step) { "pure" } else { "effectful" };
    let digest = record.components.iter().find(|(step, _)| *step == used.step).map(|(_, digest)| digest);
    json!({
        "step": used.step,
        "component": digest,
        "purity": purity,
        "grants": resolved(used.grants, &policy.grants),
    })
}

/// Each grant that is asked for, and whether the policy allows it: of HTTP, the same place or one that it lies in.
fn resolved(asked: &Asked, allowed: &GrantPolicy) -> Vec<Value> {
    let mut grants = Vec::new();
    let mut add = |kind: &str, asked: String, allowed: bool| {
        grants.push(json!({ "kind": kind, "asked": asked, "allowed": allowed }));
    };
    for place in &asked.http {
        add("http", place.to_string(), allowed.http.iter().any(|grant| grant.covers(place)));
    }
    for name in &asked.secrets {
        add("secret", name.to_string(), allowed.secrets.iter().any(|pattern| pattern.matches(name.as_str())));
    }
    let patterns = [
        ("context read", &asked.context.read, &allowed.context.read),
        ("context write", &asked.context.write, &allowed.context.write),
    ];
    for (kind, asked, allowed) in patterns {
        for pattern in asked.iter().flatten() {
            let covered = allowed.as_ref().is_none_or(|allowed| allowed.iter().any(|grant| grant.covers(pattern)));
            add(kind, pattern.to_string(), covered);
        }
    }
    if !asked.clock.is_default() {
        add("clock", "real".to_owned(), !allowed.clock.is_default());
    }
    if !asked.randomness.is_default() {
        add("randomness", "real".to_owned(), !allowed.randomness.is_default());
    }
    grants
}
